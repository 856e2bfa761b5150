//! The run loop: images from the folder and over HTTP, one at a time to the hub.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use resonance_plant::{Code, Event, Status, Timestamp, Value, ValueKind};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::config::{ADDRESSES, ImageConfig, SIDES};
use super::decode::{Refused, decode};
use super::folder::{Found, Watched, put_away, read};
use super::http::{PART_ID_BYTES_MAX, Posted, serve};
use crate::hub::ingest::BlockSender;
use crate::sources::backoff::{Backoff, random};
use crate::sources::contact::Contact;
use crate::sources::failure::Failure;
use crate::sources::opcua::config::TimeFrom;
use crate::sources::outlet::{Outlet, Row};
use crate::sources::text::Mismatch;
use crate::sources::{Link, Source, SourceError, Stop, Visit, told};
use crate::status::Connection;

/// The longest wait until a folder or address is tried again.
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// A file that cannot be decoded is looked at again until it is this old.
const SETTLE: Duration = Duration::from_secs(2);

/// Images that wait for their turn.
const WAITING_MAX: usize = 16;

/// Images of parts.
#[derive(Debug)]
pub struct ImageSource {
    config: ImageConfig,
}

impl ImageSource {
    /// A source with this configuration.
    pub fn new(config: ImageConfig) -> Self {
        Self { config }
    }
}

impl Source for ImageSource {
    fn run(
        self: Box<Self>,
        link: Link,
        mut out: BlockSender,
        mut stop: Stop,
    ) -> Pin<Box<dyn Future<Output = Result<(), SourceError>>>> {
        Box::pin(async move {
            sound(&self.config)?;
            let mut taker = Taker::new(self.config, &link);
            tokio::select! {
                () = told(&mut stop) => {}
                () = taker.run(&mut out) => {}
            }
            link.counters.connection.set(Connection::Stopped);
            Ok(())
        })
    }
}

/// Whether images can come.
///
/// # Errors
/// Why not.
pub(in crate::sources) fn visit(config: &ImageConfig) -> Result<Visit, String> {
    sound(config).map_err(|error| error.to_string())?;
    if let Some(folder) = &config.folder {
        std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    Ok(Visit::default())
}

fn sound(config: &ImageConfig) -> Result<(), SourceError> {
    let refused = |key: &str, problem: &str| {
        Err(SourceError::Configuration { key: key.into(), problem: problem.into() })
    };
    if config.folder.is_none() && config.listen.is_none() {
        return refused("folder", "images come from nowhere; name a `folder`, or `listen`");
    }
    if config.listen.is_some_and(|address| !address.ip().to_canonical().is_loopback()) {
        let problem = "anyone on the network could send images; write a loopback address, and \
                       put a proxy with TLS and users before it for cameras elsewhere";
        return refused("listen", problem);
    }
    for (key, side) in [("width", config.width), ("height", config.height)] {
        if !SIDES.contains(&side) {
            return refused(key, "write 1 to 4096 pixels");
        }
    }
    Ok(())
}

struct Taker {
    config: ImageConfig,
    contact: Contact,
    outlet: Outlet,
    watched: Watched,
}

impl Taker {
    fn new(config: ImageConfig, link: &Link) -> Self {
        let folder = config.folder.as_ref().map(|folder| folder.display().to_string());
        let address = config.listen.map(|listen| format!("http://{listen}"));
        let places: Vec<String> = folder.into_iter().chain(address).collect();
        Self {
            contact: Contact::new(link, &places.join(" and ")),
            outlet: Outlet::new(link, TimeFrom::Source),
            watched: Watched::default(),
            config,
        }
    }

    async fn run(&mut self, out: &mut BlockSender) {
        self.tell_unknown(out).await;
        let mut backoff = Backoff::new(BACKOFF_MAX);
        loop {
            let failure = self.round(&mut backoff, out).await;
            self.contact.failed(&failure, out).await;
            tokio::time::sleep(backoff.wait(random())).await;
        }
    }

    /// Points whose address is none of ours have no value.
    async fn tell_unknown(&mut self, out: &mut BlockSender) {
        let points = Arc::clone(&self.outlet.link.points);
        let now = self.outlet.link.clock.now();
        for (index, point) in points.iter().enumerate() {
            if !ADDRESSES.contains(&&*point.address) {
                let text = format!("an image source has {}", ADDRESSES.join(", "));
                self.outlet.tell(Code::PointUnknown, index, now, || (text, Value::Empty));
                let status = Status::BAD_NODE_ID_UNKNOWN;
                self.outlet.without_value(index, status, now, out).await;
            }
        }
    }

    /// Takes images until folder or address are no more.
    async fn round(&mut self, backoff: &mut Backoff, out: &mut BlockSender) -> Failure {
        let (images, mut posted) = mpsc::channel(WAITING_MAX);
        // Kept, so that the channel stays open where nothing listens.
        let _images = images.clone();
        let server = match self.config.listen {
            None => None,
            Some(listen) => match TcpListener::bind(listen).await {
                Ok(listener) => {
                    self.say_listening(&listener);
                    Some(serve(listener, self.config.clone(), images))
                }
                Err(error) => return Failure::Unreachable(format!("{listen}: {error}")),
            },
        };
        let served = async {
            match server {
                Some(server) => server.await,
                None => std::future::pending().await,
            }
        };
        let taking = async {
            let mut scan =
                tokio::time::interval(Duration::from_millis(self.config.scan_ms.max(10).into()));
            scan.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    Some(image) = posted.recv() => self.pass_on(image, out).await,
                    _ = scan.tick() => if let Err(failure) = self.scan(out).await {
                        return failure;
                    } else {
                        backoff.reset();
                    }
                }
            }
        };
        tokio::select! {
            failure = taking => failure,
            ended = served => {
                let text = ended.err().map_or_else(String::new, |error| error.to_string());
                Failure::Lost(format!("nothing listens any more: {text}"))
            }
        }
    }

    /// The real port, where a free one was asked for.
    fn say_listening(&self, listener: &TcpListener) {
        let Ok(address) = listener.local_addr() else { return };
        let link = &self.outlet.link;
        let (now, subject) = (link.clock.now(), format!("source/{}", link.id));
        let url = format!("http://{address}");
        let event =
            Event::new(now, Code::ServerListening, &subject, format!("takes images at {url}"));
        link.events.record(event.with("url", Value::Text(url.into())));
    }

    /// Takes what lies in the folder.
    async fn scan(&mut self, out: &mut BlockSender) -> Result<(), Failure> {
        let found = match &self.config.folder {
            None => Vec::new(),
            Some(folder) => self
                .watched
                .scan(folder)
                .map_err(|error| Failure::Unreachable(format!("{}: {error}", folder.display())))?,
        };
        self.contact.heard(&mut self.outlet, out).await;
        for file in found {
            self.take(file, out).await?;
        }
        Ok(())
    }

    async fn take(&mut self, file: Found, out: &mut BlockSender) -> Result<(), Failure> {
        let Found { path, part_id, triggered } = file;
        let read = read(&path, self.config.bytes_max).map_err(|error| error.to_string());
        let image = match read.map(|bytes| decode(&bytes, &self.config)) {
            Ok(Err(Refused::Damaged(_))) if self.is_young(triggered) => return Ok(()),
            Ok(decoded) => decoded.map_err(|error| error.to_string()),
            Err(problem) => Err(problem),
        };
        // What cannot be put away would be taken again and again: then better none is taken.
        let away = |to: &str| {
            put_away(&path, to).map_err(|error| {
                Failure::Refused(format!(
                    "{}: it cannot be moved to {to}: {error}; let the gateway write there",
                    path.display()
                ))
            })
        };
        let part_id = part_id.filter(|it| it.len() <= PART_ID_BYTES_MAX);
        let part_id = part_id.ok_or("its name is too long, or no Unicode, to be a part's id");
        match image.and_then(|pixels| Ok((pixels, part_id?))) {
            Ok((pixels, part_id)) => {
                away("done")?;
                self.pass_on(Posted { pixels, part_id, triggered }, out).await;
            }
            Err(problem) => {
                away("refused")?;
                self.refused(&path, &problem);
            }
        }
        Ok(())
    }

    /// Whether a file may still be written to: whoever writes may have paused.
    fn is_young(&self, modified: Option<Timestamp>) -> bool {
        let settle_ns = i64::try_from(SETTLE.as_nanos()).unwrap_or(i64::MAX);
        // One from the future is not: it would be young for ever.
        let age = |at| self.outlet.link.clock.now().since(at);
        modified.is_some_and(|at| (0..settle_ns).contains(&age(at)))
    }

    fn refused(&mut self, path: &Path, problem: &str) {
        self.outlet.link.counters.refused.add(1);
        self.contact.row_refused(&format!("{}: {problem}; left out", path.display()));
    }

    /// One image to the hub, with its part and its moment; the next no sooner than it may.
    async fn pass_on(&mut self, image: Posted, out: &mut BlockSender) {
        let received = self.contact.heard(&mut self.outlet, out).await;
        self.outlet.begin(received);
        let Posted { pixels, part_id, triggered } = image;
        // The time of receipt is no replacement that needs telling: it is when it was triggered,
        // as far as anyone said.
        let at = match triggered {
            None => received,
            Some(time) => self.outlet.plausible(0, Some(time), || None),
        };
        let pixels: Arc<[u8]> = pixels.into();
        let part_id: Arc<str> = part_id.into();
        let points = Arc::clone(&self.outlet.link.points);
        for (index, point) in points.iter().enumerate() {
            let value = match &*point.address {
                "image" => Value::Bytes(Arc::clone(&pixels)),
                "part_id" => Value::Text(Arc::clone(&part_id)),
                "triggered" => Value::Time(at),
                _ => continue,
            };
            let row = self.row(index, value);
            self.outlet.push(point.point, row, at, out).await;
        }
        self.outlet.flush(out);
        // A hub that finds two images at once would show models only the second.
        tokio::time::sleep(Duration::from_millis(self.config.interval_ms.max(1).into())).await;
    }

    fn row(&mut self, index: usize, value: Value) -> Row {
        use resonance_plant::DataType as T;
        let declared = self.outlet.link.points[index].data_type;
        let fits = matches!(
            (&value, declared),
            (Value::Bytes(_), T::Bytes)
                | (Value::Text(_), T::String)
                | (Value::Time(_), T::Datetime)
        );
        if fits {
            let (kind, column) = (ValueKind::Side, 0.0);
            return Row { kind, column, side: Some(value), status: Status::GOOD };
        }
        let problem = "image is bytes, part_id a string, triggered a datetime".to_owned();
        self.outlet.row(index, declared, Err(Mismatch(problem)))
    }
}

//! Cameras that put images into a folder, or POST them: each image is one part, whose number counts.
//! Each fault is what is like it there: a file or body that ends early, comes slowly or not at all,
//! more images than are taken, files that are none, a gateway that starts anew.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use resonance_gateway::hub::ingest::SessionState;
use resonance_gateway::plan::SourceKind;
use resonance_plant::{Code, DataType, Value};

use super::Fault;
use super::sources::start;
use crate::http::client::Client;
use crate::http::fixture::wait_until;
use crate::opcua_source::harness::Running;

/// How images come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Camera {
    Folder,
    Http,
}

/// A camera before a source.
struct Scene {
    camera: Camera,
    folder: tempfile::TempDir,
    source: Running,
    /// Where images are POSTed to.
    addr: Option<SocketAddr>,
    /// Parts shown so far; those that the source must have observed, in order.
    parts: Vec<u64>,
}

/// A PNG file of one grey.
fn png(grey: u8) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let image = image::GrayImage::from_pixel(4, 2, [grey].into());
    image.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn watch(camera: Camera, folder: &Path, interval_ms: u32) -> Running {
    let place = match camera {
        Camera::Folder => format!("folder = '{}'\nscan_ms = 20", folder.display()),
        Camera::Http => "listen = '127.0.0.1:0'".into(),
    };
    let text = format!("{place}\nwidth = 4\nheight = 2\ninterval_ms = {interval_ms}");
    let points = [
        ("part_id", DataType::String),
        ("image", DataType::Bytes),
        ("triggered", DataType::Datetime),
    ];
    start(SourceKind::Image(toml::from_str(&text).unwrap()), crate::mtconnect::points(&points))
}

impl Scene {
    async fn begin(camera: Camera, interval_ms: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = watch(camera, folder.path(), interval_ms);
        let mut scene = Self { camera, folder, source, addr: None, parts: Vec::new() };
        scene.find().await;
        scene
    }

    async fn find(&mut self) {
        if self.camera == Camera::Http {
            let told = self.source.event(Code::ServerListening).await;
            let (_, addr) = told.message.rsplit_once("http://").unwrap();
            self.addr = Some(addr.parse().unwrap());
        }
        self.source.session(SessionState::Alive).await;
    }

    fn file(&self, part: u64) -> std::path::PathBuf {
        self.folder.path().join(format!("{part:05}.png"))
    }

    /// Shows a part with this file; the status of the answer, where there is one.
    fn shows(&mut self, part: u64, file: &[u8]) -> u16 {
        match self.addr {
            None => {
                fs::write(self.file(part), file).unwrap();
                202
            }
            Some(addr) => {
                let path = format!("/?part_id={part:05}");
                Client::connect(addr).post(&path, "", file).status
            }
        }
    }

    /// Shows a good image, which must be observed.
    fn part(&mut self, part: u64) {
        assert_eq!(self.shows(part, &png(part as u8)), 202);
        self.parts.push(part);
    }

    /// Waits for the last part, and compares all that was observed with what was shown.
    async fn is_complete(&mut self) {
        let last = *self.parts.last().unwrap();
        self.source.value(1, Value::Bytes([last as u8; 8].into())).await;
        let text = |part: &u64| Value::Text(format!("{part:05}").into());
        let shown: Vec<Value> = self.parts.iter().map(text).collect();
        let observed: Vec<_> = self.source.observed(0).collect();
        let parts: Vec<Value> = observed.iter().map(|(value, ..)| value.clone()).collect();
        assert_eq!(parts, shown);
        let images = self.source.observed(1);
        for ((_, at, status), (_, image_at, _)) in observed.iter().zip(images) {
            assert!(*at == image_at && status.is_good(), "part and image are of one moment");
        }
    }
}

pub(super) async fn holds(_test: &str, camera: Camera, fault: Fault) {
    let interval_ms = if fault == Fault::Flood && camera == Camera::Http { 40 } else { 1 };
    let mut other = Scene::begin(camera, 1).await;
    let mut scene = Scene::begin(camera, interval_ms).await;
    scene.part(1);
    scene.is_complete().await;
    match fault {
        Fault::Cut => scene.is_cut().await,
        Fault::Slow => scene.is_slow(),
        Fault::Stall => scene.stalls().await,
        Fault::Flood => scene.is_flooded().await,
        Fault::Garbage => scene.is_garbage().await,
        Fault::Restart => scene.starts_anew().await,
    }
    other.part(7);
    other.is_complete().await;
    other.source.stop();
    scene.part(200);
    scene.is_complete().await;
    let Scene { source, .. } = scene;
    source.stop();
}

impl Scene {
    /// An image that ends early is none.
    async fn is_cut(&mut self) {
        let whole = png(2);
        let half = &whole[..whole.len() / 2];
        match self.addr {
            None => {
                self.shows(2, half);
                let told = self.source.event(Code::DataGap).await;
                assert!(told.message.contains("left out"), "{}", told.message);
                assert!(self.folder.path().join("refused/00002.png").is_file());
            }
            Some(addr) => {
                let mut client = Client::connect(addr);
                let length = format!("Content-Length: {}\r\n", whole.len());
                client.head("POST", "/?part_id=00002", &length);
                client.write(half).unwrap();
                client.shutdown_write();
                // Refused, or ended without a word: never taken.
                let status = client.try_reply().map(|reply| reply.status).ok();
                assert!(status.is_none_or(|status| status >= 400), "{status:?}");
            }
        }
    }

    /// Bit by bit is as good as at once.
    fn is_slow(&mut self) {
        let whole = png(2);
        let pause = || std::thread::sleep(Duration::from_millis(60));
        match self.addr {
            None => {
                let mut file = fs::File::create(self.file(2)).unwrap();
                for bytes in whole.chunks(20) {
                    std::io::Write::write_all(&mut file, bytes).unwrap();
                    pause();
                }
            }
            Some(addr) => {
                let mut client = Client::connect(addr);
                let length = format!("Content-Length: {}\r\n", whole.len());
                client.head("POST", "/?part_id=00002", &length);
                for bytes in whole.chunks(20) {
                    client.write(bytes).unwrap();
                    pause();
                }
                assert_eq!(client.reply().status, 202);
            }
        }
        self.parts.push(2);
    }

    /// A folder that is away comes back; a body that does not go on keeps nobody waiting.
    async fn stalls(&mut self) {
        match self.addr {
            None => {
                let away = self.folder.path().with_extension("away");
                fs::rename(self.folder.path(), &away).unwrap();
                self.source.session(SessionState::Lost).await;
                fs::rename(&away, self.folder.path()).unwrap();
                self.part(2);
                self.is_complete().await;
                assert_eq!(self.source.counters.reconnects.value(), 1);
            }
            Some(addr) => {
                let mut client = Client::connect(addr);
                client.head("POST", "/?part_id=00002", "Content-Length: 100\r\n");
                self.part(3);
                self.is_complete().await;
            }
        }
    }

    /// What was accepted is observed, each image once; what was not is told to whoever sent it.
    async fn is_flooded(&mut self) {
        let mut refused = 0;
        for part in 2..=100 {
            match self.shows(part, &png(part as u8)) {
                202 => self.parts.push(part),
                503 => refused += 1,
                other => panic!("{other}"),
            }
        }
        assert_eq!(refused > 0, self.camera == Camera::Http, "{refused} refused");
        // The next one finds room again.
        self.is_complete().await;
    }

    async fn is_garbage(&mut self) {
        for (part, file) in [(2, &b"no image at all"[..]), (3, b""), (4, b"\x89PNG\r\n\x1a\n")] {
            let status = self.shows(part, file);
            assert!([202, 415, 422].contains(&status), "{status}");
            assert_eq!(status == 202, self.camera == Camera::Folder);
        }
        if self.camera == Camera::Folder {
            self.source.event(Code::DataGap).await;
            // Parts are named by files: what no text is names none.
            let name = std::ffi::OsStr::from_bytes(b"5\xff.png");
            fs::write(self.folder.path().join(name), png(5)).unwrap();
            wait_until(|| self.folder.path().join("refused").join(name).is_file());
        }
    }

    /// What was taken before is not taken again.
    async fn starts_anew(&mut self) {
        let before = std::mem::replace(&mut self.source, watch(self.camera, self.folder.path(), 1));
        before.stop();
        self.parts.clear();
        self.find().await;
    }
}

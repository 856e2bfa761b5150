//! One HTTP/1.1 connection, and how it is made: over TCP, or whatever a test puts in its place.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest, handshake};
use hyper::header::HeaderMap;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;

use super::endpoint::Endpoint;
use crate::origin::Stream;

/// The largest answer that is read, bytes.
const ANSWER_BYTES_MAX: usize = 256 << 10;

/// A stream that comes about, or does not.
pub(crate) type Connecting<'a> =
    Pin<Box<dyn Future<Output = std::io::Result<Box<dyn Stream>>> + Send + 'a>>;

/// Makes connections.
pub(crate) trait Connect: Send + Sync {
    fn connect(&self) -> Connecting<'_>;
}

impl Connect for Endpoint {
    fn connect(&self) -> Connecting<'_> {
        Box::pin(self.origin.connect())
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Why the body is not whole.
    pub(crate) cut: Option<String>,
}

/// An open connection. Ends when dropped.
///
/// It is read and written by whoever waits for an answer, not by a task of its own: with one
/// request after the other, waking that task would take longer than the rest.
#[derive(Debug)]
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: Driver,
    /// Whether an answer came through it already: then a peer may close it at any time.
    pub(crate) is_used: bool,
}

impl Connection {
    /// Opens one.
    ///
    /// # Errors
    /// What went wrong, in words.
    pub(crate) async fn open(connect: &dyn Connect) -> Result<Self, String> {
        let stream = connect.connect().await.map_err(|error| error.to_string())?;
        let (sender, connection) =
            handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        Ok(Self { sender, driver: Driver(Some(connection)), is_used: false })
    }

    /// Whether another request can be sent.
    pub(crate) async fn is_ready(&mut self) -> bool {
        self.driver.while_it(self.sender.ready()).await.is_ok()
    }

    /// Sends a request and reads the answer. What a peer had not read of the request when it
    /// answered is sent before the next one.
    ///
    /// # Errors
    /// What went wrong before there was an answer, in words. The connection is of no use then.
    pub(crate) async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response, String> {
        let answered = self.driver.while_it(self.sender.send_request(request)).await;
        let (head, body) = answered.map_err(|error| words(&error))?.into_parts();
        let read = self.driver.while_it(Limited::new(body, ANSWER_BYTES_MAX).collect()).await;
        self.is_used = true;
        // The status has arrived, and says what became of the request.
        let (body, cut) = match read {
            Ok(body) => (body.to_bytes(), None),
            Err(error) => (Bytes::new(), Some(format!("its body broke off: {error}"))),
        };
        Ok(Response { status: head.status, headers: head.headers, body, cut })
    }
}

/// What moves a connection's bytes, until it has ended.
#[derive(Debug)]
struct Driver(Option<http1::Connection<Io, Full<Bytes>>>);

type Io = TokioIo<Box<dyn Stream>>;

impl Driver {
    /// Moves bytes while something is awaited of the connection. Its end, and what went wrong,
    /// reaches whatever is awaited.
    async fn while_it<T>(&mut self, awaited: impl Future<Output = T>) -> T {
        let mut awaited = pin!(awaited);
        poll_fn(|context| {
            if self.0.as_mut().is_some_and(|driver| Pin::new(driver).poll(context).is_ready()) {
                self.0 = None;
            }
            awaited.as_mut().poll(context)
        })
        .await
    }
}

fn words(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    /// Less than the requests here.
    const BUFFER_BYTES: usize = 1_024;

    struct Wire(Mutex<Option<DuplexStream>>);

    impl Connect for Wire {
        fn connect(&self) -> Connecting<'_> {
            let stream = self.0.lock().take().expect("it is asked for once");
            Box::pin(async { Ok(Box::new(stream) as Box<dyn Stream>) })
        }
    }

    async fn pair() -> (Connection, DuplexStream) {
        let (ours, peers) = duplex(BUFFER_BYTES);
        let connection = Connection::open(&Wire(Mutex::new(Some(ours)))).await;
        (connection.unwrap(), peers)
    }

    /// A request whose body is larger than what is on the way at once.
    fn request() -> (Request<Full<Bytes>>, usize) {
        let body = Bytes::from(vec![b'x'; 100 * BUFFER_BYTES]);
        let bytes = body.len();
        (Request::post("/").header("host", "mes").body(Full::new(body)).unwrap(), bytes)
    }

    /// Reads a request to its end, and answers it.
    async fn answer(peer: &mut DuplexStream, bytes: usize, answer: &[u8]) {
        let (mut read, mut head) = (Vec::new(), None);
        while head.is_none_or(|head| read.len() < head + bytes) {
            assert!(peer.read_buf(&mut read).await.unwrap() > 0, "the request ends too early");
            head = read.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
        }
        peer.write_all(answer).await.unwrap();
    }

    #[tokio::test]
    async fn a_connection_goes_on_until_its_peer_closes_it_while_nobody_looks() {
        let (mut connection, mut peer) = pair().await;
        for body in ["ok", "again"] {
            assert!(connection.is_ready().await);
            let (request, bytes) = request();
            let length = body.len();
            let text = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
            let answered = answer(&mut peer, bytes, text.as_bytes());
            let (response, ()) = tokio::join!(connection.exchange(request), answered);
            let response = response.unwrap();
            assert_eq!((&response.body[..], response.cut), (body.as_bytes(), None));
        }
        drop(peer);
        assert!(!connection.is_ready().await);
    }

    #[tokio::test]
    async fn an_answer_with_which_the_connection_ends_is_read_whole() {
        for text in [
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 4\r\n\r\ndone",
            "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\ndone",
        ] {
            let (mut connection, mut peer) = pair().await;
            let (request, bytes) = request();
            let answered = async {
                answer(&mut peer, bytes, text.as_bytes()).await;
                drop(peer);
            };
            let (response, ()) = tokio::join!(connection.exchange(request), answered);
            let response = response.unwrap();
            assert_eq!((&response.body[..], response.cut), (&b"done"[..], None), "{text}");
            assert!(!connection.is_ready().await);
        }
    }
}

//! Connections that the server makes to its clients, because they cannot reach it (reverse connect;
//! OPC 10000-6, 7.1.3).
//!
//! One connection that nobody uses yet always stands ready: the server says in a ReverseHello who it
//! is, and the client begins as ever, with a Hello, when it likes. From then on the connection is passed
//! on to the server's own address.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncWriteExt, copy};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Connections of one client that are in use.
const USED_MAX: usize = 16;

/// A connection that nobody uses is made anew after this time: the client may be long gone.
const UNUSED_MAX: Duration = Duration::from_secs(60);

/// How a Hello begins (OPC 10000-6, 7.1.2.3).
const HELLO: &[u8; 3] = b"HEL";

/// How long a client may take to accept a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// How long until the next try, from one failure to the next; after a connection that came to be
/// used, the first.
const RETRY_FIRST: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// How long until it is looked again whether a Hello is there whole.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Is told how connections to clients come about.
pub trait ReverseWatch: Send + Sync + std::fmt::Debug {
    /// The client uses a connection, for the first time or after there was none.
    fn used(&self, client: SocketAddr);

    /// The client has no connection, and none comes about. Told once, until it uses one again.
    fn missing(&self, client: SocketAddr, reason: &str);
}

/// Connections of a server to one of its clients.
pub(super) struct Reverse {
    client: SocketAddr,
    server: SocketAddr,
    /// What is said first over each.
    hello: Vec<u8>,
    watch: Option<Arc<dyn ReverseWatch>>,
    /// Whether the client uses connections, as it was told last.
    is_used: Option<bool>,
    retry_first: Duration,
}

impl Reverse {
    pub(super) fn new(
        client: SocketAddr,
        server: SocketAddr,
        hello: Vec<u8>,
        watch: Option<Arc<dyn ReverseWatch>>,
    ) -> Self {
        let server = SocketAddr::new(reachable(server.ip()), server.port());
        Self { client, server, hello, watch, is_used: None, retry_first: RETRY_FIRST }
    }

    /// Has connections at hand, for ever. Those in use end with it.
    pub(super) async fn stand_ready(mut self) {
        let mut used = JoinSet::new();
        let mut retry = self.retry_first;
        loop {
            while used.try_join_next().is_some() {}
            if used.len() == USED_MAX {
                tracing::warn!(client = %self.client, "{USED_MAX} reverse connections are in use");
                used.join_next().await;
            }
            match offered(self.client, &self.hello).await {
                Ok(Some(stream)) => {
                    retry = self.retry_first;
                    self.used();
                    used.spawn(pass_on(stream, self.server));
                    // A client that hangs up at once is not called again at once.
                    tokio::time::sleep(self.retry_first).await;
                }
                Ok(None) => {}
                Err(error) => {
                    while used.try_join_next().is_some() {}
                    // A client may want no more connections than it has.
                    if used.is_empty() {
                        self.missing(&error.to_string());
                    }
                    tokio::time::sleep(retry).await;
                    retry = (retry * 2).min(RETRY_MAX);
                }
            }
        }
    }

    fn used(&mut self) {
        if self.is_used.replace(true) != Some(true) {
            self.watch.iter().for_each(|watch| watch.used(self.client));
        }
    }

    fn missing(&mut self, reason: &str) {
        if self.is_used.replace(false) == Some(false) {
            return;
        }
        match &self.watch {
            Some(watch) => watch.missing(self.client, reason),
            None => tracing::warn!(client = %self.client, "no reverse connection: {reason}"),
        }
    }
}

/// A connection that the client begins to use; `None` where it did not in time.
async fn offered(client: SocketAddr, hello: &[u8]) -> io::Result<Option<TcpStream>> {
    let connecting = TcpStream::connect(client);
    let mut stream = tokio::time::timeout(CONNECT_WITHIN, connecting).await??;
    stream.set_nodelay(true)?;
    stream.write_all(hello).await?;
    match tokio::time::timeout(UNUSED_MAX, begun(&stream)).await {
        Err(_) => Ok(None),
        Ok(begun) => begun.map(|()| Some(stream)),
    }
}

/// Waits until the client says Hello.
async fn begun(stream: &TcpStream) -> io::Result<()> {
    let mut said = [0; HELLO.len()];
    loop {
        let peeked = stream.peek(&mut said).await?;
        match &said[..peeked] {
            [] => return Err(io::Error::other("the client closes it")),
            said if said == HELLO => return Ok(()),
            said if HELLO.starts_with(said) => tokio::time::sleep(LOOK_AGAIN).await,
            _ => return Err(io::Error::other("the client says something else than Hello")),
        }
    }
}

/// Passes on what either side says. OPC UA closes no half: where one side ends, both do.
async fn pass_on(client: TcpStream, server: SocketAddr) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let _ = server.set_nodelay(true);
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    // How it ends is for either side to tell.
    tokio::select! {
        _ = copy(&mut from_client, &mut to_server) => {}
        _ = copy(&mut from_server, &mut to_client) => {}
    }
}

/// Where a server on this address answers connections from the same computer.
fn reachable(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other,
    }
}

/// The message `RHE`: the server's application URI and the URL that the client is to use (OPC
/// 10000-6, 7.1.2.6).
pub(super) fn reverse_hello(server_uri: &str, endpoint_url: &str) -> Vec<u8> {
    let texts = [server_uri, endpoint_url];
    let length = 8 + texts.iter().map(|text| 4 + text.len()).sum::<usize>();
    let size = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes();
    let mut message = Vec::with_capacity(length);
    message.extend_from_slice(b"RHEF");
    message.extend_from_slice(&size(length));
    for text in texts {
        message.extend_from_slice(&size(text.len()));
        message.extend_from_slice(text.as_bytes());
    }
    message
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

    use super::*;

    /// What was told of a client.
    #[derive(Debug, Default)]
    struct Told(Mutex<Vec<String>>);

    impl ReverseWatch for Told {
        fn used(&self, _: SocketAddr) {
            self.0.lock().push("used".to_owned());
        }

        fn missing(&self, _: SocketAddr, reason: &str) {
            self.0.lock().push(reason.to_owned());
        }
    }

    #[test]
    fn a_reverse_hello_is_these_bytes() {
        let expected = b"RHEF\x1e\0\0\0\x05\0\0\0urn:a\x09\0\0\0opc.tcp:x";
        assert_eq!(reverse_hello("urn:a", "opc.tcp:x"), expected);
    }

    /// A client and the server that has connections for it at hand, and what was told of it.
    struct Site {
        client: TcpListener,
        server: TcpListener,
        told: Arc<Told>,
        ready: JoinHandle<()>,
    }

    impl Site {
        async fn start(retry_first: Duration) -> Self {
            let [client, server] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0"));
            let (client, server) = (client.await.unwrap(), server.await.unwrap());
            let addresses = (client.local_addr().unwrap(), server.local_addr().unwrap());
            let told = Arc::new(Told::default());
            let watch = Some(Arc::clone(&told) as Arc<dyn ReverseWatch>);
            let reverse = Reverse::new(addresses.0, addresses.1, b"hello".to_vec(), watch);
            let reverse = Reverse { retry_first, ..reverse };
            let ready = tokio::spawn(reverse.stand_ready());
            Self { client, server, told, ready }
        }

        async fn accept(&self) -> TcpStream {
            within(self.client.accept()).await.unwrap().0
        }

        /// The client accepts a connection and begins to use it: its end and the server's.
        async fn use_one(&self) -> (TcpStream, TcpStream) {
            let mut stream = self.accept().await;
            let mut said = [0; 5];
            within(stream.read_exact(&mut said)).await.unwrap();
            assert_eq!(&said, b"hello");
            stream.write_all(b"HELlo and so on").await.unwrap();
            let (mut at_server, _) = within(self.server.accept()).await.unwrap();
            let mut heard = [0; 15];
            within(at_server.read_exact(&mut heard)).await.unwrap();
            assert_eq!(&heard, b"HELlo and so on");
            (stream, at_server)
        }
    }

    /// What takes longer never comes.
    async fn within<T>(awaited: impl Future<Output = T>) -> T {
        tokio::time::timeout(Duration::from_secs(60), awaited).await.expect("it comes")
    }

    #[tokio::test]
    async fn the_next_connection_stands_ready_once_one_is_used() {
        let site = Site::start(RETRY_FIRST).await;
        let mut used = Vec::new();
        for _ in 0..3 {
            let (mut stream, mut at_server) = site.use_one().await;
            at_server.write_all(b"back").await.unwrap();
            let mut answer = [0; 4];
            within(stream.read_exact(&mut answer)).await.unwrap();
            assert_eq!(&answer, b"back");
            used.push((stream, at_server));
        }
        // Where one side ends, both do.
        let (mut stream, at_server) = used.remove(0);
        drop(at_server);
        assert_eq!(within(stream.read(&mut [0])).await.unwrap(), 0);
        site.ready.abort();
        assert!(site.ready.await.unwrap_err().is_cancelled());
        let (mut stream, _at_server) = used.remove(0);
        let ended = within(stream.read(&mut [0])).await.unwrap();
        assert_eq!(ended, 0, "those in use end with the server");
    }

    #[tokio::test]
    async fn a_client_has_so_many_connections_and_no_more() {
        let site = Site::start(Duration::from_millis(1)).await;
        let mut used = Vec::new();
        for _ in 0..USED_MAX {
            used.push(site.use_one().await);
        }
        let nobody = tokio::time::timeout(Duration::from_millis(100), site.client.accept());
        assert!(nobody.await.is_err(), "one more came");
        drop(used.pop());
        used.push(site.use_one().await);
        assert_eq!(*site.told.0.lock(), ["used"]);
    }

    #[tokio::test]
    async fn a_client_that_has_no_connection_is_told_of_once() {
        let site = Site::start(Duration::from_millis(1)).await;
        // Closes each at once, and then uses one.
        for _ in 0..3 {
            drop(site.accept().await);
        }
        let used = site.use_one().await;
        // It wants no other: that is no trouble.
        for _ in 0..3 {
            drop(site.accept().await);
        }
        assert_eq!(site.told.0.lock().len(), 2, "{:?}", site.told);
        drop(used);
        within(async {
            while site.told.0.lock().len() < 3 {
                drop(site.accept().await);
            }
        })
        .await;
        let _used = site.use_one().await;
        let [first, second, third, fourth] = &site.told.0.lock()[..] else {
            panic!("{:?}", site.told)
        };
        assert_eq!([second, fourth], ["used"; 2]);
        assert!(first != "used" && third != "used");
    }

    #[tokio::test]
    async fn a_client_that_says_something_else_is_not_passed_on() {
        let client = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addresses = (client.local_addr().unwrap(), server.local_addr().unwrap());
        for said in [&b"ERRF\x10\0\0\0"[..], b"SSH-2.0-x\r\n", b"HA", b""] {
            let offered = tokio::spawn(offered(addresses.0, b"hello"));
            let (mut stream, _) = client.accept().await.unwrap();
            stream.write_all(said).await.unwrap();
            stream.shutdown().await.unwrap();
            assert!(offered.await.unwrap().is_err(), "{said:?}");
        }
    }
}

//! The TCP connection: without delay, and with a bound on what the peer may announce.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use opcua::client::transport::{
    Connector, RequestRecv, SecureChannelState, StreamConnection, StreamConnector, StreamTransport,
    TransportConfiguration,
};
use opcua::core::comms::tcp_codec::TcpCodec;
use opcua::core::comms::url::hostname_port_from_url;
use opcua::sync::Mutex;
use opcua::types::{ByteString, DecodingOptions, EndpointDescription, Error, StatusCode};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_util::codec::FramedRead;

/// The largest chunk a machine may send, bytes; announced to it.
pub(super) const CHUNK_BYTES_MAX: usize = 1 << 18;

/// The most chunks in one message; announced to it. Bounds a message to 64 MiB.
pub(super) const CHUNKS_MAX: usize = 256;

/// Elements of one array, bytes of one text or byte string that a machine may send.
const ARRAY_MAX: usize = 1 << 20;
const TEXT_BYTES_MAX: usize = 16 << 20;

/// Where OPC UA servers listen unless the address says otherwise.
const PORT: u16 = 4840;

/// A connection before anything was said over it, or after a ReverseHello.
pub(super) struct Opened {
    pub(super) reader: FramedRead<BoundedReader<OwnedReadHalf>, TcpCodec>,
    pub(super) writer: OwnedWriteHalf,
}

impl Opened {
    /// Whether the peer has closed it.
    pub(super) async fn has_ended(&mut self) -> bool {
        let mut byte = [0];
        let peeked = self.reader.get_mut().inner.peek(&mut byte);
        matches!(tokio::time::timeout(Duration::ZERO, peeked).await, Ok(Ok(0) | Err(_)))
    }
}

/// Connects to `opc.tcp://host:port/path`, or takes the connection that came from there.
pub(super) struct TcpConnector {
    url: String,
    came: Mutex<Option<Opened>>,
    state: OnceLock<Arc<SecureChannelState>>,
    reached: AtomicBool,
}

impl TcpConnector {
    pub(super) fn new(url: &str) -> Self {
        Self {
            url: url.into(),
            came: Mutex::default(),
            state: OnceLock::new(),
            reached: AtomicBool::new(false),
        }
    }

    /// Over a connection that the machine made.
    pub(super) fn over(url: &str, came: Opened) -> Self {
        Self { came: Mutex::new(Some(came)), ..Self::new(url) }
    }

    /// Whether somebody took the TCP connection, whatever became of it.
    pub(super) fn has_reached(&self) -> bool {
        self.reached.load(Ordering::Relaxed)
    }

    /// Takes over what the machine said last in a session that was made on another channel: its
    /// certificate and its nonce, which the next activation signs (OPC 10000-4, 5.7.3).
    pub(super) fn adopt(&self, certificate: &ByteString, nonce: &ByteString) -> Result<(), Error> {
        let Some(state) = self.state.get() else {
            return Err(Error::new(StatusCode::BadInvalidState, "the channel is not open"));
        };
        let mut channel = state.secure_channel().write();
        channel.set_remote_cert_from_byte_string(certificate)?;
        channel.set_remote_nonce_from_byte_string(nonce)
    }
}

impl Connector for TcpConnector {
    type Transport = StreamTransport<BoundedReader<OwnedReadHalf>, OwnedWriteHalf>;

    async fn connect(
        &self,
        channel: Arc<SecureChannelState>,
        outgoing: RequestRecv,
        config: TransportConfiguration,
    ) -> Result<Self::Transport, Error> {
        self.state.get_or_init(|| Arc::clone(&channel));
        let open = |url: String, _| async {
            let came = self.came.lock().take();
            let opened = match came {
                Some(came) => Ok(came),
                None => open(&url).await,
            };
            self.reached.store(opened.is_ok(), Ordering::Relaxed);
            opened.map(|Opened { reader, writer }| StreamConnection::new(reader, writer, url))
        };
        StreamConnector::new(open, self.url.clone()).connect(channel, outgoing, config).await
    }

    fn default_endpoint(&self) -> EndpointDescription {
        EndpointDescription::from(self.url.as_str())
    }
}

async fn open(url: &str) -> Result<Opened, Error> {
    let (host, port) = hostname_port_from_url(url, PORT)
        .map_err(|status| Error::new(status, format!("{url} is not an opc.tcp:// address")))?;
    let unreachable =
        |error: io::Error| Error::new(StatusCode::BadCommunicationError, format!("{url}: {error}"));
    let stream = TcpStream::connect((host.as_str(), port)).await.map_err(unreachable)?;
    // Publish requests are small and answers wait for them.
    stream.set_nodelay(true).map_err(unreachable)?;
    Ok(framed(stream))
}

/// A stream as messages, within bounds.
pub(super) fn framed(stream: TcpStream) -> Opened {
    let (reader, writer) = stream.into_split();
    let reader = BoundedReader::new(reader, CHUNK_BYTES_MAX);
    Opened { reader: FramedRead::new(reader, TcpCodec::new(decoding_options())), writer }
}

/// What of a message is taken.
pub(super) fn decoding_options() -> DecodingOptions {
    DecodingOptions {
        max_message_size: CHUNK_BYTES_MAX * CHUNKS_MAX,
        max_chunk_count: CHUNKS_MAX,
        max_array_length: ARRAY_MAX,
        max_string_length: TEXT_BYTES_MAX,
        max_byte_string_length: TEXT_BYTES_MAX,
        ..DecodingOptions::default()
    }
}

/// Message type, chunk type and size (OPC 10000-6, 7.1.2.2).
const HEADER: usize = 8;

/// Passes bytes on, and fails at a chunk that announces more than the bound: the codec behind
/// would collect it all before it looks at it.
#[derive(Debug)]
pub(super) struct BoundedReader<R> {
    inner: R,
    bytes_max: usize,
    header: [u8; HEADER],
    collected: usize,
    left: usize,
}

impl<R> BoundedReader<R> {
    fn new(inner: R, bytes_max: usize) -> Self {
        Self { inner, bytes_max, header: [0; HEADER], collected: 0, left: 0 }
    }

    fn check(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            if self.left > 0 {
                let skip = self.left.min(bytes.len());
                self.left -= skip;
                bytes = &bytes[skip..];
                continue;
            }
            let take = (HEADER - self.collected).min(bytes.len());
            self.header[self.collected..self.collected + take].copy_from_slice(&bytes[..take]);
            self.collected += take;
            bytes = &bytes[take..];
            if self.collected == HEADER {
                self.collected = 0;
                self.left = self.announced()?;
            }
        }
        Ok(())
    }

    /// Bytes that follow the header.
    fn announced(&self) -> io::Result<usize> {
        let [.., a, b, c, d] = self.header;
        let size = u32::from_le_bytes([a, b, c, d]) as usize;
        if size < HEADER || size > self.bytes_max {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "the machine announces a chunk of {size} bytes; at most {} are taken",
                    self.bytes_max
                ),
            ));
        }
        Ok(size - HEADER)
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for BoundedReader<R> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.inner).poll_read(cx, buffer);
        if let Poll::Ready(Ok(())) = polled {
            this.check(&buffer.filled()[before..])?;
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    fn chunk(size: u32, body: usize) -> Vec<u8> {
        [b"MSGF".as_slice(), &size.to_le_bytes(), &vec![0x5A; body]].concat()
    }

    async fn read(bytes: &[u8], step: usize) -> io::Result<Vec<u8>> {
        let mut reader = BoundedReader::new(bytes, 100);
        let (mut all, mut buffer) = (Vec::new(), vec![0; step]);
        loop {
            match reader.read(&mut buffer).await? {
                0 => return Ok(all),
                n => all.extend_from_slice(&buffer[..n]),
            }
        }
    }

    #[tokio::test]
    async fn chunks_within_the_bound_pass_however_they_are_cut() {
        let bytes = [chunk(8, 0), chunk(100, 92), chunk(9, 1)].concat();
        for step in [1, 3, 7, 8, 9, 64, 1_000] {
            assert_eq!(read(&bytes, step).await.unwrap(), bytes, "{step} bytes at a time");
        }
    }

    #[tokio::test]
    async fn a_chunk_past_the_bound_fails_before_its_body_is_awaited() {
        for size in [101, u32::MAX, 7, 0] {
            let bytes = [chunk(20, 12), chunk(size, 3)].concat();
            let error = read(&bytes, 5).await.unwrap_err().to_string();
            assert!(error.contains(&format!("a chunk of {size} bytes")), "{error}");
        }
    }
}

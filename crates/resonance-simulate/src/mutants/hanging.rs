//! Servers that never get far.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

/// What a [`HangingServer`] does with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Accepts the connection, reads, and never answers.
    Mute,
    /// Answers Hello with Acknowledge (OPC 10000-6, 7.1.2) and then never again.
    AcknowledgeOnly,
    /// Answers with bytes that are not OPC UA.
    Garbage,
    /// Announces a chunk of almost 4 GiB in answer to Hello and sends no more.
    AbsurdSize,
    /// Closes the connection as soon as it is open.
    HangUp,
}

/// A server that accepts connections and never makes a session. Ends when dropped.
///
/// Needs a running tokio runtime.
#[derive(Debug)]
pub struct HangingServer {
    addr: SocketAddr,
    accepted: watch::Receiver<u64>,
    task: AbortHandle,
}

impl HangingServer {
    /// Listens on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// Where no port can be had.
    pub async fn start(manner: Manner) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let addr = listener.local_addr()?;
        let (count, accepted) = watch::channel(0);
        let task = tokio::spawn(accept(listener, manner, count)).abort_handle();
        Ok(Self { addr, accepted, task })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where it listens, as an OPC UA endpoint.
    pub fn url(&self) -> String {
        format!("opc.tcp://{}", self.addr)
    }

    /// Connections accepted so far.
    pub fn accepted(&self) -> u64 {
        *self.accepted.borrow()
    }

    /// Returns once this many connections were accepted.
    pub async fn await_accepted(&self, connections: u64) {
        let mut accepted = self.accepted.clone();
        // The sender lives as long as the accepting task, which ends only with `self`.
        let _ = accepted.wait_for(|count| *count >= connections).await;
    }
}

impl Drop for HangingServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, manner: Manner, count: watch::Sender<u64>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // A connection that failed before it was accepted is the client's affair.
                let Ok((stream, _)) = accepted else { continue };
                count.send_modify(|count| *count += 1);
                connections.spawn(misbehave(stream, manner));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn misbehave(mut stream: TcpStream, manner: Manner) {
    let answer: &[u8] = match manner {
        Manner::HangUp => return,
        Manner::Mute => &[],
        Manner::AcknowledgeOnly => &ACKNOWLEDGE,
        Manner::Garbage => b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        Manner::AbsurdSize => &[b'A', b'C', b'K', b'F', 0xFF, 0xFF, 0xFF, 0xFF],
    };
    let mut heard = [0; 4096];
    let mut answered = answer.is_empty();
    // Reads on so that the client's sends succeed, until the client gives up.
    while stream.read(&mut heard).await.is_ok_and(|bytes| bytes > 0) {
        if !answered && stream.write_all(answer).await.is_err() {
            return;
        }
        answered = true;
    }
}

/// ACKF, 28 bytes: protocol version 0, buffers of 64 KiB, no limit on message size and chunks.
const ACKNOWLEDGE: [u8; 28] = [
    b'A', b'C', b'K', b'F', 28, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn reply(manner: Manner) -> (Vec<u8>, bool) {
        let server = HangingServer::start(manner).await.unwrap();
        let mut client = TcpStream::connect(server.addr()).await.unwrap();
        server.await_accepted(1).await;
        let _ = client.write_all(b"HELF....").await;
        let (mut got, mut buffer) = (Vec::new(), [0; 256]);
        loop {
            let wait = Duration::from_millis(50);
            match tokio::time::timeout(wait, client.read(&mut buffer)).await {
                Ok(Ok(0) | Err(_)) => return (got, true),
                Ok(Ok(bytes)) => got.extend_from_slice(&buffer[..bytes]),
                Err(_) => return (got, false),
            }
        }
    }

    #[tokio::test]
    async fn each_manner_is_what_it_says() {
        assert_eq!(reply(Manner::Mute).await, (vec![], false));
        assert_eq!(reply(Manner::AcknowledgeOnly).await, (ACKNOWLEDGE.to_vec(), false));
        assert_eq!(reply(Manner::AbsurdSize).await.0.len(), 8);
        assert!(reply(Manner::Garbage).await.0.starts_with(b"HTTP/1.1 400"));
        assert_eq!(reply(Manner::HangUp).await, (vec![], true));
    }
}

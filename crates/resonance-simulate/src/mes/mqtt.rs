//! A MES that takes results over MQTT 5 and acknowledges them.
//!
//! It speaks the receiving half of the protocol on a real socket: CONNECT, PUBLISH at every QoS,
//! PINGREQ, DISCONNECT. It is no broker: subscriptions are refused.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v5::{
    ConnAck, ConnectReturnCode, Packet, PingResp, PubAck, PubComp, PubRec, SubAck,
    SubscribeReasonCode,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The largest message it takes, bytes.
const MESSAGE_BYTES_MAX: u32 = 1 << 20;

/// Connections at once; more are closed at the door.
const CONNECTIONS_MAX: usize = 64;

/// A connection that sends nothing for this long is closed.
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// A MES that runs.
#[derive(Debug)]
pub struct Mes {
    addr: SocketAddr,
    taken: Arc<AtomicU64>,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Mes {
    /// Starts a MES that listens at `listen`; port 0 takes any.
    ///
    /// # Errors
    /// Where the address cannot be bound.
    pub async fn start(listen: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let addr = listener.local_addr()?;
        let taken = Arc::new(AtomicU64::new(0));
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(accept(listener, Arc::clone(&taken), stopped));
        Ok(Self { addr, taken, stop, task })
    }

    /// Where clients connect: `mqtt://host:port`.
    pub fn url(&self) -> String {
        format!("mqtt://{}", self.addr)
    }

    /// Messages taken and acknowledged.
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Closes every connection and ends.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        let _ = self.task.await;
    }
}

async fn accept(listener: TcpListener, taken: Arc<AtomicU64>, mut stopped: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = stopped.changed() => return,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => {
                if let Ok((stream, peer)) = accepted && connections.len() < CONNECTIONS_MAX {
                    let taken = Arc::clone(&taken);
                    connections.spawn(async move {
                        if let Err(error) = serve(stream, &taken).await {
                            tracing::debug!(%peer, %error, "the simulated MES closed a connection");
                        }
                    });
                }
            }
        }
    }
}

async fn serve(mut stream: TcpStream, taken: &AtomicU64) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut received, mut answer) = (BytesMut::with_capacity(8 << 10), BytesMut::new());
    let mut connected = false;
    loop {
        loop {
            let packet = match Packet::read(&mut received, Some(MESSAGE_BYTES_MAX)) {
                Ok(packet) => packet,
                Err(rumqttc::mqttbytes::Error::InsufficientBytes(_)) => break,
                Err(error) => return Err(std::io::Error::other(error.to_string())),
            };
            if connected == matches!(packet, Packet::Connect(..)) {
                return Err(std::io::Error::other("CONNECT must come first, and once"));
            }
            connected = true;
            if matches!(packet, Packet::Disconnect(_)) {
                return Ok(());
            }
            taken.fetch_add(reply(packet, &mut answer)?, Ordering::Relaxed);
        }
        stream.write_all(&answer).await?;
        answer.clear();
        let read = tokio::time::timeout(SILENCE_MAX, stream.read_buf(&mut received)).await??;
        if read == 0 {
            return Ok(());
        }
    }
}

/// Writes the answer to one packet. Returns the number of messages it took.
fn reply(packet: Packet, answer: &mut BytesMut) -> std::io::Result<u64> {
    let mut taken = 0;
    let reply = match packet {
        Packet::Connect(..) => Some(Packet::ConnAck(ConnAck {
            session_present: false,
            code: ConnectReturnCode::Success,
            properties: None,
        })),
        Packet::Publish(publish) => {
            taken = 1;
            match publish.qos {
                QoS::AtMostOnce => None,
                QoS::AtLeastOnce => Some(Packet::PubAck(PubAck::new(publish.pkid, None))),
                QoS::ExactlyOnce => Some(Packet::PubRec(PubRec::new(publish.pkid, None))),
            }
        }
        Packet::PubRel(release) => Some(Packet::PubComp(PubComp::new(release.pkid, None))),
        Packet::PingReq => Some(Packet::PingResp),
        Packet::Subscribe(subscribe) => Some(Packet::SubAck(SubAck {
            pkid: subscribe.pkid,
            return_codes: vec![SubscribeReasonCode::NotAuthorized; subscribe.filters.len()],
            properties: None,
        })),
        _ => return Err(std::io::Error::other("a packet that only a server sends")),
    };
    let written = match reply {
        None => Ok(0),
        Some(Packet::PingResp) => PingResp::write(answer),
        Some(packet) => packet.write(answer, None),
    };
    written.map_err(|error| std::io::Error::other(error.to_string()))?;
    Ok(taken)
}

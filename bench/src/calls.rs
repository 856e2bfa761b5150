//! One gRPC client for every server that is compared: HTTP/2, one call under way on each
//! connection, every connection on one thread.

use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::{Failure, percentile};

/// A tenth of the time warms up and is not counted.
const WARM_UP_SHARE: f64 = 0.1;

/// The longest a call may take before the server counts as hung.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Calls for this long on so many connections, each with the next of `messages`; latencies in
/// microseconds.
pub(crate) fn calls(
    address: &str,
    path: &str,
    messages: &[Vec<u8>],
    duration: Duration,
    connections: usize,
) -> Result<serde_json::Value, Failure> {
    let framed: Vec<Bytes> = messages.iter().map(|message| framed(message)).collect();
    if framed.is_empty() {
        return Err("give one message at least".into());
    }
    let counted = Instant::now() + duration.mul_f64(WARM_UP_SHARE);
    let end = Instant::now() + duration;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let micros: Result<Vec<Vec<f64>>, Failure> = runtime.block_on(async {
        let mut driven = Vec::new();
        for connection in 0..connections {
            let message = framed.get(connection % framed.len()).cloned().unwrap_or_default();
            let url = format!("http://{address}{path}");
            let server = connect(address).await?;
            driven.push(tokio::spawn(drive(server, url, message, counted, end)));
        }
        let mut micros = Vec::new();
        for one in driven {
            micros.push(one.await??);
        }
        Ok(micros)
    });
    let mut micros: Vec<f64> = micros?.into_iter().flatten().collect();
    micros.sort_by(f64::total_cmp);
    let seconds = duration.mul_f64(1.0 - WARM_UP_SHARE).as_secs_f64();
    Ok(serde_json::json!({
        "connections": connections,
        "requests": micros.len(),
        "requests_per_s": micros.len() as f64 / seconds,
        "p50_us": percentile(&micros, 0.5),
        "p99_us": percentile(&micros, 0.99),
        "max_us": percentile(&micros, 1.0),
    }))
}

/// A message as gRPC frames it: not compressed, and its length.
fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[0], length.as_slice(), message].concat().into()
}

async fn connect(address: &str) -> Result<SendRequest<Full<Bytes>>, Failure> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (server, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(server)
}

async fn drive(
    mut server: SendRequest<Full<Bytes>>,
    url: String,
    message: Bytes,
    counted: Instant,
    end: Instant,
) -> Result<Vec<f64>, Failure> {
    let mut micros = Vec::with_capacity(1 << 16);
    loop {
        let started = Instant::now();
        tokio::time::timeout(CALL_TIMEOUT, call(&mut server, &url, &message)).await??;
        let done = Instant::now();
        if done >= end {
            return Ok(micros);
        }
        if started >= counted {
            micros.push((done - started).as_nanos() as f64 / 1e3);
        }
    }
}

/// One call, which must succeed and be answered.
async fn call(
    server: &mut SendRequest<Full<Bytes>>,
    url: &str,
    message: &Bytes,
) -> Result<(), Failure> {
    let request = Request::post(url)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(message.clone()))?;
    server.ready().await?;
    let answer = server.send_request(request).await?;
    let headers = answer.headers().clone();
    let answer = answer.into_body().collect().await?;
    let said = answer.trailers().unwrap_or(&headers);
    if said.get("grpc-status").is_none_or(|status| status != "0") {
        let message = said.get("grpc-message").and_then(|message| message.to_str().ok());
        return Err(format!("the server refused: {}", message.unwrap_or("no reason")).into());
    }
    if answer.to_bytes().is_empty() {
        return Err("the server answered nothing".into());
    }
    Ok(())
}

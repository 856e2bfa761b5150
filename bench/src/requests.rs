//! One HTTP client for every server that is compared: keep-alive, one request under way on each
//! connection, a thread a connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::{Failure, percentile};

/// A tenth of the time warms up and is not counted.
const WARM_UP_SHARE: f64 = 0.1;

/// A request as it goes over the wire.
pub(crate) fn message(address: &str, path: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut head = format!("POST {path} HTTP/1.1\r\nHost: {address}\r\n");
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    let length = format!("Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), length.as_bytes(), body].concat()
}

/// Sends a request for this long on so many connections; latencies in microseconds.
pub(crate) fn requests(
    address: &str,
    message: &[u8],
    duration: Duration,
    connections: usize,
) -> Result<serde_json::Value, Failure> {
    let counted = Instant::now() + duration.mul_f64(WARM_UP_SHARE);
    let end = Instant::now() + duration;
    let results: Vec<Result<Vec<f64>, Failure>> = std::thread::scope(|scope| {
        let drive = || drive(address, message, counted, end);
        let threads: Vec<_> = (0..connections).map(|_| scope.spawn(drive)).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| match thread.join() {
            Ok(result) => result,
            Err(_) => Err("a connection's thread panicked".into()),
        };
        threads.into_iter().map(join).collect()
    });
    let mut micros = Vec::new();
    for result in results {
        micros.extend(result?);
    }
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

fn drive(
    address: &str,
    message: &[u8],
    counted: Instant,
    end: Instant,
) -> Result<Vec<f64>, Failure> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut line, mut answer) = (String::new(), Vec::new());
    let mut micros = Vec::with_capacity(1 << 18);
    loop {
        let started = Instant::now();
        stream.write_all(message)?;
        receive(&mut reader, &mut line, &mut answer)?;
        let done = Instant::now();
        if done >= end {
            return Ok(micros);
        }
        if started >= counted {
            micros.push((done - started).as_nanos() as f64 / 1e3);
        }
    }
}

/// Reads one answer, which must be a success with a known length.
fn receive(
    reader: &mut BufReader<TcpStream>,
    line: &mut String,
    answer: &mut Vec<u8>,
) -> Result<(), Failure> {
    let mut length = None;
    let mut first = true;
    loop {
        line.clear();
        if reader.read_line(line)? == 0 {
            return Err("the server hung up".into());
        }
        let text = line.trim_end();
        if first && !text.starts_with("HTTP/1.1 200") {
            return Err(format!("the server answered {text:?}").into());
        }
        first = false;
        if text.is_empty() {
            break;
        }
        if let Some((name, value)) = text.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = Some(value.trim().parse()?);
        }
    }
    answer.resize(length.ok_or("the answer has no Content-Length")?, 0);
    Ok(reader.read_exact(answer)?)
}

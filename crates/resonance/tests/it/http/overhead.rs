//! What the server costs above an echo of equal bodies; run by hand with `--ignored`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::Instant;

use super::client::Client;
use super::fixture::{Fixture, plan};

const ROUNDS: usize = 20_000;

/// The least an HTTP server can do: a thread that gives each body back.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        let mut stream = BufReader::new(stream);
        loop {
            let mut length = 0;
            loop {
                let mut line = String::new();
                if stream.read_line(&mut line).unwrap() == 0 {
                    return;
                }
                if let Some(value) = line.strip_prefix("Content-Length: ") {
                    length = value.trim().parse().unwrap();
                }
                if line == "\r\n" {
                    break;
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            let mut answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
            answer.push_str(std::str::from_utf8(&body).unwrap());
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
        }
    });
    addr
}

#[test]
#[ignore = "a measurement, not a check"]
fn overhead_above_an_echo() {
    let fixture = Fixture::start(&plan());
    let row: Vec<String> = (0..32).map(|x| format!("{}", f64::from(x).sin())).collect();
    let body = format!(
        r#"{{"id":"1","inputs":[{{"name":"x","shape":[8,4],"datatype":"FP32","data":[{}]}}]}}"#,
        row.join(",")
    );
    let path = "/v2/models/wear/infer";
    let mut peers = [Client::connect(echo()), fixture.client()];
    let mut times = [const { Vec::new() }; 2];
    let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ");
    let request = format!("{head}{}\r\n\r\n{body}", body.len());
    for _ in 0..ROUNDS {
        for (client, times) in peers.iter_mut().zip(&mut times) {
            let began = Instant::now();
            client.write(request.as_bytes()).unwrap();
            assert_eq!(client.reply().status, 200);
            times.push(began.elapsed());
        }
    }
    for (what, times) in ["echo", "infer"].iter().zip(&mut times) {
        times.sort_unstable();
        let at = |share: f64| times[(times.len() as f64 * share) as usize];
        eprintln!("{what}: p50 {:?}, p99 {:?}, {} bytes", at(0.5), at(0.99), body.len());
    }
}

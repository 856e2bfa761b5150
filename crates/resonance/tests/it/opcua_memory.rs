//! What a client can make our OPC UA server take before anyone asked who it is.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(30);

/// A server that wants encryption, in a process of its own, so that its memory is only its own.
struct Server {
    process: Child,
    address: String,
    // Kept, so that the process may go on saying things.
    _output: BufReader<ChildStdout>,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_resonance"))
            .args(["simulate", "cnc", "--listen", "opc.tcp://127.0.0.1:0", "--format", "json"])
            .args(["--encrypted-only", "--pki"])
            .arg(folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let said: serde_json::Value = serde_json::from_str(&line).unwrap();
        let url = said["url"].as_str().unwrap();
        let address = url.trim_start_matches("opc.tcp://").trim_end_matches('/').to_owned();
        Self { process, address, _output: output, _folder: folder }
    }

    /// The most address space it ever had, MB.
    fn peak_mb(&self) -> u64 {
        let path = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
    }

    /// Asks for a secure channel without security, as every client does to learn the endpoints,
    /// with this structure in the request's header; returns the type of the answer.
    fn open_channel(&self, structure: &[u8]) -> String {
        let mut socket = TcpStream::connect(&self.address).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        let url = text(&format!("opc.tcp://{}/", self.address));
        let sizes = [0_u32, 65_536, 65_536, 0, 0].map(u32::to_le_bytes).concat();
        send(&mut socket, b"HELF", &[sizes, url].concat());
        assert_eq!(answer(&mut socket), "ACKF");
        let policy = text("http://opcfoundation.org/UA/SecurityPolicy#None");
        let none = [255; 4];
        let request = [
            // Channel 0, the policy, no certificates; sequence number and request 1.
            &[0; 4],
            &policy[..],
            &none,
            &none,
            &1_u32.to_le_bytes(),
            &1_u32.to_le_bytes(),
            // OpenSecureChannelRequest; no session, time, handle, diagnostics, audit id, timeout.
            &[1, 0, 0xbe, 1],
            &[0, 0],
            &[0; 8],
            &[0; 8],
            &none,
            &[0; 4],
            structure,
            // Version 0, issue, mode None, no nonce, a minute.
            &[0; 8],
            &1_u32.to_le_bytes(),
            &none,
            &60_000_u32.to_le_bytes(),
        ]
        .concat();
        send(&mut socket, b"OPNF", &request);
        answer(&mut socket)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()
}

fn send(socket: &mut TcpStream, kind: &[u8; 4], body: &[u8]) {
    let length = (body.len() as u32 + 8).to_le_bytes();
    socket.write_all(&[kind, &length[..], body].concat()).unwrap();
}

/// The type of the next message; nothing where the server closed the connection without one.
fn answer(socket: &mut TcpStream) -> String {
    let mut head = [0; 8];
    if socket.read_exact(&mut head).is_err() {
        return String::new();
    }
    let length = u32::from_le_bytes(head[4..].try_into().unwrap()) as usize;
    socket.read_exact(&mut vec![0; length - 8]).unwrap();
    String::from_utf8(head[..4].to_vec()).unwrap()
}

/// A structure of the standard's namespace that says that its body is so long.
fn structure(id: u16, length: i32, body: &[u8]) -> Vec<u8> {
    [&[1, 0], &id.to_le_bytes()[..], &[1], &length.to_le_bytes(), body].concat()
}

#[test]
fn a_few_bytes_of_a_stranger_cost_a_few_bytes() {
    let server = Server::start();
    assert_eq!(server.open_channel(&[0, 0, 0]), "OPNF", "without a structure");
    let before = server.peak_mb();

    // No name, no type, a value rank of 250 million, one dimension, no description.
    let rank = 250_000_000_i32.to_le_bytes();
    let argument = [&[255; 4], &[0, 0][..], &rank, &[1, 0, 0, 0], &[0; 4], &[0]].concat();
    let sent = structure(298, argument.len() as i32, &argument);
    assert_eq!(server.open_channel(&sent), "OPNF", "an Argument");
    // The same within a program's diagnostics, after two ids, three texts and two times.
    let first = [&[0, 0][..], &[255; 4], &[0; 16], &[255; 4], &[0, 0], &[1, 0, 0, 0]].concat();
    let diagnostics = [first, argument].concat();
    let sent = structure(896, diagnostics.len() as i32, &diagnostics);
    assert_eq!(server.open_channel(&sent), "OPNF", "diagnostics of a program");
    // A structure that nobody knows, of 2 GB as it says: the rest of the request is too short.
    let answered = server.open_channel(&structure(9_999, i32::MAX, &[]));
    assert_ne!(answered, "OPNF", "a structure that does not end");

    let taken = server.peak_mb() - before;
    assert!(taken < 512, "{taken} MB for less than a kilobyte");
    assert_eq!(server.open_channel(&[0, 0, 0]), "OPNF", "it serves on");
}

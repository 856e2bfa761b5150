//! Machines that connect to the source: asyncua, and a simulated one.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use resonance_gateway::hub::ingest::SessionState;
use resonance_plant::{Code, DataType, Value};
use resonance_simulate::load::{LoadOptions, start_load};
use resonance_simulate::machine::Endpoint;
use serde_json::json;

use super::harness::{Machine, Running, config, points};
use super::scale::counters;

/// Where the source awaits its machine.
async fn awaits(source: &mut Running) -> SocketAddr {
    let told = source.event(Code::ServerListening).await;
    told.message.rsplit_once(" at ").unwrap().1.parse().unwrap()
}

/// What a server says that connects, as OPC 10000-6, 7.1.2.6 has it.
fn reverse_hello(server_uri: &str, endpoint_url: &str) -> Vec<u8> {
    let text = |text: &str| [&(text.len() as u32).to_le_bytes(), text.as_bytes()].concat();
    let texts = [text(server_uri), text(endpoint_url)].concat();
    [b"RHEF", &(8 + texts.len() as u32).to_le_bytes()[..], &texts].concat()
}

async fn comes_and_comes_back(test: &str, more: &[&str], settings: &str) {
    let Some(mut machine) = Machine::start(test, &["Load:Double:1.5"], more) else { return };
    let settings =
        format!("listen = '127.0.0.1:0'\nserver_uri = 'urn:resonance:test-machine'\n{settings}");
    let points = points(&[("Load", DataType::Float64)]);
    let mut source = Running::start(config(&machine.url(), &settings), points);
    let address = awaits(&mut source).await;
    machine.peer.tell(json!({"op": "connect_to", "port": address.port()}));
    source.value(0, Value::Float(1.5)).await;
    machine.peer.tell(json!({"op": "cut"}));
    source.session(SessionState::Lost).await;
    source.session(SessionState::Resumed).await;
    machine.set("Load", json!({"value": 2.5}));
    source.value(0, Value::Float(2.5)).await;
    assert_eq!(source.counters.gaps.value(), 0, "its session went on");
    source.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_connects_delivers_and_comes_back() {
    let test = "a_machine_that_connects_delivers_and_comes_back";
    comes_and_comes_back(test, &[], "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_connects_encrypted_delivers_and_comes_back() {
    let test = "a_machine_that_connects_encrypted_delivers_and_comes_back";
    let folder = tempfile::tempdir().unwrap();
    let settings = format!(
        "security_policy = 'basic256sha256'\ntrust_any_certificate = true\npki = '{}'",
        folder.path().display()
    );
    comes_and_comes_back(test, &["--encrypted"], &settings).await;
}

/// Whoever can reach the port may connect; who does not even say that he is the machine keeps it out of
/// nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_at_the_door_are_told_of_and_keep_no_machine_out() {
    let test = "strangers_at_the_door_are_told_of_and_keep_no_machine_out";
    let Some(mut machine) = Machine::start(test, &["Load:Double:1.5"], &[]) else { return };
    let settings = "listen = '127.0.0.1:0'\nserver_uri = 'urn:resonance:test-machine'\n\
                    silence_ms_max = 2000";
    let points = points(&[("Load", DataType::Float64)]);
    let mut source = Running::start(config(&machine.url(), settings), points);
    let address = awaits(&mut source).await;
    let silent: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(address).unwrap()).collect();
    let url = machine.url();
    for said in [
        reverse_hello("urn:resonance:test-machine", "opc.tcp://elsewhere:4840"),
        reverse_hello("urn:another", &url),
    ] {
        let mut stranger = TcpStream::connect(address).unwrap();
        stranger.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stranger.write_all(&said).unwrap();
        assert_eq!(stranger.read(&mut [0]).unwrap(), 0, "it is closed");
    }
    // Told where the machine does not come either.
    let told = source.event(Code::SourceRefused).await.message.clone();
    assert!(told.contains("\"urn:another\"; awaited is opc.tcp://127.0.0.1"), "{told}");
    for nonsense in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"RHEF\xff\xff\xff\xff",
        b"RHEF\x08\0\0\0",
        b"RHEF\x10\0\0\0\xff\xff\xff\x7f\0\0\0\0",
        b"HELF\x20\0\0\0\0\0\0\0\0\0\x01\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0",
    ] {
        let mut stranger = TcpStream::connect(address).unwrap();
        stranger.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stranger.write_all(nonsense).unwrap();
        stranger.shutdown(std::net::Shutdown::Write).unwrap();
        // Closed, or reset where it was in the midst of something.
        let ended = stranger.read(&mut [0]).map_err(|error| error.kind());
        assert!(
            matches!(ended, Ok(0) | Err(ErrorKind::ConnectionReset)),
            "{nonsense:?}: {ended:?}"
        );
    }
    machine.peer.tell(json!({"op": "connect_to", "port": address.port()}));
    source.value(0, Value::Float(1.5)).await;
    drop(silent);
    source.stop();
}

/// Passes one connection of a machine on to the source that awaits it.
async fn pass_one(machine: &tokio::net::TcpListener, source: SocketAddr) {
    let (mut from_machine, _) = machine.accept().await.unwrap();
    let mut to_source = tokio::net::TcpStream::connect(source).await.unwrap();
    // How it ends is for either side to tell.
    tokio::spawn(
        async move { tokio::io::copy_bidirectional(&mut from_machine, &mut to_source).await },
    );
}

/// A machine that connects seldom is not asked twice what it offers: of its connections, the first that
/// is not needed for that becomes the session.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_machine_told_holds_until_it_connects_again() {
    let between = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let connect_to = Some(between.local_addr().unwrap());
    let pki = Some(folder.path().join("machine"));
    let endpoint = Endpoint { connect_to, pki, ..Endpoint::default() };
    let machine = start_load(LoadOptions { points: 10, hz: 10.0, endpoint }).await.unwrap();
    let settings = "listen = '127.0.0.1:0'\nsilence_ms_max = 500";
    let mut source = Running::start(config(machine.url(), settings), counters(10));
    let address = awaits(&mut source).await;
    pass_one(&between, address).await;
    let told = source.event(Code::SourceDisconnected).await;
    assert!(told.message.contains("did not connect to"), "{}", told.message);
    pass_one(&between, address).await;
    source.session(SessionState::Alive).await;
    source.until("a count", |this| this.observed(0).next().map(drop)).await;
    source.stop();
}

/// The simulated machine with a source that is there later, and gone for a while.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_simulated_machine_connects_to_whoever_awaits_it() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let pki = Some(folder.path().join("machine"));
    let endpoint = Endpoint { connect_to: Some(free), pki, ..Endpoint::default() };
    let machine = start_load(LoadOptions { points: 10, hz: 10.0, endpoint }).await.unwrap();
    let settings = format!(
        "listen = '{free}'\nqueue_size = 100\nsecurity_policy = 'basic256sha256'\n\
         trust_any_certificate = true\npki = '{}'",
        folder.path().join("gateway").display()
    );
    for _ in 0..2 {
        let mut source = Running::start(config(machine.url(), &settings), counters(10));
        source.session(SessionState::Alive).await;
        source.until("twenty counts", |this| this.observed(0).nth(20).map(drop)).await;
        assert_eq!(source.missing_within_gaps(), 0);
        source.stop();
    }
}

//! mosquitto, on a free port, in a folder of its own.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::needs::skip;

/// A running broker. Killed when dropped.
pub struct Broker {
    folder: tempfile::TempDir,
    pub port: u16,
    child: Option<Child>,
}

/// The broker's program. `None` where there is none.
fn program(test: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders =
        std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let found = folders.map(|folder| folder.join("mosquitto")).find(|program| program.exists());
    if found.is_none() {
        skip(test, "mosquitto", &"no mosquitto; run `apt-get install mosquitto`");
    }
    found
}

impl Broker {
    /// A broker that keeps its sessions on disk, with more lines for its configuration; files
    /// they name may be written into the folder first.
    pub fn start(test: &str, prepare: impl FnOnce(&Path) -> String) -> Option<Self> {
        let program = program(test)?;
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let more = prepare(folder.path());
        let anonymous = if more.contains("password_file") { "false" } else { "true" };
        let at = folder.path().display();
        // Run by root, it would become another user and lose its own folder.
        let config = format!(
            "user root\nlistener {port} 127.0.0.1\nallow_anonymous {anonymous}\n\
             persistence true\npersistence_location {at}/\nset_tcp_nodelay true\nmax_queued_messages 0\nmax_inflight_messages 100\n\
             log_dest file {at}/mosquitto.log\n{more}\n"
        );
        std::fs::write(folder.path().join("mosquitto.conf"), config).unwrap();
        let mut broker = Self { folder, port, child: None };
        broker.run(&program);
        Some(broker)
    }

    /// A broker without anything special.
    pub fn plain(test: &str) -> Option<Self> {
        Self::start(test, |_| String::new())
    }

    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Ends it in good order: what it acknowledged it keeps.
    pub fn stop(&mut self) {
        self.signal("-TERM");
        if let Some(mut child) = self.child.take() {
            child.wait().unwrap();
        }
    }

    /// Starts it again, on the same port.
    pub fn start_again(&mut self) {
        let program = program("a test that had a broker").unwrap();
        self.run(&program);
    }

    /// Has it read its access lists again.
    pub fn reload(&self) {
        self.signal("-HUP");
    }

    fn signal(&self, signal: &str) {
        let id = self.child.as_ref().expect("it runs").id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    fn run(&mut self, program: &Path) {
        let child = Command::new(program)
            .arg("-c")
            .arg(self.folder.path().join("mosquitto.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let log = std::fs::read_to_string(self.folder.path().join("mosquitto.log"));
            assert!(Instant::now() < deadline, "mosquitto does not listen: {log:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

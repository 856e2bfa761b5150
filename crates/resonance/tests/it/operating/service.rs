//! The gateway as a service: what its manager is told, and the unit that starts it.

use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::has;
use crate::needs::workspace;

/// Nothing here takes longer, even on a busy computer.
const DEADLINE: Duration = Duration::from_secs(60);

#[test]
fn the_service_manager_is_told_when_it_is_ready_lives_and_ends() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("plant.toml"), "").unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let heard = || {
        let mut bytes = [0; 512];
        let length = socket.recv(&mut bytes).expect("the manager is told in time");
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    };
    let mut child = Command::new(env!("CARGO_BIN_EXE_resonance"))
        .args(["run", "plant.toml"])
        .current_dir(folder.path())
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "100000")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    assert!(heard().starts_with("READY=1\n"));
    for _ in 0..5 {
        assert_eq!(heard(), "WATCHDOG=1");
    }
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    while heard() == "WATCHDOG=1" {}
    assert!(child.wait().unwrap().success());
}

#[test]
fn systemd_has_nothing_to_say_about_the_unit() {
    let test = "systemd_has_nothing_to_say_about_the_unit";
    if !has(test, "systemd-analyze") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let unit = std::fs::read_to_string(workspace().join("packaging/resonance.service")).unwrap();
    // The program that it starts is here, not where it is installed.
    let here = unit.replace("/usr/bin/resonance", env!("CARGO_BIN_EXE_resonance"));
    assert_ne!(here, unit);
    let verify = |text: &str| {
        let file = folder.path().join("resonance.service");
        std::fs::write(&file, text).unwrap();
        let verified = Command::new("systemd-analyze")
            .args(["verify", "--man=no", "--recursive-errors=no"])
            .arg(&file)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&verified.stderr).into_owned();
        // Of a computer that was not started by systemd.
        let ours = said.lines().filter(|line| line.contains("resonance")).collect::<Vec<_>>();
        (verified.status.success(), ours.join("\n"))
    };
    assert_eq!(verify(&here), (true, String::new()));
    let (_, said) = verify(&here.replace("ProtectSystem=strict", "ProtectSystm=strict"));
    assert!(said.contains("ProtectSystm"), "a wrong key is told: {said}");
}

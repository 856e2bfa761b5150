//! A disk that is really full.

use std::path::{Path, PathBuf};
use std::process::Command;

use resonance_plant::{Code, Severity};

use super::gateway::{Gateway, config};
use crate::needs::skip;

/// A file system of one megabyte in memory. Taken down when dropped.
struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    /// `None` where this process may not mount.
    fn mount(test: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        if mount(folder.path(), "size=1m") {
            return Some(Self { folder });
        }
        skip(test, "root", &"no permission to mount a tmpfs; run as root");
        None
    }

    fn grow(&self) {
        assert!(mount(self.folder.path(), "remount,size=64m"));
    }

    fn path(&self) -> PathBuf {
        self.folder.path().to_path_buf()
    }
}

fn mount(at: &Path, options: &str) -> bool {
    let mut command = Command::new("mount");
    command.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at);
    command.output().is_ok_and(|output| output.status.success())
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.folder.path()).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_and_what_waits_is_written_when_there_is_room() {
    let Some(disk) = SmallDisk::mount("spool on a full disk") else { return };
    // Nobody listens on the discard port: everything has to be kept.
    let gateway = Gateway::start(&disk.path(), config("mqtt://127.0.0.1:9"));
    let offered = 5_000;
    gateway.offer(1..=offered);
    gateway.await_event(Code::SpoolFailed, "cannot be written").await;
    let written = gateway.spool.status().written;
    assert!(written < offered, "a megabyte holds less");
    disk.grow();
    let what = "everything at hand is written";
    gateway.await_that(what, |gateway| gateway.spool.status().written == offered).await;
    gateway.await_event(Code::SpoolFailed, "written again").await;
    let events = gateway.events_of(Code::SpoolFailed);
    let errors = events.iter().filter(|event| event.severity == Severity::Error).count();
    assert!(errors <= 2, "told once a part, not once an attempt: {events:?}");
    assert_eq!(gateway.spool.status().dropped, 0);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_stays_full_costs_results_and_never_the_gateway() {
    let Some(disk) = SmallDisk::mount("spool on a disk that stays full") else { return };
    let gateway = Gateway::start(&disk.path(), config("mqtt://127.0.0.1:9"));
    let offered = 40_000;
    gateway.offer(1..=offered);
    gateway.await_event(Code::SpoolFailed, "cannot be written").await;
    gateway.await_event(Code::ResultDropped, "faster than the disk").await;
    let dropped = gateway.counters.dropped.value();
    assert!(dropped > 10_000, "{dropped}");
    disk.grow();
    gateway
        .await_that("every result is accounted for", |gateway| {
            let status = gateway.spool.status();
            status.written + status.dropped == offered
        })
        .await;
    gateway.stop().await;
}

//! The file of events: JSON lines, bounded.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use resonance_plant::Event;

/// Beyond this many bytes the file is begun anew; the one before is kept under its name with
/// `.1` behind it, and the one before that is gone.
pub(super) const BYTES_MAX: u64 = 64 << 20;

/// Lines are handed to the system in pieces of about this size, bytes.
const PIECE_BYTES: usize = 64 << 10;

/// A file that events are appended to, and how much it has taken.
#[derive(Debug)]
pub(super) struct EventFile {
    path: PathBuf,
    file: File,
    bytes: u64,
    bytes_max: u64,
    /// Whole lines that wait to be written, and how many.
    piece: Vec<u8>,
    lines: u64,
    /// Whether the last line in the file is half a line.
    torn: bool,
    /// Lines the file could not take.
    lost: u64,
}

impl EventFile {
    pub(super) fn open(path: &Path, bytes_max: u64) -> std::io::Result<Self> {
        let file = File::options().create(true).append(true).read(true).open(path)?;
        let bytes = file.metadata()?.len();
        let mut last = [b'\n'];
        if bytes > 0 {
            file.read_exact_at(&mut last, bytes - 1)?;
        }
        let piece = Vec::with_capacity(PIECE_BYTES);
        let (path, torn) = (path.to_owned(), last != [b'\n']);
        Ok(Self { path, file, bytes, bytes_max, piece, lines: 0, torn, lost: 0 })
    }

    /// Adds an event as a line; it is in the file after the next [`EventFile::flush`] at the latest.
    pub(super) fn add(&mut self, event: &Event) {
        let before = self.piece.len();
        if serde_json::to_writer(&mut self.piece, event).is_err() {
            self.piece.truncate(before);
            self.lost += 1;
            return;
        }
        self.piece.push(b'\n');
        self.lines += 1;
        if self.piece.len() >= PIECE_BYTES {
            self.write();
        }
    }

    /// Writes what waits. Returns how many lines were lost since the last time.
    pub(super) fn flush(&mut self) -> u64 {
        self.write();
        std::mem::take(&mut self.lost)
    }

    fn write(&mut self) {
        if self.lines == 0 {
            return;
        }
        if self.bytes >= self.bytes_max {
            self.begin_anew();
        }
        if self.torn {
            self.piece.insert(0, b'\n');
        }
        let taken = append(&mut self.file, &self.piece);
        let written = &self.piece[..taken];
        // What ends the torn line ends none of these.
        let ends = written.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.lost += self.lines - ends.saturating_sub(u64::from(self.torn));
        self.torn = written.last().map_or(self.torn, |last| *last != b'\n');
        self.bytes += taken as u64;
        self.piece.clear();
        self.lines = 0;
    }

    /// Keeps the file under its other name. Where that fails, it grows on and is tried again when
    /// it has grown as much once more.
    fn begin_anew(&mut self) {
        let mut kept = self.path.clone().into_os_string();
        kept.push(".1");
        let moved = std::fs::rename(&self.path, &kept)
            .and_then(|()| File::options().create(true).append(true).open(&self.path));
        match moved {
            Ok(file) => {
                self.file = file;
                self.torn = false;
            }
            Err(error) => tracing::warn!("{}: cannot be begun anew: {error}", self.path.display()),
        }
        self.bytes = 0;
    }
}

/// Writes as much as `out` takes; returns how many bytes that were.
fn append(out: &mut impl Write, piece: &[u8]) -> usize {
    let mut taken = 0;
    while taken < piece.len() {
        match out.write(&piece[taken..]) {
            Ok(0) => break,
            Ok(more) => taken += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use resonance_plant::{Code, Timestamp, Value};

    use super::*;

    fn event(number: i64) -> Event {
        let event = Event::new(Timestamp::from_millis(number), Code::DataGap, "source/a", "lost");
        event.with("count", Value::Int(number))
    }

    /// The numbers of the events in a file; every line is whole.
    fn numbers(path: &Path) -> Vec<i64> {
        let text = std::fs::read_to_string(path).unwrap();
        let number = |line| {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            event["detail"]["count"].as_i64().unwrap()
        };
        text.lines().map(number).collect()
    }

    #[test]
    fn a_file_that_is_large_enough_is_kept_once_and_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (path, kept) =
            (folder.path().join("events.jsonl"), folder.path().join("events.jsonl.1"));
        let mut file = EventFile::open(&path, 2_000).unwrap();
        for number in 0..100 {
            file.add(&event(number));
            assert_eq!(file.flush(), 0);
            let line = 300;
            assert!(path.metadata().unwrap().len() < 2_000 + line);
        }
        assert!(kept.metadata().unwrap().len() < 2_300);
        let (before, now) = (numbers(&kept), numbers(&path));
        let last: Vec<i64> = before.iter().chain(&now).copied().collect();
        assert_eq!(last, (100 - last.len() as i64..100).collect::<Vec<_>>(), "none lies between");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
        let size = path.metadata().unwrap().len();
        assert_eq!(
            EventFile::open(&path, 2_000).unwrap().bytes,
            size,
            "it goes on after a restart"
        );
    }

    #[test]
    fn every_line_that_a_full_disk_refuses_is_counted() {
        let mut file = EventFile::open(Path::new("/dev/full"), BYTES_MAX).unwrap();
        for number in 0..1_000 {
            file.add(&event(number));
        }
        assert_eq!(file.flush(), 1_000);
        assert_eq!(file.flush(), 0, "once");
    }

    #[test]
    fn a_line_that_was_cut_off_spoils_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        std::fs::write(&path, "{\"half\": ").unwrap();
        let mut file = EventFile::open(&path, BYTES_MAX).unwrap();
        (1..=2).for_each(|number| file.add(&event(number)));
        assert_eq!(file.flush(), 0);
        assert!(!file.torn);
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines.len(), lines[0]), (3, "{\"half\": "));
        assert!(lines[1..].iter().all(|line| line.ends_with('}')), "{text}");
    }

    #[test]
    fn as_much_is_written_as_there_is_room_for() {
        let mut room = [0; 10];
        assert_eq!(append(&mut &mut room[..], b"one line\nanother\n"), 10);
        assert_eq!(&room, b"one line\na");
    }
}

//! A folder in which a camera, or whoever triggers it, puts images.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use resonance_plant::Timestamp;

/// Files looked at in one scan; the rest have their turn in the next.
const FILES_MAX: usize = 10_000;

/// An image that lies in the folder, whole.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    /// Its name; `None` where that is no Unicode, and so no part's id.
    pub(super) part_id: Option<String>,
    pub(super) triggered: Option<Timestamp>,
}

/// What was seen of the folder: a file is whole once it looks the same twice.
#[derive(Debug, Default)]
pub(super) struct Watched {
    seen: HashMap<PathBuf, (u64, Option<SystemTime>)>,
}

impl Watched {
    /// The files that are whole, the oldest first.
    ///
    /// # Errors
    /// Where the folder cannot be read.
    pub(super) fn scan(&mut self, folder: &Path) -> std::io::Result<Vec<Found>> {
        let mut now = HashMap::new();
        let mut whole = Vec::new();
        // What is no image takes no image's turn.
        let images = std::fs::read_dir(folder)?.flatten().filter(|entry| is_image(&entry.path()));
        for entry in images.take(FILES_MAX) {
            // A link could lead out of the folder.
            let Ok(metadata) = entry.metadata() else { continue };
            let path = entry.path();
            if !metadata.is_file() {
                continue;
            }
            let looks = (metadata.len(), metadata.modified().ok());
            if self.seen.get(&path) == Some(&looks) {
                let part_id = path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
                let triggered = looks.1.map(Timestamp::from_system_time);
                whole.push(Found { path: path.clone(), part_id, triggered });
            }
            now.insert(path, looks);
        }
        self.seen = now;
        whole.sort_by(|a, b| (a.triggered, &a.path).cmp(&(b.triggered, &b.path)));
        Ok(whole)
    }
}

/// Reads a file, at most `most` bytes and one more, however it grows meanwhile.
pub(super) fn read(path: &Path, most: u32) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(u64::from(most) + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Moves a file to a folder beside it. One of the same name there is replaced.
pub(super) fn put_away(path: &Path, to: &str) -> std::io::Result<()> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    let to = folder.join(to);
    std::fs::create_dir_all(&to)?;
    std::fs::rename(path, to.join(name))
}

fn is_image(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    ["png", "jpg", "jpeg"].iter().any(|known| ending.eq_ignore_ascii_case(known))
}

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::*;
use crate::config::{PlantText, Purpose};

fn package() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/tool-wear").canonicalize().unwrap()
}

fn terms() -> Terms {
    Terms { bytes_max: 1 << 30, sha256: None }
}

/// A plant with everything that a backup takes and everything that it leaves out.
fn plant(folder: &Path) -> PlantText {
    for (file, text) in [
        ("pki/trusted/mill.der", "a certificate"),
        ("pki/own/cert.der", "our certificate"),
        ("pki/private/private.pem", "-----BEGIN PRIVATE KEY-----\nSECRET"),
        ("pki/rejected/other.der", "nobody trusts this"),
        ("mes.pem", "-----BEGIN CERTIFICATE-----"),
        ("both.pem", "-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\nSECRET"),
        ("mes.password", "SECRET"),
        ("run.csv", "load\n1\n"),
    ] {
        let path = folder.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let text = format!(
        "events_file = 'events.jsonl'\n\
         [[source]]\nid = 'mill'\ntype = 'opcua'\nurl = 'opc.tcp://127.0.0.1:9'\npki = 'pki'\n\
         [[source]]\nid = 'run'\ntype = 'replay'\nfile = 'run.csv'\n\
         [[model]]\nfolder = '{}' # the wear of tools\n\
         [[sink]]\nid = 'mes'\ntype = 'http'\nurl = 'https://127.0.0.1:9/'\n\
         user = 'me'\npassword = 'file:mes.password'\nca_file = 'mes.pem'\n\
         [[sink]]\nid = 'other'\ntype = 'http'\nurl = 'https://127.0.0.1:9/'\n\
         ca_file = 'both.pem'\n",
        package().display()
    );
    fs::write(folder.join("plant.toml"), text).unwrap();
    PlantText::read(&folder.join("plant.toml")).unwrap()
}

fn made(folder: &Path) -> (PathBuf, Listing) {
    let plant = plant(folder);
    let out = folder.join("backup.tar.gz");
    let written = write(gather(&plant, folder).unwrap(), &out).unwrap();
    (out, written.listing)
}

#[test]
fn a_backup_has_what_the_plant_is_and_no_secret_and_is_restored_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let (out, listing) = made(folder.path());
    assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
    let paths: Vec<&str> = listing.files.iter().map(|file| file.path.as_str()).collect();
    for path in ["plant.toml", "pki/trusted/mill.der", "mes.pem"] {
        assert!(paths.contains(&path), "{path} in {paths:?}");
    }
    let left_out = format!("{:?}", listing.left_out);
    for what in
        ["pki/own", "pki/private", "both.pem", "file:mes.password", "run.csv", "events.jsonl"]
    {
        assert!(left_out.contains(what), "{what} in {left_out}");
    }
    assert_eq!(listing.moved.len(), 1, "the package was outside: {:?}", listing.moved);
    let into = folder.path().join("again/plant");
    let restored = restore(&out, &into, &terms(), |_| {}).unwrap();
    assert_eq!(fs::metadata(&into).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(restored, listing);
    let packed = listing.packages[0].digest.clone();
    let limits = resonance_proof::PackageLimits::default();
    let folder_of = into.join(&listing.packages[0].folder);
    let model = resonance_inference::package::load(&folder_of, &limits).unwrap();
    assert_eq!(**model.files.digest(), *packed);
    let text = fs::read_to_string(into.join("plant.toml")).unwrap();
    assert!(text.contains("outside/0-tool-wear\" # the wear of tools"), "{text}");
    let mut unpacked = Vec::new();
    let mut all = vec![into.clone()];
    while let Some(path) = all.pop() {
        match path.is_dir() {
            true => all.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path())),
            false => unpacked.extend(fs::read(path).unwrap()),
        }
    }
    assert!(!unpacked.windows(6).any(|at| at == b"SECRET"), "no secret");
    // What was left out is put back by hand, and the plant may run.
    for file in ["mes.password", "both.pem", "run.csv"] {
        fs::copy(folder.path().join(file), into.join(file)).unwrap();
    }
    let (plan, report) = PlantText::read(&into.join("plant.toml")).unwrap().plan(Purpose::Run);
    assert!(plan.is_some(), "{}", report.render(false));
    let again = restore(&out, &into, &terms(), |_| {}).unwrap_err();
    assert!(matches!(again, RestoreError::NotEmpty(_)), "{again}");
    let twice = write(gather(&plant(folder.path()), folder.path()).unwrap(), &out).unwrap_err();
    assert!(twice.to_string().contains("name another file"), "{twice}");
}

#[test]
fn a_secret_in_the_plant_file_stops_the_backup() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[[sink]]\nid = 'mes'\ntype = 'http'\nurl = 'http://me:hunter2@127.0.0.1/'\n";
    let plant = PlantText::from_memory(&folder.path().join("plant.toml"), text);
    let refused = gather(&plant, folder.path()).unwrap_err().to_string();
    assert!(!refused.contains("hunter2"), "{refused}");
}

/// An archive of these files, whatever they are.
fn archive(folder: &Path, listing: &Value, files: &[(&str, &[u8], tar::EntryType)]) -> PathBuf {
    let out = folder.join("hostile.tar.gz");
    let gz = GzEncoder::new(fs::File::create(&out).unwrap(), Compression::default());
    let mut archive = tar::Builder::new(gz);
    let listing = listing.to_string();
    let first = ("backup.json", listing.as_bytes(), tar::EntryType::Regular);
    for (path, bytes, kind) in std::iter::once(&first).chain(files) {
        let mut header = tar::Header::new_ustar();
        // As an attacker would, past every check of the library.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_size(bytes.len() as u64);
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        header.set_cksum();
        archive.append(&header, *bytes).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap().flush().unwrap();
    out
}

fn listed(files: &[(&str, &[u8])]) -> Value {
    let entry = |(path, bytes): &(&str, &[u8])| {
        let sha256: String =
            Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        json!({"path": path, "bytes": bytes.len(), "sha256": sha256})
    };
    json!({
        "format": 1, "resonance": "0.1.0", "made_at": "2026-11-21T08:00:00Z",
        "plant": "plant.toml", "files": files.iter().map(entry).collect::<Vec<_>>(),
        "packages": [], "left_out": [], "moved": [], "afterwards": [],
    })
}

const PLANT: &[u8] = b"[plant]\n";
const REGULAR: tar::EntryType = tar::EntryType::Regular;

#[test]
fn hostile_archives_are_refused_by_name_and_leave_nothing() {
    let plant = ("plant.toml", PLANT);
    let whole = listed(&[plant]);
    let with = |key: &str, value: Value| {
        let mut listing = whole.clone();
        listing[key] = value;
        listing
    };
    let entry = ("plant.toml", PLANT, REGULAR);
    type Hostile<'h> = (Value, Vec<(&'h str, &'h [u8], tar::EntryType)>, &'h str);
    let bomb = vec![0; 40 << 20];
    let out = tempfile::tempdir().unwrap();
    let absolute = out.path().join("absolute").display().to_string();
    let cases: Vec<Hostile<'_>> = vec![
        (listed(&[plant, ("../escaped", b"x")]), vec![entry], "\"../escaped\" is no path below"),
        (listed(&[plant, ("a/../../b", b"x")]), vec![entry], "is no path below the folder"),
        (listed(&[plant, (&absolute, b"x")]), vec![entry], "is no path below the folder"),
        (listed(&[plant, plant]), vec![entry, entry], "\"plant.toml\" is listed twice"),
        (listed(&[plant, ("plant.toml/x", b"x")]), vec![entry], "is listed twice"),
        (whole.clone(), vec![entry, ("../escaped", b"x", REGULAR)], "nothing more is listed"),
        (whole.clone(), vec![("../escaped", PLANT, REGULAR)], "../escaped is there"),
        (whole.clone(), vec![("plant.toml", b"", tar::EntryType::Symlink)], "Symlink"),
        (whole.clone(), vec![("plant.toml", &bomb, tar::EntryType::GNULongName)], "GNULongName"),
        (whole.clone(), vec![("plant.toml", b"[plan!]\n", REGULAR)], "its SHA-256 differs"),
        (whole.clone(), vec![("plant.toml", &bomb, REGULAR)], "its length differs"),
        (whole.clone(), vec![], "its end is there"),
        (with("format", json!(2)), vec![entry], "format 2, this version knows 1"),
        (with("more", json!(1)), vec![entry], "unknown field `more`"),
        (with("plant", json!("other.toml")), vec![entry], "it has no plant file"),
        (
            with("files", json!([{"path": "plant.toml", "bytes": u64::MAX, "sha256": "00"}])),
            vec![entry],
            "more than the 1073741824 allowed",
        ),
        (
            with("packages", json!([{"folder": "../x", "model": "m", "digest": "d"}])),
            vec![entry],
            "\"../x\" is no path below",
        ),
    ];
    for (listing, files, says) in cases {
        let folder = tempfile::tempdir_in(out.path()).unwrap();
        let archive = archive(folder.path(), &listing, &files);
        let refused = restore(&archive, &folder.path().join("in"), &terms(), |_| {}).unwrap_err();
        assert!(refused.to_string().contains(says), "{says:?}: {refused}");
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "{says:?} left {left:?}");
        assert!(!out.path().join("escaped").exists() && !Path::new(&absolute).exists());
    }
}

#[test]
fn damaged_and_other_archives_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (out, listing) = made(folder.path());
    let into = folder.path().join("in");
    let bytes = fs::read(&out).unwrap();
    for cut in [0, 1, 100, bytes.len() / 2, bytes.len() - 20] {
        fs::write(&out, &bytes[..cut]).unwrap();
        let refused = restore(&out, &into, &terms(), |_| {}).unwrap_err();
        assert!(!into.exists(), "{cut}: {refused}");
    }
    fs::write(&out, &bytes).unwrap();
    let other = Terms { sha256: Some("00".repeat(32)), ..terms() };
    let refused = restore(&out, &into, &other, |_| {}).unwrap_err();
    assert!(matches!(refused, RestoreError::OtherArchive { .. }), "{refused}");
    let small = Terms { bytes_max: listing.bytes() - 1, ..terms() };
    let refused = restore(&out, &into, &small, |_| {}).unwrap_err();
    assert!(matches!(refused, RestoreError::TooLarge { .. }), "{refused}");
    fs::write(folder.path().join("text"), "no archive at all").unwrap();
    let refused = restore(&folder.path().join("text"), &into, &terms(), |_| {}).unwrap_err();
    assert!(matches!(refused, RestoreError::Foreign(_)), "{refused}");
}

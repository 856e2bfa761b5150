use super::*;

/// A folder with these files, all pinned besides the manifest `m`.
fn package(files: &[(&str, &[u8])]) -> (tempfile::TempDir, BTreeMap<String, String>) {
    let folder = tempfile::tempdir().unwrap();
    let mut pinned = BTreeMap::new();
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
        if *name != "m" {
            pinned.insert((*name).to_owned(), file_digest(bytes));
        }
    }
    (folder, pinned)
}

fn check(
    folder: &Path,
    pinned: &BTreeMap<String, String>,
    limits: &PackageLimits,
) -> Result<VerifiedPackage, ProofError> {
    verify(folder, ("m", read_file(folder, "m", 1_000)?), pinned, limits)
}

#[test]
fn files_that_match_their_pins_are_verified() {
    let (folder, pinned) = package(&[("m", b"pins"), ("b", b"two"), ("a", b"one")]);
    std::fs::write(folder.path().join("notes"), "x").unwrap();
    let package = check(folder.path(), &pinned, &PackageLimits::default()).unwrap();
    assert_eq!(package.names().collect::<Vec<_>>(), ["a", "b", "m"]);
    assert_eq!(package.ignored().collect::<Vec<_>>(), ["notes"]);
    assert_eq!(&**package.file("a").unwrap(), b"one");
    assert!(package.file("notes").is_none());
    // printf one >a; printf two >b; printf pins >m; sha256sum a b m | sha256sum
    assert_eq!(
        &**package.digest(),
        "sha256:6adce1addaa2eb7c8531b544fbf376c6e63a164bc9dc0937248bf4f1fd76a3dc"
    );
    assert_eq!(package.expect_digest(package.digest()), Ok(()));
    let other = package.expect_digest(&file_digest(b"other")).unwrap_err();
    assert!(matches!(other, ProofError::PackageDigest { .. }), "{other}");
}

#[test]
fn a_changed_file_is_named() {
    let (folder, pinned) = package(&[("m", b""), ("a", b"one")]);
    std::fs::write(folder.path().join("a"), "onE").unwrap();
    let error = check(folder.path(), &pinned, &PackageLimits::default()).unwrap_err();
    assert!(matches!(&error, ProofError::Digest { file, .. } if file == "a"), "{error}");
}

#[test]
fn an_absent_file_is_named() {
    let (folder, pinned) = package(&[("m", b""), ("a", b"one")]);
    std::fs::remove_file(folder.path().join("a")).unwrap();
    let error = check(folder.path(), &pinned, &PackageLimits::default()).unwrap_err();
    assert!(matches!(&error, ProofError::Missing { file, .. } if file == "a"), "{error}");
}

#[test]
fn names_that_lead_out_of_the_folder_are_refused() {
    let (folder, _) = package(&[("m", b"")]);
    for name in ["../m", "a/b", "/etc/passwd", "..", ".", "", ".hidden", "a\\b", "C:x", "a\nb"] {
        let pinned = BTreeMap::from([(name.to_owned(), file_digest(b""))]);
        let error = check(folder.path(), &pinned, &PackageLimits::default()).unwrap_err();
        assert_eq!(error, ProofError::Name { name: name.to_owned() });
    }
}

#[cfg(unix)]
#[test]
fn links_and_folders_are_refused() {
    let (outside, _) = package(&[("secret", b"s")]);
    let (folder, _) = package(&[("m", b"")]);
    let secret = outside.path().join("secret");
    std::os::unix::fs::symlink(secret, folder.path().join("link")).unwrap();
    std::fs::create_dir(folder.path().join("dir")).unwrap();
    for (name, is) in [("link", "a link"), ("dir", "a folder")] {
        let pinned = BTreeMap::from([(name.to_owned(), file_digest(b"s"))]);
        let error = check(folder.path(), &pinned, &PackageLimits::default()).unwrap_err();
        assert_eq!(error, ProofError::NotAFile { file: name.to_owned(), what: is });
    }
}

#[test]
fn every_bound_is_kept() {
    let (folder, pinned) = package(&[("m", b""), ("a", b"12345"), ("b", b"12345")]);
    let limits = PackageLimits { file_bytes_max: 5, package_bytes_max: 10, files_max: 3 };
    check(folder.path(), &pinned, &limits).unwrap();
    for (limits, file) in [
        (PackageLimits { file_bytes_max: 4, ..limits }, "a"),
        (PackageLimits { package_bytes_max: 9, ..limits }, "the package"),
    ] {
        let error = check(folder.path(), &pinned, &limits).unwrap_err();
        assert!(matches!(&error, ProofError::TooLarge { file: f, .. } if f == file), "{error}");
    }
    let error = check(folder.path(), &pinned, &PackageLimits { files_max: 2, ..limits });
    assert_eq!(error.unwrap_err(), ProofError::TooManyFiles { actual: 3, limit: 2 });
}

#[test]
fn pins_must_be_digests() {
    let (folder, _) = package(&[("m", b""), ("a", b"one")]);
    for pin in ["", "sha256:", "md5:00", &file_digest(b"one").to_uppercase()] {
        let pinned = BTreeMap::from([("a".to_owned(), pin.to_owned())]);
        let error = check(folder.path(), &pinned, &PackageLimits::default()).unwrap_err();
        assert!(matches!(error, ProofError::DigestForm { .. }), "{error}");
    }
}

//! Nothing that arrives makes the reader fail other than by saying what is wrong.

use super::*;

#[test]
fn a_document_cut_anywhere_is_refused() {
    for length in 0..STREAMS.trim_end().len() {
        let cut = &STREAMS.as_bytes()[..length];
        let error = refused(cut, Limits::default());
        assert!(!error.to_string().is_empty());
    }
    let error = refused(&STREAMS.as_bytes()[..STREAMS.len() / 2], Limits::default());
    assert!(matches!(error, WireError::Truncated { .. }), "{error}");
}

#[test]
fn entities_are_not_read() {
    let bomb = format!(
        "<?xml version=\"1.0\"?><!DOCTYPE m [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \
         \"&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;\">]>{}",
        STREAMS.split_once("?>").unwrap().1.replace("12.25", "&b;")
    );
    let error = refused(bomb.as_bytes(), Limits::default());
    assert!(matches!(error, WireError::Doctype { .. }), "{error}");
    for place in ["12.25", "name=\"Xact\""] {
        let unknown = STREAMS.replace(place, &place.replace("12.25", "&b;").replace("Xact", "&b;"));
        let error = refused(unknown.as_bytes(), Limits::default());
        assert!(matches!(&error, WireError::Entity { name, .. } if name == "b"), "{error}");
    }
}

#[test]
fn limits_hold() {
    let limits = Limits { document_bytes_max: 1_000, ..Limits::default() };
    let error = refused(STREAMS.as_bytes(), limits);
    assert!(matches!(error, WireError::TooLarge { limit: 1_000, .. }), "{error}");
    let deep = STREAMS.replace("12.25", &"<a key=\"k\">".repeat(100_000));
    let error = refused(deep.as_bytes(), Limits::default());
    assert!(matches!(error, WireError::TooDeep { .. }), "{error}");
    let limits = Limits { items_max: 5, ..Limits::default() };
    let error = Devices::parse(PROBE.as_bytes(), limits).unwrap_err();
    assert!(matches!(error, WireError::TooMany { limit: 5, .. }), "{error}");
}

#[test]
fn what_the_standard_requires_is_asked_for_by_name() {
    for (from, to, says) in [
        (" dataItemId=\"x_pos\"", "", "<Position> has no dataItemId"),
        ("sequence=\"200\"", "", "<Position> has no sequence"),
        ("sequence=\"200\"", "sequence=\"-1\"", "sequence of <Position> is \"-1\""),
        ("nextSequence=\"213\"", "", "<Header> has no nextSequence"),
        ("instanceId=\"1763712000\"", "instanceId=\"x\"", "instanceId of <Header> is \"x\""),
        ("<Fault ", "<Calamity ", "it must be Normal, Warning, Fault or Unavailable"),
        ("MTConnectStreams:2.7", "MTConnectStreams:3.0", "versions 1.x and 2.x"),
        ("urn:mtconnect.org", "urn:example", "versions 1.x and 2.x"),
    ] {
        let document = STREAMS
            .replace(from, to)
            .replace("</Fault>", if to == "<Calamity " { "</Calamity>" } else { "</Fault>" });
        let error = refused(document.as_bytes(), Limits::default()).to_string();
        assert!(error.contains(says), "{error}");
    }
    let error = refused(PROBE.as_bytes(), Limits::default()).to_string();
    assert!(error.contains("MTConnectDevices"), "{error}");
    let error = refused(b"<html><body>It works</body></html>", Limits::default()).to_string();
    assert!(error.contains("<html>") && error.contains("an MTConnect agent?"), "{error}");
    for junk in [&b""[..], b"\xff\xfe", b"{}", b"<", b"<a", b"</a>", b"<?xml", b"<a></b>"] {
        refused(junk, Limits::default());
    }
    let twice = format!("{STREAMS}<more/>");
    assert!(refused(twice.as_bytes(), Limits::default()).to_string().contains("second root"));
}

fn parts(multipart: &mut Multipart) -> Result<Vec<(Vec<u8>, u64)>, WireError> {
    let mut all = Vec::new();
    while let Some(part) = multipart.next_part()? {
        all.push((part.body.to_vec(), part.offset));
    }
    Ok(all)
}

const KIND: &str = "multipart/x-mixed-replace;boundary=abc123";

#[test]
fn parts_are_found_however_the_stream_is_cut() {
    let part = |body: &str| {
        format!(
            "--abc123\r\nContent-type: text/xml\r\nContent-length: {}\r\n\r\n{body}\r\n",
            body.len()
        )
    };
    let unmeasured = "--abc123\nContent-type: text/xml\n\n<c/>\n";
    let stream = [&*part("<a/>"), "\r\n", &part("--abc"), unmeasured, "--abc123--"].concat();
    for step in 1..stream.len() {
        let mut multipart = Multipart::new(KIND, 100).unwrap();
        let mut bodies = Vec::new();
        for bytes in stream.as_bytes().chunks(step) {
            multipart.push(bytes).unwrap();
            for (body, offset) in parts(&mut multipart).unwrap() {
                let offset = usize::try_from(offset).unwrap();
                assert_eq!(&stream.as_bytes()[offset..offset + body.len()], body);
                bodies.push(String::from_utf8(body).unwrap());
            }
        }
        assert_eq!(bodies, ["<a/>", "--abc", "<c/>\n"], "{step} bytes at a time");
        assert!(multipart.is_ended());
    }
}

#[test]
fn frames_that_lie_are_refused_with_their_place() {
    let refuse = |stream: &str| {
        let mut multipart = Multipart::new(KIND, 100).unwrap();
        multipart.push(stream.as_bytes()).unwrap();
        parts(&mut multipart).unwrap_err()
    };
    let huge = refuse("--abc123\r\nContent-length: 1000000000\r\n\r\n<a/>");
    assert!(matches!(huge, WireError::TooLarge { size: Some(1_000_000_000), .. }), "{huge}");
    let short = refuse("--abc123\r\nContent-length: 2\r\n\r\n<a/>\r\n--abc123\r\n");
    assert!(matches!(short, WireError::Frame { offset: 33, .. }), "{short:?}");
    let long = refuse("--abc123\r\nContent-length: 9\r\n\r\n<a/>\r\n--abc123\r\nContent-length: 4");
    assert!(matches!(long, WireError::Frame { .. }), "{long}");
    refuse("--abc123\r\nContent-length: many\r\n\r\n<a/>");
    refuse("HTTP/1.1 200 OK\r\n");
    assert!(Multipart::new("text/xml", 100).unwrap_err().to_string().contains("does not stream"));
    assert!(Multipart::new("multipart/x-mixed-replace", 100).is_err());
}

#[test]
fn a_part_without_end_takes_no_more_than_the_limit() {
    let mut multipart = Multipart::new(KIND, 10_000).unwrap();
    multipart.push(b"--abc123\r\nContent-type: text/xml\r\n\r\n").unwrap();
    let error = loop {
        if let Err(error) = multipart.push(&[b'x'; 1_000]).and_then(|()| parts(&mut multipart)) {
            break error;
        }
        assert!(multipart.held() < 12_000);
    };
    assert!(matches!(error, WireError::TooLarge { size: None, limit: 10_000, .. }), "{error}");
}

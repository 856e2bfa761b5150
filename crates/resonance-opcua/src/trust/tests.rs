use resonance_plant::{Clock, SystemClock};

use super::*;

#[test]
fn chains_are_taken_apart_within_bounds() {
    let certificate = |fill: u8| [&[0x30, 0x82, 0x00, 0x02][..], &[fill, fill]].concat();
    let chain = [certificate(1), certificate(2), certificate(3)].concat();
    assert_eq!(certificate::of_chain(&chain, 8).len(), 3);
    assert_eq!(certificate::of_chain(&chain, 2), [&certificate(1)[..], &certificate(2)]);
    assert_eq!(own_of_chain(&chain), certificate(1));
    assert_eq!(own_of_chain(b"junk"), b"junk");
    assert_eq!(certificate::of_chain(&[0x30, 0x82, 0xFF, 0xFF, 1], 8), Vec::<&[u8]>::new());
}

#[test]
fn junk_is_neither_certificate_nor_list() {
    for junk in
        [&b""[..], b"junk", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
    {
        assert!(matches!(Item::of_file(junk), Item::Unreadable(_)), "{junk:?}");
        let expected = Expected {
            peer: Peer::Server,
            host: None,
            application_uri: None,
            allow_unknown_revocation: true,
        };
        let judged = TrustList::default().judge(junk, expected, SystemClock.now());
        assert!(matches!(judged, Err(Refusal::Invalid(_))), "{judged:?}");
    }
}

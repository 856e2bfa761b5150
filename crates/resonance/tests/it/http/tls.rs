//! TLS with a certificate made here, as an operator would make one.

use std::io::Read;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use resonance_gateway::plan::{HttpServerPlan, TlsPlan};
use resonance_plant::Role;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::client::Client;
use super::fixture::{Fixture, plan, plan_for_users};
use super::protocol::ROW;

/// A certificate for localhost and its key as PEM files, and the certificate.
pub(crate) fn certificate(folder: &Path) -> (TlsPlan, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let (certificate, key) = (folder.join("server.pem"), folder.join("server.key"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    (TlsPlan { certificate, key }, made.cert.der().clone())
}

fn connect(
    fixture: &Fixture,
    trusted: CertificateDer<'static>,
) -> Client<StreamOwned<ClientConnection, TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted).unwrap();
    let config =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    // The server may listen on every address; this one reaches it.
    let stream = TcpStream::connect(("127.0.0.1", fixture.addr.port())).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    Client::over(StreamOwned::new(connection, stream))
}

#[test]
fn users_reach_the_server_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let (tls, trusted) = certificate(folder.path());
    let everywhere = "0.0.0.0:0".parse().unwrap();
    let plan = HttpServerPlan { listen: everywhere, tls: Some(tls), ..plan_for_users() };
    let fixture = Fixture::start(&plan);
    assert!(fixture.status().url.starts_with("https://"));
    let mut client = connect(&fixture, trusted).user("otto", "do");
    assert_eq!(client.infer("wear", ROW).status, 200);
    assert_eq!(client.get("/v2").status, 200);
}

#[test]
fn plain_text_to_a_tls_port_gets_no_answer_and_does_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let (tls, trusted) = certificate(folder.path());
    let fixture = Fixture::start(&HttpServerPlan { tls: Some(tls), ..plan() });
    let mut plain = fixture.client();
    plain.write(b"GET /v2 HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    // The server may reset the connection instead of ending it.
    let _ = plain.stream.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "only a TLS alert may come");
    assert_eq!(connect(&fixture, trusted).get("/v2").status, 200);
}

#[test]
fn certificates_that_cannot_be_used_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (tls, _) = certificate(folder.path());
    let refused = |tls: TlsPlan| {
        let plan = HttpServerPlan { tls: Some(tls), ..plan() };
        Fixture::try_start(&plan).err().unwrap().to_string()
    };
    let absent = folder.path().join("absent.pem");
    let message = refused(TlsPlan { certificate: absent, ..tls.clone() });
    assert!(message.contains("absent.pem"), "{message}");
    let message = refused(TlsPlan { key: tls.certificate.clone(), ..tls.clone() });
    assert!(message.contains("server.pem"), "{message}");
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let message = refused(TlsPlan { certificate: empty, ..tls.clone() });
    assert!(message.contains("empty.pem: it holds no certificate in PEM"), "{message}");
    let other = tempfile::tempdir().unwrap();
    let (others, _) = certificate(other.path());
    let message = refused(TlsPlan { key: others.key, ..tls });
    assert!(message.contains("server.key"), "{message}");
    let strangers = HttpServerPlan {
        listen: "0.0.0.0:0".parse().unwrap(),
        tls: Some(certificate(folder.path()).0),
        anonymous: Some(Role::View),
        ..plan()
    };
    let message = Fixture::try_start(&strangers).err().unwrap().to_string();
    assert_eq!(
        message,
        "[server.http] anonymous: 0.0.0.0:0 is not a loopback address; remove it and name users"
    );
}

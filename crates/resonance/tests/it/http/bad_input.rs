//! What peers do wrong: each gets a clear answer, and the next request is served.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use resonance_gateway::plan::HttpServerPlan;
use resonance_gateway::servers::http::ServerError;
use resonance_plant::Code;

use super::fixture::{Fixture, plan, wait_until};
use super::protocol::{HELD, ROW};

const GIGABYTE: usize = 1 << 30;

/// The server serves another connection.
fn still_serves(fixture: &Fixture) {
    assert_eq!(fixture.client().infer("wear", ROW).status, 200);
}

#[test]
fn an_announced_gigabyte_is_refused_before_any_of_it_is_read() {
    let fixture = Fixture::start(&plan());
    let mut client = fixture.client();
    client.head("POST", "/v2/models/wear/infer", &format!("Content-Length: {GIGABYTE}\r\n"));
    let reply = client.reply();
    assert_eq!(reply.status, 413);
    assert_eq!(reply.error(), "the body is larger than the 1048576 bytes allowed");
    assert!(client.is_closed());
    assert_eq!(fixture.event(Code::RequestTooLarge).principal.name.as_ref(), "anonymous");
    still_serves(&fixture);
}

#[test]
fn a_streamed_gigabyte_is_cut_at_the_bound() {
    let fixture = Fixture::start(&plan());
    let mut client = fixture.client();
    client.head("POST", "/v2/models/wear/infer", "Transfer-Encoding: chunked\r\n");
    let chunk = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
    let mut sent = 0;
    while sent < GIGABYTE && client.write(&chunk).is_ok() {
        sent += chunk.len();
    }
    // What the sockets' buffers took in is all that may go beyond the bound.
    assert!(sent < 64 << 20, "{sent} bytes were taken");
    fixture.event(Code::RequestTooLarge);
    still_serves(&fixture);
}

#[test]
fn a_slow_body_is_given_up_in_time() {
    let plan = HttpServerPlan { request_timeout: Duration::from_millis(300), ..plan() };
    let fixture = Fixture::start(&plan);
    let mut client = fixture.client();
    let began = Instant::now();
    client.head("POST", "/v2/models/wear/infer", "Content-Length: 1000\r\n");
    client.write(b"{\"inputs\":").unwrap();
    let reply = client.reply();
    assert_eq!((reply.status, reply.error().as_str()), (408, "the body did not arrive in time"));
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert!(client.is_closed());
    fixture.event(Code::RequestTimeout);
    still_serves(&fixture);
}

#[test]
fn a_head_that_never_ends_is_given_up_in_time() {
    let plan = HttpServerPlan { request_timeout: Duration::from_millis(50), ..plan() };
    let fixture = Fixture::start(&plan);
    let mut client = fixture.client();
    client.write(b"GET /v2 HTTP/1.1\r\nHost: local").unwrap();
    assert!(client.is_closed());
    still_serves(&fixture);
}

#[test]
fn a_body_that_breaks_off_harms_nobody() {
    let fixture = Fixture::start(&plan());
    let mut client = fixture.client();
    client.head("POST", "/v2/models/wear/infer", "Content-Length: 1000\r\n");
    client.write(b"{\"inputs\":").unwrap();
    client.shutdown_write();
    let _ = client.try_reply();
    still_serves(&fixture);
}

#[test]
fn bytes_that_are_not_http_end_the_connection() {
    let fixture = Fixture::start(&plan());
    let mut client = fixture.client();
    client.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n").unwrap();
    assert_eq!(client.try_reply().map(|reply| reply.status).unwrap_or(400), 400);
    still_serves(&fixture);
}

#[test]
fn invalid_json_is_refused_with_its_place() {
    let fixture = Fixture::start(&plan());
    let mut client = fixture.client();
    for (body, expected) in [
        ("", "the request is not valid JSON at byte 0: expected an object"),
        ("{\"inputs\": [}", "\"inputs\" at byte 12: each input must be an object"),
        (
            "{\"inputs\"; [",
            "the request is not valid JSON at byte 9: expected a colon after the key",
        ),
        ("{\"inputs\": nul", "\"inputs\" at byte 11: it must be an array"),
        ("\u{feff}{}", "the request is not valid JSON at byte 0: expected an object"),
    ] {
        let reply = client.infer("wear", body);
        assert_eq!(reply.status, 400, "{body}");
        assert!(reply.error().contains(expected), "{body}: {}", reply.error());
    }
    assert_eq!(client.infer("wear", ROW).status, 200, "on the same connection");
    fixture.event(Code::RequestInvalid);
    assert_eq!(fixture.status().refused, 5);
}

#[test]
fn deep_nesting_is_refused() {
    let fixture = Fixture::start(&plan());
    let mut client = fixture.client();
    let body = format!("{{\"x\":{}", "[".repeat(500_000));
    let reply = client.infer("wear", &body);
    assert_eq!(reply.error(), "the request nests deeper than 64 levels at byte 69");
    let row = ROW.replace("[1,2,3,4.5]", &"[".repeat(500_000));
    assert_eq!(client.infer("wear", &row).status, 400);
    still_serves(&fixture);
}

#[test]
fn wrong_names_types_and_shapes_are_refused_by_name() {
    let fixture = Fixture::start(&plan());
    let mut client = fixture.client();
    for (wrong, right, expected) in [
        (
            "\"name\":\"y\"",
            "\"name\":\"x\"",
            "the model has no input \"y\"; it takes \"x\" FP32[-1, 4]",
        ),
        ("[1,5]", "[1,4]", "input \"x\": it must be FP32[-1, 4], not FP32[1, 5]"),
        ("FP64", "FP32", "input \"x\": it must be FP32[-1, 4], not FP64[1, 4]"),
        ("REAL", "FP32", "\"REAL\" is none of BOOL, UINT8"),
        ("[1,2,3]", "[1,2,3,4.5]", "input \"x\": data has 3 elements, shape [1, 4] needs 4"),
        ("[1,2,3,\"4\"]", "[1,2,3,4.5]", "element 3 of data is not a number (FP32)"),
        ("[999999999,4]", "[1,4]", "there is less data than shape [999999999, 4] needs"),
    ] {
        let reply = client.infer("wear", &ROW.replace(right, wrong));
        assert_eq!(reply.status, 400, "{wrong}");
        assert!(reply.error().contains(expected), "{wrong}: {}", reply.error());
    }
    assert_eq!(client.infer("wear", ROW).status, 200);
}

#[test]
fn unknown_models_routes_and_methods_are_named() {
    let fixture = Fixture::start(&plan());
    let mut client = fixture.client();
    let reply = client.infer("tear", ROW);
    assert_eq!(
        (reply.status, reply.error().as_str()),
        (404, "there is no model \"tear\"; there are: held, types, wear")
    );
    let reply = client.get("/v2/models/wear/versions/4");
    assert_eq!(
        (reply.status, reply.error().as_str()),
        (404, "model \"wear\" has no version \"4\"; it is served in version \"3\"")
    );
    let reply = client.get("/v2/model");
    assert_eq!((reply.status, reply.error().as_str()), (404, "there is nothing at /v2/model"));
    let reply = client.get("/v2/models/wear/infer");
    assert_eq!(
        (reply.status, reply.error().as_str()),
        (405, "/v2/models/wear/infer does not take this method")
    );
    assert_eq!(reply.header("allow"), Some("POST"));
    let reply = client.get("/v2/models/%ff/ready");
    assert_eq!(reply.status, 400);
    let reply = client.get("/api/v1/valves");
    assert_eq!(reply.header("content-type"), Some("application/problem+json"));
    assert_eq!(reply.json()["code"], "request.unknown");
}

#[test]
fn compressed_bodies_are_refused_by_name() {
    let fixture = Fixture::start(&plan());
    let mut client = fixture.client();
    let reply = client.post("/v2/models/wear/infer", "Content-Encoding: gzip\r\n", b"\x1f\x8b");
    assert_eq!(reply.status, 415);
    assert!(reply.error().contains("send it without Content-Encoding"));
}

#[test]
fn more_requests_than_the_bound_are_told_to_come_back() {
    let plan = HttpServerPlan { requests_max: 2, ..plan() };
    let fixture = Fixture::start(&plan);
    let mut holding: Vec<_> = (0..2).map(|_| fixture.client()).collect();
    for client in &mut holding {
        let lines = format!("Content-Length: {}\r\n", HELD.len());
        client.head("POST", "/v2/models/held/infer", &lines);
        client.write(HELD.as_bytes()).unwrap();
    }
    fixture.wait_for_held(2);
    let mut client = fixture.client();
    let reply = client.infer("wear", ROW);
    assert_eq!((reply.status, reply.header("retry-after")), (429, Some("1")));
    assert_eq!(reply.error(), "2 requests are under way, which is the bound; try again");
    assert_eq!(client.get("/v2/health/ready").status, 200, "probes answer under load");
    fixture.event(Code::Overloaded);
    fixture.barrier.open();
    assert!(holding.iter_mut().all(|client| client.reply().status == 200));
    assert_eq!(client.infer("wear", ROW).status, 200);
}

#[test]
fn a_request_whose_client_left_before_its_turn_is_not_inferred() {
    // As many inferences run at once as there are processors; the next wait for their turn.
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let fixture = Fixture::start(&HttpServerPlan { requests_max: processors + 4, ..plan() });
    let ask = || {
        let mut client = fixture.client();
        client.head(
            "POST",
            "/v2/models/held/infer",
            &format!("Content-Length: {}\r\n", HELD.len()),
        );
        client.write(HELD.as_bytes()).unwrap();
        client
    };
    let mut holding: Vec<_> = (0..processors).map(|_| ask()).collect();
    fixture.wait_for_held(processors as u64);
    let leaving = ask();
    wait_until(|| fixture.status().requests == processors as u64 + 1);
    drop(leaving);
    wait_until(|| fixture.status().clients == processors as u64);
    fixture.barrier.open();
    assert!(holding.iter_mut().all(|client| client.reply().status == 200));
    assert_eq!(fixture.client().infer("held", HELD).status, 200);
    let arrived = fixture.barrier.arrived.load(Ordering::SeqCst);
    assert_eq!(arrived, processors as u64 + 1, "only what someone waited for was inferred");
}

#[test]
fn an_address_in_use_is_named_with_the_remedy() {
    let fixture = Fixture::start(&plan());
    let taken = HttpServerPlan { listen: fixture.addr, ..plan() };
    let error = Fixture::try_start(&taken).err().unwrap();
    assert!(matches!(error, ServerError::Bind { .. }));
    let message = error.to_string();
    assert!(message.contains(&fixture.addr.to_string()), "{message}");
    assert!(message.ends_with("stop it or choose another port"), "{message}");
}

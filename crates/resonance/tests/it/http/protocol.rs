//! What the Open Inference Protocol asks for, seen from outside.

use resonance_gateway::models::ModelState;

use super::fixture::{Fixture, plan};

pub(super) const ROW: &str =
    r#"{"id":"7","inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[1,2,3,4.5]}]}"#;

#[test]
fn the_server_and_its_models_describe_themselves() {
    let fixture = Fixture::start(&plan());
    let mut client = fixture.client();
    let server = client.get("/v2").json();
    assert_eq!(server["name"], "resonance");
    assert_eq!(server["extensions"][0], "binary_tensor_data");
    assert_eq!(client.get("/v2/health/live").text(), r#"{"live":true}"#);
    let metadata = r#"{"name":"wear","versions":["3"],"platform":"onnx_onnxv1","inputs":[{"name":"x","datatype":"FP32","shape":[-1,4]}],"outputs":[{"name":"wear","datatype":"FP32","shape":[-1]},{"name":"class","datatype":"INT64","shape":[-1]}],"parameters":{"trained_on":"none"}}"#;
    assert_eq!(client.get("/v2/models/wear").text(), metadata);
    assert_eq!(client.get("/v2/models/wear/versions/3").text(), metadata);
}

#[test]
fn readiness_follows_the_models_state() {
    let fixture = Fixture::start(&plan());
    let mut client = fixture.client();
    let ready = client.get("/v2/health/ready");
    assert_eq!((ready.status, ready.text()), (200, r#"{"live":true,"ready":true}"#));
    let one = client.get("/v2/models/wear/ready");
    assert_eq!((one.status, one.text()), (200, r#"{"name":"wear","ready":true}"#));

    fixture.set_state("wear", ModelState::Loading);
    let ready = client.get("/v2/health/ready");
    assert_eq!((ready.status, ready.text()), (503, r#"{"live":false,"ready":false}"#));
    let one = client.get("/v2/models/wear/versions/3/ready");
    assert_eq!((one.status, one.text()), (503, r#"{"name":"wear","ready":false}"#));
    assert_eq!(client.get("/v2/models/types/ready").status, 200);
    let reply = client.infer("wear", ROW);
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")));
    assert_eq!(reply.error(), "model \"wear\" is being loaded; try again");
    fixture.set_state("wear", ModelState::Failed);
    assert_eq!(
        client.infer("wear", ROW).error(),
        "model \"wear\" was refused or failed; see the events"
    );

    fixture.set_state("wear", ModelState::Ready);
    assert_eq!(client.get("/v2/health/ready").status, 200);
    assert_eq!(client.infer("wear", ROW).status, 200);
}

#[test]
fn an_inference_echoes_its_id_and_answers_in_json() {
    let fixture = Fixture::start(&plan());
    let mut client = fixture.client();
    // Three times over one connection: the first off the connection's thread, the rest on it.
    for _ in 0..3 {
        let reply = client.infer("wear", ROW);
        assert_eq!(reply.header("content-type"), Some("application/json"));
        assert_eq!(
            reply.text(),
            r#"{"model_name":"wear","model_version":"3","id":"7","outputs":[{"name":"wear","datatype":"FP32","shape":[1],"data":[10.5]},{"name":"class","datatype":"INT64","shape":[1],"data":[1]}]}"#
        );
    }
    let batch = r#"{"inputs":[{"name":"x","shape":[2,4],"datatype":"FP32","data":[[0,0,0,1],[5,5,5,5]]}],"outputs":[{"name":"class"}]}"#;
    let reply = client.post("/v2/models/wear/versions/3/infer", "", batch.as_bytes());
    assert_eq!(
        reply.text(),
        r#"{"model_name":"wear","model_version":"3","outputs":[{"name":"class","datatype":"INT64","shape":[2],"data":[0,1]}]}"#
    );
    assert_eq!(fixture.status().requests, 4);
}

#[test]
fn binary_tensor_data_goes_both_ways() {
    let fixture = Fixture::start(&plan());
    let mut client = fixture.client();
    let json = br#"{"parameters":{"binary_data_output":true},"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","parameters":{"binary_data_size":16}}]}"#;
    let data: Vec<u8> = [1.0_f32, 2.0, 3.0, 4.5].iter().flat_map(|x| x.to_le_bytes()).collect();
    let lines = format!("Inference-Header-Content-Length: {}\r\n", json.len());
    let reply = client.post("/v2/models/wear/infer", &lines, &[json, &data[..]].concat());
    assert_eq!(reply.header("content-type"), Some("application/octet-stream"));
    let length: usize = reply.header("inference-header-content-length").unwrap().parse().unwrap();
    let (head, tail) = reply.body.split_at(length);
    let head: serde_json::Value = serde_json::from_slice(head).unwrap();
    assert_eq!(head["outputs"][0]["parameters"]["binary_data_size"], 4);
    assert_eq!(tail, [&10.5_f32.to_le_bytes()[..], &1_i64.to_le_bytes()].concat());
}

#[test]
fn an_engine_that_fails_is_a_server_error_and_the_next_request_is_served() {
    let fixture = Fixture::start(&plan());
    let mut client = fixture.client();
    let row = ROW.replace("[1,2,3,4.5]", "[-3e38,-3e38,-3e38,-3e38]");
    let reply = client.infer("wear", &row);
    assert_eq!(reply.status, 500);
    assert_eq!(reply.error(), "model \"wear\": the engine failed: minus infinity is not for me");
    let event = fixture.event(resonance_plant::Code::InferenceFailed);
    assert!(event.message.contains("/v2/models/wear/infer"), "{}", event.message);
    assert_eq!(client.infer("wear", ROW).status, 200);
}

#[test]
fn a_stop_lets_requests_under_way_end_and_takes_no_new_ones() {
    let mut fixture = Fixture::start(&plan());
    let mut client = fixture.client();
    client.head("POST", "/v2/models/held/infer", &format!("Content-Length: {}\r\n", HELD.len()));
    client.write(HELD.as_bytes()).unwrap();
    fixture.wait_for_held(1);
    let barrier = std::sync::Arc::clone(&fixture.barrier);
    let addr = fixture.addr;
    let answered = std::thread::spawn(move || {
        // The listener is gone before requests under way have ended.
        super::fixture::wait_until(|| std::net::TcpStream::connect(addr).is_err());
        barrier.open();
        client.reply().status
    });
    let took = fixture.stop();
    assert_eq!(answered.join().unwrap(), 200);
    assert!(took < std::time::Duration::from_secs(5), "{took:?}");
}

/// More connections than the server has threads: some share one with the long inference.
const NEIGHBOURS: usize = 6;

#[test]
fn a_model_that_takes_long_keeps_no_other_connection_waiting() {
    let fixture = Fixture::start(&plan());
    let mut client = fixture.client();
    let mut neighbours: Vec<_> = (0..NEIGHBOURS).map(|_| fixture.client()).collect();
    // The first time nothing is known of the model, the second time that it takes long.
    for inferences in 1..=2 {
        fixture.barrier.close();
        let length = format!("Content-Length: {}\r\n", HELD.len());
        client.head("POST", "/v2/models/held/infer", &length);
        client.write(HELD.as_bytes()).unwrap();
        fixture.wait_for_held(inferences);
        let began = std::time::Instant::now();
        while began.elapsed() < std::time::Duration::from_millis(100) {
            for neighbour in &mut neighbours {
                assert_eq!(neighbour.infer("wear", ROW).status, 200);
            }
        }
        fixture.barrier.open();
        assert_eq!(client.reply().status, 200);
    }
}

pub(super) const HELD: &str =
    r#"{"inputs":[{"name":"x","shape":[1],"datatype":"UINT8","data":[9]}]}"#;

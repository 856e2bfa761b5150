//! What the simulated agent sends, held against the standard's own schemas by an independent client.

use std::time::Duration;

use resonance_simulate::cnc::Movement;
use resonance_simulate::mtconnect::{CncAgentOptions, start_cnc};
use resonance_wire::mtconnect::Version;
use serde_json::Value;

use crate::needs::shared;
use crate::peers::{Peer, python};

/// The schemas, in the shared data.
pub const SCHEMAS: &str = "reference/mtconnect-xsd";

/// Long enough to load five sets of schemas on a busy computer.
const DEADLINE: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn an_independent_client_finds_the_agent_s_documents_valid_in_each_version() {
    const TEST: &str = "an_independent_client_finds_the_agent_s_documents_valid_in_each_version";
    let (Some(python), Some(schemas)) = (python(TEST), shared(TEST, SCHEMAS)) else { return };
    for version in ["1.8", "2.0", "2.2", "2.4", "2.7"] {
        let movement = Movement {
            start_cutting: true,
            period: Duration::from_millis(20),
            ..Movement::default()
        };
        let options = CncAgentOptions {
            version: Version::parse(version).unwrap(),
            movement,
            ..CncAgentOptions::default()
        };
        let agent = start_cnc(options).await.unwrap();
        let (python, schemas) = (python.clone(), schemas.clone());
        let address = agent.addr().to_string();
        let asking = tokio::task::spawn_blocking(move || {
            let schemas = schemas.display().to_string();
            let arguments = [&*schemas, &*address, version, "5"];
            Peer::start(&python, "mtconnect_client.py", &arguments).1
        });
        let said = tokio::time::timeout(DEADLINE, asking).await.expect("in time").unwrap();
        check(&said, version);
    }
}

fn check(said: &Value, version: &str) {
    assert_eq!(said["invalid"], serde_json::json!([]), "{version}");
    assert_eq!(said["probe"], 200);
    assert_eq!(said["items"]["s_power"]["units"], "WATT");
    assert_eq!(said["items"].as_object().unwrap().len(), 39, "{version}");
    let current = said["current"].as_object().unwrap();
    assert_eq!(current["avail"]["text"], "AVAILABLE");
    assert_eq!(current["s_power"]["name"], "Wattage");
    let power: f64 = current["s_power"]["text"].as_str().unwrap().parse().unwrap();
    assert!(power > 100.0, "it cuts: {power} W");
    let new = version == "2.7";
    for (name, old, element) in [
        ("past", "OUT_OF_RANGE", "OutOfRange"),
        ("count", "OUT_OF_RANGE", "OutOfRange"),
        ("device", "NO_DEVICE", "NoDevice"),
        ("path", "INVALID_URI", "InvalidURI"),
        ("number", "INVALID_REQUEST", "InvalidRequest"),
    ] {
        let code = if new { element } else { old };
        assert_eq!(said["refusals"][name][1], code, "{version} {name}");
        assert!(said["refusals"][name][0].as_u64().unwrap() >= 400);
    }
    let sequences: Vec<u64> = serde_json::from_value(said["stream"]["sequences"].clone()).unwrap();
    assert_eq!(said["stream"]["documents"], 5);
    assert!(sequences.len() > 50, "{version}: {}", sequences.len());
    assert!(sequences.windows(2).all(|two| two[1] == two[0] + 1), "none missing, none twice");
}

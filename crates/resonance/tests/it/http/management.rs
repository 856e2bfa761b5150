//! The management API.

use resonance_gateway::deployments::Command;
use resonance_plant::{Code, Event, EventSink};

use super::fixture::{Fixture, NOW, now, plan};

#[test]
fn last_values_carry_unit_status_and_age() {
    let fixture = Fixture::start(&plan());
    let mut client = fixture.client();
    let all = client.get("/api/v1/values").json();
    assert_eq!(all["at"], NOW);
    let values = all["values"].as_array().unwrap();
    assert_eq!(values.len(), 3);
    assert_eq!(values[0]["asset"], "mill");
    assert_eq!(values[0]["point"], "temperature");
    assert_eq!(values[0]["value"], 41.5);
    assert_eq!(values[0]["unit"], "CEL");
    assert_eq!(values[0]["status"]["name"], "Good");
    assert_eq!(values[0]["source_time"], "2026-11-21T08:00:07.500Z");
    assert_eq!(values[0]["age_ms"], 2_500);
    assert_eq!((&values[1]["value"], &values[1]["label"]), (&1.into(), &"automatic".into()));
    assert_eq!(values[2]["status"]["name"], "BadWaitingForInitialData");
    assert!(values[2]["value"].is_null() && values[2]["source_time"].is_null());

    let one = client.get("/api/v1/values?asset=mill&point=mode").json();
    assert_eq!(one["values"].as_array().unwrap().len(), 1);
    let unknown = client.get("/api/v1/values?asset=lathe");
    assert_eq!(unknown.status, 404);
    assert_eq!(unknown.json()["detail"], "there is no asset \"lathe\"");
    assert_eq!(client.get("/api/v1/values?point=speed").status, 404);
    let invalid = client.get("/api/v1/values?assets=mill");
    assert_eq!((invalid.status, &invalid.json()["code"]), (400, &"request.invalid".into()));
}

#[test]
fn the_plant_lists_assets_with_their_points() {
    let fixture = Fixture::start(&plan());
    let plant = fixture.client().get("/api/v1/plant").json();
    let mill = &plant["assets"][0];
    assert_eq!(mill["id"], "mill");
    assert_eq!(mill["equipment_id"], "acme/north/hall-1/line-2/mill");
    assert_eq!(mill["points"][0]["name"], "temperature");
    assert_eq!(mill["points"][0]["data_type"], "float64");
    assert_eq!(mill["points"][1]["labels"][1], "automatic");
}

#[test]
fn status_is_given_whole() {
    let fixture = Fixture::start(&plan());
    let status = fixture.client().get("/api/v1/status").json();
    assert_eq!((&status["at"], &status["version"]), (&NOW.into(), &"0.0.0".into()));
}

#[test]
fn deployments_take_commands_in_the_users_name() {
    let fixture = Fixture::start(&plan());
    let mut client = fixture.client();
    let list = client.get("/api/v1/deployments").json();
    assert_eq!(list["deployments"][0]["state"], "active");
    assert_eq!(client.post("/api/v1/deployments/wear/suspend", "", b"").status, 204);
    let again = client.post("/api/v1/deployments/wear/suspend", "", b"");
    assert_eq!((again.status, &again.json()["code"]), (409, &"control.refused".into()));
    assert_eq!(client.post("/api/v1/deployments/wear/resume", "", b"").status, 204);
    let commands: Vec<Command> =
        fixture.deployments.commands.lock().iter().map(|(command, _)| *command).collect();
    assert_eq!(commands, [Command::Suspend, Command::Resume]);

    let unknown = client.post("/api/v1/deployments/tear/resume", "", b"");
    assert_eq!(unknown.status, 404);
    let problem = unknown.json();
    assert_eq!(problem["type"], "urn:resonance:code:request.unknown");
    assert_eq!(problem["title"], Code::RequestUnknown.meaning());
    assert_eq!((&problem["status"], &problem["code"]), (&404.into(), &"request.unknown".into()));
    assert_eq!(problem["detail"], "there is no deployment \"tear\"");
    assert_eq!(problem["remedy"], Code::RequestUnknown.remedy());
}

#[test]
fn the_last_events_are_listed_oldest_first() {
    let fixture = Fixture::start(&plan());
    for at in 0..3 {
        let message = format!("number {at}");
        fixture.events.record(Event::new(now(), Code::DataGap, "source/mill", message));
    }
    let listed = fixture.client().get("/api/v1/events?limit=2").json();
    let messages: Vec<&str> = listed["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["message"].as_str().unwrap())
        .collect();
    assert_eq!(messages, ["number 1", "number 2"]);
    assert_eq!(listed["events"][0]["code"], "data.gap");
}

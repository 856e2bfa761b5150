//! Who may what: nobody without credentials, nobody beyond the role.

use resonance_gateway::plan::HttpServerPlan;
use resonance_plant::{Code, Role};

use super::fixture::{Fixture, plan, plan_for_users};
use super::protocol::ROW;

#[test]
fn without_credentials_nothing_is_told() {
    let fixture = Fixture::start(&plan_for_users());
    let mut client = fixture.client();
    for path in ["/v2", "/v2/health/live", "/api/v1/status", "/api/v1/results/stream", "/nothing"] {
        let reply = client.get(path);
        assert_eq!(reply.status, 401, "{path}");
        let challenge = "Basic realm=\"resonance\", charset=\"UTF-8\"";
        assert_eq!(reply.header("www-authenticate"), Some(challenge));
    }
    let reply = client.get("/v2/models/wear");
    assert_eq!(reply.error(), "name and password are needed (HTTP Basic)");
    assert_eq!(client.get("/api/v1/plant").json()["code"], "access.failed");
}

#[test]
fn wrong_credentials_are_refused_and_told() {
    let fixture = Fixture::start(&plan_for_users());
    for (name, password) in [("otto", "see"), ("nobody", "do"), ("otto", "")] {
        let mut client = fixture.client().user(name, password);
        assert_eq!(client.get("/v2").status, 401, "{name} {password}");
    }
    let event = fixture.event(Code::AccessFailed);
    assert!(event.message.contains("did not prove to be user \"otto\""), "{}", event.message);
    let mut client = fixture.client();
    client.headers = "Authorization: Bearer abc\r\n".into();
    assert_eq!(client.get("/v2").error(), "credentials must be given as HTTP Basic, in UTF-8");
}

#[test]
fn roles_decide_what_a_user_may() {
    let fixture = Fixture::start(&plan_for_users());
    let mut vera = fixture.client().user("vera", "see");
    assert_eq!(vera.get("/v2/models/wear").status, 200);
    let reply = vera.infer("wear", ROW);
    assert_eq!(reply.status, 403);
    assert_eq!(
        reply.error(),
        "user \"vera\" has role view, POST /v2/models/wear/infer needs operate"
    );
    let reply = vera.post("/api/v1/deployments/wear/suspend", "", b"");
    assert_eq!((reply.status, reply.json()["code"].as_str()), (403, Some("access.denied")));
    assert!(fixture.deployments.commands.lock().is_empty());
    let event = fixture.event(Code::AccessDenied);
    assert_eq!((&*event.principal.name, event.principal.role), ("vera", Role::View));

    let mut otto = fixture.client().user("otto", "do");
    assert_eq!(otto.infer("wear", ROW).status, 200);
    assert_eq!(otto.post("/api/v1/deployments/wear/suspend", "", b"").status, 204);
    assert_eq!(&*fixture.deployments.commands.lock()[0].1.name, "otto");
    for command in ["load", "unload"] {
        let reply = otto.post(&format!("/v2/repository/models/types/{command}"), "", b"");
        assert_eq!(reply.status, 403, "{command}");
        assert!(reply.error().ends_with("needs engineer"), "{}", reply.error());
    }
    assert_eq!(otto.get("/v2/models/types/ready").status, 200, "nothing happened");
}

#[test]
fn anonymous_users_have_the_role_of_the_plan_and_no_more() {
    let plan = HttpServerPlan { anonymous: Some(Role::View), ..plan() };
    let fixture = Fixture::start(&plan);
    let mut client = fixture.client();
    assert_eq!(client.get("/v2").status, 200);
    assert_eq!(client.infer("wear", ROW).status, 403);
}

#[test]
fn pages_of_other_origins_cannot_use_the_browsers_access() {
    let fixture = Fixture::start(&plan());
    let mut client = fixture.client();
    let path = "/api/v1/deployments/wear/suspend";
    assert_eq!(client.post(path, "Origin: http://evil.example\r\n", b"").status, 403);
    assert_eq!(client.post(path, "Origin: http://localhost\r\n", b"").status, 204);
    // A name of theirs that their DNS makes point here.
    client.write(b"GET /v2 HTTP/1.1\r\nHost: evil.example\r\n\r\n").unwrap();
    assert_eq!(client.reply().status, 401);
}

#[test]
fn a_plan_that_lets_strangers_in_is_refused() {
    let refused = |plan: HttpServerPlan| Fixture::try_start(&plan).err().unwrap().to_string();
    let everywhere = "0.0.0.0:0".parse().unwrap();
    let open = refused(HttpServerPlan { listen: everywhere, ..plan_for_users() });
    assert_eq!(
        open,
        "[server.http] tls: 0.0.0.0:0 is not a loopback address; give a certificate and key"
    );
}

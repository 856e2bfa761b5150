use super::*;

fn plant(text: &str) -> (tempfile::TempDir, PlantText) {
    let folder = tempfile::tempdir().unwrap();
    let text = PlantText::from_memory(&folder.path().join("plant.toml"), text);
    (folder, text)
}

fn find<'f>(findings: &'f Findings, check: &str) -> &'f Check {
    let found = findings.checks.iter().find(|one| one.check == check);
    found.unwrap_or_else(|| panic!("no {check} in {findings:#?}"))
}

#[tokio::test]
async fn without_a_plant_file_this_computer_is_looked_at() {
    let findings = examine(None).await;
    for check in ["clock", "engine", "files"] {
        find(&findings, check);
    }
    assert!(findings.checks.iter().all(|c| c.state == State::Ok || !c.remedy.is_empty()));
}

#[tokio::test]
async fn a_plant_file_with_mistakes_fails_and_the_rest_is_looked_at() {
    let (_folder, broken) = plant("spol = 1\n");
    let findings = examine(Some(&broken)).await;
    assert_eq!(findings.verdict, State::Fail);
    let check = find(&findings, "plant");
    assert!(check.said.contains("spol") && check.remedy.contains("plant check"), "{check:?}");
    find(&findings, "clock");
}

#[tokio::test]
async fn a_machine_that_connects_is_not_asked_and_its_port_is_looked_at() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    // Nothing listens at the url: whoever asked there would fail.
    let (_folder, plant) = plant(&format!(
        "[[source]]\nid = 'mill'\ntype = 'opcua'\nurl = 'opc.tcp://127.0.0.1:9'\n\
         listen = '{address}'\nsecurity_policy = 'none'\nsecurity_mode = 'none'\n\
         allow_weak_security = true\n"
    ));
    let findings = examine(Some(&plant)).await;
    let source = find(&findings, "source");
    assert_eq!(source.state, State::Ok, "{source:?}");
    assert!(source.said.contains(&format!("not asked: it connects to {address}")), "{source:?}");
    let of_port = |check: &&Check| check.check == "port" && check.subject.contains("mill");
    let port = findings.checks.iter().find(of_port).expect("its port is looked at");
    assert_ne!(port.said, "free");
}

#[tokio::test]
async fn a_missing_secret_fails_and_everything_else_is_looked_at() {
    let (_folder, plant) = plant(
        "[[sink]]\nid = 'mes'\ntype = 'http'\nurl = 'http://127.0.0.1:9/'\n\
         token = 'env:RESONANCE_NOT_SET_ANYWHERE'\n",
    );
    let findings = examine(Some(&plant)).await;
    let check = find(&findings, "plant");
    assert_eq!(check.state, State::Fail);
    assert!(check.said.contains("RESONANCE_NOT_SET_ANYWHERE"), "{check:?}");
    assert_eq!(find(&findings, "sink").state, State::Fail);
    find(&findings, "disk");
}

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

use super::*;
use crate::config::diagnostic::Mistake as M;
use crate::config::diagnostic::Severity;

/// A file full of mistakes; what is said about it is in `mistakes.txt`. After a change of the
/// texts, run the test with RESONANCE_BLESS=1 and read the difference.
#[test]
fn a_file_full_of_mistakes_yields_every_mistake_at_once() {
    let text = include_str!("mistakes.toml");
    let plant = PlantText::from_memory(Path::new("mistakes.toml"), text);
    let (plan, report) = plant.plan(Purpose::Check);
    assert!(plan.is_none());
    let actual = report.render(false);
    let path = crate_folder().join("src/config/tests/mistakes.txt");
    if std::env::var_os("RESONANCE_BLESS").is_some() {
        std::fs::write(&path, &actual).unwrap();
    }
    assert_eq!(actual, std::fs::read_to_string(&path).unwrap());
    // Every line that is marked in the file has its mistake, and no other line has one.
    let marked: Vec<usize> =
        text.lines().enumerate().filter(|(_, l)| l.contains("# !")).map(|(at, _)| at + 1).collect();
    let json = report.to_json();
    let said = json["diagnostics"].as_array().unwrap();
    let mut lines: Vec<usize> = said.iter().map(|d| d["line"].as_u64().unwrap() as usize).collect();
    lines.dedup();
    assert_eq!(lines, marked);
}

#[test]
fn programs_get_the_same_as_people() {
    let report = checked(&SOUND.replace("\"KWT\"", "\"kW\""));
    let json = report.to_json();
    assert_eq!((&json["valid"], &json["errors"]), (&false.into(), &1.into()));
    let first = &json["diagnostics"][0];
    assert_eq!(first["code"], "invalid_value");
    assert_eq!((&first["line"], &first["column"]), (&14.into(), &8.into()));
    assert_eq!((&first["line_end"], &first["column_end"]), (&14.into(), &12.into()));
    assert_eq!((&first["text"], &first["nearest"]), (&"\"kW\"".into(), &"KWT".into()));
    assert_eq!(first["path"], "asset[0].point[0].unit");
    assert!(!first["remedy"].as_str().unwrap().is_empty());
}

/// Changes the sound file at one place and expects one mistake, there.
#[track_caller]
fn check(from: &str, to: &str, mistake: M, offending: &str, nearest: Option<&str>) {
    let sound = format!("{SOUND}{DEPLOYMENT}");
    assert!(sound.contains(from), "{from}");
    check_text(&sound.replacen(from, to, 1), mistake, offending, nearest);
}

#[track_caller]
fn check_text(text: &str, mistake: M, offending: &str, nearest: Option<&str>) {
    let report = checked(text);
    // The deployment's package is no package: that is said only where all else is right.
    let found: Vec<_> = report.diagnostics().iter().filter(|d| d.mistake != M::Package).collect();
    let [one] = found.as_slice() else { panic!("not one mistake\n{}", report.render(false)) };
    assert_eq!(one.mistake, mistake, "{}", report.render(false));
    assert_eq!(&text[one.span.clone()], offending, "{}", report.render(false));
    assert_eq!(one.nearest.as_deref(), nearest, "{}", report.render(false));
    assert!(!one.remedy.is_empty(), "{}", report.render(false));
    assert_eq!(report.is_valid(), one.severity == Severity::Warning);
}

#[test]
fn structure() {
    check("qualifier =", "qualifer =", M::UnknownKey, "qualifer", Some("qualifier"));
    check("[[sink]]", "[[sinks]]", M::UnknownKey, "sinks", Some("sink"));
    check("address = \"ns=2;i=7\"", "", M::MissingKey, "[[asset.point]]", None);
    check("listen = \"127.0.0.1:4841\"", "listen = 4841", M::WrongType, "4841", None);
    check("[0, 20]", "[0]", M::OutOfBounds, "[0]", None);
    check("[0, 20]", "[0, nan]", M::OutOfBounds, "nan", None);
    check("[0, 20]", "[0, \"20\"]", M::WrongType, "\"20\"", None);
    check("every_ms = 100", "every_ms = 0", M::OutOfBounds, "0", None);
    check("every_ms = 100", "every_ms = 1.5", M::WrongType, "1.5", None);
    check("every_ms = 100", "every_ms = 4294967296", M::OutOfBounds, "4294967296", None);
    check("\"power\"", "\"Power\"", M::InvalidValue, "\"Power\"", Some("power"));
    check("\"KWT\"", "\"kilowatt\"", M::InvalidValue, "\"kilowatt\"", Some("KWT"));
    check("\"float64\"", "\"double\"", M::InvalidValue, "\"double\"", Some("float64"));
    check("\"opcua\"", "\"opc_ua\"", M::InvalidValue, "\"opc_ua\"", Some("opcua"));
    check("type = \"mqtt\"", "", M::MissingKey, "[[sink]]", None);
    check(
        "id = \"wear\"",
        "id = \"tool wear\"",
        M::InvalidValue,
        "\"tool wear\"",
        Some("tool_wear"),
    );
    check("\"load\"", "\"\"", M::InvalidValue, "\"\"", None);
    check("[server.http]", "[server.https]", M::UnknownKey, "https", Some("http"));
    check("[[asset]]", "[asset]", M::WrongType, "[asset]", None);
}

#[test]
fn names() {
    let again = "\n[[sink]]\nid = \"mes\"\ntype = \"mqtt\"\nurl = \"mqtt://127.0.0.1\"\n";
    let text = format!("{SOUND}{again}");
    let report = checked(&text);
    assert_eq!(report.diagnostics()[0].mistake, M::Duplicate);
    assert_eq!(report.to_json()["diagnostics"][0]["line"], text.lines().count() - 2);
    let twice = SOUND.replace("name = \"state\"", "name = \"load\"");
    check_text(&twice, M::Duplicate, "\"load\"", None);
    let gone = SOUND.replace("source = \"mill-opcua\"", "source = \"mil-opcua\"");
    check_text(&gone, M::UnknownName, "\"mil-opcua\"", Some("mill-opcua"));
    let none = SOUND.replace("source = \"mill-opcua\"\n", "").replacen(
        "address = \"ns=2;s=Load\"",
        "address = \"ns=2;s=Load\"\nsource = \"mill-opcua\"",
        1,
    );
    check_text(&none, M::MissingKey, "[[asset.point]]", None);
    check("asset = \"mill\"", "asset = \"mil\"", M::UnknownName, "\"mil\"", Some("mill"));
    check("point = \"state\"", "point = \"stat\"", M::UnknownName, "\"stat\"", Some("state"));
    let other = "point = \"mill.stat\"";
    check("point = \"state\"", other, M::UnknownName, "\"mill.stat\"", Some("mill.state"));
    check("model = \"src\"", "model = \"scr\"", M::MissingFile, "\"scr\"", Some("src"));
}

#[test]
fn points() {
    check("\"KWT\"", "\"CEL\"", M::UnitClash, "\"CEL\"", None);
    check("unit = \"KWT\"\n", "", M::MissingKey, "\"power\"", None);
    check("[0, 20]", "[20, 20]", M::OutOfBounds, "[20, 20]", None);
    check("\"urn:x:load\"", "\"DB17.X4\"", M::InvalidValue, "\"DB17.X4\"", None);
    check("semantic_id = \"urn:x:load\"\n", "", M::Contradiction, "\"X\"", None);
    check("ns=2;s=Load", "Load", M::InvalidValue, "\"Load\"", None);
    let labels = "[\"off\", \"on\"]";
    check(labels, "[\"on\", \"on\"]", M::Duplicate, "\"on\"", None);
    check("\"int32\"", "\"string\"", M::Contradiction, labels, None);
    check(labels, &format!("{labels}\nunit = \"C62\""), M::Contradiction, labels, None);
    check(labels, &format!("{labels}\ndeadband = -1"), M::OutOfBounds, "-1", None);
    let percent = format!("{labels}\ndeadband_percent = 101");
    check(labels, &percent, M::OutOfBounds, "101", None);
    let both = format!("{labels}\ndeadband = 1\ndeadband_percent = 2");
    check(labels, &both, M::Contradiction, "2", None);
    check(labels, &format!("{labels}\nmax_age_ms = 0"), M::OutOfBounds, "0", None);
    let three = "type = \"boolean\"\nlabels = [\"a\", \"b\", \"c\"]";
    let text = SOUND.replace(&format!("type = \"int32\"\nlabels = {labels}"), three);
    check_text(&text, M::OutOfBounds, "\"c\"", None);
    let linear = "type = \"string\"\ninterpolation = \"linear\"";
    let text = SOUND.replace(&format!("type = \"int32\"\nlabels = {labels}"), linear);
    check_text(&text, M::Contradiction, "\"linear\"", None);
}

/// Adds a line to the source.
#[track_caller]
fn source(line: &str, mistake: M, offending: &str) {
    let text = SOUND.replacen("4840\"", &format!("4840\"\n{line}"), 1);
    check_text(&text, mistake, offending, None);
}

#[test]
fn sources() {
    check("opc.tcp://", "opc.tpc://", M::InvalidValue, "\"opc.tpc://127.0.0.1:4840\"", None);
    check("opc.tcp://127.0.0.1:4840", "mill", M::InvalidValue, "\"mill\"", None);
    let user = "\"opc.tcp://me:secret@127.0.0.1:4840\"";
    check("\"opc.tcp://127.0.0.1:4840\"", user, M::InlineSecret, user, None);
    source("security_policy = \"basic256\"", M::WeakSecurity, "\"basic256\"");
    source("security_mode = \"none\"", M::Contradiction, "\"none\"");
    let no_policy = "allow_weak_security = true\nsecurity_policy = \"none\"";
    source(no_policy, M::Contradiction, "\"none\"");
    source(&format!("{no_policy}\nsecurity_mode = \"sign\""), M::Contradiction, "\"sign\"");
    source("user = \"me\"", M::Contradiction, "\"me\"");
    source("password = \"env:PATH\"", M::Contradiction, "\"env:PATH\"");
    source("user = \"me\"\npassword = \"geheim\"", M::InlineSecret, "\"geheim\"");
    source("server_fingerprint = \"ab:cd\"", M::InvalidValue, "\"ab:cd\"");
    source("queue_size = 0", M::OutOfBounds, "0");
    source("silence_ms_max = 100", M::Contradiction, "100");
    let text = SOUND
        .replace("opc.tcp://127.0.0.1:4840\"", "opc.tcp://mill\"\ntrust_any_certificate = true");
    check_text(&text, M::WeakSecurity, "true", None);
    source(
        "user = \"me\"\npassword = \"env:RESONANCE_NEVER_SET\"",
        M::MissingSecret,
        "\"env:RESONANCE_NEVER_SET\"",
    );
}

/// The sound file with an MTConnect agent instead of the OPC UA server.
fn with_agent() -> String {
    SOUND
        .replace("type = \"opcua\"", "type = \"mtconnect\"")
        .replace("opc.tcp://127.0.0.1:4840", "http://127.0.0.1:5000")
        .replace("ns=2;s=Load", "s_load")
        .replace("ns=2;i=7", "vars#R7")
}

#[test]
fn mtconnect_sources() {
    let sound = with_agent();
    assert_eq!(checked(&sound).render(false), "");
    let add = |line: &str| sound.replacen("5000\"", &format!("5000\"\n{line}"), 1);
    let case = |line: &str, mistake, offending: &str| {
        check_text(&add(line), mistake, offending, None);
    };
    case("interval_ms = 0", M::OutOfBounds, "0");
    case("silence_ms_max = 5000", M::Contradiction, "5000");
    case("heartbeat_ms = 15000", M::Contradiction, "15000");
    case("user = \"me\"", M::Contradiction, "\"me\"");
    let deadband = sound.replace("range = [0, 20]", "range = [0, 20]\ndeadband = 0.5");
    check_text(&deadband, M::Contradiction, "0.5", None);
    let node = sound.replace("s_load", "ns=2;s=Load");
    check_text(&node, M::InvalidValue, "\"ns=2;s=Load\"", None);
    let scheme = sound.replace("http://127.0.0.1:5000", "opc.tcp://127.0.0.1:4840");
    check_text(&scheme, M::InvalidValue, "\"opc.tcp://127.0.0.1:4840\"", None);
    let far = add("user = \"me\"\npassword = \"env:PATH\"").replace("127.0.0.1:5000", "mill:5000");
    check_text(&far, M::WeakSecurity, "\"env:PATH\"", None);
}

#[test]
fn replay_sources() {
    let sound = SOUND
        .replace("type = \"opcua\"", "type = \"replay\"")
        .replace("url = \"opc.tcp://127.0.0.1:4840\"", "file = \"Cargo.toml\"")
        .replace("ns=2;s=Load", "load")
        .replace("ns=2;i=7", "state of x");
    assert_eq!(checked(&sound).render(false), "");
    let add = |line: &str| sound.replacen("Cargo.toml\"", &format!("Cargo.toml\"\n{line}"), 1);
    let case = |line: &str, mistake, offending: &str| {
        check_text(&add(line), mistake, offending, None);
    };
    case("period_ms = 0", M::OutOfBounds, "0");
    case("speed = 0.0", M::OutOfBounds, "0.0");
    case("time_unit = \"hours\"", M::InvalidValue, "\"hours\"");
    let absent = sound.replace("Cargo.toml", "nowhere.csv");
    check_text(&absent, M::MissingFile, "\"nowhere.csv\"", None);
    let deadband = sound.replace("range = [0, 20]", "range = [0, 20]\ndeadband = 0.5");
    check_text(&deadband, M::Contradiction, "0.5", None);
    let recorded = checked(&add("time = \"recorded\"")).render(false);
    assert!(recorded.contains("add `time_column`"), "{recorded}");
}

#[test]
fn sinks() {
    check("mqtt://127.0.0.1", "http://127.0.0.1", M::InvalidValue, "\"http://127.0.0.1\"", None);
    check("a/{asset}", "a/#", M::InvalidValue, "\"a/#\"", None);
    check("a/{asset}", "a/{asset", M::InvalidValue, "\"a/{asset\"", None);
    check("a/{asset}", "a/{aset}", M::UnknownName, "\"a/{aset}\"", Some("{asset}"));
    let topic = "topic = \"a/{asset}\"";
    check(topic, "in_flight_max = 0", M::OutOfBounds, "0", None);
    check(topic, "in_flight_max = 65536", M::OutOfBounds, "65536", None);
    check(topic, "ca_file = \"Cargo.toml\"", M::Contradiction, "\"Cargo.toml\"", None);
    let text =
        SOUND.replace("mqtt://127.0.0.1", "mqtts://broker").replace(topic, "ca_file = \"n\"");
    check_text(&text, M::MissingFile, "\"n\"", None);
    let text = SOUND
        .replace("mqtt://127.0.0.1", "mqtt://broker")
        .replace(topic, "user = \"me\"\npassword = \"env:PATH\"");
    check_text(&text, M::WeakSecurity, "\"env:PATH\"", None);
    let confirm = "acknowledge = \"confirm_bod\"";
    check(topic, confirm, M::Contradiction, "\"confirm_bod\"", None);
}

#[test]
fn what_a_sink_is_given() {
    let topic = "topic = \"a/{asset}\"";
    let wrong = |when: &str, mistake, place: &str, nearest| {
        check(topic, &format!("when = {{ {when} }}"), mistake, place, nearest);
    };
    wrong("on = \"chnge\"", M::InvalidValue, "\"chnge\"", Some("change"));
    wrong("at_most_every_ms = 0", M::OutOfBounds, "0", None);
    wrong("output = \"life\"", M::Contradiction, "\"life\"", None);
    wrong("within = [0, 20]", M::Contradiction, "[0, 20]", None);
    wrong("output = \"x\", within = [20, 0]", M::OutOfBounds, "[20, 0]", None);
    wrong("labels = []", M::OutOfBounds, "[]", None);
    let when = "when = { deployments = [\"waer\"] }";
    let text = format!("{}{DEPLOYMENT}", SOUND.replace(topic, when));
    check_text(&text, M::UnknownName, "\"waer\"", Some("wear"));
}

#[test]
fn sinks_over_http() {
    let sound = SOUND
        .replace("type = \"mqtt\"", "type = \"http\"")
        .replace("mqtt://127.0.0.1", "http://127.0.0.1/results")
        .replace("topic = \"a/{asset}\"", "batch_max = 1");
    let with = |from: &str, to: &str| sound.replace(from, to);
    check_text(&with("http://", "mqtt://"), M::InvalidValue, "\"mqtt://127.0.0.1/results\"", None);
    let batch = "batch_max = 1";
    check_text(&with(batch, "batch_max = 0"), M::OutOfBounds, "0", None);
    let ca = with(batch, "ca_file = \"Cargo.toml\"");
    check_text(&ca, M::Contradiction, "\"Cargo.toml\"", None);
    let both = "token = \"env:PATH\"\nuser = \"me\"\npassword = \"env:PATH\"";
    check_text(&with(batch, both), M::Contradiction, "\"env:PATH\"", None);
    let far = with("127.0.0.1/results", "mes/results").replace(batch, "token = \"env:PATH\"");
    check_text(&far, M::WeakSecurity, "\"env:PATH\"", None);
    let format = with(batch, "format = \"b2mml-xm\"");
    check_text(&format, M::InvalidValue, "\"b2mml-xm\"", Some("b2mml-xml"));
}

#[test]
fn machines_and_clients_that_cannot_be_reached() {
    let url = "url = \"opc.tcp://127.0.0.1:4840\"";
    let with = |more: &str| SOUND.replace(url, &format!("{url}\n{more}"));
    assert!(checked(&with("listen = \"127.0.0.1:4843\"\nserver_uri = \"urn:a\"")).is_valid());
    check_text(&with("server_uri = \"urn:a\""), M::Contradiction, "\"urn:a\"", None);
    let named = with("listen = \"localhost:4843\"");
    check_text(&named, M::InvalidValue, "\"localhost:4843\"", Some("127.0.0.1:4843"));
    let taken = with("listen = \"127.0.0.1:8080\"");
    check_text(&taken, M::Duplicate, "\"127.0.0.1:8080\"", None);
    let told = with(
        "listen = \"0.0.0.0:4843\"\ntrust_any_certificate = true\nuser = \"me\"\n\
                     password = \"env:PATH\"",
    );
    check_text(&told, M::WeakSecurity, "\"env:PATH\"", None);
    let ua = "127.0.0.1:4841\"";
    let toward = |to: &str| SOUND.replace(ua, &format!("{ua}\nconnect_to = [\"{to}\"]"));
    check_text(&toward("10.0.0.5:4844"), M::Exposed, "true", None);
    check_text(&toward("scada:4844"), M::InvalidValue, "\"scada:4844\"", None);
}

#[test]
fn servers_are_not_left_open() {
    let ua = "127.0.0.1:4841\"\nallow_anonymous = true";
    check(ua, "10.0.0.1:4841\"\nallow_anonymous = true", M::Exposed, "true", None);
    let none = "10.0.0.1:4841\"\nallow_none = true";
    let user = "\n[[user]]\nname = \"me\"\nrole = \"view\"\npassword_hash = \"env:PATH\"\n";
    let with_user = |text: String| text + user;
    check_text(&with_user(SOUND.replace(ua, none)), M::Exposed, "true", None);
    let everywhere = SOUND.replace(ua, "0.0.0.0:4841\"");
    check_text(&with_user(everywhere), M::MissingKey, "\"0.0.0.0:4841\"", None);
    let text = SOUND.replace("127.0.0.1:8080", "[::]:8080");
    let tls = "[::]:8080\"\ntls = { certificate = \"Cargo.toml\", key = \"Cargo.toml\" }";
    let open = SOUND.replace("127.0.0.1:8080\"", tls);
    check_text(&open, M::Exposed, "\"view\"", None);
    let plain = with_user(text.replace("anonymous = \"view\"", ""));
    check_text(&plain, M::Exposed, "\"[::]:8080\"", None);
    let nobody = SOUND.replace("allow_anonymous = true", "");
    check_text(&nobody, M::Contradiction, "[server.opcua]", None);
    let local = "\"localhost:8080\"";
    check("\"127.0.0.1:8080\"", local, M::InvalidValue, local, Some("127.0.0.1:8080"));
    check("127.0.0.1:8080", "127.0.0.1:4841", M::Duplicate, "\"127.0.0.1:4841\"", None);
    let name = with_user(SOUND.into()).replace("name = \"me\"", "name = \"a:b\"");
    check_text(&name, M::InvalidValue, "\"a:b\"", None);
    let own = with_user(SOUND.into()).replace("name = \"me\"", "name = \"system\"");
    check_text(&own, M::Duplicate, "\"system\"", None);
    check_text(&with_user(SOUND.into()), M::InvalidValue, "\"env:PATH\"", None);
}

#[test]
fn deployments() {
    let trigger = "{ every_ms = 100 }";
    for (wrong, mistake, offending) in [
        ("{ on = \"event\" }", M::MissingKey, "{ on = \"event\" }"),
        ("{ every_ms = 7, on = \"change\" }", M::Contradiction, "7"),
        ("{ every_ms = 7, at_most_every_ms = 8 }", M::Contradiction, "8"),
        ("{ point = \"load\" }", M::Contradiction, "\"load\""),
        ("{ on = \"event\", point = \"loud\" }", M::UnknownName, "\"loud\""),
    ] {
        let nearest = (mistake == M::UnknownName).then_some("load");
        check(trigger, wrong, mistake, offending, nearest);
    }
    let gate = "gate = { point = \"state\", one_of = [\"on\"] }";
    for (wrong, mistake, offending) in [
        ("gate = { point = \"load\" }", M::MissingKey, "{ point = \"load\" }"),
        ("gate = { point = \"load\", within = [2, 1] }", M::OutOfBounds, "[2, 1]"),
        ("gate = { point = \"load\", one_of = [] }", M::OutOfBounds, "[]"),
        ("gate = { point = \"load\", within = [1, 2], one_of = [1] }", M::Contradiction, "[1]"),
        ("fallback = { type = \"fall_back_to\", model = \"src\" }", M::Contradiction, "\"src\""),
        ("fallback = { type = \"fall_back_to\", model = \"no\" }", M::MissingFile, "\"no\""),
        ("max_age_ms = 0", M::OutOfBounds, "0"),
        ("remote = { url = \"grpc://a:1\" }", M::InvalidValue, "\"grpc://a:1\""),
        ("remote = { url = \"http://a\", check_ms = 0 }", M::OutOfBounds, "0"),
        ("remote = { url = \"https://a\", ca_file = \"no\" }", M::MissingFile, "\"no\""),
        ("remote = { url = \"https://a\", token = \"abc\" }", M::InlineSecret, "\"abc\""),
        ("binding = [{ feature = \"load\", point = \"load\" }]", M::InvalidValue, "\"load\""),
    ] {
        check(gate, wrong, mistake, offending, None);
    }
    let one = "{ feature = \"urn:a\", point = \"load\" }";
    let twice = format!("binding = [{one}, {one}]");
    check(gate, &twice, M::Duplicate, "\"urn:a\"", None);
}

#[test]
fn traces() {
    let with = |lines: &str| format!("{SOUND}\n[traces]\n{lines}\n");
    let url = "url = \"http://127.0.0.1:4318/v1/traces\"\n";
    for (wrong, mistake, offending) in [
        ("url = \"grpc://a:4317\"", M::InvalidValue, "\"grpc://a:4317\""),
        ("url = \"http://u:pw@a/\"", M::InlineSecret, "\"http://u:pw@a/\""),
        ("ratio = 0.1", M::MissingKey, "[traces]"),
    ] {
        check_text(&with(wrong), mistake, offending, None);
    }
    for (wrong, mistake, offending) in [
        ("ratio = 1.5", M::OutOfBounds, "1.5"),
        ("every_ms = 0", M::OutOfBounds, "0"),
        ("ca_file = \"src/lib.rs\"", M::Contradiction, "\"src/lib.rs\""),
        ("token = \"abc\"", M::InlineSecret, "\"abc\""),
    ] {
        check_text(&with(&format!("{url}{wrong}")), mistake, offending, None);
    }
    let far = "url = \"http://a:4318/v1/traces\"\ntoken = \"env:PATH\"";
    check_text(&with(far), M::WeakSecurity, "\"env:PATH\"", None);
}

#[test]
fn syntax_errors_are_told_all_with_what_else_is_wrong() {
    let text =
        "unsigned = maybe\nevents_file = \"a\n[plant]\nsite = 'x'\n[spool]\ndrop = \"old\"\n";
    let report = checked(text);
    let json = report.to_json();
    let said: Vec<(&str, u64)> = json["diagnostics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| (d["code"].as_str().unwrap(), d["line"].as_u64().unwrap()))
        .collect();
    assert!(said.contains(&("syntax", 1)) && said.contains(&("syntax", 2)), "{said:?}");
    assert!(said.contains(&("invalid_value", 6)), "{said:?}");
}

#[test]
fn secrets_are_never_shown() {
    let text = "[[sink]]\nid = \"a\"\ntype = \"mqtt\"\nurl = \"mqtt://u:hunter2@b\"\n\
                pasword = \"hunter2\"\npassword = \"hunter2\" # !\n";
    let report = checked(text);
    let shown = report.render(false) + &report.to_json().to_string();
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn what_would_steer_a_terminal_is_shown_as_a_sign() {
    let text = "ev\u{202e}il = 1\n\"\u{1b}[2J\" = 2\n";
    let shown = checked(text).render(false);
    assert!(!shown.contains('\u{1b}') && !shown.contains('\u{202e}'), "{shown:?}");
}

#[test]
fn more_mistakes_than_anyone_reads_are_counted() {
    let text: String = (0..5_000).map(|at| format!("key_{at} = {at}\n")).collect();
    let report = checked(&text);
    assert_eq!(report.diagnostics().len(), 1_000);
    assert!(report.render(false).contains("and 4000 more"));
    assert_eq!(report.to_json()["errors"], 5_000);
}

#[test]
fn an_asset_that_lacks_what_its_class_expects_is_told() {
    let classed = SOUND.replacen("id = \"mill\"", "id = \"mill\"\nclass = \"cnc_machine_tool\"", 1);
    let complete = "\n[[asset.point]]\nname = \"speed\"\ntype = \"float64\"\nunit = \"RPM\"\n\
        semantic_id = \"urn:resonance:cnc:spindle:speed\"\naddress = \"ns=2;i=8\"\n\
        \n[[asset.point]]\nname = \"feed\"\ntype = \"float64\"\nunit = \"H81\"\n\
        semantic_id = \"urn:resonance:cnc:path:feed-rate\"\naddress = \"ns=2;i=9\"\n\
        \n[[asset.point]]\nname = \"doing\"\ntype = \"int32\"\n\
        semantic_id = \"urn:resonance:cnc:execution\"\naddress = \"ns=2;i=10\"\n\n[[sink]]";
    let whole = classed.replacen("\n[[sink]]", complete, 1);
    assert_eq!(checked(&whole).render(false), "", "nothing is said where nothing is amiss");

    let lacking = whole.replacen("cnc:spindle:speed", "cnc:spindle:sped", 1);
    let report = checked(&lacking);
    assert!(report.is_valid() && report.warnings() == 1, "{}", report.render(false));
    let said = report.render(false);
    assert!(said.contains("urn:resonance:cnc:spindle:speed (Speed of the spindle)"), "{said}");
    assert!(said.contains("own reading"), "{said}");

    let wrong_unit = whole.replacen("\"RPM\"", "\"CEL\"", 1);
    let said = checked(&wrong_unit).render(false);
    assert!(said.contains("is a rotational_speed") && said.contains("CEL"), "{said}");

    let unknown = classed.replace("cnc_machine_tool", "cnc_machine_tol");
    check_text(&unknown, M::InvalidValue, "\"cnc_machine_tol\"", Some("cnc_machine_tool"));
}

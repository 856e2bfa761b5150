//! The state of a gateway as tables, from the JSON of `/api/v1/status`.

use serde_json::Value;

use super::number;

/// A heading and where its values are in a row.
type Column = (&'static str, &'static str);

const SOURCES: &[Column] = &[
    ("source", "/id"),
    ("connection", "/connection"),
    ("points", "/points"),
    ("observations", "/observations"),
    ("gaps", "/gaps"),
    ("sequence gaps", "/sequence_gaps"),
    ("overflows", "/overflows"),
    ("refused", "/refused"),
    ("reconnects", "/reconnects"),
    ("clock offset µs", "/clock_offset_us"),
    ("certificates until", "/certificate_until"),
];

const DEPLOYMENTS: &[Column] = &[
    ("deployment", "/id"),
    ("asset", "/asset"),
    ("state", "/state"),
    ("model", "/model"),
    ("version", "/model_version"),
    ("trained on", "/trained_on"),
    ("inferences", "/inferences"),
    ("results", "/results"),
    ("failures", "/failures"),
    ("overruns", "/overruns"),
    ("p50 µs", "/latency/p50_us"),
    ("p99 µs", "/latency/p99_us"),
    ("reason", "/reason"),
];

const SINKS: &[Column] = &[
    ("sink", "/id"),
    ("connection", "/connection"),
    ("delivered", "/delivered"),
    ("waiting", "/waiting"),
    ("failed", "/failed"),
    ("left out", "/left_out"),
    ("dropped", "/dropped"),
    ("dead letters", "/refused"),
];

const LETTERS: &[Column] = &[
    ("sink", "/sink"),
    ("result", "/id"),
    ("deployment", "/deployment"),
    ("asset", "/asset"),
    ("refused at", "/refused_at"),
    ("state", "/state"),
    ("reason", "/reason"),
];

const CERTIFICATES: &[Column] = &[
    ("for", "/used_by"),
    ("place", "/place"),
    ("state", "/state"),
    ("until", "/until"),
    ("days", "/days"),
    ("fingerprint", "/short"),
    ("subject", "/subject"),
    ("application URI", "/application_uri"),
    ("reason", "/reason"),
];

const SERVERS: &[Column] = &[
    ("server", "/kind"),
    ("url", "/url"),
    ("clients", "/clients"),
    ("requests", "/requests"),
    ("delivered", "/delivered"),
    ("refused", "/refused"),
    ("certificates until", "/certificate_until"),
];

const SPOOL: &[Column] = &[
    ("spool written", "/written"),
    ("kept", "/kept"),
    ("bytes", "/bytes"),
    ("dropped", "/dropped"),
];

const EVENTS: &[Column] =
    &[("events recorded", "/recorded"), ("errors", "/errors"), ("unwritten", "/unwritten")];

/// Tables for people. Members that a gateway of another version lacks are shown as `-`.
pub(crate) fn tables(status: &Value) -> String {
    let text = |pointer: &str| cell(status.pointer(pointer));
    let mut out = format!(
        "resonance {}  running since {}  at {}\n{} observations  {} gaps\n",
        text("/version"),
        text("/started_at"),
        text("/at"),
        text("/hub/observations"),
        text("/hub/gaps"),
    );
    let parts = [
        ("/sources", SOURCES),
        ("/deployments", DEPLOYMENTS),
        ("/sinks", SINKS),
        ("/servers", SERVERS),
    ];
    for (pointer, columns) in parts {
        let rows = status.pointer(pointer).and_then(Value::as_array);
        out += &table(columns, rows.map_or(&[], Vec::as_slice));
    }
    for (pointer, columns) in [("/spool", SPOOL), ("/events", EVENTS)] {
        out += &table(columns, status.pointer(pointer).map_or(&[], std::slice::from_ref));
    }
    out
}

/// A table of certificates for people.
pub(crate) fn certificates(rows: &[Value]) -> String {
    table(CERTIFICATES, rows).trim_start().to_owned()
}

/// A table of dead letters for people.
pub(crate) fn letters(rows: &[Value]) -> String {
    table(LETTERS, rows).trim_start().to_owned()
}

/// A table with a blank line before it; nothing where there are no rows.
fn table(columns: &[Column], rows: &[Value]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let heading = columns.iter().map(|(name, _)| (*name).to_owned()).collect();
    let mut lines: Vec<Vec<String>> = vec![heading];
    let is_number: Vec<bool> = columns
        .iter()
        .map(|(_, at)| rows.iter().all(|row| row.pointer(at).is_some_and(Value::is_number)))
        .collect();
    for row in rows {
        lines.push(columns.iter().map(|(_, at)| cell(row.pointer(at))).collect());
    }
    let width = |at: usize| {
        lines.iter().filter_map(|line| line.get(at)).map(|c| c.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let mut out = "\n".to_owned();
    for line in lines {
        let mut text = String::new();
        for ((cell, width), right) in line.iter().zip(&widths).zip(&is_number) {
            let width = *width;
            text += &if *right { format!("{cell:>width$}  ") } else { format!("{cell:<width$}  ") };
        }
        out += text.trim_end();
        out.push('\n');
    }
    out
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.replace(char::is_control, " "),
        Some(Value::Number(number)) => {
            number.as_u64().map_or_else(|| number.to_string(), number::count)
        }
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_status_becomes_tables() {
        let status = json!({
            "version": "0.1.0", "started_at": "A", "at": "B",
            "hub": { "observations": 1234567, "gaps": 0 },
            "sources": [],
            "sinks": [
                { "id": "broker", "connection": "connected", "delivered": 1200, "waiting": 3,
                  "failed": 0, "left_out": 12, "dropped": 0, "refused": 2 },
                { "id": "b\u{1b}[2J", "connection": "connecting", "delivered": 0, "waiting": -1,
                  "failed": 7, "dropped": 0 },
            ],
            "spool": { "written": 5, "kept": 3, "bytes": 1000 },
            "events": { "recorded": 12, "errors": 1, "unwritten": 2 },
        });
        let expected = "\
resonance 0.1.0  running since A  at B
1,234,567 observations  0 gaps

sink    connection  delivered  waiting  failed  left out  dropped  dead letters
broker  connected       1,200        3       0  12              0  2
b [2J   connecting          0       -1       7  -               0  -

spool written  kept  bytes  dropped
            5     3  1,000  -

events recorded  errors  unwritten
             12       1          2
";
        assert_eq!(tables(&status), expected);
    }

    #[test]
    fn anything_else_is_survived() {
        assert!(tables(&json!(null)).contains("resonance -"));
        assert!(tables(&json!({ "sources": 3, "spool": [] })).contains("- gaps"));
    }
}

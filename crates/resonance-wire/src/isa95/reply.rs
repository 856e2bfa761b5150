//! What a MES answers: ConfirmBOD and Acknowledge messages, in XML or JSON. Hostile input.

use super::error::quoted;
use super::{Element, ReplyError};

/// The largest answer, bytes.
pub(super) const BYTES_MAX: usize = 256 << 10;
/// Elements within each other.
pub(super) const DEPTH_MAX: usize = 32;
/// Elements in all.
pub(super) const ELEMENTS_MAX: usize = 8_192;
/// Messages that one ConfirmBOD may confirm.
const CONFIRMED_MAX: usize = 1_024;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The BODIDs it names; none where it names none and so is about what it answers.
    pub about: Vec<String>,
    /// What it says.
    pub verdict: Verdict,
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The application has it.
    Accepted,
    /// The application will not take it, for this reason.
    Rejected(String),
}

impl Reply {
    /// Whether it is about the message with this BODID.
    pub fn is_about(&self, id: &str) -> bool {
        self.about.is_empty() || self.about.iter().any(|about| about == id)
    }
}

/// Reads an answer; XML begins with `<`, everything else is JSON.
///
/// # Errors
/// See [`ReplyError`]: nothing is known about the message then.
pub fn read_reply(bytes: &[u8]) -> Result<Reply, ReplyError> {
    let start = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes).trim_ascii_start();
    let root = match start.first() {
        None => return Err(ReplyError::Empty),
        Some(b'<') => Element::from_xml(start)?,
        Some(_) => Element::from_json(start)?,
    };
    let missing = |part| ReplyError::Missing { message: quoted(&root.name), part };
    let data = || root.child("DataArea").ok_or_else(|| missing("DataArea"));
    let (answer, confirmed) = if root.name == "ConfirmBOD" {
        let data = data()?;
        let confirm = data.child("Confirm").ok_or_else(|| missing("Confirm"))?;
        (confirm, data.all("BOD").collect())
    } else if root.name.starts_with("Acknowledge") {
        (data()?.child("Acknowledge").ok_or_else(|| missing("Acknowledge"))?, Vec::new())
    } else {
        return Err(ReplyError::Other(quoted(&root.name)));
    };
    let about = std::iter::once(answer)
        .chain(confirmed.iter().copied())
        .filter_map(|part| part.child("OriginalApplicationArea")?.child("BODID"))
        .map(|id| id.text().trim().to_owned())
        .filter(|id| !id.is_empty())
        .take(CONFIRMED_MAX)
        .collect();
    Ok(Reply { about, verdict: verdict(answer, &confirmed)? })
}

/// Rejected where any criterion says so. Without a criterion it is a plain receipt.
fn verdict(answer: &Element, confirmed: &[&Element]) -> Result<Verdict, ReplyError> {
    let mut reasons = Vec::new();
    for criterion in answer.all("ResponseCriteria") {
        let expression = criterion.child("ResponseExpression");
        let code = expression.and_then(|of| of.attribute("actionCode")).unwrap_or("Accepted");
        match code.trim().to_ascii_lowercase().as_str() {
            "accepted" | "modified" | "add" | "change" | "replaced" => {}
            "rejected" => reasons.push(reason(criterion)),
            _ => return Err(ReplyError::Unclear(quoted(code))),
        }
    }
    if reasons.is_empty() {
        return Ok(Verdict::Accepted);
    }
    let notes = confirmed.iter().flat_map(|bod| bod.all("Description").chain(bod.all("Note")));
    reasons.extend(notes.map(|note| note.text().trim().to_owned()));
    reasons.retain(|reason| !reason.is_empty());
    let said = if reasons.is_empty() { "no reason given".into() } else { reasons.join("; ") };
    Ok(Verdict::Rejected(quoted(&said)))
}

fn reason(criterion: &Element) -> String {
    let Some(status) = criterion.child("ChangeStatus") else { return String::new() };
    let texts = ["Code", "ReasonCode", "Reason", "Description"]
        .into_iter()
        .flat_map(|name| status.all(name))
        .map(|part| part.text().trim());
    texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join(": ")
}

/// A ConfirmBOD, as a MES writes it: for simulations and tests of receivers. `at` is RFC 3339.
pub fn confirm_bod(about: &str, at: &str, verdict: &Verdict) -> Element {
    let area = |id: Option<&str>| {
        let mut parts = vec![Element::leaf("CreationDateTime", at)];
        parts.extend(id.map(|id| Element::leaf("BODID", id)));
        parts
    };
    let (code, status) = match verdict {
        Verdict::Accepted => ("Accepted", None),
        Verdict::Rejected(reason) => {
            let parts = vec![Element::leaf("Reason", reason.as_str()).repeated()];
            ("Rejected", Some(Element::parent("ChangeStatus", parts)))
        }
    };
    let mut criterion = vec![Element::leaf("ResponseExpression", "*").with("actionCode", code)];
    criterion.extend(status);
    let original = || Element::parent("OriginalApplicationArea", area(Some(about)));
    let confirm = Element::parent(
        "Confirm",
        vec![original(), Element::parent("ResponseCriteria", criterion).repeated()],
    );
    let bod = Element::parent("BOD", vec![original()]).repeated();
    let parts = vec![
        Element::parent("ApplicationArea", area(None)),
        Element::parent("DataArea", vec![confirm, bod]),
    ];
    Element::parent("ConfirmBOD", parts)
}

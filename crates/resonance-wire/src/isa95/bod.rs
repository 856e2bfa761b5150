//! The envelope (ISA-95 part 5): who sends, whether it wants an answer, verb and noun.

use super::test_result::test_result;
use super::work_alert::work_alert;
use super::work_schedule::work_schedule;
use super::{Answer, Element, Object, RELEASE};

/// Whether the receiver shall answer with a ConfirmBOD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmation {
    /// It need not.
    Never,
    /// To every message.
    Always,
}

/// What a message says besides its objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// The sender's logical id.
    pub sender: &'a str,
    /// The message's own id: answers name it.
    pub id: &'a str,
    /// Whether an answer is wanted.
    pub confirmation: Confirmation,
}

/// One message with the objects of these results, which all become `object`. The moment of its
/// making is that of the last result, so that every delivery is the same.
pub fn message(envelope: &Envelope<'_>, object: Object, answers: &[Answer<'_>]) -> Element {
    let confirmation = match envelope.confirmation {
        Confirmation::Never => "Never",
        Confirmation::Always => "Always",
    };
    let made = answers.last().map_or("", |answer| &*answer.computed_at);
    let sender = vec![
        Element::leaf("LogicalID", envelope.sender),
        Element::leaf("ComponentID", "resonance"),
        Element::leaf("ConfirmationCode", confirmation),
    ];
    let area = Element::parent(
        "ApplicationArea",
        vec![
            Element::parent("Sender", sender),
            Element::leaf("CreationDateTime", made),
            Element::leaf("BODID", envelope.id),
        ],
    );
    let verb = match object.verb() {
        "Process" => Element::parent("Process", action("Add")).with(
            "acknowledgeCode",
            // The attribute knows no "Never": without an error nothing need be said.
            if envelope.confirmation == Confirmation::Always { "Always" } else { "OnError" },
        ),
        _ => Element::parent("Sync", action("Add")),
    };
    let mut data = vec![verb];
    data.extend(answers.iter().map(|answer| match object {
        Object::TestResult => test_result(answer),
        Object::WorkAlert => work_alert(answer),
        Object::MaintenanceRequest | Object::JobOrderProposal => work_schedule(answer, object),
    }));
    Element::parent(object.message(), vec![area, Element::parent("DataArea", data)])
        .with("releaseID", RELEASE)
}

/// What to do with every object of the message.
fn action(code: &'static str) -> Vec<Element> {
    let expression = Element::leaf("ActionExpression", "*").with("actionCode", code).repeated();
    vec![Element::parent("ActionCriteria", vec![expression]).repeated()]
}

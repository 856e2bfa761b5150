//! Answers of the application: ConfirmBODs on the reply topic, matched to what was published.

use std::collections::HashMap;

use resonance_plant::ResultId;
use resonance_wire::isa95::{Verdict, read_reply};
use rumqttc::Publish;

use super::answer::Answer;

/// Results that the application has not confirmed yet.
#[derive(Debug)]
pub(super) struct Confirmations {
    /// Where answers are expected.
    pub(super) topic: String,
    awaited: HashMap<ResultId, u64>,
}

impl Confirmations {
    pub(super) fn new(topic: String) -> Self {
        Self { topic, awaited: HashMap::new() }
    }

    /// A result was published. As many are awaited as may be under way.
    pub(super) fn sent(&mut self, id: ResultId, sequence: u64) {
        self.awaited.insert(id, sequence);
    }

    /// The connection ended: what is not confirmed is sent again, and asked for anew.
    pub(super) fn clear(&mut self) {
        self.awaited.clear();
    }

    /// What an answer says about which results. The Correlation Data tell which (MQTT 5.0,
    /// 3.3.2.3.6), else the BODIDs in it. What nobody waits for says nothing.
    pub(super) fn answered(&mut self, answer: &Publish) -> Vec<(u64, Answer)> {
        let correlation = answer.properties.as_ref().and_then(|of| of.correlation_data.as_ref());
        let correlated = correlation.and_then(|data| Some(ResultId(data[..].try_into().ok()?)));
        let (ids, verdict) = match read_reply(&answer.payload) {
            Ok(reply) => {
                let named = reply.about.iter().filter_map(|id| id.parse().ok()).collect();
                let verdict = match &reply.verdict {
                    Verdict::Accepted => Answer::Accepted,
                    Verdict::Rejected(reason) => Answer::Never(format!("rejected: {reason}")),
                };
                match correlated {
                    Some(id) if !reply.is_about(&id.to_string()) => {
                        let reason = "the answer confirms another message than the one it answers";
                        (vec![id], Answer::Unconfirmed(reason.into()))
                    }
                    Some(id) => (vec![id], verdict),
                    None => (named, verdict),
                }
            }
            Err(error) => {
                tracing::debug!(%error, "an answer of the application confirms nothing");
                (correlated.into_iter().collect(), Answer::Unconfirmed(error.to_string()))
            }
        };
        let known = ids.into_iter().filter_map(|id| self.awaited.remove(&id));
        known.map(|sequence| (sequence, verdict.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use resonance_plant::Timestamp;
    use resonance_wire::isa95::confirm_bod;
    use rumqttc::{PublishProperties, QoS};

    use super::*;

    fn answer(payload: Vec<u8>, correlation: Option<&[u8]>) -> Publish {
        let properties = PublishProperties {
            correlation_data: correlation.map(|data| data.to_vec().into()),
            ..PublishProperties::default()
        };
        Publish::new("reply", QoS::AtLeastOnce, payload, Some(properties))
    }

    #[test]
    fn answers_find_their_result_by_correlation_or_by_name_and_settle_it_once() {
        let id = |n| ResultId::derive("wear", "sha256:ab", Timestamp::EPOCH, n);
        let confirm = |n, verdict: Verdict| {
            confirm_bod(&id(n).to_string(), "2026-11-21T08:00:00Z", &verdict).to_json()
        };
        let mut awaited = Confirmations::new("reply".into());
        (1..=4).for_each(|n| awaited.sent(id(n), n));
        let by_name = answer(confirm(1, Verdict::Accepted), None);
        assert_eq!(awaited.answered(&by_name), [(1, Answer::Accepted)]);
        assert_eq!(awaited.answered(&by_name), [], "once");
        let rejected = answer(confirm(2, Verdict::Rejected("closed".into())), Some(&id(2).0));
        assert_eq!(awaited.answered(&rejected), [(2, Answer::Never("rejected: closed".into()))]);
        let garbage = answer(b"garbage".to_vec(), Some(&id(3).0));
        assert!(matches!(&awaited.answered(&garbage)[..], [(3, Answer::Unconfirmed(_))]));
        let other = answer(confirm(9, Verdict::Accepted), Some(&id(4).0));
        assert!(matches!(&awaited.answered(&other)[..], [(4, Answer::Unconfirmed(_))]));
        assert_eq!(awaited.answered(&answer(b"<x/>".to_vec(), Some(b"short"))), []);
    }
}

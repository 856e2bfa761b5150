//! What a system answers, and what follows from it. No IO; told the time.

use std::time::Duration;

use hyper::StatusCode;
use hyper::header::RETRY_AFTER;
use resonance_plant::Timestamp;
use resonance_wire::isa95::{Verdict, read_reply};

use super::connection::Response;
use crate::sinks::payload::Acknowledge;

/// The longest a peer may ask to wait.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);
/// Longest text of the peer's that is repeated, characters.
const PEER_TEXT_MAX: usize = 200;

/// What a system said to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It has the results.
    Accepted,
    /// It will never take them as they are.
    Never(String),
    /// It did not take them, or nobody knows; an operator or time may change that.
    NotNow {
        /// What happened, for people.
        reason: String,
        /// The least wait it asked for.
        retry_after: Option<Duration>,
    },
    /// It answered with success and confirmed nothing: it may have lost them.
    Unconfirmed(String),
    /// No answer came, or none that is HTTP.
    Broken(String),
}

/// Judges an answer to the message `id`.
pub(super) fn judge(
    response: &Response,
    id: &str,
    acknowledge: Acknowledge,
    now: Timestamp,
) -> Answer {
    let Response { status, headers, body, cut } = response;
    let status = *status;
    if status.is_success() {
        return match (acknowledge, cut) {
            (Acknowledge::Transport, _) => Answer::Accepted,
            (Acknowledge::ConfirmBod, None) => confirmed(status, body, id),
            (Acknowledge::ConfirmBod, Some(cut)) => {
                Answer::Unconfirmed(format!("answered {status}, and {cut}"))
            }
        };
    }
    let retry_after = headers.get(RETRY_AFTER).and_then(|value| wait(value.to_str().ok()?, now));
    let not_now = |remedy: &str| Answer::NotNow { reason: said(status, body, remedy), retry_after };
    match status.as_u16() {
        401 | 403 | 407 => not_now("; check the sink's user, password or token"),
        404 | 405 | 421 | 426 => not_now("; check the sink's url"),
        408 | 425 | 429 => not_now(""),
        // Most often: an earlier attempt with the same key is still being worked on.
        409 => Answer::Unconfirmed(said(status, body, "")),
        400..500 => Answer::Never(refusal(status, body)),
        300..400 => not_now("; results are not sent elsewhere: change the sink's url"),
        _ => not_now(""),
    }
}

/// Only the application's word counts.
fn confirmed(status: StatusCode, body: &[u8], id: &str) -> Answer {
    match read_reply(body) {
        Ok(reply) if !reply.is_about(id) => {
            let problem = "the answer confirms another message than the one it answers";
            Answer::Unconfirmed(problem.into())
        }
        Ok(reply) => match reply.verdict {
            Verdict::Accepted => Answer::Accepted,
            Verdict::Rejected(reason) => Answer::Never(format!("rejected: {reason}")),
        },
        Err(error) => {
            Answer::Unconfirmed(format!("answered {status}, and confirmed nothing: {error}"))
        }
    }
}

/// A ConfirmBOD that came with an error says more than the error.
fn refusal(status: StatusCode, body: &[u8]) -> String {
    match read_reply(body) {
        Ok(reply) => match reply.verdict {
            Verdict::Rejected(reason) => format!("{status}: {reason}"),
            Verdict::Accepted => said(status, body, ""),
        },
        Err(_) => said(status, body, ""),
    }
}

fn said(status: StatusCode, body: &[u8], remedy: &str) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(PEER_TEXT_MAX * 4)]);
    let text: String = text.chars().filter(|c| !c.is_control()).take(PEER_TEXT_MAX).collect();
    let colon = if text.trim().is_empty() { "" } else { ": " };
    format!("answered {status}{colon}{}{remedy}", text.trim())
}

/// Retry-After (RFC 9110, 10.2.3): seconds or a date. At most an hour.
fn wait(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds = value.parse().map_or(RETRY_AFTER_MAX, Duration::from_secs);
        return Some(seconds.min(RETRY_AFTER_MAX));
    }
    let left = date(value)?.since(now).max(0);
    Some(Duration::from_nanos(left.unsigned_abs()).min(RETRY_AFTER_MAX))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, 5.6.7); the obsolete forms are not read.
fn date(value: &str) -> Option<Timestamp> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let mut parts = value.split_once(", ")?.1.split(' ');
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    let (time, zone) = (parts.next()?, parts.next()?);
    let month = MONTHS.find(month).filter(|at| at % 3 == 0 && month.len() == 3)? / 3 + 1;
    let text = format!("{year}-{month:02}-{day}T{time}Z");
    Timestamp::parse_rfc3339(&text).filter(|_| zone == "GMT")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hyper::header::HeaderMap;
    use resonance_wire::isa95::confirm_bod;

    use super::*;

    fn judged(status: u16, body: &[u8], acknowledge: Acknowledge) -> Answer {
        judge(&response(status, body), "a1", acknowledge, Timestamp::EPOCH)
    }

    fn response(status: u16, body: &[u8]) -> Response {
        let status = StatusCode::from_u16(status).unwrap();
        let (headers, body) = (HeaderMap::new(), Bytes::copy_from_slice(body));
        Response { status, headers, body, cut: None }
    }

    #[test]
    fn what_is_cut_off_takes_no_result_back_and_confirms_none() {
        let cut = Response { cut: Some("the answer broke off".into()), ..response(200, b"<Conf") };
        let judged = |acknowledge| judge(&cut, "a1", acknowledge, Timestamp::EPOCH);
        assert_eq!(judged(Acknowledge::Transport), Answer::Accepted, "a 2xx is enough");
        let unconfirmed = judged(Acknowledge::ConfirmBod);
        assert!(matches!(unconfirmed, Answer::Unconfirmed(_)), "{unconfirmed:?}");
        let working = super::tests::judged(409, b"in progress", Acknowledge::Transport);
        assert!(matches!(working, Answer::Unconfirmed(_)), "an attempt before it is worked on");
    }

    #[test]
    fn statuses_are_for_good_for_now_or_delivered() {
        for status in [200, 201, 202, 204] {
            assert_eq!(judged(status, b"", Acknowledge::Transport), Answer::Accepted);
        }
        for status in [400, 402, 406, 410, 411, 413, 415, 422, 451] {
            let answer = judged(status, b"no", Acknowledge::Transport);
            assert!(matches!(answer, Answer::Never(_)), "{status}: {answer:?}");
        }
        for status in [301, 307, 401, 403, 404, 405, 407, 408, 421, 425, 426, 429, 500, 503, 599] {
            let answer = judged(status, b"\x1b[2Jno", Acknowledge::Transport);
            let Answer::NotNow { reason, .. } = answer else { panic!("{status}: {answer:?}") };
            assert!(!reason.contains('\x1b'), "{reason}");
        }
    }

    #[test]
    fn only_a_confirmation_of_this_message_is_one() {
        let confirm = Acknowledge::ConfirmBod;
        let body =
            |about: &str, verdict| confirm_bod(about, "2026-11-21T08:00:00Z", &verdict).to_xml();
        assert_eq!(judged(200, &body("a1", Verdict::Accepted), confirm), Answer::Accepted);
        for lost in [&b""[..], b"ok", b"{}", b"<html/>", &body("b2", Verdict::Accepted)] {
            let answer = judged(200, lost, confirm);
            assert!(matches!(answer, Answer::Unconfirmed(_)), "{answer:?}");
        }
        let rejected = body("a1", Verdict::Rejected("order is closed".into()));
        let never = |text: &str| Answer::Never(text.into());
        assert_eq!(judged(200, &rejected, confirm), never("rejected: order is closed"));
        let answer = judged(422, &rejected, Acknowledge::Transport);
        assert_eq!(answer, never("422 Unprocessable Entity: order is closed"));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_at_most_an_hour() {
        let now = Timestamp::parse_rfc3339("1994-11-06T08:49:07Z").unwrap();
        let seconds = |value| wait(value, now).map(|wait| wait.as_secs());
        assert_eq!(seconds("120"), Some(120));
        assert_eq!(seconds("99999999999999999999999"), Some(3_600));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(30));
        assert_eq!(seconds("Sun, 06 Nov 1993 08:49:37 GMT"), Some(0));
        for none in ["", "soon", "-1", "Sun, 06 Foo 1994 08:49:37 GMT", "Sun, 6"] {
            assert_eq!(seconds(none), None, "{none}");
        }
    }
}

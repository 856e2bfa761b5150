//! What brokers answer, and what follows from it.

use std::time::Duration;

use resonance_plant::Code;
use rumqttc::{
    ClientError, ConnectReturnCode, ConnectionError, PubAckReason, PublishNoticeError,
    PublishResult, StateError,
};

use super::progress::ACKNOWLEDGE_WITHIN;

/// What a broker said to a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It has it.
    Accepted,
    /// It will never take it.
    Never(String),
    /// It has it, and what came back from the application confirms nothing.
    Unconfirmed(String),
    /// It does not take it now; an operator or time may change that.
    NotNow(String),
    /// The connection ended before it answered.
    Unknown,
}

/// Why a connection ended or did not come about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// [`Code::SinkRefused`] where the broker does not want us, else [`Code::SinkDisconnected`].
    pub(super) code: Code,
    /// What happened, for people.
    pub(super) message: String,
}

/// The answer to a PUBLISH (MQTT 5.0, 3.4.2.1). Only a result that is malformed in the broker's
/// eyes is given up: everything else depends on the broker's state or configuration. Nobody but
/// the application can confirm: where its word counts, somebody has to subscribe.
pub(super) fn of_publish(
    notice: Result<PublishResult, PublishNoticeError>,
    is_confirmed: bool,
) -> Answer {
    let reason = match notice {
        Ok(PublishResult::Qos1(acknowledgement)) => acknowledgement.reason,
        Err(PublishNoticeError::V5PubAck(reason)) => reason,
        // The other results belong to qualities of service that are not used here.
        Ok(_) => PubAckReason::Success,
        Err(_) => return Answer::Unknown,
    };
    let not_now = |text: &str| Answer::NotNow(text.into());
    match reason {
        PubAckReason::NoMatchingSubscribers if is_confirmed => {
            not_now("nobody subscribes to the topic (0x10); start the application")
        }
        PubAckReason::Success | PubAckReason::NoMatchingSubscribers => Answer::Accepted,
        PubAckReason::PayloadFormatInvalid => Answer::Never("payload format invalid (0x99)".into()),
        PubAckReason::NotAuthorized => {
            not_now("not authorized (0x87); allow this gateway's user to publish to the topic")
        }
        PubAckReason::TopicNameInvalid => {
            not_now("topic name invalid (0x90); change the sink's topic")
        }
        PubAckReason::QuotaExceeded => not_now("quota exceeded (0x97)"),
        PubAckReason::UnspecifiedError => not_now("unspecified error (0x80)"),
        PubAckReason::ImplementationSpecificError => {
            not_now("implementation specific error (0x83)")
        }
        PubAckReason::PacketIdentifierInUse => not_now("packet identifier in use (0x91)"),
    }
}

/// Why a connection failed.
pub(super) fn of_connection(error: &ConnectionError) -> Trouble {
    let disconnected = |message: String| Trouble { code: Code::SinkDisconnected, message };
    let refused = |message: String| Trouble { code: Code::SinkRefused, message };
    match error {
        ConnectionError::ConnectionRefused(code) => match code {
            ConnectReturnCode::BadUserNamePassword => refused(
                "the broker refused user or password; correct them, in the broker or for the sink"
                    .into(),
            ),
            ConnectReturnCode::NotAuthorized | ConnectReturnCode::Banned => refused(
                "the broker does not let this gateway in; check user, password and the broker's \
                 permissions"
                    .into(),
            ),
            ConnectReturnCode::UnsupportedProtocolVersion
            | ConnectReturnCode::RefusedProtocolVersion => {
                refused("the broker does not speak MQTT 5; use one that does".into())
            }
            ConnectReturnCode::ServerBusy
            | ConnectReturnCode::ServerUnavailable
            | ConnectReturnCode::ServiceUnavailable
            | ConnectReturnCode::ConnectionRateExceeded => {
                disconnected(format!("the broker is not available now ({code:?})"))
            }
            other => refused(format!("the broker refused the connection ({other:?})")),
        },
        ConnectionError::Tls(error) => {
            refused(format!("no trusted connection: {error}; check ca_file and the broker's name"))
        }
        // A broker that hangs up in the handshake shows as this.
        ConnectionError::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            refused(format!("no trusted connection: {error}; check ca_file and the broker's name"))
        }
        ConnectionError::Io(error) => disconnected(error.to_string()),
        ConnectionError::Timeout(_) => disconnected("the broker does not answer".into()),
        ConnectionError::MqttState(state) => of_state(state),
        other => disconnected(other.to_string()),
    }
}

fn of_state(error: &StateError) -> Trouble {
    let (code, message) = match error {
        StateError::Io(error) => (Code::SinkDisconnected, error.to_string()),
        StateError::AwaitPingResp => {
            (Code::SinkDisconnected, "the broker gives no sign of life".into())
        }
        StateError::ConnectionAborted => {
            (Code::SinkDisconnected, "the broker closed the connection".into())
        }
        StateError::ServerDisconnect { reason_code, reason_string } => {
            let text = reason_string.as_deref().map(|text| format!(": {text}")).unwrap_or_default();
            let message = format!(
                "the broker ended the session ({reason_code:?}{text}); where it says that the \
                 session was taken over, another client uses this client_id"
            );
            (Code::SinkDisconnected, message)
        }
        other => (Code::SinkDisconnected, other.to_string()),
    };
    Trouble { code, message }
}

/// The client took no request: the connection is gone, and its own error comes too late.
pub(super) fn of_client(error: &ClientError) -> Trouble {
    Trouble { code: Code::SinkDisconnected, message: error.to_string() }
}

/// The broker answers pings and no results.
pub(super) fn mute() -> Trouble {
    let seconds = ACKNOWLEDGE_WITHIN.as_secs();
    let message = format!("the broker acknowledged nothing for {seconds} s");
    Trouble { code: Code::SinkDisconnected, message }
}

/// The application confirms nothing.
pub(super) fn unconfirmed(within: Duration, topic: &str) -> Trouble {
    let message =
        format!("the application confirmed nothing on {topic:?} for {} ms", within.as_millis());
    Trouble { code: Code::SinkDisconnected, message }
}

/// The broker does not let us hear the application.
pub(super) fn no_replies(topic: &str, reason: &str) -> Trouble {
    let message = format!(
        "the broker refuses the subscription to {topic:?} ({reason}), so nothing would ever be \
         confirmed; allow this gateway's user to read it, or change reply_topic"
    );
    Trouble { code: Code::SinkRefused, message }
}

/// The broker offers nothing but "at most once" (MQTT 5.0, 3.2.2.3.4).
pub(super) fn no_acknowledgements() -> Trouble {
    let message = "the broker only takes QoS 0, so nothing would ever be acknowledged; use one \
                   that takes QoS 1";
    Trouble { code: Code::SinkRefused, message: message.into() }
}

//! What happened: events with a code from one closed list, each with its meaning and remedy.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::{Timestamp, Value};

/// How much an event matters.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// For the record.
    Info,
    /// Something is not as it should be; results may be affected.
    Warning,
    /// Something failed; results are missing or bad.
    Error,
}

/// What a user or a part of the product may do. Each role includes those before it.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Read values, results, events and state.
    View,
    /// Ask for inferences; suspend and resume deployments; acknowledge.
    Operate,
    /// Change the plant, models and deployments.
    Engineer,
    /// Approve models, promotions and certificates; manage users.
    Approve,
}

impl Role {
    /// Every role, the least first.
    pub const ALL: [Self; 4] = [Self::View, Self::Operate, Self::Engineer, Self::Approve];

    /// The name in plant files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Operate => "operate",
            Self::Engineer => "engineer",
            Self::Approve => "approve",
        }
    }

    /// The role with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// Who caused something.
#[derive(Clone, PartialEq, Eq, Hash, Debug, serde::Serialize, schemars::JsonSchema)]
pub struct Principal {
    /// The user's name; `system` for the product itself, `anonymous` on loopback.
    pub name: Arc<str>,
    /// What that user may do.
    pub role: Role,
}

impl Principal {
    /// The product itself.
    pub fn system() -> Self {
        Self { name: "system".into(), role: Role::Approve }
    }

    /// An anonymous peer, admitted on loopback only.
    pub fn anonymous(role: Role) -> Self {
        Self { name: "anonymous".into(), role }
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $code:ident = $name:literal, $severity:ident, $meaning:literal, $remedy:literal;)*) => {
        /// What can happen: one closed list for events, API errors and reports.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[expect(missing_docs, reason = "Code::meaning says it at run time too")]
        pub enum Code { $($(#[$doc])* $code,)* }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$code),*];

            /// The stable name, `area.what`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$code => $name,)* }
            }

            /// How much it matters.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$code => Severity::$severity,)* }
            }

            /// What it means.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$code => $meaning,)* }
            }

            /// What to do about it; empty where nothing needs doing.
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$code => $remedy,)* }
            }
        }
    };
}

codes! {
    GatewayStarted = "gateway.started", Info, "the gateway runs", "";
    GatewayStopped = "gateway.stopped", Info, "the gateway ended as asked", "";
    GatewayFailed = "gateway.failed", Error, "the gateway's hub ended unexpectedly", "restart the gateway, and report what it wrote to standard error";
    PlantReloaded = "plant.reloaded", Info, "the gateway goes on with another plant file", "";
    PlantReloadFailed = "plant.reload_failed", Error, "the gateway kept its plant file: the other cannot be gone over to", "mend what the message names and reload again";
    TracesRefused = "traces.refused", Error, "what [traces] asks for cannot work; nothing is traced", "see the reason; mend [traces] and restart the gateway";
    TracesLost = "traces.lost", Warning, "spans were lost on the way to the collector; results are not affected", "check that the collector runs and takes OTLP over HTTP at the url of [traces]; lower its ratio";
    SourceConnected = "source.connected", Info, "a source reached its machine and receives data", "";
    SourceDisconnected = "source.disconnected", Warning, "a source lost its machine and tries again", "check the machine's power, network and server";
    SourceRefused = "source.refused", Error, "the machine refused the session", "check user, password, security policy and whether the machine trusts this gateway's certificate";
    SourceUntrusted = "source.untrusted", Error, "the machine's certificate is not trusted", "compare the fingerprint with the machine's and trust the certificate";
    CertificateExpiring = "certificate.expiring", Warning, "a certificate of ours or of a trusted peer runs out soon", "renew it, and have its peers trust the new one; see `resonance certificate list`";
    CertificateExpired = "certificate.expired", Error, "a certificate of ours or of a trusted peer ran out", "renew it, and have its peers trust the new one; see `resonance certificate list`";
    SourceSilent = "source.silent", Warning, "a connected source delivers neither data nor keep-alives; it is connected anew", "check the load and the subscription limits of the machine's server";
    SourceRestarted = "source.restarted", Warning, "the machine's server restarted; what happened meanwhile is unknown", "";
    SourceClockOffset = "source.clock_offset", Warning, "the machine's clock differs from the gateway's", "synchronise both clocks (NTP or PTP), or set time = \"receive\" for the source";
    PointUnknown = "point.unknown", Error, "the machine does not have a node that a point asks for", "check the point's address; list the machine's nodes with an OPC UA browser";
    PointTypeChanged = "point.type_changed", Warning, "a machine delivers another type than the point declares; the value is refused", "change the point's type, or the machine's program";
    PointTypeUnsupported = "point.type_unsupported", Error, "a machine delivers a type that no point can carry", "address one of the value's fields instead";
    PointNotFinite = "point.not_finite", Warning, "a machine delivers NaN or an infinity; the value is marked bad", "check the sensor";
    PointUnfiltered = "point.unfiltered", Warning, "the machine does not filter a point as its deadband asks; every change is read", "write the deadband in the unit instead of percent, or take it away";
    PointTimeImplausible = "point.time_implausible", Warning, "a source time is absent, or far in the future or the past; the receive time stands in", "check the machine's clock, or set time = \"server\" or \"receive\" for the source";
    DataGap = "data.gap", Warning, "observations were lost", "see the reason; a slower sampling or a longer queue helps against overload";
    DataRecovered = "data.recovered", Info, "observations of an outage were read from the machine's history", "";
    ModelLoaded = "model.loaded", Info, "a model reproduced its golden vectors and serves", "";
    ModelUnsigned = "model.unsigned", Warning, "a model package carries no signature; only its digests were checked", "sign the package, or accept it knowingly with unsigned = \"warn\"";
    ModelRefused = "model.refused", Error, "a model package was refused", "see the reason; `resonance model inspect` explains a package";
    ModelGoldenMismatch = "model.golden_mismatch", Error, "a model does not reproduce its golden vectors on this engine", "do not serve it; compare engine versions and the package's tolerance";
    RemoteReady = "remote.ready", Info, "another inference server serves a deployment's model as its package says", "";
    RemoteLost = "remote.lost", Warning, "another inference server does not answer for a deployment's model; the deployment's fallback does, if it has one", "check the server, its model and the network between";
    RemoteRefused = "remote.refused", Error, "another inference server does not serve what the package says, or its configuration is wrong", "compare the server's model with the package, and the deployment's remote with the server";
    EngineUnavailable = "engine.unavailable", Error, "no usable ONNX Runtime library was found", "install the version named in the message, or point RESONANCE_ONNXRUNTIME at the library";
    DeploymentState = "deployment.state", Info, "a deployment changed its state", "";
    DeploymentLatency = "deployment.latency", Warning, "inference took longer than the package's budget", "give the process more processor time, or raise the budget in the package";
    DeploymentFallback = "deployment.fallback", Warning, "a result did not come from the deployment's own model", "see the deployment's last error";
    DeploymentOverrun = "deployment.overrun", Warning, "triggers came faster than the model answers; the oldest were dropped", "trigger less often, or use a faster model";
    InferenceFailed = "inference.failed", Error, "the engine failed on an input", "see the reason; `resonance model run` reproduces it";
    ResultDropped = "result.dropped", Warning, "results were dropped before every sink had them", "raise the spool's size, or repair the sink that is behind";
    SpoolFull = "spool.full", Warning, "the result spool reached its bound; its drop policy applies", "raise the spool's size or age, or repair the sink that is behind";
    SpoolFailed = "spool.failed", Error, "the result spool cannot be written", "free disk space and check the folder's permissions";
    RecordingLost = "recording.lost", Warning, "a recording has gaps: windows or observations were not kept", "record fewer points or to a faster disk; see recording.failed";
    RecordingTrimmed = "recording.trimmed", Info, "the oldest files of a recording gave way to its bound", "";
    RecordingFailed = "recording.failed", Error, "a recording cannot be written", "free disk space and check the folder's permissions";
    SinkConnected = "sink.connected", Info, "a sink reached its system", "";
    SinkDisconnected = "sink.disconnected", Warning, "a sink lost its system; results wait in the spool", "check the system and the network";
    SinkRefused = "sink.refused", Error, "the system refused a result", "see the reason; the result is kept";
    ServerListening = "server.listening", Info, "a server accepts connections", "";
    ServerFailed = "server.failed", Error, "a server cannot run", "check that the address is free and the certificate readable";
    ClientConnected = "server.client_connected", Info, "a client that the OPC UA server connects to uses the connection", "";
    ClientMissing = "server.client_missing", Warning, "the OPC UA server has no connection for a client that it connects to, and tries again", "have the client await the server's reverse connect at the address, or change connect_to of [server.opcua]";
    AccessDenied = "access.denied", Warning, "someone asked for what they may not do", "give the user the role, if it is due";
    AccessFailed = "access.failed", Warning, "someone failed to prove who they are", "";
    ControlCommand = "control.command", Info, "someone gave a command", "";
    ControlRefused = "control.refused", Warning, "a command does not fit the state of what it commands", "see the state; repeat the command when it allows it";
    RequestInvalid = "request.invalid", Warning, "a request is malformed", "see the reason";
    RequestUnknown = "request.unknown", Warning, "a request names something that does not exist", "compare the name with what the server lists";
    RequestTooLarge = "request.too_large", Warning, "a request is larger than allowed", "send smaller batches, or raise the limit";
    RequestTimeout = "request.timeout", Warning, "a request did not arrive in time", "";
    Overloaded = "server.overloaded", Warning, "more requests are under way than the bound allows", "try again later, or raise the bound";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl serde::Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Something that happened and is worth keeping.
#[derive(Clone, PartialEq, Debug, serde::Serialize, schemars::JsonSchema)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// What.
    pub code: Code,
    /// How much it matters; the code's own unless raised or lowered by configuration.
    pub severity: Severity,
    /// What it is about: `source/mill-1`, `deployment/wear`, `sink/mes`.
    pub subject: Arc<str>,
    /// Who caused it.
    pub principal: Principal,
    /// One sentence for people, with the particulars.
    pub message: String,
    /// The particulars for machines.
    #[serde(serialize_with = "as_map")]
    #[schemars(with = "std::collections::BTreeMap<String, Value>")]
    pub detail: Vec<(Cow<'static, str>, Value)>,
}

impl Event {
    /// An event that the product itself caused.
    pub fn new(at: Timestamp, code: Code, subject: &str, message: impl Into<String>) -> Self {
        Self {
            at,
            code,
            severity: code.severity(),
            subject: subject.into(),
            principal: Principal::system(),
            message: message.into(),
            detail: Vec::new(),
        }
    }

    /// The event with who caused it.
    #[must_use]
    pub fn by(mut self, principal: Principal) -> Self {
        self.principal = principal;
        self
    }

    /// The event with one more particular.
    #[must_use]
    pub fn with(mut self, key: impl Into<Cow<'static, str>>, value: Value) -> Self {
        self.detail.push((key.into(), value));
        self
    }
}

/// Where events go. Implementations neither block nor fail: what they cannot keep they count.
pub trait EventSink: Send + Sync + fmt::Debug {
    /// Takes an event.
    fn record(&self, event: Event);
}

fn as_map<S: serde::Serializer>(
    detail: &[(Cow<'static, str>, Value)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(detail.iter().map(|(key, value)| (key, value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_failures_have_a_remedy() {
        for (i, code) in Code::ALL.iter().enumerate() {
            assert!(Code::ALL[i + 1..].iter().all(|other| other.name() != code.name()), "{code}");
            assert!(!code.meaning().is_empty(), "{code}");
            if code.severity() == Severity::Error {
                assert!(!code.remedy().is_empty(), "{code}");
            }
        }
    }
}

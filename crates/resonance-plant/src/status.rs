//! The quality of a value: an OPC UA StatusCode, kept from machine to MES.

use std::fmt;

/// An OPC UA StatusCode (OPC 10000-4, 7.39): severity in the two top bits, a sub-code, and info
/// bits such as Overflow. Observations of every protocol carry one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Status(pub u32);

macro_rules! statuses {
    ($($(#[$doc:meta])* $constant:ident = $code:literal $name:literal;)*) => {
        impl Status {
            $($(#[$doc])* pub const $constant: Self = Self($code);)*
        }

        /// Codes with their names in OPC UA's StatusCode.csv, for those this product sets or expects.
        const NAMES: &[(u32, &str)] = &[$(($code, $name)),*];
    };
}

statuses! {
    /// The value is good.
    GOOD = 0x0000_0000 "Good";
    /// The value has been overridden by an operator.
    GOOD_LOCAL_OVERRIDE = 0x0096_0000 "GoodLocalOverride";
    /// No reason is known why the value is uncertain.
    UNCERTAIN = 0x4000_0000 "Uncertain";
    /// The last value is shown because communication with the source failed.
    UNCERTAIN_NO_COMMUNICATION_LAST_USABLE_VALUE = 0x408F_0000 "UncertainNoCommunicationLastUsableValue";
    /// The last value is shown because the source no longer delivers.
    UNCERTAIN_LAST_USABLE_VALUE = 0x4090_0000 "UncertainLastUsableValue";
    /// A substitute value set by hand or by configuration.
    UNCERTAIN_SUBSTITUTE_VALUE = 0x4091_0000 "UncertainSubstituteValue";
    /// The value stands since start-up and was never confirmed.
    UNCERTAIN_INITIAL_VALUE = 0x4092_0000 "UncertainInitialValue";
    /// The sensor is known to be inaccurate.
    UNCERTAIN_SENSOR_NOT_ACCURATE = 0x4093_0000 "UncertainSensorNotAccurate";
    /// The value is outside the range of its engineering unit.
    UNCERTAIN_ENGINEERING_UNITS_EXCEEDED = 0x4094_0000 "UncertainEngineeringUnitsExceeded";
    /// Fewer good sources than required.
    UNCERTAIN_SUB_NORMAL = 0x4095_0000 "UncertainSubNormal";
    /// No reason is known why the value is bad.
    BAD = 0x8000_0000 "Bad";
    /// Something inside failed.
    BAD_INTERNAL_ERROR = 0x8002_0000 "BadInternalError";
    /// The peer did not answer in time.
    BAD_TIMEOUT = 0x800A_0000 "BadTimeout";
    /// The source has not delivered a value yet.
    BAD_WAITING_FOR_INITIAL_DATA = 0x8032_0000 "BadWaitingForInitialData";
    /// The node does not exist on the server.
    BAD_NODE_ID_UNKNOWN = 0x8034_0000 "BadNodeIdUnknown";
    /// The value cannot be represented.
    BAD_OUT_OF_RANGE = 0x803C_0000 "BadOutOfRange";
    /// The operation is not supported.
    BAD_NOT_SUPPORTED = 0x803D_0000 "BadNotSupported";
    /// The user may not do this.
    BAD_USER_ACCESS_DENIED = 0x801F_0000 "BadUserAccessDenied";
    /// The value has another type than expected.
    BAD_TYPE_MISMATCH = 0x8074_0000 "BadTypeMismatch";
    /// The configuration is wrong.
    BAD_CONFIGURATION_ERROR = 0x8089_0000 "BadConfigurationError";
    /// The source is not connected.
    BAD_NOT_CONNECTED = 0x808A_0000 "BadNotConnected";
    /// The device failed.
    BAD_DEVICE_FAILURE = 0x808B_0000 "BadDeviceFailure";
    /// The sensor failed.
    BAD_SENSOR_FAILURE = 0x808C_0000 "BadSensorFailure";
    /// The source is not operating: warming up or stopped.
    BAD_OUT_OF_SERVICE = 0x808D_0000 "BadOutOfService";
    /// Communication is down and no last value is known.
    BAD_NO_COMMUNICATION = 0x8031_0000 "BadNoCommunication";
    /// There is no data.
    BAD_NO_DATA = 0x809B_0000 "BadNoData";
    /// Data is missing in the range asked for.
    BAD_DATA_LOST = 0x809D_0000 "BadDataLost";
    /// The state does not allow it.
    BAD_INVALID_STATE = 0x80AF_0000 "BadInvalidState";
}

/// InfoType DataValue together with the Overflow bit (OPC 10000-4, 7.39.1).
const OVERFLOW: u32 = 0x0400 | OVERFLOW_BIT;

const OVERFLOW_BIT: u32 = 0x0080;

impl Status {
    /// Severity good.
    pub const fn is_good(self) -> bool {
        self.0 >> 30 == 0
    }

    /// Severity uncertain.
    pub const fn is_uncertain(self) -> bool {
        self.0 >> 30 == 1
    }

    /// Severity bad. The reserved severity 3 counts as bad.
    pub const fn is_bad(self) -> bool {
        self.0 >> 31 == 1
    }

    /// Whether the sender dropped values before this one. Some stacks set the bit and leave the
    /// InfoType at zero, where it can mean nothing else.
    pub const fn has_overflow(self) -> bool {
        self.0 & OVERFLOW_BIT != 0
    }

    /// This status with the Overflow bit set.
    pub const fn with_overflow(self) -> Self {
        Self(self.0 | OVERFLOW)
    }

    /// The code without structure, semantics and info bits.
    pub const fn code(self) -> Self {
        Self(self.0 & 0xFFFF_0000)
    }

    /// The worse of two by severity; the first where severity is equal.
    pub const fn worst(self, other: Self) -> Self {
        if other.severity() > self.severity() { other } else { self }
    }

    /// `good`, `uncertain` or `bad`.
    pub const fn severity_name(self) -> &'static str {
        match self.severity() {
            0 => "good",
            1 => "uncertain",
            _ => "bad",
        }
    }

    /// The standard name of the code, if it is one that this product sets or expects.
    pub fn name(self) -> Option<&'static str> {
        NAMES.iter().find(|(code, _)| *code == self.code().0).map(|(_, name)| *name)
    }

    /// The status with this standard name.
    pub fn from_name(name: &str) -> Option<Self> {
        NAMES.iter().find(|(_, known)| *known == name).map(|(code, _)| Self(*code))
    }

    const fn severity(self) -> u32 {
        let top = self.0 >> 30;
        if top > 2 { 2 } else { top }
    }
}

/// The standard name, or the code in hexadecimal; ` + Overflow` where the bit is set.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name)?,
            None => write!(f, "0x{:08X}", self.code().0)?,
        }
        if self.has_overflow() { f.write_str(" + Overflow") } else { Ok(()) }
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// As `{"code": 2156462080, "name": "BadTypeMismatch"}`, so that no reader needs a table.
impl serde::Serialize for Status {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut out = serializer.serialize_struct("Status", 2)?;
        out.serialize_field("code", &self.0)?;
        out.serialize_field("name", &self.to_string())?;
        out.end()
    }
}

impl<'de> serde::Deserialize<'de> for Status {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        struct Fields {
            code: u32,
        }
        Fields::deserialize(deserializer).map(|fields| Self(fields.code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worst_follows_severity_and_keeps_the_first_reason() {
        assert_eq!(Status::GOOD.worst(Status::UNCERTAIN), Status::UNCERTAIN);
        assert_eq!(Status::BAD_TIMEOUT.worst(Status::BAD_NO_DATA), Status::BAD_TIMEOUT);
        assert_eq!(Status::UNCERTAIN.worst(Status::GOOD), Status::UNCERTAIN);
        assert_eq!(Status::BAD.worst(Status(0xC000_0000)), Status::BAD);
    }

    #[test]
    fn overflow_is_an_info_bit_of_any_code() {
        let status = Status::GOOD.with_overflow();
        assert!(status.is_good() && status.has_overflow());
        assert_eq!(status.to_string(), "Good + Overflow");
        assert!(!Status(0x0400).has_overflow() && Status(0x0080).has_overflow());
    }

    #[test]
    fn names_are_unique() {
        for (i, (code, name)) in NAMES.iter().enumerate() {
            assert!(NAMES[i + 1..].iter().all(|(c, n)| c != code && n != name), "{name}");
        }
    }
}

//! What events can say: the words, or the form, of each type (Part 3).

/// What the observations of an event are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventForm {
    /// One of these words, as all versions from 1.8 to 2.7 together have them.
    Words(&'static [&'static str]),
    /// A number.
    Number,
    /// A whole number.
    Count,
    /// A time.
    Time,
    /// A text, or three numbers, or of a type that is the maker's own.
    Text,
}

/// The form of events of a data item's type.
pub fn event_form(data_item_type: &str) -> EventForm {
    if let Ok(at) = WORDS.binary_search_by(|(known, _)| (*known).cmp(data_item_type)) {
        return WORDS.get(at).map_or(EventForm::Text, |(_, words)| EventForm::Words(words));
    }
    let is = |list: &[&str]| list.binary_search(&data_item_type).is_ok();
    match () {
        () if is(NUMBERS) => EventForm::Number,
        () if is(COUNTS) => EventForm::Count,
        () if data_item_type == "CLOCK_TIME" => EventForm::Time,
        () => EventForm::Text,
    }
}

const NUMBERS: &[&str] = &[
    "AXIS_FEEDRATE_OVERRIDE",
    "DEPTH",
    "HARDNESS",
    "MEASUREMENT_VALUE",
    "PATH_FEEDRATE_OVERRIDE",
    "ROTARY_VELOCITY_OVERRIDE",
    "SWING_ANGLE",
    "SWING_DIAMETER",
    "SWING_RADIUS",
    "THICKNESS",
    "TOOL_OFFSET",
    "UNCERTAINTY",
];

const COUNTS: &[&str] = &[
    "ACTIVATION_COUNT",
    "ASSET_COUNT",
    "BLOCK_COUNT",
    "CYCLE_COUNT",
    "DEACTIVATION_COUNT",
    "LINE_NUMBER",
    "LOAD_COUNT",
    "MATERIAL_LAYER",
    "NETWORK_PORT",
    "PART_COUNT",
    "PART_INDEX",
    "PROGRAM_NEST_LEVEL",
    "TRANSFER_COUNT",
    "UNLOAD_COUNT",
];

const WORDS: &[(&str, &[&str])] = &[
    ("ACTUATOR_STATE", &["ACTIVE", "INACTIVE"]),
    ("AVAILABILITY", &["AVAILABLE"]),
    ("AXIS_COUPLING", &["TANDEM", "SYNCHRONOUS", "MASTER", "SLAVE"]),
    ("AXIS_INTERLOCK", &["ACTIVE", "INACTIVE"]),
    ("AXIS_STATE", &["HOME", "TRAVEL", "PARKED", "STOPPED"]),
    ("BATTERY_STATE", &["CHARGED", "CHARGING", "DISCHARGING", "DISCHARGED"]),
    ("BINDING_STATE", &["INACTIVE", "PREPARING", "COMMITTED"]),
    (
        "CHARACTERISTIC_STATUS",
        &[
            "PASS",
            "FAIL",
            "REWORK",
            "SYSTEM_ERROR",
            "INDETERMINATE",
            "NOT_ANALYZED",
            "BASIC_OR_THEORETIC_EXACT_DIMENSION",
            "UNDEFINED",
        ],
    ),
    ("CHUCK_INTERLOCK", &["ACTIVE", "INACTIVE"]),
    ("CHUCK_STATE", &["OPEN", "CLOSED", "UNLATCHED"]),
    ("CONNECTION_STATUS", &["CLOSED", "LISTEN", "ESTABLISHED"]),
    (
        "CONTROLLER_MODE",
        &["AUTOMATIC", "MANUAL", "MANUAL_DATA_INPUT", "SEMI_AUTOMATIC", "EDIT", "FEED_HOLD"],
    ),
    ("CONTROLLER_MODE_OVERRIDE", &["ON", "OFF"]),
    ("DIRECTION", &["CLOCKWISE", "COUNTER_CLOCKWISE", "POSITIVE", "NEGATIVE"]),
    ("DOOR_STATE", &["OPEN", "CLOSED", "UNLATCHED"]),
    ("EMERGENCY_STOP", &["ARMED", "TRIGGERED"]),
    ("END_OF_BAR", &["YES", "NO"]),
    ("EQUIPMENT_MODE", &["ON", "OFF"]),
    (
        "EXECUTION",
        &[
            "READY",
            "ACTIVE",
            "INTERRUPTED",
            "FEED_HOLD",
            "STOPPED",
            "OPTIONAL_STOP",
            "PROGRAM_STOPPED",
            "PROGRAM_COMPLETED",
            "WAIT",
            "PROGRAM_OPTIONAL_STOP",
        ],
    ),
    ("FUNCTIONAL_MODE", &["PRODUCTION", "SETUP", "TEARDOWN", "MAINTENANCE", "PROCESS_DEVELOPMENT"]),
    ("INTERFACE_STATE", &["ENABLED", "DISABLED"]),
    ("LEAK_DETECT", &["DETECTED", "NOT_DETECTED"]),
    ("LOCK_STATE", &["LOCKED", "UNLOCKED"]),
    ("OPERATING_MODE", &["AUTOMATIC", "MANUAL", "SEMI_AUTOMATIC"]),
    ("PART_COUNT_TYPE", &["EACH", "BATCH"]),
    ("PART_DETECT", &["PRESENT", "NOT_PRESENT"]),
    (
        "PART_PROCESSING_STATE",
        &[
            "NEEDS_PROCESSING",
            "IN_PROCESS",
            "PROCESSING_ENDED",
            "PROCESSING_ENDED_COMPLETE",
            "PROCESSING_ENDED_STOPPED",
            "PROCESSING_ENDED_ABORTED",
            "PROCESSING_ENDED_LOST",
            "PROCESSING_ENDED_SKIPPED",
            "PROCESSING_ENDED_REJECTED",
            "WAITING_FOR_TRANSIT",
            "IN_TRANSIT",
            "TRANSIT_COMPLETE",
        ],
    ),
    ("PART_STATUS", &["PASS", "FAIL"]),
    ("PATH_MODE", &["INDEPENDENT", "MASTER", "SYNCHRONOUS", "MIRROR"]),
    ("POWER_STATE", &["ON", "OFF"]),
    ("POWER_STATUS", &["ON", "OFF"]),
    ("PROCESS_STATE", &["INITIALIZING", "READY", "ACTIVE", "COMPLETE", "INTERRUPTED", "ABORTED"]),
    ("PROGRAM_EDIT", &["ACTIVE", "READY", "NOT_READY"]),
    ("PROGRAM_LOCATION_TYPE", &["LOCAL", "EXTERNAL"]),
    ("ROTARY_MODE", &["SPINDLE", "INDEX", "CONTOUR"]),
    ("SPINDLE_INTERLOCK", &["ACTIVE", "INACTIVE"]),
    ("UNCERTAINTY_TYPE", &["COMBINED", "MEAN"]),
    ("VALVE_STATE", &["OPEN", "OPENING", "CLOSED", "CLOSING"]),
    (
        "WAIT_STATE",
        &[
            "POWERING_UP",
            "POWERING_DOWN",
            "PART_LOAD",
            "PART_UNLOAD",
            "TOOL_LOAD",
            "TOOL_UNLOAD",
            "MATERIAL_LOAD",
            "MATERIAL_UNLOAD",
            "SECONDARY_PROCESS",
            "PAUSING",
            "RESUMING",
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_its_form() {
        assert!(WORDS.is_sorted_by_key(|(name, _)| *name), "the search needs it");
        assert!(NUMBERS.is_sorted() && COUNTS.is_sorted(), "the search needs it");
        let EventForm::Words(words) = event_form("EXECUTION") else { panic!("it has words") };
        assert!(words.contains(&"READY") && words.contains(&"WAIT"));
        assert_eq!(event_form("PART_COUNT"), EventForm::Count);
        assert_eq!(event_form("PATH_FEEDRATE_OVERRIDE"), EventForm::Number);
        assert_eq!(event_form("CLOCK_TIME"), EventForm::Time);
        assert_eq!(event_form("PROGRAM"), EventForm::Text);
        assert_eq!(event_form("x:GRIP"), EventForm::Text);
    }
}

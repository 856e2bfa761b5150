//! From slots of last-value columns to what OPC UA clients read.

use opcua::types::DataValue;
use resonance_plant::last_values::Slot;
use resonance_plant::{DataType, LastValues, PointIndex, Status, ValueKind};

use crate::value;

/// A slot with its times and status, in the type the variable declares. A slot that was never
/// written has no times. A value of another type is not shown: its status turns BadTypeMismatch.
/// Where the status is bad, the value is null (OPC 10000-4, 7.11).
#[inline]
pub(crate) fn slot_value(
    columns: &LastValues,
    point: PointIndex,
    slot: &Slot,
    declared: DataType,
) -> DataValue {
    let variant = match slot.kind {
        ValueKind::Side => columns
            .observation(point)
            .and_then(|observation| value::variant_from_value(&observation.value, declared)),
        kind => value::variant_from_column(kind, slot.value, declared),
    };
    let (variant, status) = match variant {
        None => (None, slot.status.worst(Status::BAD_TYPE_MISMATCH)),
        variant => (variant.filter(|_| !slot.status.is_bad()), slot.status),
    };
    let written = slot.version > 0;
    value::data_value(
        variant,
        status,
        written.then_some(slot.source_time),
        written.then_some(slot.receive_time),
    )
}

#[cfg(test)]
mod tests {
    use opcua::types::{StatusCode, Variant};
    use resonance_plant::Timestamp;

    use super::*;

    #[test]
    fn a_slot_never_written_says_so() {
        let columns = LastValues::new(1);
        let slot = columns.slot(PointIndex(0)).unwrap();
        let value = slot_value(&columns, PointIndex(0), &slot, DataType::Float64);
        assert_eq!(value.status, Some(StatusCode::BadWaitingForInitialData));
        assert_eq!((value.value, value.source_timestamp), (None, None));
    }

    #[test]
    fn a_value_of_another_type_is_bad_and_not_shown() {
        let (columns, point) = (LastValues::new(1), PointIndex(0));
        let now = Timestamp::from_millis(1);
        columns.write(point, ValueKind::Float, 1.5, now, now, Status::GOOD);
        let slot = columns.slot(point).unwrap();
        let value = slot_value(&columns, point, &slot, DataType::Int32);
        assert_eq!(value.status, Some(StatusCode::BadTypeMismatch));
        assert_eq!(value.value, None);
        let value = slot_value(&columns, point, &slot, DataType::Float64);
        assert_eq!(value.value, Some(Variant::Double(1.5)));
        assert_eq!(value.source_timestamp.map(|t| t.ticks()), Some(now.ua_ticks()));
    }
}

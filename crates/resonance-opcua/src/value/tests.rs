use opcua::types::{ExtensionObject, Guid, LocalizedText, NodeId, QualifiedName};

use super::*;

fn check(variant: impl Into<Variant>, declared: DataType, expect: Admitted) {
    assert_eq!(admit(&variant.into(), declared), Ok(expect));
}

fn refuse(variant: impl Into<Variant>, declared: DataType, expect: &str) {
    assert_eq!(admit(&variant.into(), declared).unwrap_err().to_string(), expect);
}

#[test]
fn numbers_are_widened_only_without_loss() {
    check(1.5_f64, DataType::Float64, Admitted::Column(ValueKind::Float, 1.5));
    check(1.5_f32, DataType::Float64, Admitted::Column(ValueKind::Float, 1.5));
    check(-7_i32, DataType::Float64, Admitted::Column(ValueKind::Float, -7.0));
    check(7_u8, DataType::Int64, Admitted::Column(ValueKind::Integer, 7.0));
    check(true, DataType::Boolean, Admitted::Column(ValueKind::Boolean, 1.0));
    check(i64::MIN, DataType::Int64, Admitted::Side(Value::Int(i64::MIN)));
    check(u64::MAX, DataType::Uint64, Admitted::Side(Value::Uint(u64::MAX)));
    refuse(1.5_f64, DataType::Float32, "the machine delivers Double, the point declares float32");
    refuse(7_i32, DataType::Int16, "the machine delivers Int32, the point declares int16");
    refuse(7_i64, DataType::Float64, "the machine delivers Int64, the point declares float64");
    refuse(true, DataType::Float64, "the machine delivers Boolean, the point declares float64");
    refuse("7", DataType::Float64, "the machine delivers String, the point declares float64");
    refuse(7.0, DataType::String, "the machine delivers Double, the point declares string");
}

#[test]
fn what_has_a_text_form_is_text() {
    let text = |text: &str| Admitted::Side(Value::Text(text.into()));
    check("AUTO", DataType::String, text("AUTO"));
    check(LocalizedText::new("de", "Öl"), DataType::String, text("Öl"));
    check(QualifiedName::new(2, "Mode"), DataType::String, text("Mode"));
    check(NodeId::new(2, "Spindle"), DataType::String, text("ns=2;s=Spindle"));
    let guid = "f9e561f3-351c-47a2-b969-b8d6d7226fee";
    let bytes: Guid = guid.parse().unwrap();
    check(bytes, DataType::String, text(guid));
    check(UAString::null(), DataType::String, Admitted::Column(ValueKind::Empty, 0.0));
}

#[test]
fn arrays_of_numbers_are_profiles_and_structures_are_refused_by_name() {
    let profile = |numbers: &[f64]| Admitted::Side(Value::Floats(numbers.into()));
    check(vec![1.0, 2.5], DataType::Float64Array, profile(&[1.0, 2.5]));
    check(vec![1_i64, -2], DataType::Float64Array, profile(&[1.0, -2.0]));
    check(Vec::<f64>::new(), DataType::Float64Array, profile(&[]));
    check(vec![1_u8, 255], DataType::Bytes, Admitted::Side(Value::Bytes([1, 255].into())));
    refuse(
        vec![i64::MAX],
        DataType::Float64Array,
        "the machine delivers Int64[], the point declares float64_array",
    );
    refuse(
        vec![1.0, 2.0],
        DataType::Float64,
        "the machine delivers Double[], the point declares float64",
    );
    let matrix = Array::new_multi(
        VariantScalarTypeId::Int32,
        vec![Variant::Int32(1), Variant::Int32(2)],
        vec![1_u32, 2],
    );
    refuse(
        Variant::Array(Box::new(matrix.unwrap())),
        DataType::Float64Array,
        "the machine delivers Int32[1,2], which no point can carry",
    );
    for declared in DataType::ALL {
        refuse(
            ExtensionObject::null(),
            declared,
            "the machine delivers ExtensionObject, which no point can carry",
        );
        refuse(
            Variant::Variant(Box::new(Variant::Int32(1))),
            declared,
            "the machine delivers Variant, which no point can carry",
        );
        let lists = [
            Variant::from(vec![true, false]),
            Variant::from(vec![UAString::from("a")]),
            Variant::from(Vec::<UAString>::new()),
            Variant::from(vec![timestamp_to_ua(Timestamp::from_millis(1))]),
        ];
        for list in lists {
            let expect =
                format!("the machine delivers {}, which no point can carry", type_name(&list));
            refuse(list, declared, &expect);
        }
    }
    let list = value_from_variant(&Variant::from(vec![true, false])).unwrap();
    assert_eq!(list, Value::List([Value::Boolean(true), Value::Boolean(false)].into()));
}

#[test]
fn times_keep_100_ns_and_null_is_no_time() {
    let time = Timestamp::parse_rfc3339("2026-11-21T08:00:00.1234567Z").unwrap();
    assert_eq!(timestamp_from_ua(&timestamp_to_ua(time)), Some(time));
    assert_eq!(timestamp_from_ua(&DateTime::null()), None);
    assert_eq!(timestamp_from_ua(&DateTime::endtimes()), None);
    for ticks in [i64::MIN, -1, 1, i64::MAX - 1, i64::MAX] {
        assert_eq!(timestamp_from_ua(&DateTime::from(ticks)), None, "{ticks}");
    }
    check(timestamp_to_ua(time), DataType::Datetime, Admitted::Side(Value::Time(time)));
    assert!(timestamp_to_ua(Timestamp::from_nanos(i64::MIN)) < DateTime::ymd(1678, 1, 1));
}

/// Every value that a declared type can carry comes back as it was.
#[test]
fn every_type_round_trips() {
    let samples: [(DataType, Vec<Value>); 15] = [
        (DataType::Boolean, vec![Value::Boolean(true), Value::Boolean(false)]),
        (DataType::Int8, vec![Value::Int(-128), Value::Int(127)]),
        (DataType::Uint8, vec![Value::Int(0), Value::Int(255)]),
        (DataType::Int16, vec![Value::Int(-32_768)]),
        (DataType::Uint16, vec![Value::Int(65_535)]),
        (DataType::Int32, vec![Value::Int(i64::from(i32::MIN))]),
        (DataType::Uint32, vec![Value::Int(i64::from(u32::MAX))]),
        (DataType::Int64, vec![Value::Int(i64::MIN), Value::Int(-1), Value::Int(i64::MAX)]),
        (DataType::Uint64, vec![Value::Int(1), Value::Uint(u64::MAX)]),
        (DataType::Float32, vec![Value::Float(0.5), Value::Float(f64::INFINITY)]),
        (DataType::Float64, vec![Value::Float(0.1), Value::Float(-0.0)]),
        (DataType::String, vec![Value::Text("µm".into()), Value::Text("".into())]),
        (DataType::Datetime, vec![Value::Time(Timestamp::from_millis(1))]),
        (DataType::Bytes, vec![Value::Bytes([0, 255].into()), Value::Bytes([].into())]),
        (DataType::Float64Array, vec![Value::Floats([1.0, f64::MAX].into())]),
    ];
    for (declared, values) in samples {
        for value in values {
            let variant = variant_from_value(&value, declared).expect("the type carries it");
            let back = match admit(&variant, declared).expect("we admit what we send") {
                Admitted::Column(kind, column) => Value::from_compact(kind, column).unwrap(),
                Admitted::Side(value) => value,
            };
            assert_eq!(back, value, "{}", declared.name());
            assert_eq!(
                data_type_from_ua(ua_data_type(declared), declared == DataType::Float64Array),
                Some(declared)
            );
        }
    }
}

#[test]
fn values_of_another_type_are_not_served() {
    assert_eq!(variant_from_value(&Value::Int(256), DataType::Uint8), None);
    assert_eq!(variant_from_value(&Value::Int(-1), DataType::Uint64), None);
    assert_eq!(variant_from_value(&Value::Float(1.0), DataType::Int32), None);
    assert_eq!(variant_from_value(&Value::Text("1".into()), DataType::Float64), None);
    assert_eq!(variant_from_column(ValueKind::Side, 0.0, DataType::Float64), None);
}

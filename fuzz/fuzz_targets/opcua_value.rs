//! A value as a machine sends it: no bytes make the decoder or the conversion panic, and what a
//! point takes can be served again as the type the point declares.
#![no_main]

use libfuzzer_sys::fuzz_target;
use opcua::types::{BinaryDecodable, ContextOwned, DataValue, DecodingOptions, NamespaceMap};
use resonance_opcua::structures::loaders;
use resonance_opcua::value::{
    Admitted, admit, data_type_from_ua, timestamp_from_ua, ua_data_type, value_from_variant,
    variant_from_column, variant_from_value,
};
use resonance_plant::DataType;

fuzz_target!(|data: &[u8]| {
    let context = ContextOwned::new(NamespaceMap::new(), loaders(), DecodingOptions::default());
    let Ok(sent) = DataValue::decode(&mut &*data, &context.context()) else { return };
    for time in [&sent.source_timestamp, &sent.server_timestamp].into_iter().flatten() {
        let _ = timestamp_from_ua(time);
    }
    let Some(variant) = &sent.value else { return };
    let _ = value_from_variant(variant);
    for declared in DataType::ALL {
        let served = match admit(variant, declared) {
            Ok(Admitted::Column(kind, value)) => variant_from_column(kind, value, declared),
            Ok(Admitted::Side(value)) => variant_from_value(&value, declared),
            Err(refused) => {
                assert!(!refused.to_string().is_empty());
                continue;
            }
        };
        assert!(served.is_some(), "{variant:?} was taken as {declared:?} and cannot be served");
        let is_array = declared == DataType::Float64Array;
        assert_eq!(data_type_from_ua(ua_data_type(declared), is_array), Some(declared));
    }
});

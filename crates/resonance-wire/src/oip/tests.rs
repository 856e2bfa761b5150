use proptest::prelude::*;
use resonance_plant::{Dim, ElementType, Signature, Tensor, TensorBuf, TensorSpec};

use super::*;

fn spec(name: &str, element: ElementType, shape: &[Dim]) -> TensorSpec {
    TensorSpec { name: name.into(), element, shape: shape.to_vec() }
}

fn wear() -> Signature {
    use ElementType::{Bytes, Fp32, Int64};
    Signature {
        inputs: vec![spec("x", Fp32, &[Dim::Any, Dim::Fixed(3)]), spec("tag", Bytes, &[Dim::Any])],
        outputs: vec![
            spec("wear", Fp32, &[Dim::Any]),
            spec("class", Int64, &[Dim::Any]),
            spec("half", ElementType::Fp16, &[Dim::Any]),
        ],
    }
}

fn only(element: ElementType, shape: &[Dim]) -> Signature {
    Signature { inputs: vec![spec("x", element, shape)], outputs: vec![spec("y", element, shape)] }
}

fn decode(body: &str, signature: &Signature) -> Result<(Request, TensorBuf), String> {
    let mut inputs = TensorBuf::default();
    decode_request(body.as_bytes(), None, signature, &mut inputs)
        .map(|request| (request, inputs))
        .map_err(|error| error.to_string())
}

fn refused(body: &str, expected: &str) {
    assert_eq!(decode(body, &wear()).expect_err(body), expected);
}

/// A request to `wear` with this text for the input `x`; `tag` is right.
fn with_x(x: &str) -> String {
    format!(r#"{{"inputs":[{x},{{"name":"tag","shape":[1],"datatype":"BYTES","data":["a"]}}]}}"#)
}

#[test]
fn a_request_fills_the_tensors_in_the_signatures_order() {
    let body = r#" {"id" : "42", "parameters" : {"priority": 3}, "future": [{}, [1]],
        "inputs" : [
          { "name" : "tag", "shape" : [ 2 ], "datatype" : "BYTES",
            "data" : [ "Fr\u00e4ser \ud83d\ude00", "" ] },
          { "name" : "x", "data" : [ [ 1, 2.5, -3e-1 ], [ 4, 5, 6 ] ], "shape" : [ 2, 3 ],
            "datatype"  : "FP32" } ],
        "outputs" : [ { "name" : "class" },
          { "name" : "wear", "parameters": { "binary_data": true } } ] } "#;
    let (request, inputs) = decode(body, &wear()).unwrap();
    assert_eq!(request.id.as_deref(), Some("42"));
    let requested = |index, binary| RequestedOutput { index, binary };
    assert_eq!(request.outputs, [requested(1, false), requested(0, true)]);
    assert_eq!(inputs.tensors[0].shape, [2, 3]);
    assert_eq!(inputs.tensors[0].as_slice::<f32>(), [1.0, 2.5, -0.3, 4.0, 5.0, 6.0]);
    assert_eq!(inputs.tensors[1].strings(), ["Fräser 😀".as_bytes(), b""]);
}

#[test]
fn binary_data_follows_the_json() {
    let json = br#"{"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","parameters":{"binary_data_size":12}},{"name":"tag","shape":[2],"datatype":"BYTES","parameters":{"binary_data_size":11}}],"parameters":{"binary_data_output":true}}"#;
    let mut body = json.to_vec();
    // 1.0, -2.0, 0.5 in IEEE 754 single precision, little-endian.
    body.extend_from_slice(&[0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0, 0, 0, 0, 0x3f]);
    // "abc" and "", each after its length.
    body.extend_from_slice(&[3, 0, 0, 0, b'a', b'b', b'c', 0, 0, 0, 0]);
    let mut inputs = TensorBuf::default();
    let request = decode_request(&body, Some(json.len()), &wear(), &mut inputs).unwrap();
    assert!(request.outputs.iter().all(|output| output.binary));
    assert_eq!(inputs.tensors[0].as_slice::<f32>(), [1.0, -2.0, 0.5]);
    assert_eq!(inputs.tensors[1].strings(), [b"abc".as_slice(), b""]);

    let mut check = |length: usize, body: &[u8], expected: &str| {
        let error = decode_request(body, Some(length), &wear(), &mut inputs).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    let n = json.len();
    check(
        n,
        &body[..body.len() - 1],
        "input \"tag\": \"binary_data_size\" is 11, 10 bytes of binary data are left",
    );
    let mut longer = body.clone();
    longer.push(0);
    check(
        n,
        &longer,
        "binary tensor data: 1 bytes follow the data that the inputs' \"binary_data_size\" \
         account for",
    );
    check(
        body.len() + 1,
        &body,
        &format!(
            "binary tensor data: the header Inference-Header-Content-Length says {}, the body \
             has {} bytes",
            body.len() + 1,
            body.len()
        ),
    );
    let mut lying = body.clone();
    lying[n + 12] = 200;
    check(n, &lying, "input \"tag\": element 0 of the binary data claims 200 bytes, 7 are left");
}

#[test]
fn an_answer_has_these_bytes() {
    let signature = wear();
    let outputs = TensorBuf {
        tensors: vec![
            Tensor::from_bytes(ElementType::Fp32, &[2], bytemuck::cast_slice(&[0.1_f32, 1e10]))
                .unwrap(),
            Tensor::from_bytes(ElementType::Int64, &[2], bytemuck::cast_slice(&[7_i64, i64::MIN]))
                .unwrap(),
            Tensor::from_bytes(ElementType::Fp16, &[1], &[0x00, 0x3c]).unwrap(),
        ],
    };
    let requested = |index, binary| RequestedOutput { index, binary };
    let mut request = Request {
        id: Some("a\"b".into()),
        outputs: vec![requested(1, false), requested(0, false)],
    };
    let encode = |request: &Request| {
        let mut out = Vec::new();
        let answer = Answer {
            model_name: "wear",
            model_version: "1",
            request,
            signature: &signature,
            outputs: &outputs,
        };
        encode_response(&answer, &mut out).map(|length| (length, out))
    };
    let (length, out) = encode(&request).unwrap();
    assert_eq!(length, None);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        r#"{"model_name":"wear","model_version":"1","id":"a\"b","outputs":[{"name":"class","datatype":"INT64","shape":[2],"data":[7,-9223372036854775808]},{"name":"wear","datatype":"FP32","shape":[2],"data":[0.1,10000000000.0]}]}"#
    );
    request = Request { id: None, outputs: vec![requested(2, true), requested(1, false)] };
    let (length, out) = encode(&request).unwrap();
    let json = r#"{"model_name":"wear","model_version":"1","outputs":[{"name":"half","datatype":"FP16","shape":[1],"parameters":{"binary_data_size":2}},{"name":"class","datatype":"INT64","shape":[2],"data":[7,-9223372036854775808]}]}"#;
    assert_eq!(length, Some(json.len()));
    assert_eq!(out, [json.as_bytes(), &[0x00, 0x3c]].concat());
    request.outputs = vec![requested(2, false)];
    assert_eq!(
        encode(&request).unwrap_err().to_string(),
        "output \"half\": JSON cannot carry FP16; ask for it with the parameter \
         \"binary_data\": true"
    );
    assert_eq!(encode_error("no \"x\""), br#"{"error":"no \"x\""}"#);
}

#[test]
fn what_json_cannot_carry_is_named() {
    let check = |element, bytes: &[u8], expected: &str| {
        let tensor = Tensor::from_bytes(element, &[1], bytes).unwrap();
        assert_eq!(data::write_json(&tensor, &mut Vec::new()), Err(expected.into()));
    };
    check(ElementType::Fp32, &f32::NAN.to_le_bytes(), "NaN");
    check(ElementType::Fp64, &f64::NEG_INFINITY.to_le_bytes(), "-inf");
    check(ElementType::Bf16, &[0, 0], "BF16");
    let latin1 = Tensor::from_strings(&[1], vec![vec![0xe4]]).unwrap();
    assert_eq!(
        data::write_json(&latin1, &mut Vec::new()),
        Err("element 0, which is not UTF-8".into())
    );
}

#[test]
fn text_that_is_not_utf_8_is_refused_with_its_place() {
    let error = decode_request(b"{\"id\":\"\xe4\"}", None, &wear(), &mut TensorBuf::default());
    let expected = "the request is not valid JSON at byte 7: the text is not UTF-8";
    assert_eq!(error.unwrap_err().to_string(), expected);
}

#[test]
fn malformed_json_is_refused_with_its_place() {
    refused("", "the request is not valid JSON at byte 0: expected an object");
    refused("[1]", "the request is not valid JSON at byte 0: expected an object");
    refused(
        r#"{"id" 1}"#,
        "the request is not valid JSON at byte 6: expected a colon after the key",
    );
    refused(r#"{"a":NaN}"#, "the request is not valid JSON at byte 5: expected a value");
    refused(
        r#"{"a":01}"#,
        "the request is not valid JSON at byte 6: expected a comma or the end of the object",
    );
    refused(r#"{"a":1.}"#, "the request is not valid JSON at byte 7: expected a digit");
    refused(
        r#"{"a":"\ud800x"}"#,
        "the request is not valid JSON at byte 12: a surrogate stands alone",
    );
    refused(
        r#"{"a":[1,]}"#,
        "the request is not valid JSON at byte 8: expected a value after the comma",
    );
    refused(
        r#"{"a":1,}"#,
        "the request is not valid JSON at byte 7: expected a key in quotation marks",
    );
    refused(r#"{"a":"x"#, "the request is not valid JSON at byte 7: the string does not end");
    let deep = format!("{{\"a\":{}", "[".repeat(100_000));
    refused(&deep, "the request nests deeper than 64 levels at byte 69");
    let right = with_x(r#"{"name":"x","shape":[1,3],"datatype":"FP32","data":[1,2,3]}"#);
    assert!(decode(&right, &wear()).is_ok());
    let end = right.len();
    refused(
        &format!("{right}{right}"),
        &format!(
            "the request is not valid JSON at byte {end}: something follows the end of the request"
        ),
    );
}

#[test]
fn wrong_names_types_and_shapes_are_refused_by_name() {
    refused("{}", "\"inputs\" at byte 2: it is missing");
    refused(r#"{"inputs":1}"#, "\"inputs\" at byte 10: it must be an array");
    refused(r#"{"inputs":[]}"#, "input \"x\" is missing; it must be FP32[-1, 3]");
    refused(
        &with_x(r#"{"name":"y","shape":[1,3],"datatype":"FP32","data":[1,2,3]}"#),
        "the model has no input \"y\"; it takes \"x\" FP32[-1, 3], \"tag\" BYTES[-1]",
    );
    refused(
        &with_x(r#"{"name":"x","shape":[1,3],"datatype":"FP64","data":[1,2,3]}"#),
        "input \"x\": it must be FP32[-1, 3], not FP64[1, 3]",
    );
    refused(
        &with_x(r#"{"name":"x","shape":[1,4],"datatype":"FP32","data":[1,2,3,4]}"#),
        "input \"x\": it must be FP32[-1, 3], not FP32[1, 4]",
    );
    refused(
        &with_x(r#"{"name":"x","shape":[3],"datatype":"FP32","data":[1,2,3]}"#),
        "input \"x\": it must be FP32[-1, 3], not FP32[3]",
    );
    refused(
        &with_x(r#"{"name":"x","shape":[-1,3],"datatype":"FP32","data":[1,2,3]}"#),
        "\"shape\" at byte 34: it must be a whole number, not negative, and is -1",
    );
    refused(
        &with_x(r#"{"name":"x","shape":[1,3],"datatype":"float","data":[1,2,3]}"#),
        "\"datatype\" at byte 55: \"float\" is none of BOOL, UINT8, UINT16, UINT32, UINT64, \
         INT8, INT16, INT32, INT64, FP16, BF16, FP32, FP64, BYTES",
    );
    refused(
        &with_x(r#"{"name":"x","shape":[1,3],"datatype":"FP32"}"#),
        "input \"x\": it has neither \"data\" nor the parameter \"binary_data_size\"",
    );
    refused(
        &with_x(
            r#"{"name":"x","shape":[1,3],"datatype":"FP32","parameters":{"binary_data_size":12}}"#,
        ),
        "input \"x\": \"binary_data_size\" needs the header Inference-Header-Content-Length",
    );
    refused(
        &with_x(
            r#"{"name":"x","shape":[1,3],"datatype":"FP32","parameters":{"shared_memory_region":"r"}}"#,
        ),
        "\"parameters\" at byte 92: \"shared_memory_region\": shared memory is not supported; \
         send the data in the request",
    );
    let x = r#"{"name":"x","shape":[1,3],"datatype":"FP32","data":[1,2,3]}"#;
    refused(&with_x(&format!("{x},{x}")), "input \"x\": it is given twice");
    let asking = |outputs: &str| with_x(x).replacen('{', &format!("{{\"outputs\":{outputs},"), 1);
    refused(
        &asking(r#"[{"name":"worn"}]"#),
        "the model has no output \"worn\"; it gives \"wear\" FP32[-1], \"class\" INT64[-1], \
         \"half\" FP16[-1]",
    );
    refused(
        &asking(r#"[{"name":"wear"},{"name":"wear"}]"#),
        "output \"wear\": it is asked for twice",
    );
    assert_eq!(decode(&asking("null"), &wear()).unwrap().0.outputs.len(), 3);
}

#[test]
fn elements_that_do_not_fit_are_refused_by_place() {
    let check = |data: &str, expected: &str| {
        let x = format!(r#"{{"name":"x","shape":[2,3],"datatype":"FP32","data":{data}}}"#);
        refused(&with_x(&x), &format!("input \"x\": {expected}"));
    };
    check("[1,2,3,4,5]", "data has 5 elements, shape [2, 3] needs 6");
    check("[1,2,3,4,5,6,7]", "data has more than the 6 elements of shape [2, 3]");
    check("[1,2,3,4,5,\"6\"]", "element 5 of data is not a number (FP32)");
    check("[1,2,3,4,5,null]", "element 5 of data is not a number (FP32)");
    check("[1,2,3,4,5,1e39]", "element 5 of data is 1e39, not within the range of FP32");
    check("[[1,2,3],[4,5]]", "an array at level 2 of data has 2 elements, shape [2, 3] needs 3");
    check("[[1,2,3]]", "an array at level 1 of data has 1 elements, shape [2, 3] needs 2");
    check(
        "[[1,2,3],[4,5,6],[7,8,9]]",
        "an array at level 1 of data has more than 2 elements, shape [2, 3] needs 2",
    );
    check("[[1,2,3],4]", "data is nested, but not at level 2 of shape [2, 3] (byte 71)");
    check("[[[1]]]", "element 0 of data is not a number (FP32)");
    check("{}", "\"data\" at byte 62 is not an array");
    let bytes = only(ElementType::Uint8, &[Dim::Any]);
    let one = |data: &str| {
        let body = r#"{"inputs":[{"name":"x","shape":[1],"datatype":"UINT8","data":[#]}]}"#;
        decode(&body.replace('#', data), &bytes).map(|(_, inputs)| inputs.tensors[0].bytes()[0])
    };
    assert_eq!((one("255"), one("2.0"), one("1e2")), (Ok(255), Ok(2), Ok(100)));
    for (data, actual) in [("256", "256"), ("-1", "-1"), ("1.5", "1.5")] {
        let expected = format!(
            "input \"x\": element 0 of data is {actual}, not a whole number from 0 to 255 (UINT8)"
        );
        assert_eq!(one(data), Err(expected));
    }
}

#[test]
fn shapes_that_claim_more_than_the_body_get_no_memory() {
    let huge = only(ElementType::Fp64, &[Dim::Any, Dim::Any]);
    for shape in ["[4294967296,4294967296]", "[1000000000000,1]", "[1000000,1000]"] {
        let body = format!(
            r#"{{"inputs":[{{"name":"x","shape":{shape},"datatype":"FP64","data":[1]}}]}}"#
        );
        let error = decode(&body, &huge).unwrap_err();
        assert!(error.starts_with("input \"x\": there is less data than shape"), "{error}");
    }
    let body = r#"{"inputs":[{"name":"x","shape":[0,7],"datatype":"FP64","data":[]}]}"#;
    assert!(decode(body, &huge).unwrap().1.tensors[0].is_empty());
}

#[test]
fn half_precision_comes_in_binary_only() {
    let signature = only(ElementType::Fp16, &[Dim::Fixed(1)]);
    let body = r#"{"inputs":[{"name":"x","shape":[1],"datatype":"FP16","data":[1]}]}"#;
    assert_eq!(
        decode(body, &signature).unwrap_err(),
        "input \"x\": FP16 is taken as binary data only; send it with \"binary_data_size\""
    );
}

#[test]
fn metadata_is_written_as_specified() {
    let signature = only(ElementType::Fp32, &[Dim::Any, Dim::Fixed(4)]);
    let metadata = ModelMetadata::onnx("wear", &["1"], &signature, "simulated");
    assert_eq!(
        serde_json::to_string(&metadata).unwrap(),
        r#"{"name":"wear","versions":["1"],"platform":"onnx_onnxv1","inputs":[{"name":"x","datatype":"FP32","shape":[-1,4]}],"outputs":[{"name":"y","datatype":"FP32","shape":[-1,4]}],"parameters":{"trained_on":"simulated"}}"#
    );
    assert_eq!(
        serde_json::to_string(&Ready::new(false)).unwrap(),
        r#"{"live":false,"ready":false}"#
    );
}

/// A tensor of any type and a small shape with any contents that JSON can carry, and whether to
/// send it in binary.
fn tensors() -> impl Strategy<Value = (Tensor, bool)> {
    let element = prop::sample::select(ElementType::ALL.to_vec());
    let shape = prop::collection::vec(0_usize..4, 0..4);
    (element, shape, any::<u64>(), any::<bool>()).prop_map(|(element, shape, seed, binary)| {
        let mut tensor = Tensor::zeros(element, &shape).unwrap();
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state ^ (state >> 29)
        };
        tensor.bytes_mut().iter_mut().for_each(|byte| *byte = next().to_le_bytes()[5]);
        tensor.strings_mut().iter_mut().for_each(|text| {
            let length = next() % 9;
            let characters = (0..length).filter_map(|_| char::from_u32(next() as u32 % 0x3000));
            *text = characters.collect::<String>().into_bytes();
        });
        for x in tensor.as_mut_slice::<u8>().iter_mut().filter(|_| element == ElementType::Bool) {
            *x &= 1;
        }
        if element == ElementType::Fp32 {
            tensor
                .as_mut_slice::<f32>()
                .iter_mut()
                .filter(|x| !x.is_finite())
                .for_each(|x| *x = 1.5);
        }
        if element == ElementType::Fp64 {
            tensor
                .as_mut_slice::<f64>()
                .iter_mut()
                .filter(|x| !x.is_finite())
                .for_each(|x| *x = 1.5);
        }
        let half = matches!(element, ElementType::Fp16 | ElementType::Bf16);
        (tensor, binary || half)
    })
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded((tensor, binary) in tensors(), id in ".{0,12}") {
        let dims: Vec<Dim> = tensor.shape.iter().map(|_| Dim::Any).collect();
        let signature = only(tensor.element, &dims);
        let (body, length) = encode_request(Some(&id), &[("x", &tensor)], binary).unwrap();
        let mut inputs = TensorBuf::default();
        let request = decode_request(&body, length, &signature, &mut inputs).unwrap();
        prop_assert_eq!(&inputs.tensors[0], &tensor);
        prop_assert_eq!(request.id.as_ref(), Some(&id));

        let mut out = Vec::new();
        let answer = Answer {
            model_name: "m", model_version: "1", request: &request, signature: &signature,
            outputs: &inputs,
        };
        let length = encode_response(&answer, &mut out).unwrap();
        let json: serde_json::Value =
            serde_json::from_slice(&out[..length.unwrap_or(out.len())]).unwrap();
        prop_assert_eq!(&json["id"], &serde_json::Value::String(id));
        prop_assert_eq!(&json["outputs"][0]["datatype"], tensor.element.name());
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(
        mut body in prop::collection::vec(any::<u8>(), 0..200),
        at in 0_usize..300,
        length in prop::option::of(0_usize..300),
    ) {
        let mut inputs = TensorBuf::default();
        let _ = decode_request(&body, length, &wear(), &mut inputs);
        // The same bytes in the middle of a request that is right.
        let right = with_x(r#"{"name":"x","shape":[1,3],"datatype":"FP32","data":[1,2,3]}"#);
        let at = at.min(right.len());
        body.truncate(4);
        let bent = [&right.as_bytes()[..at], &body, &right.as_bytes()[at..]].concat();
        let _ = decode_request(&bent, length, &wear(), &mut inputs);
        let _ = decode_request(&bent[..at], None, &wear(), &mut inputs);
    }
}

//! Small ONNX files for tests, written field by field.

/// A varint field.
pub(crate) fn int(number: u64, value: i64) -> Vec<u8> {
    let mut bytes = varint(number << 3);
    bytes.extend(varint(value as u64));
    bytes
}

/// A text, bytes or message field.
pub(crate) fn bytes(number: u64, value: impl AsRef<[u8]>) -> Vec<u8> {
    let mut bytes = varint(number << 3 | 2);
    bytes.extend(varint(value.as_ref().len() as u64));
    bytes.extend(value.as_ref());
    bytes
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// A model of IR version 8, operator set 18, with these fields of its graph.
pub(crate) fn model(graph: &[Vec<u8>]) -> Vec<u8> {
    model_with(graph, &[])
}

/// As [`model`], with further fields of the model.
pub(crate) fn model_with(graph: &[Vec<u8>], more: &[Vec<u8>]) -> Vec<u8> {
    let mut fields = vec![bytes(2, "g")];
    fields.extend_from_slice(graph);
    [
        int(1, 8),
        bytes(2, "sample"),
        bytes(8, [bytes(1, ""), int(2, 18)].concat()),
        bytes(7, fields.concat()),
        more.concat(),
    ]
    .concat()
}

/// An operator set of a domain.
pub(crate) fn opset(domain: &str, version: i64) -> Vec<u8> {
    bytes(8, [bytes(1, domain), int(2, version)].concat())
}

/// A node of the default domain.
pub(crate) fn node(operator: &str, inputs: &[&str], outputs: &[&str]) -> Vec<u8> {
    node_of("", operator, inputs, outputs)
}

/// A node of a domain.
pub(crate) fn node_of(domain: &str, operator: &str, inputs: &[&str], outputs: &[&str]) -> Vec<u8> {
    let mut fields: Vec<Vec<u8>> = inputs.iter().map(|name| bytes(1, name)).collect();
    fields.extend(outputs.iter().map(|name| bytes(2, name)));
    fields.push(bytes(4, operator));
    fields.push(bytes(7, domain));
    bytes(1, fields.concat())
}

/// An FP32 weight.
pub(crate) fn weight(name: &str, dims: &[i64], data: &[f32]) -> Vec<u8> {
    let mut fields: Vec<Vec<u8>> = dims.iter().map(|dim| int(1, *dim)).collect();
    fields.extend([int(2, 1), bytes(8, name), bytes(9, bytemuck::cast_slice::<f32, u8>(data))]);
    bytes(5, fields.concat())
}

/// A weight kept in another file.
pub(crate) fn external(name: &str, location: &str) -> Vec<u8> {
    external_at(name, &[("location", location)])
}

/// As [`external`], with these external_data entries; one FP32 number.
pub(crate) fn external_at(name: &str, entries: &[(&str, &str)]) -> Vec<u8> {
    let entry = |(key, value): &(&str, &str)| bytes(13, [bytes(1, key), bytes(2, value)].concat());
    let entries: Vec<u8> = entries.iter().flat_map(entry).collect();
    bytes(5, [int(1, 1), int(2, 1), bytes(8, name), entries, int(14, 1)].concat())
}

/// An input of this element type (by its number) and shape.
pub(crate) fn input(name: &str, element: i64, dims: &[i64]) -> Vec<u8> {
    bytes(11, value(name, element, dims))
}

/// As [`input`], for an output.
pub(crate) fn output(name: &str, element: i64, dims: &[i64]) -> Vec<u8> {
    bytes(12, value(name, element, dims))
}

fn value(name: &str, element: i64, dims: &[i64]) -> Vec<u8> {
    let dim = |dim: &i64| bytes(1, if *dim < 0 { bytes(2, "N") } else { int(1, *dim) });
    let shape: Vec<Vec<u8>> = dims.iter().map(dim).collect();
    let tensor = [int(1, element), bytes(2, shape.concat())].concat();
    [bytes(1, name), bytes(2, bytes(1, tensor))].concat()
}

/// y = x * w + b for rows of `inputs` numbers, all weights one and all offsets zero.
pub(crate) fn sum(inputs: usize) -> Vec<u8> {
    model(&[
        node("Gemm", &["x", "w", "b"], &["y"]),
        weight("w", &[inputs as i64, 1], &vec![1.0; inputs]),
        weight("b", &[1], &[0.0]),
        input("x", 1, &[-1, inputs as i64]),
        output("y", 1, &[-1, 1]),
    ])
}

//! Small packages for the tests of engines.

use std::fs;

use resonance_proof::PackageLimits;
use tempfile::TempDir;

use crate::onnx::sample;
use crate::package::{self, VerifiedModel};

/// A package of one input `x` and one output `y`, with one golden vector.
pub(crate) fn packed(
    onnx: &[u8],
    x: (&str, &str),
    y: (&str, &str),
    vector: (&str, &str),
) -> VerifiedModel {
    packed_with(onnx, x, y, vector, &[])
}

/// As [`packed`], with further files that the package lists.
pub(crate) fn packed_with(
    onnx: &[u8],
    x: (&str, &str),
    y: (&str, &str),
    vector: (&str, &str),
    more: &[(&str, &[u8])],
) -> VerifiedModel {
    let folder: TempDir = tempfile::tempdir().unwrap();
    let spec = |name, (element, shape): (&str, &str)| {
        format!("name = '{name}'\nelement = '{element}'\nshape = {shape}\n")
    };
    let manifest = format!(
        "format = 1\nname = 'm'\nversion = '1'\ncategory = 'soft_sensor'\nmodel = 'm.onnx'\n\
         [training]\ndata = 'none'\n[[input]]\n{}[[output]]\n{}",
        spec("x", x),
        spec("y", y)
    );
    let tensor = |name, (element, _): (&str, &str), data: &str| {
        let data: serde_json::Value = serde_json::from_str(data).unwrap();
        let rows = data.as_array().unwrap();
        let inner = rows[0].as_array().map(Vec::len);
        let shape: Vec<usize> = std::iter::once(rows.len()).chain(inner).collect();
        serde_json::json!({"name": name, "datatype": element, "shape": shape, "data": data})
    };
    let golden = serde_json::json!({"vectors": [{
        "inputs": [tensor("x", x, vector.0)],
        "outputs": [tensor("y", y, vector.1)],
    }]});
    fs::write(folder.path().join("m.onnx"), onnx).unwrap();
    fs::write(folder.path().join("model.toml"), manifest).unwrap();
    fs::write(folder.path().join("golden.json"), golden.to_string()).unwrap();
    let names: Vec<String> = more.iter().map(|(name, _)| (*name).to_owned()).collect();
    for (name, content) in more {
        fs::write(folder.path().join(name), content).unwrap();
    }
    package::pack(folder.path(), &names, &PackageLimits::default()).unwrap().model
}

/// A package whose model adds up rows of this many numbers.
pub(crate) fn sum_of(inputs: usize) -> VerifiedModel {
    let row: Vec<f64> = (0..inputs).map(|at| at as f64).collect();
    let total = [[row.iter().sum::<f64>()]];
    let (row, total) =
        (serde_json::to_string(&[row]).unwrap(), serde_json::to_string(&total).unwrap());
    let shape = format!("[-1, {inputs}]");
    packed(&sample::sum(inputs), ("FP32", &shape), ("FP32", "[-1, 1]"), (&row, &total))
}

//! What the server and its models are, in gRPC's messages.

use resonance_plant::{Dim, TensorSpec};
use resonance_wire::oip::grpc;
use resonance_wire::oip::grpc::model_metadata_response::TensorMetadata;
use resonance_wire::oip::grpc::repository_index_response::ModelIndex;

use crate::models::{ModelFigures, ServedModel, Spent};

pub(super) fn model(model: &ServedModel) -> grpc::ModelMetadataResponse {
    let signature = model.signature();
    grpc::ModelMetadataResponse {
        name: model.used.name.to_string(),
        versions: vec![model.used.version.to_string()],
        platform: "onnx_onnxv1".to_owned(),
        inputs: signature.inputs.iter().map(tensor).collect(),
        outputs: signature.outputs.iter().map(tensor).collect(),
        properties: [("trained_on".to_owned(), model.used.trained_on.to_string())].into(),
    }
}

fn tensor(spec: &TensorSpec) -> TensorMetadata {
    let dim = |dim: &Dim| match dim {
        Dim::Fixed(size) => i64::try_from(*size).unwrap_or(i64::MAX),
        Dim::Any => -1,
    };
    TensorMetadata {
        name: spec.name.to_string(),
        datatype: spec.element.name().to_owned(),
        shape: spec.shape.iter().map(dim).collect(),
    }
}

pub(super) fn index(model: &ServedModel) -> ModelIndex {
    let (state, reason) = model.standing();
    ModelIndex {
        name: model.used.name.to_string(),
        version: model.used.version.to_string(),
        state: state.to_owned(),
        reason,
    }
}

pub(super) fn statistics(model: &ServedModel) -> grpc::ModelStatistics {
    let ModelFigures { last_inference, inference_count, execution_count, inference_stats } =
        model.statistics.read();
    let spent = |spent: Spent| Some(grpc::StatisticDuration { count: spent.count, ns: spent.ns });
    grpc::ModelStatistics {
        name: model.used.name.to_string(),
        version: model.used.version.to_string(),
        last_inference,
        inference_count,
        execution_count,
        inference_stats: Some(grpc::InferStatistics {
            success: spent(inference_stats.success),
            fail: spent(inference_stats.fail),
            queue: spent(inference_stats.queue),
            compute_input: spent(inference_stats.compute_input),
            compute_infer: spent(inference_stats.compute_infer),
            compute_output: spent(inference_stats.compute_output),
        }),
    }
}

#[cfg(test)]
mod tests {
    use crate::deployments::tests::{package, served};

    #[test]
    fn a_model_says_what_it_was_trained_on() {
        let told = super::model(&served(&package("sums"), &Default::default()));
        assert_eq!((told.name.as_str(), told.properties["trained_on"].as_str()), ("sums", "none"));
    }
}

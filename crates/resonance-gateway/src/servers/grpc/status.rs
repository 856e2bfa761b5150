//! Refusals as gRPC says them: a status for programs, the sentence that HTTP gives too, and the
//! code of the one closed list.

use axum::http::StatusCode;
use resonance_plant::Code;
use tonic::metadata::MetadataValue;
use tonic::{Code as Grpc, Status};

use crate::servers::http::refusal::Refusal;

/// The metadata key under which every refusal carries its code, such as `request.invalid`.
pub(super) const CODE: &str = "resonance-code";

/// The status for a refusal.
pub(super) fn of(refusal: &Refusal) -> Status {
    let mut status = Status::new(kind(refusal.status), refusal.detail.clone());
    status.metadata_mut().insert(CODE, MetadataValue::from_static(refusal.code.name()));
    status
}

const fn kind(status: StatusCode) -> Grpc {
    match status {
        StatusCode::BAD_REQUEST => Grpc::InvalidArgument,
        StatusCode::UNAUTHORIZED => Grpc::Unauthenticated,
        StatusCode::FORBIDDEN => Grpc::PermissionDenied,
        StatusCode::NOT_FOUND => Grpc::NotFound,
        StatusCode::REQUEST_TIMEOUT => Grpc::DeadlineExceeded,
        StatusCode::CONFLICT => Grpc::FailedPrecondition,
        StatusCode::PAYLOAD_TOO_LARGE | StatusCode::TOO_MANY_REQUESTS => Grpc::ResourceExhausted,
        StatusCode::UNSUPPORTED_MEDIA_TYPE | StatusCode::METHOD_NOT_ALLOWED => Grpc::Unimplemented,
        StatusCode::SERVICE_UNAVAILABLE => Grpc::Unavailable,
        _ => Grpc::Internal,
    }
}

/// The code that a status carries.
pub(super) fn code(text: &[u8]) -> Option<Code> {
    Code::ALL.iter().copied().find(|code| code.name().as_bytes() == text)
}

//! The calls.

use std::sync::Arc;

use resonance_plant::{Principal, Signature, TensorBuf};
use resonance_wire::oip::{self, Answer, RequestError, ResponseError, grpc};
use tonic::{Request, Response, Status};

use super::{metadata, status};
use crate::inference_service::grpc_inference_service_server::{
    GrpcInferenceService, GrpcInferenceServiceServer,
};
use crate::models::{ModelCommand, ModelState, ServedModel};
use crate::servers::http::lane::Lane;
use crate::servers::http::metadata::{EXTENSIONS, find};
use crate::servers::http::refusal::Refusal;
use crate::servers::http::repository;
use crate::servers::http::run::{self, Form};
use crate::servers::http::shared::Shared;
use crate::servers::http::threads::Load;

/// What answers calls.
#[derive(Clone)]
pub(in crate::servers) struct Calls(GrpcInferenceServiceServer<Service>);

impl Calls {
    pub(in crate::servers) fn new(shared: Arc<Shared>) -> Self {
        let limit = shared.plan.body_bytes_max;
        let service = GrpcInferenceServiceServer::new(Service(shared));
        // Bodies are bounded before they come here; the layer's own bound is lower by default.
        Self(service.max_decoding_message_size(limit))
    }

    pub(super) fn service(&mut self) -> &mut GrpcInferenceServiceServer<Service> {
        &mut self.0
    }
}

pub(super) struct Service(Arc<Shared>);

impl Service {
    /// The model with this name; an empty version is whichever is served.
    fn find(&self, model: &str, version: &str) -> Result<&Arc<Lane>, Status> {
        let version = Some(version).filter(|version| !version.is_empty());
        find(&self.0, model, version).map_err(|refusal| status::of(&refusal))
    }

    /// Every model's view, or that of the one asked for.
    fn views<T>(
        &self,
        model: &str,
        version: &str,
        view: impl Fn(&ServedModel) -> T,
    ) -> Result<Vec<T>, Status> {
        if model.is_empty() {
            return Ok(self.0.lanes.values().map(|lane| view(&lane.model)).collect());
        }
        Ok(vec![view(&self.find(model, version)?.model)])
    }

    async fn command<T>(
        &self,
        request: &Request<T>,
        repository: &str,
        model: &str,
        command: ModelCommand,
    ) -> Result<(), Status> {
        only_repository(repository)?;
        // The gate sets it for every call.
        let principal = request.extensions().get::<Principal>().cloned();
        let principal = principal.ok_or_else(|| Status::unauthenticated("nobody asks"))?;
        let done = repository::command(&self.0, model, command, principal).await;
        done.map_err(|refusal| status::of(&refusal))
    }
}

/// There is one repository, without a name.
fn only_repository(name: &str) -> Result<(), Status> {
    if name.is_empty() {
        return Ok(());
    }
    let detail = "there is one repository, and its name is empty; leave repository_name out";
    Err(status::of(&Refusal::unknown(detail)))
}

/// A request that came as a gRPC message.
struct Message {
    request: grpc::ModelInferRequest,
    bytes: usize,
}

impl Form for Message {
    type Answer = grpc::ModelInferResponse;

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn decode(
        &self,
        signature: &Signature,
        inputs: &mut TensorBuf,
    ) -> Result<oip::Request, RequestError> {
        grpc::decode_infer(&self.request, signature, inputs)
    }

    fn encode(answer: &Answer<'_>) -> Result<Self::Answer, ResponseError> {
        Ok(grpc::encode_infer(answer))
    }
}

#[tonic::async_trait]
impl GrpcInferenceService for Service {
    async fn server_live(
        &self,
        _: Request<grpc::ServerLiveRequest>,
    ) -> Result<Response<grpc::ServerLiveResponse>, Status> {
        Ok(Response::new(grpc::ServerLiveResponse { live: true }))
    }

    async fn server_ready(
        &self,
        _: Request<grpc::ServerReadyRequest>,
    ) -> Result<Response<grpc::ServerReadyResponse>, Status> {
        let ready = crate::servers::http::metadata::all_ready(&self.0);
        Ok(Response::new(grpc::ServerReadyResponse { ready }))
    }

    async fn model_ready(
        &self,
        request: Request<grpc::ModelReadyRequest>,
    ) -> Result<Response<grpc::ModelReadyResponse>, Status> {
        let grpc::ModelReadyRequest { name, version } = request.into_inner();
        let ready = self.find(&name, &version)?.model.state() == ModelState::Ready;
        Ok(Response::new(grpc::ModelReadyResponse { ready }))
    }

    async fn server_metadata(
        &self,
        _: Request<grpc::ServerMetadataRequest>,
    ) -> Result<Response<grpc::ServerMetadataResponse>, Status> {
        Ok(Response::new(grpc::ServerMetadataResponse {
            name: "resonance".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            extensions: EXTENSIONS.iter().map(|extension| (*extension).to_owned()).collect(),
        }))
    }

    async fn model_metadata(
        &self,
        request: Request<grpc::ModelMetadataRequest>,
    ) -> Result<Response<grpc::ModelMetadataResponse>, Status> {
        let grpc::ModelMetadataRequest { name, version } = request.into_inner();
        Ok(Response::new(metadata::model(&self.find(&name, &version)?.model)))
    }

    async fn model_infer(
        &self,
        request: Request<grpc::ModelInferRequest>,
    ) -> Result<Response<grpc::ModelInferResponse>, Status> {
        let load = request.extensions().get::<Arc<Load>>().map(Arc::clone);
        let request = request.into_inner();
        let lane = self.find(&request.model_name, &request.model_version)?;
        let message = Message { bytes: prost::Message::encoded_len(&request), request };
        let answer = run::infer(&self.0, lane, load.as_deref(), message).await;
        answer.map(Response::new).map_err(|refusal| status::of(&refusal))
    }

    async fn model_statistics(
        &self,
        request: Request<grpc::ModelStatisticsRequest>,
    ) -> Result<Response<grpc::ModelStatisticsResponse>, Status> {
        let grpc::ModelStatisticsRequest { name, version } = request.into_inner();
        let model_stats = self.views(&name, &version, metadata::statistics)?;
        Ok(Response::new(grpc::ModelStatisticsResponse { model_stats }))
    }

    async fn repository_index(
        &self,
        request: Request<grpc::RepositoryIndexRequest>,
    ) -> Result<Response<grpc::RepositoryIndexResponse>, Status> {
        let grpc::RepositoryIndexRequest { repository_name, ready } = request.into_inner();
        only_repository(&repository_name)?;
        let models = self.0.lanes.values().map(|lane| &lane.model);
        let models = models.filter(|model| !ready || model.state() == ModelState::Ready);
        let models = models.map(|model| metadata::index(model)).collect();
        Ok(Response::new(grpc::RepositoryIndexResponse { models }))
    }

    async fn repository_model_load(
        &self,
        request: Request<grpc::RepositoryModelLoadRequest>,
    ) -> Result<Response<grpc::RepositoryModelLoadResponse>, Status> {
        let asked = request.get_ref();
        repository::no_parameters(asked.parameters.keys().map(String::as_str))
            .map_err(|refusal| status::of(&refusal))?;
        let (repository, model) = (&asked.repository_name, &asked.model_name);
        self.command(&request, repository, model, ModelCommand::Load).await?;
        Ok(Response::new(grpc::RepositoryModelLoadResponse {}))
    }

    async fn repository_model_unload(
        &self,
        request: Request<grpc::RepositoryModelUnloadRequest>,
    ) -> Result<Response<grpc::RepositoryModelUnloadResponse>, Status> {
        let asked = request.get_ref();
        let (repository, model) = (&asked.repository_name, &asked.model_name);
        self.command(&request, repository, model, ModelCommand::Unload).await?;
        Ok(Response::new(grpc::RepositoryModelUnloadResponse {}))
    }
}

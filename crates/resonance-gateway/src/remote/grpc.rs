//! The protocol over gRPC: one HTTP/2 connection, made anew when it is gone.

use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use resonance_plant::{Signature, Tensor, TensorBuf};
use resonance_wire::oip::grpc::{
    ModelInferResponse, ModelMetadataRequest, ModelReadyRequest, decode_answer, encode_ask,
};
use tonic::body::Body;
use tonic::{Request, Response, Status};
use tower::Service;

use super::RemoteError;
use super::rest::ANSWER_BYTES_MAX;
use super::served::Served;
use super::target::{Target, told};
use crate::inference_service::grpc_inference_service_client::GrpcInferenceServiceClient;

type Client = GrpcInferenceServiceClient<Http2>;

/// A server asked over gRPC.
#[derive(Debug)]
pub(super) struct Grpc {
    target: Target,
    kept: Mutex<Option<SendRequest<Body>>>,
}

/// What tonic sends requests through.
#[derive(Clone)]
struct Http2(SendRequest<Body>);

impl Service<hyper::Request<Body>> for Http2 {
    type Response = hyper::Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: hyper::Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

impl Grpc {
    pub(super) fn new(target: Target) -> Self {
        Self { target, kept: Mutex::default() }
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    fn version(&self) -> String {
        self.target.version.clone().unwrap_or_default()
    }

    /// Asks whether the model is ready.
    pub(super) async fn ready(&self) -> Result<(), RemoteError> {
        let (name, version) = (self.target.model.clone(), self.version());
        let asked = self.ask(ModelReadyRequest { name, version })?;
        let answered = self.client().await?.model_ready(asked).await;
        let answered = answered.map_err(|status| self.refused(&status))?;
        if answered.into_inner().ready { Ok(()) } else { Err(self.target.not_ready()) }
    }

    /// Asks what the model's tensors are.
    pub(super) async fn metadata(&self) -> Result<Served, RemoteError> {
        let (name, version) = (self.target.model.clone(), self.version());
        let asked = self.ask(ModelMetadataRequest { name, version })?;
        let answered = self.client().await?.model_metadata(asked).await;
        let answered = answered.map_err(|status| self.refused(&status))?;
        Served::of_message(answered.into_inner())
            .map_err(|problem| self.target.contradiction(problem))
    }

    /// Asks for an inference.
    pub(super) async fn infer(
        &self,
        signature: &Signature,
        inputs: &[(&str, &Tensor)],
        outputs: &mut TensorBuf,
    ) -> Result<(), RemoteError> {
        let request = encode_ask(&self.target.model, &self.version(), inputs);
        let asked = self.ask(request)?;
        let answered = self.client().await?.model_infer(asked).await;
        let answered: Response<ModelInferResponse> =
            answered.map_err(|status| self.refused(&status))?;
        decode_answer(answered.into_inner(), signature, outputs)
            .map_err(|error| RemoteError::answer(&self.target.shown, &error))
    }

    fn ask<T>(&self, message: T) -> Result<Request<T>, RemoteError> {
        let mut request = Request::new(message);
        request.set_timeout(self.target.timeout);
        if let Some(authorization) = &self.target.authorization {
            // It was a header's value before, so it is one of ASCII.
            let unfit = |_| RemoteError::Request("the credentials are not ASCII".into());
            let mut value: tonic::metadata::MetadataValue<tonic::metadata::Ascii> =
                authorization.as_bytes().try_into().map_err(unfit)?;
            value.set_sensitive(true);
            request.metadata_mut().insert("authorization", value);
        }
        Ok(request)
    }

    async fn client(&self) -> Result<Client, RemoteError> {
        let kept = self.kept.lock().clone().filter(|sender| !sender.is_closed());
        let sender = match kept {
            Some(sender) => sender,
            None => {
                let stream = TokioIo::new(self.target.connect().await?);
                let greeted = handshake(TokioExecutor::new(), stream).await;
                let (sender, connection) =
                    greeted.map_err(|error| self.target.unreachable(&error))?;
                // It ends when the last sender is dropped or the peer closes.
                tokio::spawn(connection);
                *self.kept.lock() = Some(sender.clone());
                sender
            }
        };
        let client = Client::with_origin(Http2(sender), self.target.origin.uri.clone());
        Ok(client.max_decoding_message_size(ANSWER_BYTES_MAX))
    }

    /// Lets the connection go, which might be stuck.
    pub(super) fn disconnect(&self) {
        *self.kept.lock() = None;
    }

    fn refused(&self, status: &Status) -> RemoteError {
        if let Some(error) = std::error::Error::source(status) {
            return self.target.unreachable(error);
        }
        RemoteError::Refused {
            server: self.target.shown.clone(),
            status: format!("{:?}", status.code()),
            message: told(status.message()),
        }
    }
}

//! The service calls of a live session, each with its time limit.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use opcua::client::AsyncSecureChannel;
use opcua::client::transport::{SecureChannelEventLoop, Transport, TransportPollResult};
use opcua::core::{RequestMessage, ResponseMessage};
use opcua::types::{
    AttributeId, BrowseDescription, BrowseNextRequest, BrowseRequest, BrowseResult, ByteString,
    CloseSessionRequest, CreateMonitoredItemsRequest, CreateSubscriptionRequest,
    CreateSubscriptionResponse, DataValue, DateTime, DeleteMonitoredItemsRequest, DiagnosticBits,
    Error, ExtensionObject, HistoryReadRequest, HistoryReadResult, HistoryReadValueId,
    MonitoredItemCreateRequest, MonitoredItemCreateResult, NodeId, NotificationMessage,
    PublishRequest, PublishResponse, ReadRawModifiedDetails, ReadRequest, ReadValueId,
    RepublishRequest, RequestHeader, ResponseHeader, StatusCode, SubscriptionAcknowledgement,
    TimestampsToReturn, ViewDescription,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The task that moves a channel's bytes; ends when dropped.
#[derive(Debug)]
pub(super) struct Running {
    task: JoinHandle<()>,
    closed: watch::Receiver<Option<StatusCode>>,
}

impl Running {
    pub(super) fn start<T>(mut event_loop: SecureChannelEventLoop<T>) -> Self
    where
        T: Transport + Send + Sync + 'static,
    {
        let (ended, closed) = watch::channel(None);
        let task = tokio::spawn(async move {
            loop {
                if let TransportPollResult::Closed(status) = event_loop.poll().await {
                    ended.send_replace(Some(status));
                    return;
                }
            }
        });
        Self { task, closed }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An activated session over an open channel.
pub(super) struct Live {
    channel: Arc<AsyncSecureChannel>,
    token: NodeId,
    timeout: Duration,
    handle: AtomicU32,
    running: Running,
}

/// Request handles below were used to make the session.
const FIRST_HANDLE: u32 = 16;

/// A request header (OPC 10000-4, 7.33) with a new time.
pub(super) fn request_header(token: &NodeId, handle: u32, timeout: Duration) -> RequestHeader {
    RequestHeader {
        authentication_token: token.clone(),
        timestamp: DateTime::now(),
        request_handle: handle,
        return_diagnostics: DiagnosticBits::empty(),
        timeout_hint: u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX),
        ..RequestHeader::default()
    }
}

/// Takes the one kind of response a request may have.
macro_rules! expect {
    ($response:expr, $kind:ident) => {
        match $response {
            ResponseMessage::$kind(response) => {
                good(&response.response_header)?;
                *response
            }
            other => return Err(unexpected(&other)),
        }
    };
}

fn good(header: &ResponseHeader) -> Result<(), Error> {
    match header.service_result {
        bad if bad.is_bad() => Err(Error::new(bad, "the machine refuses the request")),
        _ => Ok(()),
    }
}

fn unexpected(response: &ResponseMessage) -> Error {
    match response {
        ResponseMessage::ServiceFault(fault) => {
            Error::new(fault.response_header.service_result, "the machine refuses the request")
        }
        other => Error::new(
            StatusCode::BadUnknownResponse,
            format!("the machine answers with {}", other.type_name()),
        ),
    }
}

impl Live {
    pub(super) fn new(
        channel: Arc<AsyncSecureChannel>,
        token: NodeId,
        timeout: Duration,
        running: Running,
    ) -> Self {
        Self { channel, token, timeout, handle: AtomicU32::new(FIRST_HANDLE), running }
    }

    /// Ends when the connection does, with why.
    pub(super) async fn closed(&self) -> StatusCode {
        let mut closed = self.running.closed.clone();
        let ended = closed.wait_for(Option::is_some).await;
        ended.ok().and_then(|status| *status).unwrap_or(StatusCode::BadConnectionClosed)
    }

    fn header(&self, timeout: Duration) -> RequestHeader {
        request_header(&self.token, self.handle.fetch_add(1, Ordering::Relaxed), timeout)
    }

    async fn call(&self, request: impl Into<RequestMessage>) -> Result<ResponseMessage, Error> {
        self.channel.send(request, self.timeout).await
    }

    /// One Publish request and, some time later, its response. Owns what it needs, so that
    /// several may be under way.
    pub(super) fn publish(
        &self,
        acknowledged: Vec<SubscriptionAcknowledgement>,
        timeout: Duration,
    ) -> impl Future<Output = Result<PublishResponse, Error>> + Send + 'static {
        let channel = Arc::clone(&self.channel);
        let request = PublishRequest {
            // No time hint: the machine holds the request until it has something to say.
            request_header: self.header(Duration::ZERO),
            subscription_acknowledgements: Some(acknowledged).filter(|list| !list.is_empty()),
        };
        async move { Ok(expect!(channel.send(request, timeout).await?, Publish)) }
    }

    /// A notification message that was lost; `None`: the machine does not have it any more.
    ///
    /// # Errors
    /// Where the machine does not answer.
    pub(super) async fn republish(
        &self,
        subscription: u32,
        number: u32,
    ) -> Result<Option<NotificationMessage>, Error> {
        let request = RepublishRequest {
            request_header: self.header(self.timeout),
            subscription_id: subscription,
            retransmit_sequence_number: number,
        };
        Ok(match self.call(request).await? {
            ResponseMessage::Republish(response) if good(&response.response_header).is_ok() => {
                Some(response.notification_message).filter(|it| it.sequence_number == number)
            }
            _ => None,
        })
    }

    pub(super) async fn create_subscription(
        &self,
        mut request: CreateSubscriptionRequest,
    ) -> Result<CreateSubscriptionResponse, Error> {
        request.request_header = self.header(self.timeout);
        Ok(expect!(self.call(request).await?, CreateSubscription))
    }

    /// Creates monitored items; one result an item.
    pub(super) async fn create_items(
        &self,
        subscription: u32,
        times: TimestampsToReturn,
        items: Vec<MonitoredItemCreateRequest>,
    ) -> Result<Vec<MonitoredItemCreateResult>, Error> {
        let wanted = items.len();
        let request = CreateMonitoredItemsRequest {
            request_header: self.header(self.timeout),
            subscription_id: subscription,
            timestamps_to_return: times,
            items_to_create: Some(items),
        };
        let response = expect!(self.call(request).await?, CreateMonitoredItems);
        counted(response.results, wanted)
    }

    pub(super) async fn delete_items(
        &self,
        subscription: u32,
        items: Vec<u32>,
    ) -> Result<(), Error> {
        let request = DeleteMonitoredItemsRequest {
            request_header: self.header(self.timeout),
            subscription_id: subscription,
            monitored_item_ids: Some(items),
        };
        expect!(self.call(request).await?, DeleteMonitoredItems);
        Ok(())
    }

    /// Reads one attribute of each node; one value a node.
    pub(super) async fn read(
        &self,
        nodes: Vec<NodeId>,
        attribute: AttributeId,
    ) -> Result<Vec<DataValue>, Error> {
        let wanted = nodes.len();
        let nodes = nodes.into_iter().map(|node_id| ReadValueId {
            node_id,
            attribute_id: attribute as u32,
            ..ReadValueId::default()
        });
        let request = ReadRequest {
            request_header: self.header(self.timeout),
            max_age: 0.0,
            timestamps_to_return: TimestampsToReturn::Neither,
            nodes_to_read: Some(nodes.collect()),
        };
        counted(expect!(self.call(request).await?, Read).results, wanted)
    }

    /// Reads raw history, or releases the pages that were not read; one result a node.
    pub(super) async fn history(
        &self,
        details: ReadRawModifiedDetails,
        nodes: Vec<HistoryReadValueId>,
        releases: bool,
    ) -> Result<Vec<HistoryReadResult>, Error> {
        let wanted = nodes.len();
        let request = HistoryReadRequest {
            request_header: self.header(self.timeout),
            history_read_details: ExtensionObject::from_message(details),
            timestamps_to_return: TimestampsToReturn::Source,
            release_continuation_points: releases,
            nodes_to_read: Some(nodes),
        };
        let results = expect!(self.call(request).await?, HistoryRead).results;
        if releases { Ok(results.unwrap_or_default()) } else { counted(results, wanted) }
    }

    /// Follows references; one result a node (OPC 10000-4, 5.9.2).
    pub(super) async fn browse(
        &self,
        nodes: Vec<BrowseDescription>,
    ) -> Result<Vec<BrowseResult>, Error> {
        let wanted = nodes.len();
        let request = BrowseRequest {
            request_header: self.header(self.timeout),
            view: ViewDescription::default(),
            requested_max_references_per_node: 0,
            nodes_to_browse: Some(nodes),
        };
        counted(expect!(self.call(request).await?, Browse).results, wanted)
    }

    /// Goes on where a result of [`Self::browse`] was too large.
    pub(super) async fn browse_next(&self, rest: ByteString) -> Result<BrowseResult, Error> {
        let request = BrowseNextRequest {
            request_header: self.header(self.timeout),
            release_continuation_points: false,
            continuation_points: Some(vec![rest]),
        };
        let mut results = counted(expect!(self.call(request).await?, BrowseNext).results, 1)?;
        Ok(results.remove(0))
    }

    /// Says goodbye: the machine frees the session and its subscriptions at once.
    pub(super) async fn close(&self) {
        let request = CloseSessionRequest {
            request_header: self.header(self.timeout),
            delete_subscriptions: true,
        };
        if let Err(error) = self.call(request).await {
            tracing::debug!(%error, "the session was not closed in order");
        }
        self.channel.close_channel().await;
        self.closed().await;
    }
}

fn counted<T>(results: Option<Vec<T>>, wanted: usize) -> Result<Vec<T>, Error> {
    let results = results.unwrap_or_default();
    if results.len() == wanted {
        return Ok(results);
    }
    let text = format!("the machine answers {} of {wanted} operations", results.len());
    Err(Error::new(StatusCode::BadUnknownResponse, text))
}

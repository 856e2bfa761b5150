//! From an address to an activated session.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use opcua::client::services::{ActivateSession, CreateSession};
use opcua::client::transport::{TransportConfiguration, TransportPollResult};
use opcua::client::{AsyncSecureChannel, IdentityToken, SessionRetryPolicy, UARequest};
use opcua::crypto::{CertificateStore, PrivateKey, SecurityPolicy as UaPolicy, X509};
use opcua::sync::RwLock;
use opcua::types::{
    ApplicationDescription, ApplicationType, ByteString, ContextOwned, EndpointDescription, Error,
    GetEndpointsRequest, MessageSecurityMode, NamespaceMap, NodeId, StatusCode, UserTokenType,
};
use resonance_opcua::structures;
use resonance_opcua::trust::{Certificate, own_of_chain};
use resonance_plant::{Clock, SystemClock};

use super::config::{OpcUaConfig, SecurityMode, SecurityPolicy};
use super::failure::Failure;
use super::pki::{self, APPLICATION_URI, Pki};
use super::requests::{Live, Running, request_header};
use super::reverse::Way;
use super::transport::{CHUNK_BYTES_MAX, CHUNKS_MAX, TcpConnector, decoding_options};
use crate::secret::{self, SecretRef};

/// How long a secure channel's keys serve before they are renewed, milliseconds.
const CHANNEL_LIFETIME_MS: u32 = 600_000;

/// How long a machine keeps a session that says nothing, milliseconds: a lost one shall not
/// occupy it for long.
const SESSION_TIMEOUT_MS: f64 = 60_000.0;

/// How long a session is worth a try after its connection was lost: as long as a machine keeps it.
pub(super) const SESSION_KEPT: Duration = Duration::from_secs(SESSION_TIMEOUT_MS as u64 / 1_000);

/// What of a session outlives its connection.
pub(super) struct Session {
    endpoint: EndpointDescription,
    store: Arc<RwLock<CertificateStore>>,
    pki: Option<Pki>,
    /// What its requests carry.
    token: NodeId,
    certificate: ByteString,
    /// What the machine said when it was created or last activated; the next activation signs it.
    nonce: ByteString,
}

impl Session {
    /// The certificate of the machine (DER), where it showed one.
    pub(super) fn server_certificate(&self) -> Option<Vec<u8>> {
        let shown = own_of_chain(self.certificate.as_ref());
        (!shown.is_empty()).then(|| shown.to_vec())
    }

    /// The certificates that a session stands on, with whose they are.
    pub(super) fn certificates(&self) -> Vec<(&'static str, Certificate)> {
        let own = self.pki.as_ref().and_then(Pki::own).map(|it| ("our", it));
        let shown = Certificate::from_der(own_of_chain(self.certificate.as_ref()));
        let shown = shown.filter(|_| self.pki.is_some()).map(|it| ("the machine's", it));
        own.into_iter().chain(shown).collect()
    }
}

/// Why a session does not go on.
pub(super) enum NotResumed {
    /// The machine cannot be reached; the session may still be there.
    Unreachable(Failure),
    /// The connection ended before the machine's answer arrived.
    Cut(Failure),
    /// The machine does not have it any more, or lets no other connection use it.
    Gone(Failure),
}

/// Makes the one session of a short visit. See [`connect`].
pub(super) async fn connect_once(config: &OpcUaConfig) -> Result<(Live, Session), Failure> {
    let mut way = Way::new(config);
    way.open(config).await?;
    connect(config, &mut way).await
}

/// Makes a session. Each step has a time limit, so a machine that hangs only fails.
pub(super) async fn connect(
    config: &OpcUaConfig,
    way: &mut Way,
) -> Result<(Live, Session), Failure> {
    let timeout = timeout_of(config);
    let identity = identity(config)?;
    let pki = match config.security_policy {
        SecurityPolicy::None => None,
        _ => Some(open_pki(config).await?),
    };
    let store = match &pki {
        Some(pki) => Arc::clone(&pki.store),
        // Never read: without security there is no certificate.
        None => Arc::new(RwLock::new(CertificateStore::new(std::path::Path::new("")))),
    };
    let limited = |step: &'static str| {
        move |_| {
            Failure::Unreachable(format!("{}: no answer while {step} in {timeout:?}", config.url))
        }
    };
    let mut endpoint = match way {
        Way::Here { told: Some(told), .. } => (**told).clone(),
        _ => {
            let connector = way.connector(config).await?;
            let discovered = discover(config, &connector, Arc::clone(&store), timeout);
            let endpoints = tokio::time::timeout(timeout, discovered)
                .await
                .map_err(limited("asking for its endpoints"))??;
            choose(config, &identity, &endpoints)?
        }
    };
    if let Some(pki) = &pki {
        let told = endpoint.server.application_uri.as_ref();
        pki.check(config, endpoint.server_certificate.as_ref(), told, SystemClock.now())?;
    }
    // The address as configured is known to reach the machine; the one it tells may not.
    endpoint.endpoint_url = config.url.as_str().into();
    // A machine that connects seldom need not be asked twice.
    if let Way::Here { told, .. } = way {
        *told = Some(Box::new(endpoint.clone()));
    }
    let connector = way.connector(config).await?;
    if let Way::Here { told, .. } = way {
        *told = None;
    }
    let (channel, running) = open(config, &connector, &endpoint, &store).await?;
    let made = async {
        let mut session = create(config, &channel, endpoint, store, pki).await?;
        activate(config, &channel, &mut session, identity).await?;
        Ok(session)
    };
    let session = tokio::time::timeout(timeout * 2, made)
        .await
        .map_err(limited("making a session"))?
        .map_err(|(step, e): Step| Failure::while_connecting(&config.url, step, &e))?;
    Ok((Live::new(channel, session.token.clone(), timeout, running), session))
}

/// Goes on with a session over a new connection: whatever the machine keeps for it, its
/// subscriptions with the messages not yet acknowledged among it, is there again (OPC 10000-4,
/// 5.7.3).
pub(super) async fn resume(
    config: &OpcUaConfig,
    way: &mut Way,
    session: &mut Session,
) -> Result<Live, NotResumed> {
    let timeout = timeout_of(config);
    let identity = identity(config).map_err(NotResumed::Gone)?;
    let connector = way.connector(config).await.map_err(NotResumed::Unreachable)?;
    let (channel, running) = open(config, &connector, &session.endpoint, &session.store)
        .await
        .map_err(|failure| match failure {
            Failure::Unreachable(_) if !connector.has_reached() => NotResumed::Unreachable(failure),
            // A machine that came back with another certificate hangs up without a word.
            Failure::Unreachable(_) => NotResumed::Cut(failure),
            _ => NotResumed::Gone(failure),
        })?;
    let activated = async {
        let adopted = connector.adopt(&session.certificate, &session.nonce);
        adopted.map_err(|e| ("resuming the session", e))?;
        activate(config, &channel, session, identity).await
    };
    let no_answer = Error::new(StatusCode::BadTimeout, "no answer");
    let activated = tokio::time::timeout(timeout, activated).await;
    let activated = activated.unwrap_or(Err(("resuming the session", no_answer)));
    activated.map_err(|(step, error)| {
        let failure = Failure::while_connecting(&config.url, step, &error);
        match error.status() {
            StatusCode::BadConnectionClosed | StatusCode::BadCommunicationError => {
                NotResumed::Cut(failure)
            }
            _ => NotResumed::Gone(failure),
        }
    })?;
    Ok(Live::new(channel, session.token.clone(), timeout, running))
}

fn timeout_of(config: &OpcUaConfig) -> Duration {
    Duration::from_millis(u64::from(config.request_timeout_ms))
}

/// Opens a secure channel.
async fn open(
    config: &OpcUaConfig,
    connector: &TcpConnector,
    endpoint: &EndpointDescription,
    store: &Arc<RwLock<CertificateStore>>,
) -> Result<(Arc<AsyncSecureChannel>, Running), Failure> {
    let step = "opening a secure channel";
    let timeout = timeout_of(config);
    let channel = Arc::new(channel(endpoint.clone(), Arc::clone(store)));
    let event_loop = tokio::time::timeout(timeout, channel.connect_no_retry(connector))
        .await
        .map_err(|_| {
            let url = &config.url;
            Failure::Unreachable(format!("{url}: no answer while {step} in {timeout:?}"))
        })?
        .map_err(|e| Failure::while_connecting(&config.url, step, &e))?;
    Ok((channel, Running::start(event_loop)))
}

async fn open_pki(config: &OpcUaConfig) -> Result<Pki, Failure> {
    let folder = pki::folder(config);
    tokio::task::spawn_blocking(move || Pki::open(&folder))
        .await
        .map_err(|error| Failure::Refused(format!("making our certificate failed: {error}")))?
}

/// Who we are to the machine, read anew for each session so that a changed secret takes effect.
fn identity(config: &OpcUaConfig) -> Result<IdentityToken, Failure> {
    if let Some(file) = &config.user_certificate {
        return certified(file, config.user_key.as_ref());
    }
    let Some(user) = &config.user else { return Ok(IdentityToken::Anonymous) };
    let password = config.password.as_ref().map(secret::read).transpose();
    let password = password.map_err(|error| Failure::Refused(format!("the password: {error}")))?;
    Ok(IdentityToken::UserName(user.clone(), password.unwrap_or_default().into()))
}

/// A user who is known by a certificate (OPC 10000-4, 7.40.5).
fn certified(file: &std::path::Path, key: Option<&SecretRef>) -> Result<IdentityToken, Failure> {
    let failed = |what: String| Failure::Refused(format!("user_certificate: {what}"));
    let bytes = std::fs::read(file)
        .map_err(|error| failed(format!("{}: {error}; check the path", file.display())))?;
    let certificate =
        Certificate::from_file(&bytes)
            .and_then(|it| X509::from_der(it.der()).ok())
            .ok_or_else(|| failed(format!("{} is no certificate, DER or PEM", file.display())))?;
    let key = key.ok_or_else(|| failed("it needs user_key".into()))?;
    let key = secret::read(key).map_err(|error| Failure::Refused(format!("user_key: {error}")))?;
    // Nothing of the key is told, whatever is wrong with it.
    let key = PrivateKey::from_pem(key.as_bytes()).map_err(|_| {
        Failure::Refused("user_key: this is no RSA key in PEM without a password".into())
    })?;
    Ok(IdentityToken::new_x509(certificate, key))
}

fn channel(
    endpoint: EndpointDescription,
    store: Arc<RwLock<CertificateStore>>,
) -> AsyncSecureChannel {
    let context = ContextOwned::new(NamespaceMap::new(), structures::loaders(), decoding_options());
    AsyncSecureChannel::new(
        store,
        endpoint.into(),
        SessionRetryPolicy::never(),
        // Else the stack would rewrite source times by the difference of the clocks.
        false,
        Arc::default(),
        TransportConfiguration {
            send_buffer_size: CHUNK_BYTES_MAX,
            recv_buffer_size: CHUNK_BYTES_MAX,
            max_message_size: CHUNK_BYTES_MAX * CHUNKS_MAX,
            max_chunk_count: CHUNKS_MAX,
        },
        CHANNEL_LIFETIME_MS,
        Arc::new(RwLock::new(context)),
    )
}

/// Asks, without security, what the server offers (OPC 10000-4, 5.5.4).
async fn discover(
    config: &OpcUaConfig,
    connector: &TcpConnector,
    store: Arc<RwLock<CertificateStore>>,
    timeout: Duration,
) -> Result<Vec<EndpointDescription>, Failure> {
    let failed = |e: Error| Failure::while_connecting(&config.url, "asking for its endpoints", &e);
    let channel = channel(EndpointDescription::from(config.url.as_str()), store);
    let mut event_loop = channel.connect_no_retry(connector).await.map_err(failed)?;
    let request = GetEndpointsRequest {
        request_header: request_header(&NodeId::null(), 1, timeout),
        endpoint_url: config.url.as_str().into(),
        locale_ids: None,
        profile_uris: None,
    };
    let answer = channel.send(request, timeout);
    tokio::pin!(answer);
    let response = loop {
        tokio::select! {
            response = &mut answer => break response.map_err(failed)?,
            polled = event_loop.poll() => if let TransportPollResult::Closed(status) = polled {
                return Err(failed(Error::new(status, "the machine closed the connection")));
            }
        }
    };
    channel.close_channel().await;
    while !matches!(event_loop.poll().await, TransportPollResult::Closed(_)) {}
    let opcua::core::ResponseMessage::GetEndpoints(response) = response else {
        let status = response.response_header().service_result;
        return Err(failed(Error::new(status, "the machine does not tell its endpoints")));
    };
    Ok(response.endpoints.unwrap_or_default())
}

fn policy(policy: SecurityPolicy) -> UaPolicy {
    match policy {
        SecurityPolicy::None => UaPolicy::None,
        SecurityPolicy::Basic128rsa15 => UaPolicy::Basic128Rsa15,
        SecurityPolicy::Basic256 => UaPolicy::Basic256,
        SecurityPolicy::Basic256sha256 => UaPolicy::Basic256Sha256,
        SecurityPolicy::Aes128Sha256Rsaoaep => UaPolicy::Aes128Sha256RsaOaep,
        SecurityPolicy::Aes256Sha256Rsapss => UaPolicy::Aes256Sha256RsaPss,
    }
}

/// The mode to ask for; without a policy there is none.
fn mode(config: &OpcUaConfig) -> MessageSecurityMode {
    match (config.security_policy, config.security_mode) {
        (SecurityPolicy::None, _) | (_, SecurityMode::None) => MessageSecurityMode::None,
        (_, SecurityMode::Sign) => MessageSecurityMode::Sign,
        (_, SecurityMode::SignAndEncrypt) => MessageSecurityMode::SignAndEncrypt,
    }
}

/// The endpoint with the configured security that takes our kind of user.
fn choose(
    config: &OpcUaConfig,
    identity: &IdentityToken,
    endpoints: &[EndpointDescription],
) -> Result<EndpointDescription, Failure> {
    let (policy, mode) = (policy(config.security_policy), mode(config));
    let secure: Vec<&EndpointDescription> = endpoints
        .iter()
        .filter(|e| e.security_mode == mode && e.endpoint_url.as_ref().starts_with("opc.tcp://"))
        .filter(|e| UaPolicy::from_str(e.security_policy_uri.as_ref()) == Ok(policy))
        .collect();
    if secure.is_empty() {
        let mut offered: Vec<String> = endpoints
            .iter()
            .map(|e| format!("{} / {:?}", short(e.security_policy_uri.as_ref()), e.security_mode))
            .collect();
        offered.sort();
        offered.dedup();
        return Err(Failure::Refused(format!(
            "{} does not offer {policy} / {mode:?}; it offers {}: set security_policy and \
             security_mode to one of them",
            config.url,
            if offered.is_empty() { "nothing".into() } else { offered.join(", ") },
        )));
    }
    let (kind, name) = match identity {
        IdentityToken::Anonymous => (UserTokenType::Anonymous, "anonymous users; set user"),
        IdentityToken::X509(..) => {
            (UserTokenType::Certificate, "users' certificates; remove user_certificate")
        }
        _ => (UserTokenType::UserName, "user names; remove user"),
    };
    let chosen = secure.into_iter().find(|e| e.find_policy(kind).is_some()).cloned();
    let mut chosen = chosen.ok_or_else(|| {
        Failure::Refused(format!("{} does not take {name} in the configuration", config.url))
    })?;
    // Not told: that of the endpoint (OPC 10000-4, 7.41). The stack would not sign at all.
    let policies = chosen.user_identity_tokens.iter_mut().flatten();
    for policy in policies.filter(|policy| policy.token_type == UserTokenType::Certificate) {
        if policy.security_policy_uri.is_empty() {
            policy.security_policy_uri = chosen.security_policy_uri.clone();
        }
    }
    Ok(chosen)
}

fn short(policy_uri: &str) -> &str {
    policy_uri.rsplit_once('#').map_or(policy_uri, |(_, name)| name)
}

/// A step that failed, and how.
type Step = (&'static str, Error);

/// Creates a session, which must be activated next.
async fn create(
    config: &OpcUaConfig,
    channel: &AsyncSecureChannel,
    endpoint: EndpointDescription,
    store: Arc<RwLock<CertificateStore>>,
    pki: Option<Pki>,
) -> Result<Session, Step> {
    let timeout = timeout_of(config);
    let mut create = CreateSession::new_manual(&store, &endpoint, 1, timeout, NodeId::null(), 1)
        .client_description(ApplicationDescription {
            application_uri: APPLICATION_URI.into(),
            product_uri: APPLICATION_URI.into(),
            application_name: "Resonance gateway".into(),
            application_type: ApplicationType::Client,
            ..ApplicationDescription::default()
        })
        .endpoint_url(config.url.as_str())
        .session_name("resonance")
        .session_timeout(SESSION_TIMEOUT_MS);
    if pki.is_some() {
        create = create.client_cert_from_store(&store);
    }
    let created = create.send(channel).await.map_err(|e| ("creating a session", e))?;
    Ok(Session {
        endpoint,
        store,
        pki,
        token: created.authentication_token,
        certificate: created.server_certificate,
        nonce: created.server_nonce,
    })
}

/// Activates a session on this channel.
async fn activate(
    config: &OpcUaConfig,
    channel: &AsyncSecureChannel,
    session: &mut Session,
    identity: IdentityToken,
) -> Result<(), Step> {
    let (endpoint, token) = (session.endpoint.clone(), session.token.clone());
    let mut activate = ActivateSession::new_manual(endpoint, 1, timeout_of(config), token, 2)
        .identity_token(identity);
    if let Some(pki) = &session.pki {
        activate = activate.private_key(pki.key.clone());
    }
    let activated = activate.send(channel).await.map_err(|e| ("activating the session", e))?;
    session.nonce = activated.server_nonce;
    match activated.response_header.service_result {
        bad if bad.is_bad() => Err(("activating the session", Error::new(bad, "refused"))),
        StatusCode::Good => Ok(()),
        other => {
            tracing::debug!(%other, "the session is active with a remark");
            Ok(())
        }
    }
}

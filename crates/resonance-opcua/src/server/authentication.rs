//! Between the [`Authenticator`] of a server and the OPC UA session services.

use std::sync::Arc;

use async_trait::async_trait;
use opcua::crypto::{SecurityPolicy, Thumbprint};
use opcua::server::ServerEndpoint;
use opcua::server::authenticator::{
    AuthManager, Password, UserToken, user_pass_security_policy_id, user_pass_security_policy_uri,
};
use opcua::types::{Error, StatusCode, UAString, UserTokenPolicy, UserTokenType};

use super::options::Authenticator;

/// The policy id the stack gives anonymous tokens.
const ANONYMOUS_POLICY: &str = "anonymous";

/// The policy id the stack asks of certificates' tokens.
const CERTIFICATE_POLICY: &str = "x509";

pub(crate) struct Gate {
    pub(crate) allow_anonymous: bool,
    pub(crate) users: Option<Arc<dyn Authenticator>>,
}

#[async_trait]
impl AuthManager for Gate {
    async fn authenticate_anonymous_token(&self, _endpoint: &ServerEndpoint) -> Result<(), Error> {
        if self.allow_anonymous {
            return Ok(());
        }
        if let Some(users) = &self.users {
            users.anonymous_refused();
        }
        Err(Error::new(StatusCode::BadIdentityTokenRejected, "a user and a password are required"))
    }

    async fn authenticate_username_identity_token(
        &self,
        _endpoint: &ServerEndpoint,
        name: &str,
        password: &Password,
    ) -> Result<UserToken, Error> {
        let Some(users) = self.users.clone() else {
            return Err(Error::new(StatusCode::BadIdentityTokenRejected, "there are no users"));
        };
        let (name, password) = (name.to_owned(), password.get().to_owned());
        // Verifying a password is slow on purpose.
        let verified =
            tokio::task::spawn_blocking(move || users.authenticate(&name, &password)).await;
        match verified {
            Ok(Some(principal)) => Ok(UserToken(format!("user:{}", principal.name))),
            // One answer for both, so that nobody learns which names exist.
            _ => Err(Error::new(StatusCode::BadUserAccessDenied, "unknown user or wrong password")),
        }
    }

    async fn authenticate_x509_identity_token(
        &self,
        _endpoint: &ServerEndpoint,
        signing_thumbprint: &Thumbprint,
    ) -> Result<UserToken, Error> {
        let known = self
            .users
            .as_ref()
            .and_then(|users| users.by_certificate(&signing_thumbprint.as_hex_string()));
        let principal = known.ok_or_else(|| {
            Error::new(StatusCode::BadUserAccessDenied, "no user has this certificate")
        })?;
        Ok(UserToken(format!("user:{}", principal.name)))
    }

    fn user_token_policies(&self, endpoint: &ServerEndpoint) -> Vec<UserTokenPolicy> {
        let policy = |policy_id: UAString, token_type, security_policy_uri| UserTokenPolicy {
            policy_id,
            token_type,
            issued_token_type: UAString::null(),
            issuer_endpoint_url: UAString::null(),
            security_policy_uri,
        };
        let mut policies = Vec::new();
        if self.allow_anonymous {
            let id = UAString::from(ANONYMOUS_POLICY);
            policies.push(policy(id, UserTokenType::Anonymous, UAString::null()));
        }
        if self.users.is_some() {
            policies.push(policy(
                user_pass_security_policy_id(endpoint),
                UserTokenType::UserName,
                user_pass_security_policy_uri(endpoint),
            ));
        }
        let is_signed = endpoint.security_policy() != SecurityPolicy::None;
        if is_signed && self.users.as_ref().is_some_and(|users| users.takes_certificates()) {
            policies.push(policy(
                UAString::from(CERTIFICATE_POLICY),
                UserTokenType::Certificate,
                UAString::from(endpoint.security_policy().to_uri()),
            ));
        }
        policies
    }
}

//! Who may: users, roles and passwords, and the events about those who may not.

mod notices;
mod password;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use parking_lot::Mutex;
use resonance_opcua::trust::Certificate;
use resonance_plant::{Clock, EventSink, Principal, Role};
use sha2::{Digest, Sha256};

use crate::plan::UserPlan;
use notices::Notices;

pub(crate) use notices::{Allowance, shown};
pub use password::{PASSWORD_BYTES_MAX, PasswordError, hash_password};

/// Who may do what. Shared by every server.
pub struct Access {
    users: HashMap<Arc<str>, User>,
    /// Verified for unknown names, so that a refusal takes as long for them as for known ones.
    decoy: PasswordHash,
    /// One Argon2 run at a time: it takes 19 MiB and tens of milliseconds by default, and a
    /// guesser must not get more of either by asking in parallel.
    one_at_a_time: Mutex<()>,
    /// Of every user, what was verified last: one entry a user bounds it.
    verified: Mutex<HashMap<Arc<str>, [u8; 32]>>,
    /// Makes the digests in `verified` useless to anyone who reads them elsewhere.
    salt: [u8; 32],
    clock: Arc<dyn Clock>,
    notices: Notices,
}

struct User {
    role: Role,
    /// Absent: no password admits.
    hash: Option<PasswordHash>,
    certificate: Option<Certificate>,
}

/// Why the users of a plant file cannot be admitted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// A password hash is none that is safe to use.
    #[error("user {user:?}: {reason}; make a hash with `resonance user hash`")]
    Hash {
        /// Which user.
        user: Arc<str>,
        /// What is wrong with the hash.
        reason: PasswordError,
    },
    /// A user's certificate is none.
    #[error("user {user:?}: the certificate cannot be read; give one in DER or PEM")]
    Certificate {
        /// Which user.
        user: Arc<str>,
    },
    /// The operating system gives no random numbers.
    #[error("the operating system gives no random numbers; passwords cannot be checked")]
    NoRandomness,
}

impl Access {
    /// These users; what they fail at is recorded as events.
    ///
    /// # Errors
    /// Where a hash is no Argon2id PHC string, or one beyond the bounds of [`PasswordError`].
    pub fn new(
        users: &[UserPlan],
        clock: Arc<dyn Clock>,
        events: Arc<dyn EventSink>,
    ) -> Result<Self, AccessError> {
        let mut by_name = HashMap::with_capacity(users.len());
        for plan in users {
            let hash = plan.password_hash.as_deref().map(password::parse_hash).transpose();
            let hash =
                hash.map_err(|reason| AccessError::Hash { user: Arc::clone(&plan.name), reason })?;
            let certificate = plan.certificate.as_deref().map(|der| {
                let user = Arc::clone(&plan.name);
                Certificate::from_der(der).ok_or(AccessError::Certificate { user })
            });
            let certificate = certificate.transpose()?;
            by_name.insert(Arc::clone(&plan.name), User { role: plan.role, hash, certificate });
        }
        let mut salt = [0; 32];
        rustls::crypto::ring::default_provider()
            .secure_random
            .fill(&mut salt)
            .map_err(|_| AccessError::NoRandomness)?;
        Ok(Self {
            users: by_name,
            decoy: password::decoy(),
            one_at_a_time: Mutex::new(()),
            verified: Mutex::default(),
            salt,
            clock: Arc::clone(&clock),
            notices: Notices::new(clock, events),
        })
    }

    /// Whether there are users at all.
    pub fn has_users(&self) -> bool {
        !self.users.is_empty()
    }

    /// The user with this name and password, if this very pair was verified before. Takes
    /// microseconds: fit for every request.
    pub fn recall(&self, name: &str, password: &[u8]) -> Option<Principal> {
        let (name, user) = self.users.get_key_value(name)?;
        let known = *self.verified.lock().get(name)?;
        same(&known, &self.digest(name, password))
            .then(|| Principal { name: Arc::clone(name), role: user.role })
    }

    /// The user with this name and password. Takes tens of milliseconds of processor time unless
    /// [`Access::recall`] knows the pair, one caller at a time: not for a thread that serves
    /// others meanwhile.
    pub fn authenticate(&self, name: &str, password: &[u8]) -> Option<Principal> {
        if let Some(principal) = self.recall(name, password) {
            return Some(principal);
        }
        if password.len() > PASSWORD_BYTES_MAX {
            return None;
        }
        let _turn = self.one_at_a_time.lock();
        // Whoever held the turn may have verified the same pair.
        if let Some(principal) = self.recall(name, password) {
            return Some(principal);
        }
        let user = self.users.get_key_value(name);
        let hash = user.and_then(|(_, user)| user.hash.as_ref());
        let verified = password::verify(password, hash.unwrap_or(&self.decoy));
        let (name, user) = user.filter(|_| verified && hash.is_some())?;
        self.verified.lock().insert(Arc::clone(name), self.digest(name, password));
        Some(Principal { name: Arc::clone(name), role: user.role })
    }

    /// Whether any user is known by a certificate.
    pub fn has_certificates(&self) -> bool {
        self.users.values().any(|user| user.certificate.is_some())
    }

    /// The user with the certificate of this thumbprint (SHA-1, hexadecimal), who has proved to
    /// have its key, while the certificate holds.
    pub fn by_thumbprint(&self, thumbprint: &str) -> Option<Principal> {
        let now = self.clock.now();
        self.users.iter().find_map(|(name, user)| {
            let it = user.certificate.as_ref()?;
            let holds = it.not_before() <= now && now <= it.not_after();
            (holds && it.thumbprint() == thumbprint)
                .then(|| Principal { name: Arc::clone(name), role: user.role })
        })
    }

    /// Records that someone failed to prove who they are. At most a few events a minute; the rest
    /// are counted in the next one.
    pub fn report_failed(&self, surface: &str, peer: &str, name: &str) {
        self.notices.failed(surface, peer, name);
    }

    /// Records that someone asked for what they may not do. Bounded as
    /// [`Access::report_failed`].
    pub fn report_denied(&self, surface: &str, principal: &Principal, action: &str, needs: Role) {
        self.notices.denied(surface, principal, action, needs);
    }

    fn digest(&self, name: &str, password: &[u8]) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.salt);
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name.as_bytes());
        hash.update(password);
        hash.finalize().into()
    }
}

/// Whether two digests are equal, in the same time wherever they differ.
fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    std::hint::black_box(a.iter().zip(b).fold(0, |differing, (a, b)| differing | (a ^ b))) == 0
}

/// Names of users only; neither hashes nor digests.
impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.users.keys()).finish()
    }
}

//! Argon2id (RFC 9106) hashes in the PHC string format.

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, Params, PasswordHasher, PasswordVerifier};

/// The longest password, bytes. Longer ones are refused before anything is computed.
pub const PASSWORD_BYTES_MAX: usize = 1_024;

/// The most memory a hash may ask for, KiB: a plant file must not exhaust the machine.
const MEMORY_KIB_MAX: u32 = 256 * 1_024;

/// The least memory and passes a hash may ask for, KiB (OWASP's lowest recommendation).
const MEMORY_KIB_MIN: u32 = 7 * 1_024;

/// Why a password or its hash is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Not `$argon2id$v=19$m=...,t=...,p=...$salt$hash`.
    #[error("the password hash is not an Argon2id hash in PHC string format")]
    Format,
    /// The hash costs too little to compute, or too much.
    #[error(
        "the password hash asks for {actual} KiB of memory, outside {MEMORY_KIB_MIN} to \
         {MEMORY_KIB_MAX}"
    )]
    Memory {
        /// What it asks for, KiB.
        actual: u32,
    },
    /// The password is empty or too long.
    #[error("a password has 1 to {PASSWORD_BYTES_MAX} bytes, not {actual}")]
    Length {
        /// Bytes given.
        actual: usize,
    },
    /// The hash cannot be computed.
    #[error("the password cannot be hashed: {0}")]
    Failed(String),
}

/// The hash of a password for a plant file: Argon2id with 19 MiB, 2 passes, 1 lane and a random
/// salt (OWASP's recommendation).
///
/// # Errors
/// Where the password is empty or too long, or the system has no randomness or memory.
pub fn hash_password(password: &[u8]) -> Result<String, PasswordError> {
    if password.is_empty() || password.len() > PASSWORD_BYTES_MAX {
        return Err(PasswordError::Length { actual: password.len() });
    }
    PasswordHasher::<PasswordHash>::hash_password(&Argon2::default(), password)
        .map(|hash| hash.to_string())
        .map_err(|error| PasswordError::Failed(error.to_string()))
}

/// A hash from a plant file.
pub(super) fn parse_hash(text: &str) -> Result<PasswordHash, PasswordError> {
    let hash = PasswordHash::new(text).map_err(|_| PasswordError::Format)?;
    if hash.algorithm.as_str() != "argon2id" || hash.salt.is_none() || hash.hash.is_none() {
        return Err(PasswordError::Format);
    }
    let params = Params::try_from(&hash).map_err(|_| PasswordError::Format)?;
    if !(MEMORY_KIB_MIN..=MEMORY_KIB_MAX).contains(&params.m_cost()) {
        return Err(PasswordError::Memory { actual: params.m_cost() });
    }
    Ok(hash)
}

/// Whether a password has this hash.
pub(super) fn verify(password: &[u8], hash: &PasswordHash) -> bool {
    Argon2::default().verify_password(password, hash).is_ok()
}

/// A hash that no password is known to have, of the default cost.
pub(super) fn decoy() -> PasswordHash {
    const DECOY: &str = "$argon2id$v=19$m=19456,t=2,p=1$cmVzb25hbmNlLWRlY295$\
                         AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    PasswordHash::new(DECOY).expect("the constant is well-formed; a test reads it")
}

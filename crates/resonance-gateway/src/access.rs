//! Who may: users, roles and passwords.

/// Who may do what.
#[derive(Debug, Default)]
pub struct Access {}

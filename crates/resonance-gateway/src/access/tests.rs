use std::time::Duration;

use resonance_plant::{Code, ManualClock, Timestamp, Value};

use super::*;
use crate::events::EventLog;

/// Argon2id with the least memory allowed, so that tests are quick.
fn quick_hash(password: &str) -> Arc<str> {
    use argon2::{Argon2, Params, PasswordHasher};
    let argon2 = Argon2::from(Params::new(7 * 1_024, 1, 1, None).unwrap());
    let hash: PasswordHash = argon2.hash_password(password.as_bytes()).unwrap();
    hash.to_string().into()
}

fn user(name: &str, role: Role, password_hash: Arc<str>) -> UserPlan {
    UserPlan { name: name.into(), role, password_hash: Some(password_hash), certificate: None }
}

fn access(users: &[UserPlan]) -> (Access, Arc<ManualClock>, Arc<EventLog>) {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_000)));
    let events = Arc::new(EventLog::in_memory());
    let made = Access::new(users, clock.clone(), events.clone()).unwrap();
    (made, clock, events)
}

#[test]
fn only_the_right_pair_is_admitted_and_then_remembered() {
    let (access, ..) = access(&[
        user("ada", Role::Operate, quick_hash("correct horse")),
        user("bob", Role::View, quick_hash("battery staple")),
    ]);
    assert_eq!(access.recall("ada", b"correct horse"), None, "never verified before");
    let ada = access.authenticate("ada", b"correct horse").unwrap();
    assert_eq!((&*ada.name, ada.role), ("ada", Role::Operate));
    assert_eq!(access.recall("ada", b"correct horse"), Some(ada));
    for (name, password) in
        [("ada", "battery staple"), ("bob", "correct horse"), ("eve", "correct horse"), ("ada", "")]
    {
        assert_eq!(access.authenticate(name, password.as_bytes()), None, "{name} {password}");
    }
    assert_eq!(access.authenticate("ada", &[b'x'; PASSWORD_BYTES_MAX + 1]), None);
}

#[test]
fn hashes_that_are_not_safe_are_refused_by_user() {
    let clock = Arc::new(ManualClock::default());
    let refused = |hash: &str| {
        let users = [user("ada", Role::View, hash.into())];
        let events = Arc::new(EventLog::in_memory());
        Access::new(&users, clock.clone(), events).unwrap_err().to_string()
    };
    assert!(refused("secret").contains("user \"ada\": the password hash is not an Argon2id"));
    let argon2i = "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$\
                   +r0d29hqEB0yasKr55ZgICsQGSkl0v0kgwhd+U3wyRo";
    assert!(refused(argon2i).contains("Argon2id"));
    let heavy = "$argon2id$v=19$m=1048576,t=2,p=1$c29tZXNhbHQ$\
                 +r0d29hqEB0yasKr55ZgICsQGSkl0v0kgwhd+U3wyRo";
    assert!(refused(heavy).contains("1048576 KiB"));
}

#[test]
fn a_hash_for_a_plant_file_admits_its_password() {
    let hash = hash_password(b"lathe").unwrap();
    assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    let (access, ..) = access(&[user("ada", Role::Approve, hash.into())]);
    assert!(access.authenticate("ada", b"lathe").is_some());
    assert_eq!(hash_password(b""), Err(PasswordError::Length { actual: 0 }));
}

#[test]
fn events_about_guessers_are_bounded_and_count_what_they_leave_out() {
    let (access, clock, events) = access(&[]);
    for _ in 0..1_000 {
        access.report_failed("http", "10.0.0.9:1", &"x".repeat(10_000));
    }
    assert_eq!(events.recent(5_000).len(), 10);
    clock.advance(Duration::from_secs(61));
    access.report_failed("http", "10.0.0.9:1", "root");
    let last = &events.recent(1)[0];
    assert_eq!(last.code, Code::AccessFailed);
    assert_eq!(last.message, "10.0.0.9:1 did not prove to be user \"root\"");
    assert!(last.detail.contains(&("suppressed".into(), Value::Uint(990))));
    let anonymous = Principal::anonymous(Role::View);
    access.report_denied("http", &anonymous, "infer", Role::Operate);
    let last = &events.recent(1)[0];
    assert_eq!((last.code, &last.principal), (Code::AccessDenied, &anonymous));
    assert_eq!(last.message, "user \"anonymous\" has role view; infer needs operate");
}

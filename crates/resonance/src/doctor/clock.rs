//! Whether this computer's clock is kept right: what chrony or systemd say of it.
//!
//! Results carry times, windows are cut by them, and a certificate holds between two of them.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::check::Check;

/// A clock that is this far off is not what results should be dated by, seconds.
const OFFSET_S_MAX: f64 = 0.1;

/// How long a program that is asked may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Said of a clock that nobody keeps.
const REMEDY: &str = "install chrony, or enable systemd-timesyncd: timedatectl set-ntp true";

/// What timesyncd leaves behind once it has set the clock.
const TIMESYNCD_MARK: &str = "/run/systemd/timesync/synchronized";

/// One line on the clock.
pub(super) fn synchronized() -> Vec<Check> {
    if let Some(said) = answer("chronyc", &["-c", "-n", "tracking"])
        && let Some(check) = of_chrony(&said)
    {
        return vec![check];
    }
    let said = answer("timedatectl", &["show", "--property=NTPSynchronized", "--value"]);
    vec![match said.as_deref().map(str::trim) {
        Some("yes") => Check::ok("clock", "", "synchronized, says systemd"),
        _ if Path::new(TIMESYNCD_MARK).exists() => {
            Check::ok("clock", "", "synchronized, says systemd-timesyncd")
        }
        Some("no") => Check::fail("clock", "", "not synchronized, says systemd").remedy(REMEDY),
        _ => {
            let said = "neither chrony nor systemd tell whether it is synchronized";
            let remedy = format!("{REMEDY}; in a container, look at the host's clock");
            Check::warn("clock", "", said).remedy(&remedy)
        }
    }]
}

/// What chrony's tracking report says: comma-separated, the offset from its source (seconds) in
/// the fifth field and the leap status in the last.
fn of_chrony(report: &str) -> Option<Check> {
    let fields: Vec<&str> = report.trim().split(',').collect();
    let (offset_s, leap) = (fields.get(4)?.parse::<f64>().ok()?.abs(), *fields.last()?);
    Some(if leap.eq_ignore_ascii_case("not synchronised") {
        let remedy = "check the servers in chrony.conf: chronyc sources -v";
        Check::fail("clock", "", "not synchronized, says chrony").remedy(remedy)
    } else if offset_s > OFFSET_S_MAX {
        let said = format!("{:.1} ms off, says chrony", offset_s * 1e3);
        Check::warn("clock", "", said).remedy("wait until chrony has set it, or: chronyc makestep")
    } else {
        Check::ok("clock", "", format!("synchronized by chrony, {:.3} ms off", offset_s * 1e3))
    })
}

/// What a program prints; `None` where it is not there, fails, or takes too long.
fn answer(program: &str, arguments: &[&str]) -> Option<String> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let asked = Instant::now();
    // Both print a few lines, which a pipe holds.
    let ended = loop {
        match child.try_wait() {
            Ok(Some(ended)) => break Some(ended),
            Ok(None) if asked.elapsed() < ANSWER_WITHIN => {
                std::thread::sleep(Duration::from_millis(10));
            }
            Ok(None) | Err(_) => break None,
        }
    };
    if ended.is_none_or(|ended| !ended.success()) {
        // It may have ended in this moment.
        let _ = child.kill();
        let _ = child.wait();
        return None;
    }
    let mut said = String::new();
    child.stdout.take()?.take(4_096).read_to_string(&mut said).ok()?;
    Some(said)
}

#[cfg(test)]
mod tests {
    use super::super::check::State;
    use super::*;

    #[test]
    fn what_chrony_says_is_understood() {
        let report = |offset: &str, leap: &str| {
            let before = "A29FC87B,pool,3,1700000000.1";
            of_chrony(&format!("{before},{offset},0.1,0.1,1,0,0.1,0.2,0.3,64.2,{leap}\n")).unwrap()
        };
        assert_eq!(report("0.000031", "Normal").state, State::Ok);
        assert_eq!(report("-0.31", "Normal").said, "310.0 ms off, says chrony");
        assert_eq!(report("0.0", "Not synchronised").state, State::Fail);
        assert_eq!(of_chrony("506 Cannot talk to daemon"), None);
    }

    #[test]
    fn a_program_that_hangs_or_is_absent_gives_no_answer() {
        let asked = Instant::now();
        assert_eq!(answer("sleep", &["30"]), None);
        assert!(asked.elapsed() < ANSWER_WITHIN * 3);
        assert_eq!(answer("no-such-program", &[]), None);
        assert_eq!(answer("false", &[]), None);
        assert_eq!(answer("echo", &["yes"]).as_deref(), Some("yes\n"));
    }
}

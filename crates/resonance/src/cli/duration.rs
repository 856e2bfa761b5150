//! Durations as people write them.

use std::time::Duration;

/// Reads `500ms`, `30s`, `10m` or `2h`; a bare number is seconds.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("{unit:?} is no unit of time: ms, s, m or h")),
    };
    let number: f64 = number.parse().map_err(|_| format!("{text:?} is no time, such as 30s"))?;
    Duration::try_from_secs_f64(number * seconds)
        .map_err(|_| format!("{text:?} is longer than can be waited"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_or_refused_with_the_reason() {
        assert_eq!(parse_duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(parse_duration("1.5m"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("7"), Ok(Duration::from_secs(7)));
        assert!(parse_duration("5 parsecs").unwrap_err().contains("ms, s, m or h"));
        assert!(parse_duration("s").is_err());
        assert!(parse_duration("1e99h").is_err());
    }
}

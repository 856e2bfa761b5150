//! Numbers and spans of time as people read them.

use std::time::Duration;

/// A measured value with about four digits that matter.
pub(crate) fn measured(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        "0".to_owned()
    } else if !value.is_finite() {
        value.to_string()
    } else if !(1e-4..1e7).contains(&size) {
        format!("{value:.2e}")
    } else {
        let decimals = match size {
            s if s >= 1000.0 => 0,
            s if s >= 100.0 => 1,
            s if s >= 10.0 => 2,
            s if s >= 1.0 => 3,
            _ => 4,
        };
        format!("{value:.decimals$}")
    }
}

/// A count with separators: `1,234,567`.
pub(crate) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time span in nanoseconds, in the unit that suits it; `-` where it is negative.
pub(crate) fn span(nanos: i64) -> String {
    let Ok(nanos) = u64::try_from(nanos) else { return "-".to_owned() };
    let seconds = Duration::from_nanos(nanos).as_secs_f64();
    match seconds {
        s if s < 1e-3 => format!("{:.0} µs", s * 1e6),
        s if s < 1.0 => format!("{} ms", measured_short(s * 1e3)),
        s if s < 120.0 => format!("{} s", measured_short(s)),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

/// A time span in microseconds.
pub(crate) fn span_us(micros: u32) -> String {
    span(i64::from(micros) * 1_000)
}

fn measured_short(value: f64) -> String {
    if value < 10.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_say_what_matters() {
        let texts = [0.0, 0.027_597, 5.2134, 59.9999, 171.607, 4733.81, -12.5, 1e9, 2e-9, f64::NAN]
            .map(measured);
        let expected = [
            "0", "0.0276", "5.213", "60.00", "171.6", "4734", "-12.50", "1.00e9", "2.00e-9", "NaN",
        ];
        assert_eq!(texts, expected);
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        let spans = [-1, 45_000, 1_240_000, 12_400_000, 300_000_000, 90_000_000_000].map(span);
        assert_eq!(spans, ["-", "45 µs", "1.2 ms", "12 ms", "300 ms", "90 s"]);
    }
}

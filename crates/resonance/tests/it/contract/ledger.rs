//! Whether a source told the whole truth about a point that counts up by one.

use resonance_gateway::hub::ingest::{Gap, SessionState};
use resonance_plant::{Code, PointIndex, Value};

use crate::opcua_source::harness::{Running, Said};

/// The first point of the harness.
const POINT: PointIndex = PointIndex(100);

/// Checks that a machine which said 1 to `emitted` was heard: each number once and in order, but
/// where a gap was told. An observation may come again as it was. Returns how many are missing.
pub(super) fn check(source: &Running, emitted: u64) -> u64 {
    let gaps: Vec<&Gap> = source
        .said
        .iter()
        .filter_map(|said| if let Said::Missing(gap) = said { Some(gap) } else { None })
        .collect();
    let (mut observed, mut missing, mut last) = (0, 0, None);
    for (value, time, status) in source.observed(0) {
        let Value::Float(value) = value else { continue };
        if status.is_bad() {
            continue;
        }
        let (before, since) = last.replace((value, time)).unwrap_or((0.0, time));
        if value == before && time == since {
            continue;
        }
        assert!(value > before, "{value} at {time} after {before} at {since}");
        assert!(value.fract() == 0.0 && value <= emitted as f64, "nobody said {value}");
        observed += 1;
        let lost = (value - before) as u64 - 1;
        missing += lost;
        let told = gaps.iter().any(|gap| {
            let of = gap.points.is_empty() || gap.points.contains(&POINT);
            of && gap.from < time && gap.to > since
        });
        assert!(
            lost == 0 || told,
            "{lost} numbers are missing between {before} at {since} and {value} at {time}, in none \
             of {gaps:?}"
        );
    }
    assert_eq!(observed + missing, emitted, "observed and missing, of what was said");
    counters_agree(source, gaps.len());
    missing
}

/// What it counted is what it said, and a loss is an event.
fn counters_agree(source: &Running, gaps: usize) {
    let rows = source.said.iter().filter(|said| matches!(said, Said::Observed { .. })).count();
    assert_eq!(source.counters.observations.value(), rows as u64, "observations");
    assert_eq!(source.counters.gaps.value(), gaps as u64, "gaps");
    let told = source.events.recent(1_000).iter().any(|event| event.code == Code::DataGap);
    assert!(gaps == 0 || told, "a gap without an event");
    let begun = [SessionState::Alive, SessionState::Resumed].map(|state| sessions(source, state));
    let begun = begun.iter().sum::<u64>();
    assert_eq!(source.counters.reconnects.value(), begun.saturating_sub(1), "reconnects");
}

/// How often it said this of its session.
pub(super) fn sessions(source: &Running, state: SessionState) -> u64 {
    let of = |said: &&Said| matches!(said, Said::Session(found) if *found == state);
    source.said.iter().filter(of).count() as u64
}

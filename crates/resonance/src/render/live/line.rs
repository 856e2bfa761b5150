//! The gateway in one line, where there is no terminal.

use resonance_plant::ResultRecord;

use super::board::Board;
use crate::render::number;

/// One line: time, counters, the last result of every deployment, deliveries.
pub(super) fn line(board: &Board) -> String {
    let mut text = format!("{}", board.now);
    if let Some(gateway) = &board.gateway {
        let inferences: u64 = gateway.deployments.iter().map(|d| d.inferences).sum();
        text += &format!(
            " observations={} gaps={} inferences={inferences}",
            gateway.hub.observations, gateway.hub.gaps
        );
        for sink in &gateway.sinks {
            text += &format!(" {}={}", sink.id, sink.delivered);
        }
    }
    for record in board.results.values() {
        text += &format!(" | {}: {}", record.deployment, result(board, record));
    }
    // Names and texts may come from a machine; none may steer whatever shows the line.
    text.replace(char::is_control, " ")
}

fn result(board: &Board, record: &ResultRecord) -> String {
    let outputs: Vec<String> = record.outputs.iter().map(output).collect();
    format!(
        "{} {} age {} latency {} model {} {} trained on {}",
        outputs.join(", "),
        record.status,
        number::span(board.now.since(record.source_time)),
        number::span_us(record.latency.total_us),
        record.model.name,
        record.model.version,
        record.model.trained_on,
    )
}

/// `name=value unit (label)`.
pub(super) fn output(output: &resonance_plant::OutputValue) -> String {
    let value = output.value.as_f64().map_or_else(|| output.value.to_string(), number::measured);
    let unit = output.unit.map(|unit| format!(" {}", unit.symbol())).unwrap_or_default();
    match &output.label {
        Some(label) => format!("{}={label}", output.name),
        None => format!("{}={value}{unit}", output.name),
    }
}

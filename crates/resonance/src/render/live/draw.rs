//! The board on a screen.

use std::sync::Arc;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph};
use resonance_gateway::status::{Connection, DeploymentState, DeploymentStatus, Status as Gateway};
use resonance_plant::{Event, OutputValue, ResultRecord, Severity, Status, Timestamp};

use super::board::{Board, Row};
use crate::render::number;

/// Smaller than this, nothing of use can be shown.
const WIDTH_MIN: u16 = 60;
const HEIGHT_MIN: u16 = 16;

pub(super) fn draw(frame: &mut Frame<'_>, board: &Board) {
    let area = frame.area();
    if area.width < WIDTH_MIN || area.height < HEIGHT_MIN {
        let wish = format!("the terminal is smaller than {WIDTH_MIN} x {HEIGHT_MIN}; q ends");
        frame.render_widget(Paragraph::new(wish), area);
        return;
    }
    let paint = Paint { colored: board.colored };
    let results = result_lines(board, paint);
    let counters = counter_lines(board, paint);
    // Results and counters get what they need, values and events share the rest.
    let [head, values, answers, counts, events] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Min(4),
        Constraint::Length(box_height(&results, area.height / 2)),
        Constraint::Length(box_height(&counters, area.height / 3)),
        Constraint::Length((area.height / 6).clamp(3, 8)),
    ])
    .areas(area);
    frame.render_widget(Paragraph::new(head_lines(board, paint, area.width)), head);
    boxed(frame, values, "Machine", value_lines(board, paint, values));
    boxed(frame, answers, "Results", results);
    boxed(frame, counts, "Counters", counters);
    boxed(frame, events, "Last events", event_lines(board, paint, events));
}

fn box_height(lines: &[Line<'_>], most: u16) -> u16 {
    u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(1).clamp(2, most.max(2))
}

fn boxed(frame: &mut Frame<'_>, area: Rect, title: &str, lines: Vec<Line<'_>>) {
    let title = Span::styled(format!(" {title} "), Style::new().add_modifier(Modifier::BOLD));
    let block = Block::new().borders(Borders::TOP).title(title);
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

/// Colours, or none.
#[derive(Clone, Copy)]
struct Paint {
    colored: bool,
}

impl Paint {
    fn with(self, color: Color) -> Style {
        if self.colored { Style::new().fg(color) } else { Style::new() }
    }

    fn status(self, status: Status) -> Style {
        if status.is_good() {
            self.with(Color::Green)
        } else if status.is_uncertain() {
            self.with(Color::Yellow)
        } else {
            self.with(Color::Red)
        }
    }

    fn dim(self) -> Style {
        self.with(Color::DarkGray)
    }

    /// Red where it is more than none.
    fn bad(self, count: u64) -> Style {
        if count > 0 { self.with(Color::Red) } else { Style::new() }
    }
}

fn head_lines(board: &Board, paint: Paint, width: u16) -> Vec<Line<'static>> {
    let running = board.gateway.as_ref().map_or_else(String::new, |gateway| {
        let since = board.now.since(gateway.started_at);
        format!("  {}  running {}", gateway.version, number::span(since))
    });
    let left = format!("{}{running}", board.title);
    let right = "q or Ctrl-C ends";
    let room = usize::from(width).saturating_sub(left.chars().count() + right.len());
    let bold = Style::new().add_modifier(Modifier::BOLD);
    vec![
        Line::from(vec![
            Span::styled(left, bold),
            Span::raw(" ".repeat(room)),
            Span::styled(right, paint.dim()),
        ]),
        Line::styled(board.notice.clone(), paint.with(Color::Yellow)),
    ]
}

/// Columns of a value's row besides the path and the sparkline.
const VALUE_WIDTH: usize = 22;
const STATUS_WIDTH: usize = 12;

fn value_lines(board: &Board, paint: Paint, area: Rect) -> Vec<Line<'static>> {
    let rows = usize::from(area.height.saturating_sub(1));
    let shown: Vec<&Row> = board.rows.iter().take(rows).collect();
    let path = shown.iter().map(|row| row.path.chars().count()).max().unwrap_or(0).min(36);
    let spark = usize::from(area.width).saturating_sub(path + VALUE_WIDTH + STATUS_WIDTH + 4);
    shown.into_iter().map(|row| value_line(row, paint, path, spark)).collect()
}

fn value_line(row: &Row, paint: Paint, path: usize, spark: usize) -> Line<'static> {
    let value = match (row.label(), row.value.as_f64()) {
        (Some(label), _) => label.to_owned(),
        (None, Some(number)) if row.unit.is_empty() => number::measured(number),
        (None, Some(number)) => format!("{} {}", number::measured(number), row.unit),
        (None, None) => row.value.to_string(),
    };
    let status = clipped(&row.status.to_string(), STATUS_WIDTH);
    Line::from(vec![
        Span::raw(format!("{:<path$} ", clipped(&row.path, path))),
        Span::raw(format!("{:>VALUE_WIDTH$}  ", clipped(&value, VALUE_WIDTH))),
        Span::styled(sparkline(row, spark), paint.with(Color::Cyan)),
        Span::styled(format!(" {status}"), paint.status(row.status)),
    ])
}

/// The newest numbers at the right, each an eighth of the range they span; a blank where there
/// was no number.
pub(super) fn sparkline(row: &Row, width: usize) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let from = row.history.len().saturating_sub(width);
    let shown: Vec<Option<f64>> = row.history.iter().skip(from).copied().collect();
    let known = || shown.iter().flatten().copied();
    let (low, high) = (known().fold(f64::INFINITY, f64::min), known().fold(f64::MIN, f64::max));
    let bar = |number: Option<f64>| match number {
        None => ' ',
        Some(_) if high <= low => BARS[0],
        Some(x) => BARS[(((x - low) / (high - low)) * 7.0).round() as usize % BARS.len()],
    };
    let bars: String = shown.into_iter().map(bar).collect();
    format!("{bars:>width$}")
}

fn result_lines(board: &Board, paint: Paint) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let deployments = board.gateway.as_ref().map(|gateway| gateway.deployments.as_slice());
    for deployment in deployments.unwrap_or_default() {
        lines.push(state_line(deployment, paint));
        if let Some(record) = board.results.get(&deployment.id) {
            lines.extend(record.outputs.iter().map(|output| output_line(output, paint)));
            lines.push(quality_line(record, deployment, board.now, paint));
            lines.push(model_line(record, paint));
        }
    }
    if lines.is_empty() {
        lines.push(Line::styled("no deployments", paint.dim()));
    }
    lines
}

fn state_line(deployment: &DeploymentStatus, paint: Paint) -> Line<'static> {
    let (state, color) = match deployment.state {
        DeploymentState::Inactive => ("inactive", Color::DarkGray),
        DeploymentState::Ready => ("ready", Color::Cyan),
        DeploymentState::Active => ("active", Color::Green),
        DeploymentState::Suspended => ("suspended", Color::Yellow),
        DeploymentState::Degraded => ("degraded", Color::Yellow),
        DeploymentState::Faulted => ("faulted", Color::Red),
    };
    let bold = Style::new().add_modifier(Modifier::BOLD);
    Line::from(vec![
        Span::styled(format!("{} ", deployment.id), bold),
        Span::raw(format!("on {}  ", deployment.asset)),
        Span::styled(state, paint.with(color)),
        Span::styled(format!("  {}", deployment.reason), paint.dim()),
    ])
}

fn output_line(output: &OutputValue, paint: Paint) -> Line<'static> {
    let number = output.value.as_f64();
    let value = match (&output.label, number) {
        (Some(label), _) => label.to_string(),
        (None, Some(number)) => number::measured(number),
        (None, None) => output.value.to_string(),
    };
    let unit = output.unit.map_or("", |unit| unit.symbol());
    let range = output.uncertainty.map_or_else(String::new, |u| {
        let (low, high) = (number::measured(u.low), number::measured(u.high));
        format!("  {low} to {high} {unit} in {:.0} % of cases", u.coverage * 100.0)
    });
    let strong = paint.status(output.status).add_modifier(Modifier::BOLD);
    Line::from(vec![
        Span::raw(format!("  {:<24} ", clipped(&output.name, 24))),
        Span::styled(format!("{value} {unit}"), strong),
        Span::raw(range),
    ])
}

fn quality_line(
    record: &ResultRecord,
    deployment: &DeploymentStatus,
    now: Timestamp,
    paint: Paint,
) -> Line<'static> {
    let age = number::span(now.since(record.source_time));
    let is_stale = now > record.valid_until;
    let (stale, age_style) =
        if is_stale { (" (stale)", paint.with(Color::Red)) } else { ("", Style::new()) };
    Line::from(vec![
        Span::raw("  status "),
        Span::styled(record.status.to_string(), paint.status(record.status)),
        Span::styled(format!("  age {age}{stale}"), age_style),
        Span::raw(format!(
            "  latency {}  (inference {}, p99 {})",
            number::span_us(record.latency.total_us),
            number::span_us(record.latency.inference_us),
            number::span_us(deployment.latency.p99_us),
        )),
    ])
}

fn model_line(record: &ResultRecord, paint: Paint) -> Line<'static> {
    let model = &record.model;
    let digest: String = model.digest.chars().take(15).collect();
    let fallback = if model.fallback.is_some() { "  FALLBACK" } else { "" };
    Line::from(vec![
        Span::raw(format!("  model {} {}  ", model.name, model.version)),
        Span::styled(format!("trained on {} data", model.trained_on), paint.with(Color::Yellow)),
        Span::styled(format!("  {digest}  {}{fallback}", model.engine), paint.dim()),
    ])
}

fn counter_lines(board: &Board, paint: Paint) -> Vec<Line<'static>> {
    let Some(gateway) = &board.gateway else {
        return vec![Line::styled("the gateway has not said anything yet", paint.dim())];
    };
    let mut lines = vec![flow_line(board, gateway, paint)];
    for source in &gateway.sources {
        lines.push(Line::from(vec![
            Span::raw(format!("source {}  ", source.id)),
            connection(source.connection, paint),
            Span::raw(format!(
                "  {} points  {} observations  {} reconnects  clock offset {} µs",
                source.points,
                number::count(source.observations),
                source.reconnects,
                source.clock_offset_us
            )),
        ]));
    }
    for sink in &gateway.sinks {
        lines.push(Line::from(vec![
            Span::raw(format!("sink {}  ", sink.id)),
            connection(sink.connection, paint),
            Span::raw(format!(
                "  {} delivered  {} waiting",
                number::count(sink.delivered),
                sink.waiting
            )),
            Span::styled(format!("  {} dropped", sink.dropped), paint.bad(sink.dropped)),
            dead_letters(sink.refused, paint),
        ]));
    }
    for server in &gateway.servers {
        lines.push(Line::raw(format!(
            "server {}  {}  {} clients  {} requests  {} delivered",
            server.kind,
            server.url,
            server.clients,
            number::count(server.requests),
            number::count(server.delivered)
        )));
    }
    lines
}

fn flow_line(board: &Board, gateway: &Gateway, paint: Paint) -> Line<'static> {
    let inferences: u64 = gateway.deployments.iter().map(|d| d.inferences).sum();
    let results: u64 = gateway.deployments.iter().map(|d| d.results).sum();
    Line::from(vec![
        Span::raw(format!(
            "{} observations ({}/s)  ",
            number::count(gateway.hub.observations),
            number::count(board.rate.max(0.0).round() as u64)
        )),
        Span::styled(format!("gaps {}", gateway.hub.gaps), paint.bad(gateway.hub.gaps)),
        Span::raw(format!(
            "  {} inferences  {} results  {} in the spool",
            number::count(inferences),
            number::count(results),
            number::count(gateway.spool.kept)
        )),
    ])
}

/// Nothing where there are none, as it should be.
fn dead_letters(count: i64, paint: Paint) -> Span<'static> {
    match u64::try_from(count) {
        Ok(count @ 1..) => Span::styled(format!("  {count} dead letters"), paint.bad(count)),
        _ => Span::raw(""),
    }
}

fn connection(connection: Connection, paint: Paint) -> Span<'static> {
    match connection {
        Connection::Connected => Span::styled("connected", paint.with(Color::Green)),
        Connection::Connecting => Span::styled("connecting", paint.with(Color::Yellow)),
        Connection::Stopped => Span::styled("stopped", paint.dim()),
    }
}

fn event_lines(board: &Board, paint: Paint, area: Rect) -> Vec<Line<'static>> {
    let room = usize::from(area.height.saturating_sub(1));
    let from = board.events.len().saturating_sub(room);
    board.events.iter().skip(from).map(|event| event_line(event, paint)).collect()
}

fn event_line(event: &Arc<Event>, paint: Paint) -> Line<'static> {
    let style = match event.severity {
        Severity::Info => Style::new(),
        Severity::Warning => paint.with(Color::Yellow),
        Severity::Error => paint.with(Color::Red),
    };
    // The time of day of an RFC 3339 text.
    let at: String = event.at.to_string().chars().skip(11).take(8).collect();
    Line::from(vec![
        Span::styled(format!("{at} "), paint.dim()),
        Span::styled(format!("{} ", event.code), style),
        Span::raw(format!("{}: {}", event.subject, event.message.replace('\n', " "))),
    ])
}

fn clipped(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    short.push('…');
    short
}

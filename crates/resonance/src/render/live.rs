//! A live view of a running gateway in the terminal: machine values, results, counters, events.

mod board;
mod draw;
mod line;

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossterm::event::{self, Event as Key, KeyCode, KeyEventKind, KeyModifiers};
use resonance_gateway::events::EventLog;
use resonance_gateway::results::Results;
use resonance_gateway::servers::Context;
use resonance_gateway::sources::Stop;
use resonance_gateway::status::Status;
use resonance_plant::{Clock, LastValues, Plant, PointIndex, ResultRecord};
use tokio::sync::broadcast;

use board::Board;

/// What the view looks at.
pub(crate) struct LiveView {
    /// The first words of the first line, such as `Resonance demo`.
    pub(crate) title: String,
    /// What must not be forgotten while looking, such as that the machine is simulated.
    pub(crate) notice: String,
    /// The points to show, the most telling first; as many as there is room for.
    pub(crate) points: Vec<PointIndex>,
    /// Assets and points.
    pub(crate) plant: Arc<Plant>,
    /// The last value of every point.
    pub(crate) values: Arc<LastValues>,
    /// The gateway at this moment.
    pub(crate) status: Arc<dyn Fn() -> Status + Send + Sync>,
    /// Events, the recent ones.
    pub(crate) events: Arc<EventLog>,
    /// Where the present moment comes from.
    pub(crate) clock: Arc<dyn Clock>,
    /// Results, live.
    results: broadcast::Receiver<Arc<ResultRecord>>,
    /// Whether colours are used.
    pub(crate) colored: bool,
}

impl LiveView {
    /// A view of a running gateway. Shows its numeric points, those with a unit first.
    pub(crate) fn of(context: &Context, title: &str, notice: &str) -> Self {
        let plant = Arc::clone(&context.plant);
        let points = telling_points(&plant);
        Self {
            title: title.to_owned(),
            notice: notice.to_owned(),
            points,
            plant,
            values: Arc::clone(&context.values),
            status: Arc::clone(&context.status),
            events: Arc::clone(&context.events),
            clock: Arc::clone(&context.clock),
            results: Results::subscribe(&context.results),
            colored: crate::cli::colored(&io::stdout()),
        }
    }

    /// Shows the points of these names first, in this order.
    pub(crate) fn first(mut self, names: &[&str]) -> Self {
        let place = |index: &PointIndex| {
            let name = self.plant.point(*index).map(|point| &*point.name);
            names.iter().position(|first| Some(*first) == name).unwrap_or(names.len())
        };
        self.points.sort_by_key(place);
        self
    }
}

/// Numeric points, those with a unit first.
fn telling_points(plant: &Plant) -> Vec<PointIndex> {
    let numeric = || plant.indexed().filter(|(_, point)| point.data_type.is_numeric());
    let with_unit = numeric().filter(|(_, point)| point.unit.is_some());
    let without = numeric().filter(|(_, point)| point.unit.is_none());
    with_unit.chain(without).map(|(index, _)| index).collect()
}

/// How often values are looked at and drawn: smooth to the eye, cheap to the machine.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(1);

/// Shows the view until `stop` turns true or the user ends it with q, Escape or Ctrl-C. The
/// terminal is as before when this returns, or when any thread panics. Where standard output is
/// no terminal, one line a second is written instead.
///
/// Blocks: run it on a thread of its own. The log must not go to the same terminal meanwhile.
///
/// # Errors
/// Where the terminal fails.
pub(crate) fn run(view: LiveView, stop: Stop) -> io::Result<()> {
    if io::stdout().is_terminal() { on_terminal(view, stop) } else { as_lines(view, stop) }
}

fn on_terminal(mut view: LiveView, stop: Stop) -> io::Result<()> {
    // Also lets a panic of any thread give the terminal back before its message.
    let mut terminal = ratatui::try_init()?;
    let mut board = Board::new(&view);
    let shown = loop {
        let looked = Instant::now();
        board.look(&mut view);
        if let Err(error) = terminal.draw(|frame| draw::draw(frame, &board)) {
            break Err(error);
        }
        match asked_to_end(&stop, looked + LOOK_EVERY) {
            Ok(true) => break Ok(()),
            Ok(false) => {}
            Err(error) => break Err(error),
        }
    };
    ratatui::try_restore().and(shown)
}

/// Waits until `until`; true if the user or the program wants the view to end before.
fn asked_to_end(stop: &Stop, until: Instant) -> io::Result<bool> {
    while !is_stopped(stop) {
        let left = until.saturating_duration_since(Instant::now());
        // Short waits, so that a stop is seen soon although it wakes nobody here.
        if event::poll(left.min(Duration::from_millis(50)))? {
            if ends(&event::read()?) {
                return Ok(true);
            }
        } else if left.is_zero() {
            return Ok(false);
        }
    }
    Ok(true)
}

fn ends(key: &Key) -> bool {
    let Key::Key(key) = key else { return false };
    key.kind == KeyEventKind::Press
        && match key.code {
            KeyCode::Char('q') | KeyCode::Esc => true,
            KeyCode::Char('c') => key.modifiers.contains(KeyModifiers::CONTROL),
            _ => false,
        }
}

/// True also where nobody is left who could stop it.
fn is_stopped(stop: &Stop) -> bool {
    *stop.borrow() || stop.has_changed().is_err()
}

fn as_lines(mut view: LiveView, stop: Stop) -> io::Result<()> {
    let mut board = Board::new(&view);
    if !view.notice.is_empty() {
        writeln!(io::stdout(), "{}: {}", view.title, view.notice)?;
    }
    while !is_stopped(&stop) {
        let next = Instant::now() + LINE_EVERY;
        board.look(&mut view);
        writeln!(io::stdout(), "{}", line::line(&board))?;
        while !is_stopped(&stop) {
            let left = next.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            std::thread::sleep(left.min(Duration::from_millis(50)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;

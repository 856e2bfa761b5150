//! What the view remembers between two looks.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use resonance_gateway::status::Status as Gateway;
use resonance_plant::{Event, PointIndex, ResultRecord, Status, Timestamp, Value};
use tokio::sync::broadcast::error::TryRecvError;

use super::LiveView;

/// Looks a sparkline reaches back: a minute.
const HISTORY: usize = 240;

/// Rows kept per view; more do not fit any terminal.
const ROWS_MAX: usize = 60;
const EVENTS_MAX: usize = 30;

/// Everything that is drawn.
#[derive(Debug)]
pub(super) struct Board {
    pub(super) title: String,
    pub(super) notice: String,
    pub(super) colored: bool,
    pub(super) now: Timestamp,
    pub(super) rows: Vec<Row>,
    /// The last result of every deployment, by its name.
    pub(super) results: BTreeMap<Arc<str>, Arc<ResultRecord>>,
    /// Results that came faster than they were looked at.
    pub(super) unseen: u64,
    pub(super) gateway: Option<Gateway>,
    /// Observations per second since the look before.
    pub(super) rate: f64,
    pub(super) events: Vec<Arc<Event>>,
}

/// A point's row.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) point: PointIndex,
    pub(super) path: String,
    pub(super) unit: &'static str,
    pub(super) labels: Arc<[Arc<str>]>,
    pub(super) value: Value,
    pub(super) status: Status,
    pub(super) source_time: Option<Timestamp>,
    /// One number a look, oldest first; `None` where the value was bad or no number.
    pub(super) history: VecDeque<Option<f64>>,
}

impl Board {
    pub(super) fn new(view: &LiveView) -> Self {
        let rows = view.points.iter().take(ROWS_MAX).map(|index| Row {
            point: *index,
            path: view.plant.path(*index),
            unit: view.plant.point(*index).and_then(|p| p.unit).map_or("", |unit| unit.symbol()),
            labels: view.plant.point(*index).map_or_else(|| Arc::from([]), |p| p.labels.clone()),
            value: Value::Empty,
            status: Status::BAD_WAITING_FOR_INITIAL_DATA,
            source_time: None,
            history: VecDeque::with_capacity(HISTORY),
        });
        Self {
            title: view.title.clone(),
            notice: view.notice.clone(),
            colored: view.colored,
            now: view.clock.now(),
            rows: rows.collect(),
            results: BTreeMap::new(),
            unseen: 0,
            gateway: None,
            rate: 0.0,
            events: Vec::new(),
        }
    }

    /// Takes in the present moment.
    pub(super) fn look(&mut self, view: &mut LiveView) {
        let now = view.clock.now();
        for row in &mut self.rows {
            if let Some(observation) = view.values.observation(row.point) {
                row.take(observation.value, observation.status, observation.source_time);
            }
        }
        loop {
            match view.results.try_recv() {
                Ok(record) => {
                    self.results.insert(Arc::clone(&record.deployment), record);
                }
                Err(TryRecvError::Lagged(missed)) => self.unseen += missed,
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        let gateway = (view.status)();
        let passed_s = now.since(self.now) as f64 / 1e9;
        if let Some(before) = &self.gateway
            && passed_s > 0.0
        {
            let more = gateway.hub.observations.saturating_sub(before.hub.observations);
            // Smoothed, so that the number can be read.
            self.rate += 0.3 * (more as f64 / passed_s - self.rate);
        }
        self.gateway = Some(gateway);
        self.events = view.events.recent(EVENTS_MAX);
        self.now = now;
    }
}

impl Row {
    pub(super) fn take(&mut self, value: Value, status: Status, source_time: Timestamp) {
        let is_known = status != Status::BAD_WAITING_FOR_INITIAL_DATA;
        self.source_time = is_known.then_some(source_time);
        let number = value.as_f64().filter(|x| x.is_finite() && !status.is_bad());
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(number);
        self.value = value;
        self.status = status;
    }

    /// The name of its state, where it has one.
    pub(super) fn label(&self) -> Option<&str> {
        let state = self.value.as_f64()?;
        let at = (state >= 0.0 && state.fract() == 0.0).then_some(state as usize)?;
        self.labels.get(at).map(|label| &**label)
    }
}

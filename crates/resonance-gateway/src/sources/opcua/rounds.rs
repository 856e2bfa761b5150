//! When to look at the machine's times and at which points.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use opcua::types::Error;
use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::checkup::{Findings, POINTS_MAX, Round, look};
use super::config::OpcUaConfig;
use super::requests::Live;
use super::subscriptions::{Item, Layout};
use crate::sources::Link;

/// The longest time between two looks.
const EVERY_MAX: Duration = Duration::from_secs(5);

/// Goes round the points, those that are not monitored at every look.
pub(super) struct Rounds {
    live: Arc<Live>,
    config: Arc<OpcUaConfig>,
    link: Link,
    items: Vec<Item>,
    subscriptions: Vec<u32>,
    items_per_request: usize,
    nodes_per_read: usize,
    timer: Interval,
    next: usize,
    under_way: Option<BoxFuture<'static, Result<Findings, Error>>>,
}

impl Rounds {
    pub(super) fn new(
        live: Arc<Live>,
        config: Arc<OpcUaConfig>,
        link: Link,
        layout: &Layout,
    ) -> Self {
        let every = (layout.silence / 3).clamp(Duration::from_millis(100), EVERY_MAX);
        let mut timer = tokio::time::interval_at(Instant::now() + every, every);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            live,
            config,
            link,
            items: layout.items.clone(),
            subscriptions: layout.subscriptions.iter().map(|s| s.id).collect(),
            items_per_request: layout.items_per_request,
            nodes_per_read: layout.nodes_per_read,
            timer,
            next: 0,
            under_way: None,
        }
    }

    /// The findings of the next look. May be dropped and called anew; nothing is lost.
    pub(super) async fn next(&mut self) -> Findings {
        loop {
            if let Some(look) = &mut self.under_way {
                let found = look.await;
                self.under_way = None;
                match found {
                    Ok(findings) => {
                        self.remember(&findings);
                        return findings;
                    }
                    // Whether the machine is lost is judged by its messages alone.
                    Err(error) => tracing::debug!(%error, "a look at the machine failed"),
                }
            }
            self.timer.tick().await;
            self.begin();
        }
    }

    fn begin(&mut self) {
        let round = Round {
            indices: choose(&self.items, &mut self.next),
            items: self.items.clone(),
            subscriptions: self.subscriptions.clone(),
            items_per_request: self.items_per_request,
            nodes_per_read: self.nodes_per_read,
        };
        let (live, config) = (Arc::clone(&self.live), Arc::clone(&self.config));
        let (clock, points) = (Arc::clone(&self.link.clock), Arc::clone(&self.link.points));
        self.under_way =
            Some(async move { look(&live, &*clock, &config, &points, &round).await }.boxed());
    }

    fn remember(&mut self, findings: &Findings) {
        for (index, _) in &findings.vanished {
            self.items[*index].monitored = None;
        }
        for (index, id, _) in &findings.monitored {
            self.items[*index].monitored = Some(*id);
        }
    }
}

/// The next points: some of those not monitored, and some of the others in turn.
fn choose(items: &[Item], next: &mut usize) -> Vec<usize> {
    let start = *next;
    let turned = |at: usize| (start + at) % items.len();
    let usable = |index: &usize| items[*index].node.is_some();
    let unmonitored = (0..items.len())
        .map(turned)
        .filter(|index| items[*index].monitored.is_none())
        .filter(usable)
        .take(POINTS_MAX);
    let mut chosen: Vec<usize> = unmonitored.collect();
    let span = items.len().min(POINTS_MAX);
    chosen.extend((0..span).map(turned).filter(|i| items[*i].monitored.is_some()).filter(usable));
    *next = if items.is_empty() { 0 } else { (start + span) % items.len() };
    chosen
}

#[cfg(test)]
mod tests {
    use opcua::types::{NodeId, StatusCode};

    use super::*;

    #[test]
    fn every_point_gets_its_turn_and_the_missing_get_it_first() {
        let item = |monitored| Item {
            node: Some(NodeId::new(1, 1_u32)),
            subscription: 0,
            monitored,
            refused: StatusCode::Good,
        };
        let mut items = vec![item(Some(1)); 1_200];
        items[1_100] = item(None);
        items[7].node = None;
        let (mut next, mut seen) = (0, std::collections::BTreeSet::new());
        for _ in 0..3 {
            let chosen = choose(&items, &mut next);
            assert!(chosen.len() <= POINTS_MAX + 1);
            assert_eq!(chosen[0], 1_100);
            seen.extend(chosen);
        }
        assert_eq!(seen.len(), 1_199, "all but the one without an address");
        assert_eq!(choose(&[], &mut next), Vec::<usize>::new());
    }
}

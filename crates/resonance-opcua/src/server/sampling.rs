//! Sampling: which columns clients watch, and what changed in them since the last look.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use opcua::server::{MonitoredItemHandle, SubscriptionCache};
use opcua::types::{AttributeId, DataValue, TimestampsToReturn};
use parking_lot::Mutex;
use resonance_plant::{DataType, LastValues, PointIndex};

use super::address_space::{NodeAt, Property, Reading};
use super::encoding;
use super::nodes::{Nodes, keep_timestamps};
use super::passage::{Handed, Passage, Terms};
use crate::value::timestamp_to_ua;

/// What a monitored item watches: a variable's value, or the label that follows from it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sampled {
    pub(crate) variable: u32,
    pub(crate) as_text: bool,
}

/// Watches columns for monitored items. One task ticks it; services add and remove items.
#[derive(Debug)]
pub(crate) struct Sampler {
    nodes: Arc<Nodes>,
    watched: Mutex<Watched>,
    notified: AtomicU64,
    started: Instant,
    period: Duration,
}

#[derive(Debug, Default)]
struct Watched {
    items: Vec<Item>,
    places: HashMap<MonitoredItemHandle, usize>,
}

#[derive(Debug)]
struct Item {
    handle: MonitoredItemHandle,
    sampled: Sampled,
    is_computed: bool,
    point: PointIndex,
    data_type: DataType,
    /// The version of the slot last notified.
    seen: u32,
    interval: Duration,
    /// When it is sampled next, since the sampler's start.
    due: Duration,
    is_enabled: bool,
    /// Whether the subscription was seen to have the item. Services create an item a moment
    /// after it is added here; notified in between, a change would be lost.
    is_confirmed: bool,
    passage: Passage,
}

impl Sampler {
    /// A sampler that will be ticked every `period`.
    pub(crate) fn new(nodes: Arc<Nodes>, period: Duration) -> Self {
        Self {
            nodes,
            watched: Mutex::default(),
            notified: AtomicU64::new(0),
            started: Instant::now(),
            period,
        }
    }

    pub(crate) fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    /// Values handed to subscriptions so far.
    pub(crate) fn notified(&self) -> u64 {
        self.notified.load(Ordering::Relaxed)
    }

    /// Watches from now on. The initial value must be read after this, and told
    /// [`Sampler::begin`].
    pub(crate) fn add(
        &self,
        handle: MonitoredItemHandle,
        sampled: Sampled,
        interval_ms: f64,
        is_enabled: bool,
        terms: Terms,
    ) {
        let spec = &self.nodes.space.variable(sampled.variable).spec;
        let (is_computed, point) = match spec.reading {
            Reading::Point(point) => (false, point),
            Reading::Computed(point) => (true, point),
            Reading::Fixed(_) => return,
        };
        let Some(columns) = self.columns(is_computed) else { return };
        let interval = interval(interval_ms);
        let item = Item {
            handle,
            sampled,
            is_computed,
            point,
            data_type: spec.data_type,
            seen: columns.version(point),
            interval,
            due: self.started.elapsed() + interval,
            is_enabled,
            is_confirmed: false,
            passage: Passage::new(terms),
        };
        let mut watched = self.watched.lock();
        let place = watched.items.len();
        watched.items.push(item);
        watched.places.insert(handle, place);
    }

    pub(crate) fn remove(&self, handle: MonitoredItemHandle) {
        let mut watched = self.watched.lock();
        let Some(place) = watched.places.remove(&handle) else { return };
        watched.items.swap_remove(place);
        if let Some(moved) = watched.items.get(place).map(|item| item.handle) {
            watched.places.insert(moved, place);
        }
    }

    /// Takes note of the initial value and returns it as the item may be created with it.
    pub(crate) fn begin(&self, handle: MonitoredItemHandle, initial: DataValue) -> DataValue {
        let mut watched = self.watched.lock();
        let place = watched.places.get(&handle).copied();
        match place.and_then(|place| watched.items.get_mut(place)) {
            Some(item) => item.passage.first(initial),
            None => initial,
        }
    }

    /// The client changed an item: how often it is sampled, the interval the stack filters by,
    /// both in ms, and how long the stack's queue is.
    pub(crate) fn modify(
        &self,
        handle: MonitoredItemHandle,
        interval_ms: f64,
        stack_interval_ms: f64,
        queue_size: usize,
    ) {
        self.change(handle, |item| {
            item.passage.modify(stack_interval_ms, queue_size);
            let earlier = item.due.saturating_sub(item.interval);
            item.interval = interval(interval_ms);
            item.due = earlier + item.interval;
        });
    }

    pub(crate) fn set_enabled(&self, handle: MonitoredItemHandle, is_enabled: bool) {
        self.change(handle, |item| item.is_enabled = is_enabled);
    }

    /// Notifies every item that is due of what changed in its column.
    pub(crate) fn tick(&self, subscriptions: &SubscriptionCache) {
        self.sample(subscriptions, false);
    }

    /// As [`Sampler::tick`], right after the columns were written. Items whose interval is nearly
    /// over are sampled too: who writes and samples as often as clients ask loses no change.
    pub(crate) fn sample_now(&self, subscriptions: &SubscriptionCache) {
        self.sample(subscriptions, true);
    }

    fn sample(&self, subscriptions: &SubscriptionCache, follows_write: bool) {
        let mut watched = self.watched.lock();
        if watched.items.is_empty() {
            return;
        }
        let now = self.started.elapsed();
        // Half a period early is in time, or jitter would double the interval now and then.
        let soon = now + self.period / 2;
        let mut notifier = subscriptions.data_notifier();
        let mut changed = Vec::new();
        for item in &mut watched.items {
            let early = if follows_write { item.interval / 4 } else { Duration::ZERO };
            if !item.is_enabled || item.due > soon + early {
                continue;
            }
            let Some(columns) = self.columns(item.is_computed) else { continue };
            if columns.version(item.point) == item.seen {
                // It stays due: a tick in the midst of a round of writes must not make what is
                // written right after it wait for another interval, or be overwritten unseen.
                continue;
            }
            // After a write the interval counts from it, so that the clock's ticks, which see
            // half of what changed, do not come between.
            item.due = if item.due + item.interval > now && !follows_write {
                item.due + item.interval
            } else {
                now + item.interval
            };
            if !item.is_confirmed {
                let node = self.nodes.node_id(item.node());
                item.is_confirmed = notifier
                    .notify_for(&node, AttributeId::Value)
                    .is_some_and(|found| found.entries().any(|(known, _)| *known == item.handle));
                if !item.is_confirmed {
                    item.due = now;
                    continue;
                }
            }
            let Some((value, version)) = self.read(item, columns) else { continue };
            item.seen = version;
            changed.push((item.handle, item.node(), item.passage.next(value)));
        }
        self.notified.fetch_add(changed.len() as u64, Ordering::Relaxed);
        // Any node with an item opens a batch, and a batch takes values for every item.
        let mut opened = None;
        for (_, node, _) in &changed {
            let node = self.nodes.node_id(*node);
            if notifier.notify_for(&node, AttributeId::Value).is_some() {
                opened = Some(node);
                break;
            }
        }
        let Some(mut batch) =
            opened.and_then(|node| notifier.notify_for(&node, AttributeId::Value))
        else {
            return;
        };
        for (handle, _, Handed { before, value }) in changed {
            if let Some(before) = before {
                batch.data_value_to_item(before, &handle);
            }
            batch.data_value_to_item(value, &handle);
        }
    }

    fn read(&self, item: &Item, columns: &LastValues) -> Option<(DataValue, u32)> {
        let slot = columns.slot(item.point)?;
        if item.sampled.as_text {
            let both = TimestampsToReturn::Both;
            let range = opcua::types::NumericRange::None;
            let value = self.nodes.read(item.node(), AttributeId::Value, &range, both);
            return Some((value, slot.version));
        }
        let mut value = encoding::slot_value(columns, item.point, &slot, item.data_type);
        keep_timestamps(&mut value, TimestampsToReturn::Both, || {
            timestamp_to_ua(self.nodes.clock.now())
        });
        Some((value, slot.version))
    }

    fn change(&self, handle: MonitoredItemHandle, change: impl FnOnce(&mut Item)) {
        let mut watched = self.watched.lock();
        let place = watched.places.get(&handle).copied();
        if let Some(item) = place.and_then(|place| watched.items.get_mut(place)) {
            change(item);
        }
    }

    fn columns(&self, is_computed: bool) -> Option<&LastValues> {
        if is_computed { self.nodes.space.computed.as_deref() } else { Some(&self.nodes.values) }
    }
}

impl Item {
    fn node(&self) -> NodeAt {
        if self.sampled.as_text {
            NodeAt::Property(self.sampled.variable, Property::ValueAsText)
        } else {
            NodeAt::Variable(self.sampled.variable)
        }
    }
}

/// Clients may send any number: nonsense is as fast as possible, and a day is enough.
fn interval(ms: f64) -> Duration {
    if ms.is_finite() && ms > 0.0 {
        Duration::from_secs_f64((ms / 1e3).min(86_400.0))
    } else {
        Duration::ZERO
    }
}

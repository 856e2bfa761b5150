use std::sync::Arc;

use futures_util::FutureExt;
use opcua::types::{DateTime, StatusCode};
use resonance_opcua::value::timestamp_to_ua;
use resonance_plant::{Block, EventSink, ManualClock};

use super::*;
use crate::events::EventLog;
use crate::hub::ingest::{BlockReceiver, Message, Waker, channel};
use crate::sources::SourcePoint;

const NOW: i64 = 1_800_000_000_000;

struct Bench {
    unpacker: Unpacker,
    out: BlockSender,
    receiver: BlockReceiver,
    events: Arc<EventLog>,
}

fn bench(time: TimeFrom) -> Bench {
    let events = Arc::new(EventLog::in_memory());
    let (out, receiver) = channel(Waker::default());
    let point = |index| SourcePoint {
        point: PointIndex(index),
        path: format!("mill.p{index}").into(),
        address: format!("ns=1;i={index}").into(),
        data_type: DataType::Float64,
        labels: Arc::default(),
        sampling_ms: None,
        deadband: None,
    };
    let link = Link {
        id: "mill".into(),
        points: (40..44).map(point).collect(),
        clock: Arc::new(ManualClock::at(Timestamp::from_millis(NOW))),
        events: Arc::clone(&events) as Arc<dyn EventSink>,
        counters: Arc::default(),
    };
    Bench { unpacker: Unpacker::new(&link, time), out, receiver, events }
}

fn item(handle: u32, value: impl Into<Variant>, at_ms: i64) -> MonitoredItemNotification {
    let time = timestamp_to_ua(Timestamp::from_millis(at_ms));
    MonitoredItemNotification {
        client_handle: handle,
        value: DataValue {
            value: Some(value.into()),
            status: Some(StatusCode::Good),
            source_timestamp: Some(time),
            ..DataValue::null()
        },
    }
}

fn overflowed(handle: u32, at_ms: i64) -> MonitoredItemNotification {
    let mut item = item(handle, 1.0, at_ms);
    item.value.status = Some(StatusCode::from(Status::GOOD.with_overflow().0));
    item
}

impl Bench {
    async fn take(&mut self, items: &[MonitoredItemNotification]) {
        let received = Timestamp::from_millis(NOW);
        self.unpacker.values(items, received, &mut self.out).await;
    }

    fn blocks(&mut self) -> Vec<Block> {
        std::iter::from_fn(|| self.receiver.receive())
            .filter_map(|message| match message {
                Message::Block(block) => Some(*block),
                _ => None,
            })
            .collect()
    }
}

#[tokio::test]
async fn rows_carry_the_points_own_index_and_unknown_handles_are_passed_over() {
    let mut bench = bench(TimeFrom::Source);
    bench.take(&[item(3, 2.5, NOW - 5), item(u32::MAX, 1.0, NOW), item(0, 1.5, NOW)]).await;
    let blocks = bench.blocks();
    let [block] = blocks.as_slice() else { panic!("one message, one block") };
    assert_eq!((block.point.as_slice(), block.value.as_slice()), (&[43, 40][..], &[2.5, 1.5][..]));
    assert_eq!(block.source_time[0], (NOW - 5) * 1_000_000);
    assert_eq!(block.receive_time, Timestamp::from_millis(NOW));
}

#[tokio::test]
async fn a_long_message_fills_blocks_and_loses_nothing() {
    let mut bench = bench(TimeFrom::Source);
    let items: Vec<_> = (0..2_500).map(|n| item(n % 4, f64::from(n), NOW)).collect();
    bench.take(&items).await;
    let blocks = bench.blocks();
    let lengths: Vec<usize> = blocks.iter().map(|block| block.len()).collect();
    assert_eq!(lengths, [1024, 1024, 452]);
    assert!(blocks.iter().flat_map(|b| &b.value).copied().eq((0..2_500).map(f64::from)));
    assert_eq!(bench.unpacker.outlet.link.counters.observations.value(), 2_500);
}

#[tokio::test]
async fn overflow_bits_of_one_message_are_one_gap() {
    let mut bench = bench(TimeFrom::Source);
    bench.take(&[item(0, 1.0, NOW - 90), item(1, 1.0, NOW - 80)]).await;
    // The bit is on the newest of three; what is missing came before the oldest.
    let oldest = [item(0, 2.0, NOW - 40), item(0, 3.0, NOW - 30)];
    let newest = [overflowed(0, NOW - 20), overflowed(1, NOW - 10), item(2, 1.0, NOW)];
    bench.take(&[&oldest[..], &newest[..]].concat()).await;
    let gaps: Vec<Gap> = std::iter::from_fn(|| bench.receiver.receive())
        .filter_map(|message| match message {
            Message::Gap(gap) => Some(gap),
            _ => None,
        })
        .collect();
    let expect = Gap {
        points: [PointIndex(40), PointIndex(41)].into(),
        from: Timestamp::from_millis(NOW - 90),
        to: Timestamp::from_millis(NOW - 10),
        reason: GapReason::Overflow,
    };
    assert_eq!(gaps, [expect]);
    assert_eq!(bench.unpacker.outlet.link.counters.overflows.value(), 2);
}

#[test]
fn notifications_reach_their_blocks_without_allocation() {
    let mut bench = bench(TimeFrom::Source);
    let items: Vec<_> = (0..2_000).map(|at| item(at % 3, f64::from(at), NOW)).collect();
    let mut rows = 0;
    let mut take = || {
        let received = Timestamp::from_millis(NOW);
        let taken = bench.unpacker.values(&items, received, &mut bench.out).now_or_never();
        assert!(taken.is_some(), "there is room");
        while let Some(Message::Block(block)) = bench.receiver.receive() {
            rows += block.len();
            bench.receiver.give_back(block);
        }
    };
    // The first makes the blocks that all others use again.
    take();
    let allocated = allocation_counter::measure(|| (1..100).for_each(|_| take()));
    assert_eq!((allocated.count_total, rows), (0, 200_000), "{allocated:?}");
}

#[tokio::test]
async fn an_info_bit_survives_a_status_of_ours() {
    let mut bench = bench(TimeFrom::Source);
    let mut odd = overflowed(0, NOW);
    odd.value.value = Some(Variant::Double(f64::NAN));
    bench.take(&[odd]).await;
    assert_eq!(bench.blocks()[0].status, [Status::BAD_OUT_OF_RANGE.with_overflow().0]);
}

#[tokio::test]
async fn nothing_is_never_a_good_number() {
    let mut bench = bench(TimeFrom::Source);
    bench.take(&[item(0, Variant::Empty, NOW)]).await;
    let block = bench.blocks().remove(0);
    assert_eq!((block.kind[0], block.status[0]), (ValueKind::Empty as u8, Status::BAD_NO_DATA.0));
}

#[tokio::test]
async fn a_machine_whose_clock_is_ahead_is_judged_by_its_own_clock() {
    let mut bench = bench(TimeFrom::Source);
    let ahead_ms = 3_600_000;
    bench.take(&[item(0, 1.0, NOW + ahead_ms)]).await;
    assert_eq!(bench.unpacker.outlet.link.counters.times_replaced.value(), 1);
    bench.unpacker.outlet.link.counters.clock_offset_us.set(ahead_ms * 1_000);
    bench.take(&[item(0, 1.0, NOW + ahead_ms)]).await;
    assert_eq!(bench.unpacker.outlet.link.counters.times_replaced.value(), 1);
    assert_eq!(bench.events.recent(10).len(), 1);
}

#[tokio::test]
async fn the_receive_time_stands_where_it_is_asked_for() {
    let mut bench = bench(TimeFrom::Receive);
    let mut timeless = item(0, 1.0, NOW);
    timeless.value.source_timestamp = Some(DateTime::null());
    bench.take(&[timeless]).await;
    assert_eq!(bench.blocks()[0].source_time, [NOW * 1_000_000]);
    assert_eq!(bench.unpacker.outlet.link.counters.times_replaced.value(), 0);
}

#[tokio::test]
async fn the_time_is_the_one_that_is_asked_for() {
    let taken =
        [(TimeFrom::Source, NOW - 30), (TimeFrom::Server, NOW - 20), (TimeFrom::Receive, NOW)];
    for (time, expected) in taken {
        let mut bench = bench(time);
        let mut item = item(0, 1.0, NOW - 30);
        item.value.server_timestamp = Some(timestamp_to_ua(Timestamp::from_millis(NOW - 20)));
        bench.take(&[item]).await;
        let times: Vec<_> = bench.blocks().iter().flat_map(|b| b.source_time.to_vec()).collect();
        assert_eq!(times, [Timestamp::from_millis(expected).nanos()], "{time:?}");
        assert_eq!(bench.unpacker.outlet.link.counters.times_replaced.value(), 0, "{time:?}");
    }
}

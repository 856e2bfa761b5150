//! Reads the counters of `resonance simulate load` and proves that it saw each change.
//!
//!     read_load URL POINTS SECONDS
//!
//! Prints one line: changes, changes a second of wall and of this process's processor time,
//! jumps in the counters, Overflow bits, sequence gaps.

use std::sync::Arc;
use std::time::{Duration, Instant};

use resonance_gateway::events::EventLog;
use resonance_gateway::hub::ingest::{Message, Waker, channel};
use resonance_gateway::sources::opcua::OpcUaSource;
use resonance_gateway::sources::{Link, Source, SourcePoint};
use resonance_gateway::status::SourceCounters;
use resonance_plant::{DataType, PointIndex, SystemClock};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = |name: &str| arguments.next().ok_or(format!("{name} is missing"));
    let url = argument("URL")?;
    let points: u32 = argument("POINTS")?.parse()?;
    let seconds: u64 = argument("SECONDS")?.parse()?;
    let config = toml::from_str(&format!(
        "url = '{url}'\nsecurity_policy = 'none'\nallow_weak_security = true\nsampling_ms = 0\n\
         queue_size = 64\n"
    ))?;

    let waker = Waker::default();
    let (out, mut receiver) = channel(waker.clone());
    let counters = Arc::new(SourceCounters::default());
    let events = Arc::new(EventLog::in_memory());
    let link = Link {
        id: "load".into(),
        points: (0..points).map(point).collect(),
        clock: Arc::new(SystemClock),
        events: Arc::clone(&events) as Arc<dyn resonance_plant::EventSink>,
        counters: Arc::clone(&counters),
    };
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let reading = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let run = Box::new(OpcUaSource::new(config)).run(link, out, stopped);
        runtime.map(|runtime| runtime.block_on(run))
    });

    waker.register();
    let mut last = vec![0.0_f64; points as usize];
    let (mut seen, mut jumps) = (0_u64, 0_u64);
    let mut first = None;
    while first.is_none_or(|at: Instant| at.elapsed() < Duration::from_secs(seconds)) {
        let Some(message) = receiver.receive() else {
            if receiver.is_empty() {
                std::thread::park_timeout(Duration::from_millis(100));
            }
            continue;
        };
        let Message::Block(block) = message else { continue };
        first.get_or_insert_with(Instant::now);
        seen += block.len() as u64;
        for (point, value) in block.point.iter().zip(&block.value) {
            if let Some(last) = last.get_mut(*point as usize) {
                jumps += u64::from(*last != 0.0 && *value != *last + 1.0);
                *last = *value;
            }
        }
        receiver.give_back(block);
    }
    let wall = first.map_or(0.0, |at| at.elapsed().as_secs_f64());
    stop.send_replace(true);
    let _ = reading.join();
    let cpu = processor_seconds().unwrap_or(f64::NAN);
    println!(
        "changes={seen} per_second={:.0} per_cpu_second={:.0} jumps={jumps} overflows={} \
         sequence_gaps={} refused={} reconnects={}",
        seen as f64 / wall,
        seen as f64 / cpu,
        counters.overflows.value(),
        counters.sequence_gaps.value(),
        counters.refused.value(),
        counters.reconnects.value(),
    );
    for event in events.recent(5) {
        println!("{} {}", event.code, event.message);
    }
    Ok(())
}

fn point(index: u32) -> SourcePoint {
    SourcePoint {
        point: PointIndex(index),
        path: format!("load.{index}").into(),
        address: format!("ns=2;s=Load.Counters.P{index:05}").into(),
        data_type: DataType::Float64,
        labels: Arc::default(),
        sampling_ms: None,
        deadband: None,
    }
}

/// User and system time of this process, as Linux tells it in hundredths.
fn processor_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / 100.0)
}

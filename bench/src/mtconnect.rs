//! How fast observations come out of MTConnect documents.

use std::time::{Duration, Instant};

use resonance_plant::Timestamp;
use resonance_wire::mtconnect::emit::StreamsWriter;
use resonance_wire::mtconnect::{
    Category, Component, DataItem, Device, Header, Limits, Observation, Reading, Sequences,
    Streams, Version,
};

use crate::Failure;

/// Components of the device; observations are spread over them.
const COMPONENTS: usize = 10;

/// Writes a document of so many samples into a file, for others to read, and reads it again and
/// again: each observation's id, sequence number, time and number, as the source does.
pub(crate) fn mtconnect(
    observations: usize,
    seconds: f64,
    file: &str,
) -> Result<serde_json::Value, Failure> {
    let document = document(observations);
    std::fs::write(file, &document)?;
    let (began, cpu) = (Instant::now(), cpu_seconds()?);
    let (mut rounds, mut sum) = (0_u64, 0.0);
    while began.elapsed() < Duration::from_secs_f64(seconds) {
        sum += read(document.as_bytes(), observations)?;
        rounds += 1;
    }
    let cpu = cpu_seconds()? - cpu;
    let read = rounds as f64 * observations as f64;
    Ok(serde_json::json!({
        "observations": observations,
        "bytes": document.len(),
        "rounds": rounds,
        "mean": sum / read,
        "observations_per_cpu_s": read / cpu,
        "bytes_per_cpu_s": rounds as f64 * document.len() as f64 / cpu,
    }))
}

/// The sum of a document's numbers.
fn read(document: &[u8], expected: usize) -> Result<f64, Failure> {
    let mut streams = Streams::open(document, Limits::default())?;
    let (mut sum, mut seen, mut before) = (0.0, 0, 0);
    while let Some(observation) = streams.next_observation()? {
        let number = observation.reading.number();
        let (Some(number), Some(_), true) =
            (number, observation.time, observation.sequence > before)
        else {
            return Err(format!("{observation:?} is not what was written").into());
        };
        before = observation.sequence;
        sum += number;
        seen += 1;
    }
    if seen == expected { Ok(sum) } else { Err(format!("{seen} of {expected} were read").into()) }
}

/// As an agent sends it: samples by component, each with name and sub-type.
fn document(observations: usize) -> String {
    let component = |number| Component {
        parent: (number > 0).then_some(0),
        kind: if number == 0 { "Device".into() } else { "Linear".into() },
        id: format!("c{number}"),
        name: format!("X{number}"),
        uuid: "maker.mill.0815".into(),
        ..Component::default()
    };
    let item = |number| DataItem {
        id: format!("c{number}_pos"),
        name: format!("X{number}act"),
        kind: "POSITION".into(),
        sub_type: "ACTUAL".into(),
        component: number,
        ..DataItem::default()
    };
    let device = Device {
        components: (0..=COMPONENTS).map(component).collect(),
        data_items: (1..=COMPONENTS).map(item).collect(),
    };
    let last = observations as u64;
    let began = Timestamp::from_millis(1_800_000_000_000);
    let header = Header {
        version: Version { major: 2, minor: 7 },
        agent_version: "2.7.0.0".into(),
        sender: "bench".into(),
        instance_id: 1_800_000_000,
        creation_time: Some(began),
        buffer_size: 1 << 17,
        is_test: false,
        sequences: Some(Sequences { first: 1, last, next: last + 1 }),
    };
    let mut writer = StreamsWriter::new(&header);
    writer.device(&device);
    let mut sequence = 0;
    for (number, item) in (0..).zip(&device.data_items) {
        writer.component(&device.components[item.component]);
        let of_it = observations / COMPONENTS + usize::from(number < observations % COMPONENTS);
        for step in 0..of_it {
            sequence += 1;
            writer.observation(
                item,
                &Observation {
                    category: Category::Sample,
                    element: "Position",
                    data_item_id: (&*item.id).into(),
                    sequence,
                    time: Some(began.plus(Duration::from_micros(step as u64 * 1_234))),
                    reset: "".into(),
                    reading: Reading::Text(format!("{:.4}", step as f64 * 0.0371).into()),
                },
            );
        }
    }
    writer.finish()
}

/// Processor time of this process so far, of all its threads.
fn cpu_seconds() -> Result<f64, Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks = |at| fields.split_whitespace().nth(at).and_then(|text| text.parse::<f64>().ok());
    let (Some(user), Some(system)) = (ticks(11), ticks(12)) else {
        return Err("the system does not tell the processor time".into());
    };
    // Linux counts 100 ticks a second towards programs, whatever it does itself.
    Ok((user + system) / 100.0)
}

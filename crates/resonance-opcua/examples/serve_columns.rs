//! Serves moving points over OPC UA without security, to measure the server alone:
//! `serve_columns POINTS CHANGES_PER_SECOND_AND_POINT [SECONDS]`. Prints its URL, then once a
//! second what it handed to subscriptions and what it costs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use resonance_opcua::server::{
    AddressSpace, ObjectSpec, Reading, Sampling, ServerOptions, UaServer, VariableSpec,
};
use resonance_plant::{
    Clock, DataType, LastValues, PointIndex, Range, Status, SystemClock, Unit, ValueKind,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let points: u32 = arguments.next().as_deref().unwrap_or("10000").parse()?;
    let rate: u32 = arguments.next().as_deref().unwrap_or("10").parse()?;
    let seconds: u64 = arguments.next().as_deref().unwrap_or("60").parse()?;

    let values = Arc::new(LastValues::new(points as usize));
    let space = space(points)?;
    let options = ServerOptions::open("127.0.0.1:0".parse()?, "Columns", "urn:resonance:columns");
    let running =
        UaServer::start(options, space, Arc::clone(&values), Arc::new(SystemClock)).await?;
    println!("{}", running.url());
    let sampling = running.sampling();
    std::thread::spawn(move || write(&values, &sampling, points, rate));

    let mut before = (0, cpu_ticks());
    for _ in 0..seconds {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = (running.notifications(), cpu_ticks());
        println!(
            "{} sessions, {} notifications/s, {} % CPU, {} MB",
            running.sessions(),
            now.0 - before.0,
            now.1 - before.1,
            resident_mb(),
        );
        before = now;
    }
    running.stop().await;
    Ok(())
}

fn space(points: u32) -> Result<AddressSpace, resonance_opcua::server::AddressSpaceError> {
    let mut space = AddressSpace::new();
    let machine = ObjectSpec {
        id: "machine".into(),
        name: "machine".into(),
        description: "".into(),
        is_folder: false,
    };
    let machine = space.add_object(None, machine)?;
    for index in 0..points {
        let reading = Reading::Point(PointIndex(index));
        let (id, name) = (format!("machine.p{index}"), format!("p{index}"));
        let mut spec = VariableSpec::plain(&id, &name, DataType::Float64, reading);
        spec.unit = Unit::from_code("CEL");
        spec.range = Some(Range { low: 0.0, high: 1e9 });
        space.add_variable(Some(machine), spec)?;
    }
    Ok(space)
}

/// Each point counts its own changes.
fn write(values: &LastValues, sampling: &Sampling, points: u32, rate: u32) {
    let period = Duration::from_secs(1) / rate.max(1);
    let start = Instant::now();
    for round in 1_u32.. {
        let now = SystemClock.now();
        for point in 0..points {
            let kind = ValueKind::Float;
            values.write(PointIndex(point), kind, f64::from(round), now, now, Status::GOOD);
        }
        sampling.sample_now();
        std::thread::sleep((period * round).saturating_sub(start.elapsed()));
    }
}

/// CPU time of this process in hundredths of a second; zero where /proc is absent.
fn cpu_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> =
        stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let tick = |at: usize| fields.get(at).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    tick(11) + tick(12)
}

fn resident_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    let kilobytes = line.split_whitespace().nth(1).and_then(|text| text.parse::<u64>().ok());
    kilobytes.unwrap_or(0) / 1024
}

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use resonance_gateway::status::{
    Connection, DeploymentState, DeploymentStatus, EventsStatus, HubStatus, LatencySummary,
    SinkStatus, SpoolStatus,
};
use resonance_plant::{
    Asset, AssetId, Code, DataType, Event, EventSink, Interpolation, Latency, ManualClock,
    ModelCategory, ModelUsed, OutputValue, Point, Qualifier, ResultId, Status as Quality,
    Timestamp, Unit, Value, WindowRef,
};

use super::*;

const START: i64 = 1_763_716_088_000;

fn point(name: &str, data_type: DataType, unit: Option<&str>) -> Point {
    Point {
        asset: 0,
        name: name.into(),
        data_type,
        quantity: None,
        unit: unit.and_then(Unit::from_code),
        range: None,
        interpolation: Interpolation::Step,
        semantic_id: None,
        qualifier: Qualifier::default(),
        labels: Arc::from([]),
        description: "".into(),
    }
}

fn plant() -> Plant {
    let mut state = point("State", DataType::Int32, None);
    state.labels = ["idle".into(), "cutting".into()].into();
    Plant {
        assets: vec![Asset {
            id: AssetId("mill".into()),
            equipment_id: "e/s/a/c/mill".into(),
            physical_asset_id: None,
            class: None,
            description: "".into(),
        }],
        points: vec![
            point("Program", DataType::String, None),
            state,
            point("Power", DataType::Float64, Some("KWT")),
        ],
    }
}

fn gateway() -> Status {
    let deployment = DeploymentStatus {
        id: "wear".into(),
        asset: "mill".into(),
        outputs: Arc::from([]),
        model: "tool-wear".into(),
        model_version: "1.0.0".into(),
        trained_on: "simulated".into(),
        state: DeploymentState::Active,
        reason: String::new(),
        triggers: 10,
        inferences: 1_234,
        results: 1_234,
        overruns: 0,
        failures: 0,
        over_budget: 0,
        latency: LatencySummary { p50_us: 400, p99_us: 900, max_us: 2_000 },
        inference: LatencySummary::default(),
    };
    let sink = SinkStatus {
        id: "broker".into(),
        connection: Connection::Connected,
        delivered: 1_200,
        failed: 0,
        waiting: 34,
        dropped: 0,
        refused: 2,
        left_out: 0,
    };
    Status {
        at: Timestamp::from_millis(START),
        started_at: Timestamp::from_millis(START - 83_000),
        recording: None,
        traces: None,
        version: "0.1.0",
        sources: vec![],
        hub: HubStatus { observations: 12_345, blocks: 100, gaps: 1, rewinds: 0 },
        deployments: vec![deployment],
        sinks: vec![sink],
        servers: vec![],
        spool: SpoolStatus::default(),
        events: EventsStatus::default(),
    }
}

fn record(end: Timestamp) -> ResultRecord {
    ResultRecord {
        id: ResultId([0; 16]),
        deployment: "wear".into(),
        asset: "mill".into(),
        equipment_id: "acme/north/hall-1/line-2/mill".into(),
        physical_asset_id: Some("SN-7".into()),
        part_id: None,
        category: ModelCategory::PredictiveMaintenance,
        model: Arc::new(ModelUsed {
            name: "tool-wear".into(),
            version: "1.0.0".into(),
            digest: "sha256:0123456789abcdef".into(),
            engine: "onnxruntime 1.31.1".into(),
            trained_on: "simulated".into(),
            fallback: None,
        }),
        sequence: 1,
        outputs: vec![OutputValue {
            name: "flank_wear".into(),
            point: None,
            value: Value::Float(0.21345),
            label: None,
            quantity: None,
            unit: Unit::from_code("MMT"),
            semantic_id: None,
            qualifier: Qualifier::default(),
            uncertainty: None,
            status: Quality::GOOD,
        }],
        window: WindowRef {
            from: end,
            to: end,
            samples: 1,
            points: Arc::from([]),
            worst_status: Quality::GOOD,
        },
        source_time: end,
        computed_at: end,
        valid_until: end.plus(Duration::from_secs(1)),
        latency: Latency { inference_us: 45, total_us: 1_240, budget_us: 0 },
        status: Quality::GOOD,
        backfilled: false,
    }
}

/// A view of a machine whose power rose for eight looks, 300 ms after a result.
fn board() -> (Board, LiveView, Arc<ManualClock>) {
    let plant = Arc::new(plant());
    let values = Arc::new(LastValues::new(plant.points.len()));
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(START)));
    let (results, events) = (Results::new(None), Arc::new(EventLog::in_memory()));
    let mut view = LiveView {
        title: "Resonance demo".to_owned(),
        notice: "The machine is simulated.".to_owned(),
        points: telling_points(&plant),
        plant,
        values: Arc::clone(&values),
        status: Arc::new(gateway),
        events: Arc::clone(&events),
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        results: results.subscribe(),
        colored: false,
    };
    let now = Timestamp::from_millis(START);
    events.record(Event::new(now, Code::SourceConnected, "source/mill", "it answers"));
    results.publish(Arc::new(record(now)));
    let mut board = Board::new(&view);
    for look in 1..=8 {
        let power = 4.5 + f64::from(look) / 10.0;
        values.write_value(PointIndex(2), &Value::Float(power), now, now, Quality::GOOD);
        values.write_value(PointIndex(1), &Value::Int(1), now, now, Quality::UNCERTAIN);
        board.look(&mut view);
    }
    clock.advance(Duration::from_millis(300));
    board.look(&mut view);
    (board, view, clock)
}

fn screen(board: &Board, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw::draw(frame, board)).unwrap();
    let rows = terminal.backend().to_string();
    let rows = rows.lines().map(|row| row.trim_matches('"').trim_end());
    rows.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_screen_shows_what_matters() {
    let expected = "\
Resonance demo  0.1.0  running 83 s                                             q or Ctrl-C ends
The machine is simulated.
 Machine ───────────────────────────────────────────────────────────────────────────────────────
mill.Power               5.300 kW                                         ▁▂▃▄▅▆▇██ Good
mill.State                cutting                                         ▁▁▁▁▁▁▁▁▁ Uncertain


 Results ───────────────────────────────────────────────────────────────────────────────────────
wear on mill  active
  flank_wear               0.2135 mm
  status Good  age 300 ms  latency 1.2 ms  (inference 45 µs, p99 900 µs)
  model tool-wear 1.0.0  trained on simulated data  sha256:01234567  onnxruntime 1.31.1
 Counters ──────────────────────────────────────────────────────────────────────────────────────
12,345 observations (0/s)  gaps 1  1,234 inferences  1,234 results  0 in the spool
sink broker  connected  1,200 delivered  34 waiting  0 dropped  2 dead letters
 Last events ───────────────────────────────────────────────────────────────────────────────────
09:08:08 source.connected source/mill: it answers
";
    let (board, ..) = board();
    let shown = screen(&board, 96, 18);
    assert_eq!(shown.trim_end(), expected.trim_end(), "\n{shown}");
}

#[test]
fn a_result_past_its_time_is_called_stale() {
    let (mut board, mut view, clock) = board();
    assert!(!screen(&board, 96, 24).contains("stale"));
    clock.advance(Duration::from_secs(2));
    board.look(&mut view);
    assert!(screen(&board, 96, 24).contains("age 2.3 s (stale)"));
}

#[test]
fn any_size_of_terminal_is_survived() {
    let (board, ..) = board();
    assert!(screen(&board, 50, 10).contains("smaller than 60 x 16"));
    for (width, height) in [(1, 1), (60, 16), (61, 17), (300, 100)] {
        screen(&board, width, height);
    }
}

#[test]
fn a_value_that_turns_bad_leaves_a_blank() {
    let (mut board, mut view, _) = board();
    let now = view.clock.now();
    view.values.write_value(PointIndex(2), &Value::Empty, now, now, Quality::BAD_NO_DATA);
    board.look(&mut view);
    assert_eq!(draw::sparkline(&board.rows[0], 4), "▁██ ");
    assert_eq!(board.rows[0].status, Quality::BAD_NO_DATA);
}

#[test]
fn without_a_terminal_a_line_says_it() {
    let (board, ..) = board();
    assert_eq!(
        line::line(&board),
        "2025-11-21T09:08:08.300Z observations=12345 gaps=1 inferences=1234 broker=1200 | wear: \
         flank_wear=0.2135 mm Good age 300 ms latency 1.2 ms model tool-wear 1.0.0 trained on \
         simulated"
    );
}

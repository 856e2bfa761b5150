use std::sync::Arc;
use std::time::{Duration, Instant};

use resonance_plant::result::FallbackUsed;
use resonance_plant::{
    Asset, AssetId, Clock, DataType, Interpolation, LastValues, ManualClock, Plant, Point,
    PointIndex, Principal, Qualifier,
};

use super::*;
use crate::access::Access;
use crate::deployments::{Command, CommandRefused, Deployments};
use crate::events::EventLog;
use crate::models::Models;
use crate::results::Results;
use crate::spool::tests::record;
use crate::status::{DeploymentState, DeploymentStatus, LatencySummary};

fn plan(listen: &str) -> OpcUaServerPlan {
    OpcUaServerPlan {
        listen: listen.parse().unwrap(),
        connect_to: Vec::new(),
        host: "plant".to_owned(),
        allow_anonymous: false,
        allow_none: false,
        pki: "pki".into(),
        allow_unknown_revocation: false,
    }
}

fn plant(point: &str) -> Plant {
    let asset = Asset {
        id: AssetId("mill".into()),
        equipment_id: "acme/line1/mill".into(),
        physical_asset_id: Some("SN-7".into()),
        class: None,
        description: "".into(),
    };
    let point = Point {
        asset: 0,
        name: point.into(),
        data_type: DataType::Float64,
        quantity: None,
        unit: None,
        range: None,
        interpolation: Interpolation::Step,
        semantic_id: None,
        qualifier: Qualifier::default(),
        labels: Arc::from([]),
        description: "".into(),
    };
    Plant { assets: vec![asset], points: vec![point] }
}

fn deployment() -> DeploymentStatus {
    DeploymentStatus {
        id: "wear".into(),
        asset: "mill".into(),
        outputs: Arc::from([]),
        model: "tool-wear".into(),
        model_version: "1.2.0".into(),
        trained_on: "simulated".into(),
        state: DeploymentState::Degraded,
        reason: "an input is stale".to_owned(),
        triggers: 7,
        inferences: 6,
        results: 6,
        overruns: 0,
        failures: 1,
        over_budget: 0,
        latency: LatencySummary::default(),
        inference: LatencySummary::default(),
    }
}

#[test]
fn nobody_is_admitted_unproven_from_elsewhere() {
    for listen in ["0.0.0.0:4840", "192.0.2.1:4840", "[::]:4840"] {
        let anonymous = OpcUaServerPlan { allow_anonymous: true, ..plan(listen) };
        let open = OpcUaServerPlan { allow_none: true, ..plan(listen) };
        for (refused, key) in [(anonymous, "allow_anonymous"), (open, "allow_none")] {
            let error = check(&refused).unwrap_err().to_string();
            assert!(error.contains(key) && error.contains("loopback"), "{error}");
        }
        check(&plan(listen)).unwrap();
    }
    let toward = vec!["10.0.0.5:4844".parse().unwrap()];
    let open = OpcUaServerPlan { allow_none: true, connect_to: toward, ..plan("127.0.0.1:4840") };
    let told = check(&open).unwrap_err().to_string();
    assert!(told.contains("10.0.0.5:4844 is not"), "{told}");
    let local = OpcUaServerPlan { allow_anonymous: true, allow_none: true, ..plan("[::1]:4840") };
    check(&local).unwrap();
}

#[test]
fn every_point_and_deployment_has_its_nodes() {
    let board = board::Board::new(&[deployment()], &Models::default());
    let space = space::address_space(&plant("load"), &board).unwrap();
    // One point, two properties of the asset, 21 columns and the asset of the deployment.
    assert_eq!(space.variable_count(), 1 + 2 + 21 + 1);
}

#[test]
fn a_variable_that_carries_a_result_says_which_model_gave_it() {
    let count = |outputs: &[PointIndex]| {
        let deployment = DeploymentStatus { outputs: outputs.into(), ..deployment() };
        let board = board::Board::new(&[deployment], &Models::default());
        space::address_space(&plant("wear.load"), &board).unwrap().variable_count()
    };
    assert_eq!(count(&[PointIndex(0)]), count(&[]) + 8, "a name alone makes it no output");
}

#[test]
fn a_name_that_cannot_be_a_node_is_refused_by_name() {
    let board = board::Board::new(&[], &Models::default());
    let error = space::address_space(&plant("a/EURange"), &board).unwrap_err();
    assert!(error.to_string().contains("mill.a/EURange"), "{error}");
}

#[test]
fn the_board_keeps_the_time_of_a_change() {
    use resonance_plant::Timestamp;
    let mut board = board::Board::new(&[deployment()], &Models::default());
    let (first, later) = (Timestamp::from_millis(1), Timestamp::from_millis(2));
    board.refresh(&[deployment()], &Default::default(), first);
    let state = board.columns().observation(PointIndex(0)).unwrap();
    assert_eq!((state.value, state.source_time), (Value::Int(4), first));
    let error = board.columns().observation(PointIndex(2)).unwrap();
    assert_eq!(error.value, Value::Text("an input is stale".into()));

    let active =
        DeploymentStatus { state: DeploymentState::Active, reason: String::new(), ..deployment() };
    board.refresh(&[active], &Default::default(), later);
    let [state, reason, error, name] =
        [0, 1, 2, 3].map(|at| board.columns().observation(PointIndex(at)).unwrap());
    assert_eq!((state.value, state.source_time), (Value::Int(2), later));
    assert_eq!((reason.value, reason.source_time), (Value::Text("".into()), later));
    assert_eq!(error.value, Value::Text("an input is stale".into()), "it is the last one");
    assert_eq!((name.value, name.source_time), (Value::Text("tool-wear".into()), first));
}

/// A deployment that takes note of how often it is asked.
#[derive(Debug, Default)]
struct Asked(AtomicU64);

impl Deployments for Asked {
    fn status(&self) -> Vec<DeploymentStatus> {
        self.0.fetch_add(1, Ordering::Relaxed);
        vec![deployment()]
    }

    fn command(&self, _: &str, _: Command, _: Principal) -> Result<(), CommandRefused> {
        Err(CommandRefused::State("not to be commanded".to_owned()))
    }
}

fn context(deployments: Arc<Asked>) -> Context {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
    let events = Arc::new(EventLog::in_memory());
    let access = Access::new(&[], Arc::clone(&clock), Arc::clone(&events) as _).unwrap();
    let plant = Arc::new(plant("load"));
    Context {
        values: Arc::new(LastValues::new(plant.points.len())),
        plant,
        models: Arc::new(Models::default()),
        deployments,
        results: Results::new(None),
        events,
        clock,
        access: Arc::new(access),
        wishes: None,
        status: Arc::new(|| -> crate::status::Status {
            unreachable!("the board asks for deployments")
        }),
    }
}

#[tokio::test]
async fn where_a_result_came_from_is_told_with_it_and_not_with_the_next_refresh() {
    let asked = Arc::new(Asked::default());
    let context = context(Arc::clone(&asked));
    let board = board::Board::new(&[deployment()], &context.models);
    let columns = Arc::clone(board.columns());
    let refreshes = || asked.0.load(Ordering::Relaxed);
    let text = |at: u32| columns.observation(PointIndex(at)).unwrap().value;
    let follower = tokio::spawn(board.follow(context.clone()));
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut sequence = 0;
    // A machine that is busy elsewhere may come to a result only after a refresh; then again.
    let told_at_once = loop {
        assert!(Instant::now() < deadline, "never before a refresh, in {sequence} results");
        let before = refreshes();
        if before == 0 {
            tokio::task::yield_now().await;
            continue;
        }
        sequence += 1;
        let mut given = (*record("wear", sequence)).clone();
        let other = Arc::make_mut(&mut given.model);
        (other.name, other.engine) = ("other".into(), "other 2".into());
        other.fallback = Some(FallbackUsed::FallBackTo);
        let id = Value::Text(given.id.to_string().into());
        context.results.publish(Arc::new(given));
        while text(9) != id && Instant::now() < deadline {
            tokio::task::yield_now().await;
        }
        if text(9) == id && refreshes() == before {
            break [3, 6, 8].map(text);
        }
    };
    assert_eq!(
        told_at_once,
        ["other", "other 2", "FallBackTo"].map(|text| Value::Text(text.into()))
    );
    follower.abort();
}

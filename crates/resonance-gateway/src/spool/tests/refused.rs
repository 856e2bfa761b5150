//! Dead letters: kept, bounded, replayed to the one sink that refused them.

use super::*;
use crate::spool::store::Store;

/// What format 1 looked like.
const FORMAT_1: &str = "
    CREATE TABLE result (
        sequence INTEGER PRIMARY KEY, id BLOB NOT NULL, deployment TEXT NOT NULL,
        asset TEXT NOT NULL, model TEXT NOT NULL, version TEXT NOT NULL,
        trained_on TEXT NOT NULL, spooled_at INTEGER NOT NULL, payload BLOB NOT NULL
    ) STRICT;
    CREATE TABLE cursor (sink TEXT PRIMARY KEY, acknowledged INTEGER NOT NULL) STRICT;
    CREATE TABLE deployment (name TEXT PRIMARY KEY, last INTEGER NOT NULL) STRICT;
    CREATE TABLE refused (
        sink TEXT NOT NULL, sequence INTEGER NOT NULL, id BLOB NOT NULL, reason TEXT NOT NULL,
        payload BLOB NOT NULL, PRIMARY KEY (sink, sequence)
    ) STRICT;
    CREATE TABLE kept (only INTEGER PRIMARY KEY CHECK (only = 1), bytes INTEGER NOT NULL) STRICT;
    INSERT INTO kept VALUES (1, 0);
    INSERT INTO cursor VALUES ('mes', 2);
    PRAGMA application_id = 0x5253504C;
    PRAGMA user_version = 1;
";

fn only(sink: &str) -> Selection {
    Selection { sink: Some(sink.into()), id: None }
}

#[tokio::test]
async fn a_replay_reaches_the_sink_that_refused_and_holds_nobody_else_back() {
    let bench = Bench::new();
    let spool = bench.open(&bench.plan(LARGE, DropPolicy::Oldest), &["mes", "scada"]);
    let ((mut mes, counters), (mut scada, _)) = (cursor(&spool, "mes"), cursor(&spool, "scada"));
    (1..=4).for_each(|n| spool.writer().offer(record("wear", n)));
    read(&mut mes, 4).await;
    [3, 2].into_iter().for_each(|n| mes.set_aside(n, "closed"));
    mes.acknowledge(4);
    read(&mut scada, 4).await;
    scada.acknowledge(4);
    await_that("two are counted", || counters.refused.value() == 2);
    let mut letters = DeadLetters::open(&bench.path()).unwrap();
    assert_eq!(letters.list(&only("scada")).unwrap(), []);
    assert_eq!(letters.replay(&Selection::default()).unwrap(), 2);
    let again = read(&mut mes, 2).await;
    assert_eq!(sequences(&again), [5, 6]);
    let names = again.iter().map(|result| result.id).collect::<Vec<_>>();
    assert_eq!(names, [record("wear", 2).id, record("wear", 3).id], "in their old order");
    await_that("none is counted", || counters.refused.value() == 0);
    mes.acknowledge(6);
    // The other sink has nothing to do with them, and so must not keep them.
    let nothing = tokio::time::timeout(Duration::from_millis(50), scada.next(10)).await;
    assert!(nothing.is_err(), "{nothing:?}");
    await_that("they are deleted", || spool.status().kept == 0);
    spool.writer().offer(record("wear", 5));
    assert_eq!(sequences(&read(&mut scada, 1).await), [7]);
    scada.rewind();
    assert_eq!(sequences(&read(&mut scada, 1).await), [7], "nothing was acknowledged too early");
    assert_eq!(sequences(&read(&mut mes, 1).await), [7]);
}

#[tokio::test]
async fn what_is_under_way_is_not_acknowledged_by_what_belongs_to_others() {
    let bench = Bench::new();
    let spool = bench.open(&bench.plan(LARGE, DropPolicy::Oldest), &["mes", "scada"]);
    let ((mut mes, _), (mut scada, _)) = (cursor(&spool, "mes"), cursor(&spool, "scada"));
    (1..=2).for_each(|n| spool.writer().offer(record("wear", n)));
    read(&mut mes, 2).await;
    mes.set_aside(1, "closed");
    mes.acknowledge(2);
    await_that("it is kept", || {
        DeadLetters::open(&bench.path()).unwrap().list(&only("mes")).unwrap().len() == 1
    });
    DeadLetters::open(&bench.path()).unwrap().replay(&only("mes")).unwrap();
    await_that("it is put back", || spool.status().kept == 3);
    // 1 and 2 are under way to the other sink when it passes 3.
    assert_eq!(sequences(&read(&mut scada, 2).await), [1, 2]);
    let _ = tokio::time::timeout(Duration::from_millis(50), scada.next(10)).await;
    scada.acknowledge(1);
    scada.rewind();
    assert_eq!(sequences(&read(&mut scada, 1).await), [2]);
}

#[test]
fn the_list_is_bounded_and_what_it_forgets_is_told() {
    let bench = Bench::new();
    let sinks = ["mes".into(), "scada".into()];
    let mut store = Store::open(&bench.path(), &sinks, 1).unwrap().store;
    let count = REFUSED_MAX + 5;
    let rows: Vec<Row> = (1..=count).map(row).collect();
    store.append(&rows, Timestamp::EPOCH, LARGE, DropPolicy::Oldest).unwrap();
    let aside = |sink: &str, sequence| crate::spool::store::SetAside {
        sink: sink.into(),
        sequence,
        reason: "closed".into(),
    };
    let mut all: Vec<_> = (1..=count).map(|n| aside("mes", n)).collect();
    all.push(aside("scada", 1));
    all.push(aside("scada", count + 99));
    let lost = store.keep_places(std::iter::empty(), &all, Timestamp::EPOCH).unwrap();
    assert_eq!(lost, 6, "five too many, and one that is nowhere");
    assert_eq!((store.refused("mes").unwrap(), store.refused("scada").unwrap()), (REFUSED_MAX, 1));
}

#[test]
fn a_replay_waits_for_room() {
    let bench = Bench::new();
    let mut store = Store::open(&bench.path(), &["mes".into()], 1).unwrap().store;
    let one = row(1).bytes();
    let rows: Vec<Row> = (1..=4).map(row).collect();
    store.append(&rows, Timestamp::EPOCH, LARGE, DropPolicy::Oldest).unwrap();
    let all: Vec<_> = (1..=4)
        .map(|sequence| crate::spool::store::SetAside {
            sink: "mes".into(),
            sequence,
            reason: "closed".into(),
        })
        .collect();
    store.keep_places(std::iter::empty(), &all, Timestamp::EPOCH).unwrap();
    store.delete_to(4).unwrap();
    DeadLetters::open(&bench.path()).unwrap().replay(&only("mes")).unwrap();
    let room = one * 2 + one / 2;
    assert_eq!(store.put_back("mes", Timestamp::EPOCH, room).unwrap(), 2);
    assert_eq!((store.is_marked().unwrap(), store.bytes), (true, one * 2));
    assert_eq!(store.put_back("mes", Timestamp::EPOCH, LARGE).unwrap(), 2);
    assert_eq!((store.is_marked().unwrap(), store.next), (false, 9));
}

#[tokio::test]
async fn a_spool_of_the_first_format_is_brought_up_to_date() {
    let bench = Bench::new();
    let file = rusqlite::Connection::open(bench.path()).unwrap();
    file.execute_batch(FORMAT_1).unwrap();
    for (sequence, table) in [(2, "refused"), (3, "result")] {
        let row = row(sequence);
        let (id, at) = (row.record.id.0, store::signed(sequence));
        let sql = match table {
            "refused" => "INSERT INTO refused VALUES ('mes', ?1, ?2, 'closed', ?3)",
            _ => "INSERT INTO result VALUES (?1, ?2, 'wear', 'mill-1', 'm', '1', 's', 0, ?3)",
        };
        file.execute(sql, rusqlite::params![at, id, row.payload]).unwrap();
    }
    drop(file);
    assert!(matches!(DeadLetters::open(&bench.path()), Err(SpoolError::Older(_))));
    let spool = bench.open(&bench.plan(LARGE, DropPolicy::Oldest), &["mes"]);
    let (mut mes, counters) = cursor(&spool, "mes");
    assert_eq!(read(&mut mes, 1).await[0].id, record("wear", 3).id);
    await_that("it is counted", || counters.refused.value() == 1);
    let letter = &DeadLetters::open(&bench.path()).unwrap().list(&only("mes")).unwrap()[0];
    assert_eq!((&*letter.deployment, &*letter.asset), ("wear", "mill-1"));
    assert_eq!((letter.refused_at, letter.replaying), (None, false));
}

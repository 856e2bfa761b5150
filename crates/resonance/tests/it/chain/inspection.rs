//! Images in a folder to results that name the part.

use std::path::Path;

use serde_json::Value;

use super::gateway::{DEADLINE, Gateway, event, eventually, has_engine};
use super::machine::sink;
use crate::http::client::Client;
use crate::mqtt::broker::Broker;
use crate::mqtt::subscriber::Subscriber;
use crate::needs::workspace;

/// The tiles of the package's golden vectors as PNG files, with whether each is defective.
fn tiles() -> Vec<(Vec<u8>, bool)> {
    let golden = workspace().join("models/visual-inspection/golden.json");
    let golden: Value = serde_json::from_slice(&std::fs::read(golden).unwrap()).unwrap();
    let tile = |vector: &Value| {
        let numbers = vector["inputs"][0]["data"].as_array().unwrap();
        let byte = |number: &Value| ((number.as_f64().unwrap() + 0.5) * 255.0).round() as u8;
        let image = image::GrayImage::from_raw(64, 64, numbers.iter().map(byte).collect());
        let mut file = std::io::Cursor::new(Vec::new());
        image.unwrap().write_to(&mut file, image::ImageFormat::Png).unwrap();
        (file.into_inner(), vector["name"].as_str().unwrap().starts_with("defective"))
    };
    golden["vectors"].as_array().unwrap().iter().map(tile).collect()
}

fn write_plant(folder: &Path, port: u16) -> std::path::PathBuf {
    std::fs::create_dir(folder.join("camera")).unwrap();
    let points = [
        ("image", "bytes", "semantic_id = 'urn:resonance:vision:image'\n"),
        ("part_id", "string", ""),
        ("triggered", "datetime", ""),
    ];
    let points: String = points
        .iter()
        .map(|(name, kind, more)| {
            let address = format!("address = '{name}'\n");
            format!("[[asset.point]]\nname = '{name}'\ntype = '{kind}'\n{more}{address}")
        })
        .collect();
    let text = format!(
        "events_file = 'events.jsonl'\n[plant]\nenterprise = 'acme'\n\
         [[source]]\nid = 'camera'\ntype = 'image'\nfolder = 'camera'\nlisten = '127.0.0.1:0'\n\
         width = 64\nheight = 64\nscan_ms = 50\ninterval_ms = 50\n\
         [[asset]]\nid = 'station'\nclass = 'vision_inspection'\nsource = 'camera'\n{points}\
         [[deployment]]\nid = 'inspect'\nmodel = '{}'\nasset = 'station'\npart = 'part_id'\n\
         [server.http]\nlisten = '127.0.0.1:0'\nanonymous = 'view'\n{}",
        workspace().join("models/visual-inspection").display(),
        sink(port)
    );
    let path = folder.join("plant.toml");
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn every_part_that_a_camera_shows_is_judged_under_its_name() {
    let test = "every_part_that_a_camera_shows_is_judged_under_its_name";
    if !has_engine(test) {
        return;
    }
    let Some(broker) = Broker::plain(test) else { return };
    let Some(subscriber) = Subscriber::start(test, broker.port) else { return };
    let folder = tempfile::tempdir().unwrap();
    let plant = write_plant(folder.path(), broker.port);
    let gateway = Gateway::run(&plant);
    let told = eventually("where images are POSTed to", || {
        let told = event(folder.path(), "server.listening", "source/camera");
        told["message"].as_str()?.rsplit_once("http://").map(|(_, addr)| addr.to_owned())
    });
    let tiles = tiles();
    for (at, (file, _)) in tiles.iter().enumerate() {
        if at % 2 == 0 {
            std::fs::write(folder.path().join(format!("camera/P{at}.png")), file).unwrap();
        } else {
            let path = format!("/?part_id=P{at}&triggered=2026-11-21T08:00:{at:02}Z");
            assert_eq!(Client::connect(told.parse().unwrap()).post(&path, "", file).status, 202);
        }
    }
    let results = subscriber.until(DEADLINE, |all| all.len() >= tiles.len());
    for (at, (_, defective)) in tiles.iter().enumerate() {
        let of_part: Vec<&Value> = results
            .iter()
            .map(|message| &message["payload"])
            .filter(|result| result["part_id"] == format!("P{at}"))
            .collect();
        let [result] = of_part[..] else { panic!("P{at}: {} results", of_part.len()) };
        let class = &result["outputs"][1];
        let expected = if *defective { "defective" } else { "good" };
        assert_eq!((&class["name"], &class["label"]), (&"class".into(), &expected.into()));
        if at % 2 == 1 {
            let time = result["source_time"].as_str().unwrap();
            assert!(time.starts_with(&format!("2026-11-21T08:00:{at:02}")), "{time}");
        }
    }
    assert!(gateway.stop().success());
}

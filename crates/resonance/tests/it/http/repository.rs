//! Commands to models.

use std::sync::Arc;

use resonance_inference::package::GoldenVector;
use resonance_plant::{Code, ElementType, Tensor, TensorBuf};

use super::fixture::{Fixture, Kind, plan_for_users, served, served_with};
use super::programs::{Barrier, types, wear};
use super::protocol::ROW;

/// `wear` answers 10 to 1, 2, 3 and 4; this says what else it should.
fn vector(answer: f32) -> GoldenVector {
    let mut x = Tensor::zeros(ElementType::Fp32, &[1, 4]).unwrap();
    x.as_mut_slice::<f32>().copy_from_slice(&[1.0, 2.0, 3.0, 4.0]);
    let mut y = Tensor::zeros(ElementType::Fp32, &[1]).unwrap();
    y.as_mut_slice::<f32>()[0] = answer;
    GoldenVector {
        name: "ten".into(),
        inputs: TensorBuf { tensors: vec![x] },
        outputs: vec![(0, y)],
    }
}

/// A server of `turned`, which says that its answer to that row is this.
fn fixture(answer: f32) -> Fixture {
    let models =
        [served("types", types()), served_with("turned", wear(), Arc::new([vector(answer)]))];
    Fixture::with_models(Kind::Http, &plan_for_users(), models, Arc::new(Barrier::default()))
        .unwrap()
}

#[test]
fn a_model_loaded_again_answers_again() {
    let fixture = fixture(10.0);
    let mut enno = fixture.client().user("enno", "change");
    assert_eq!(enno.post("/v2/repository/models/turned/unload", "", b"").status, 200);
    let index = enno.post("/v2/repository/index", "", b"").json();
    assert_eq!((&index[0]["name"], &index[0]["state"]), (&"turned".into(), &"UNAVAILABLE".into()));
    assert_eq!(enno.infer("turned", ROW).status, 503);
    let ready = enno.post("/v2/repository/index", "", br#"{"ready": true}"#).json();
    assert_eq!(ready.as_array().unwrap().len(), 1, "{ready}");
    assert_eq!(enno.post("/v2/repository/models/turned/load", "", b"").status, 200);
    assert_eq!(enno.infer("turned", ROW).status, 200);
    let event = fixture.event(Code::ControlCommand);
    assert_eq!((&*event.principal.name, &*event.subject), ("enno", "model/turned"));
}

#[test]
fn a_model_loaded_again_that_answers_otherwise_does_not_serve() {
    let fixture = fixture(11.0);
    let mut enno = fixture.client().user("enno", "change");
    assert_eq!(enno.infer("turned", ROW).status, 200);
    assert_eq!(enno.post("/v2/repository/models/turned/unload", "", b"").status, 200);
    let refused = enno.post("/v2/repository/models/turned/load", "", b"");
    assert_eq!(refused.status, 409, "{refused:?}");
    assert!(refused.error().contains("10, not 11"), "{refused:?}");
    let event = fixture.event(Code::ModelGoldenMismatch);
    assert_eq!((&*event.principal.name, &*event.subject), ("enno", "model/turned"));
    assert_eq!(enno.infer("turned", ROW).status, 503);
    assert_eq!(enno.get("/v2/models/turned/ready").status, 503);
}

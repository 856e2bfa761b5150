use super::packages::TURBOFAN_RUL;
use super::scene::TURBOFAN_UNIT;

/// What the demo says of the remaining life must not be what the model learned by heart.
#[test]
fn the_replayed_unit_is_one_that_the_model_never_saw() {
    let folder = tempfile::tempdir().unwrap();
    let package = TURBOFAN_RUL.write(folder.path()).unwrap();
    let limits = resonance_proof::PackageLimits::default();
    let model = resonance_inference::package::load(&package, &limits).unwrap();
    let held_out = &model.manifest.training.held_out;
    assert_eq!(held_out.len(), 20);
    assert!(held_out.iter().any(|unit| unit == TURBOFAN_UNIT), "{TURBOFAN_UNIT} in {held_out:?}");
}

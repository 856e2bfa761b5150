use std::path::Path;

use super::*;

fn checked(text: &str) -> Report {
    PlantText::from_memory(Path::new("plant.toml"), text).check()
}

#[test]
fn the_example_is_valid() {
    let report = checked(EXAMPLE);
    assert_eq!(report.render(false), "");
}

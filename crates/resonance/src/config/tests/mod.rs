use std::path::Path;

use super::*;

fn checked(text: &str) -> Report {
    PlantText::from_memory(Path::new("plant.toml"), text).plan(Purpose::Check).1
}

#[test]
fn the_example_is_valid() {
    let report = checked(EXAMPLE);
    assert_eq!(report.render(false), "");
}

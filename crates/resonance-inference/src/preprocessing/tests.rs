use super::*;

/// An input with features of these statistics.
fn input(shape: &str, order: &str, features: &[&str]) -> InputSpec {
    let mut text = format!("name = 'x'\nelement = 'FP32'\nshape = {shape}\norder = '{order}'\n");
    for statistics in features {
        text += &format!("[[feature]]\nsemantic_id = 'urn:x:y'\nstatistics = {statistics}\n");
    }
    toml::from_str(&text).unwrap()
}

fn window(samples: u32) -> WindowSpec {
    WindowSpec { samples, period_ms: None }
}

/// The row that these features, each with these samples, make.
fn row(input: &InputSpec, samples: &[&[f64]]) -> Vec<f32> {
    let plan = RowPlan::new(input, &window(samples[0].len() as u32)).unwrap();
    let mut tensor = Tensor::zeros(ElementType::Fp32, &[2, plan.row_elements()]).unwrap();
    for (feature, samples) in samples.iter().enumerate() {
        plan.write(feature, samples.iter().copied(), 1, &mut tensor);
    }
    let all = tensor.as_slice::<f32>();
    assert!(all[..plan.row_elements()].iter().all(|element| *element == 0.0));
    all[plan.row_elements()..].to_vec()
}

#[test]
fn raw_samples_lie_as_the_order_says() {
    let samples: [&[f64]; 2] = [&[1.0, 2.0, 3.0], &[10.0, 20.0, 30.0]];
    let by_time = input("[-1, 3, 2]", "time_feature", &["['raw']", "['raw']"]);
    assert_eq!(row(&by_time, &samples), [1.0, 10.0, 2.0, 20.0, 3.0, 30.0]);
    let by_feature = input("[-1, 2, 3]", "feature_time", &["['raw']", "['raw']"]);
    assert_eq!(row(&by_feature, &samples), [1.0, 2.0, 3.0, 10.0, 20.0, 30.0]);
}

#[test]
fn statistics_are_those_of_numpy() {
    let all = "['last','first','mean','std_dev','min','max','range','rms','slope','mean_last5']";
    let one = input("[-1, 10]", "time_feature", &[all]);
    let samples = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0];
    // numpy: mean 3.875, std 2.5708704, rms 4.650269, polyfit slope 0.5357143
    let expected = [6.0, 3.0, 3.875, 2.570_870_4, 1.0, 9.0, 8.0, 4.650_269, 0.535_714_3, 4.6];
    for (got, expected) in row(&one, &[&samples]).iter().zip(expected) {
        assert!((got - expected).abs() < 1e-5, "{got} {expected}");
    }
}

#[test]
fn a_window_of_one_sample_has_every_statistic() {
    let one = input("[-1, 4]", "time_feature", &["['std_dev','slope','mean_last5','rms']"]);
    assert_eq!(row(&one, &[&[-2.0]]), [0.0, 0.0, -2.0, 2.0]);
}

#[test]
fn scale_and_offset_come_last() {
    let mut one = input("[-1, 1]", "time_feature", &["['mean']"]);
    one.features[0].scale = 2.0;
    one.features[0].offset = -1.0;
    assert_eq!(row(&one, &[&[1.0, 3.0]]), [3.0]);
}

#[test]
fn nan_and_missing_samples_show() {
    let one = input("[-1, 4]", "time_feature", &["['min','max','mean','last']"]);
    let got = row(&one, &[&[1.0, f64::NAN, 2.0]]);
    assert!(got[..3].iter().all(|number| number.is_nan()), "{got:?}");
    assert_eq!(got[3], 2.0);
    let raw = input("[-1, 3]", "time_feature", &["['raw']"]);
    let plan = RowPlan::new(&raw, &window(3)).unwrap();
    let mut tensor = Tensor::zeros(ElementType::Fp32, &[1, 3]).unwrap();
    plan.write(0, [7.0].into_iter(), 0, &mut tensor);
    plan.write(0, [7.0].into_iter(), 1, &mut tensor);
    assert!(tensor.as_slice::<f32>()[1..].iter().all(|number| number.is_nan()));
}

#[test]
fn every_number_type_is_written() {
    for element in ElementType::ALL {
        let mut one = input("[-1, 2]", "feature_time", &["['last', 'max']"]);
        one.element = element;
        let Ok(plan) = RowPlan::new(&one, &window(2)) else {
            assert_eq!(element, ElementType::Bytes);
            continue;
        };
        let mut tensor = Tensor::zeros(element, &[1, 2]).unwrap();
        plan.write(0, [1.0, 0.0].into_iter(), 0, &mut tensor);
        assert_eq!((tensor.number(0), tensor.number(1)), (Some(0.0), Some(1.0)), "{element}");
    }
}

#[test]
fn features_that_make_no_row_are_refused() {
    let refused = |input: &InputSpec, samples| RowPlan::new(input, &window(samples)).unwrap_err();
    let raw = input("[-1, 3]", "time_feature", &["['raw']"]);
    assert_eq!(refused(&raw, 0), RowPlanError::NoSamples);
    assert!(matches!(refused(&raw, 2), RowPlanError::Elements { row: 3, features: 2, .. }));
    let open = input("[-1, -1]", "time_feature", &["['raw']"]);
    assert!(matches!(refused(&open, 2), RowPlanError::Shape { .. }));
    for statistics in ["[]", "['raw', 'mean']", "['mean', 'mean']"] {
        let bad = input("[-1, 2]", "time_feature", &[statistics]);
        assert!(matches!(refused(&bad, 2), RowPlanError::Statistics { .. }), "{statistics}");
    }
    let mixed = input("[-1, 3]", "time_feature", &["['raw']", "['mean']"]);
    assert!(matches!(refused(&mixed, 2), RowPlanError::Mixed { .. }));
    let ordered = input("[-1, 3]", "feature_time", &["['raw']", "['mean']"]);
    assert_eq!(row(&ordered, &[&[1.0, 3.0], &[1.0, 3.0]]), [1.0, 3.0, 2.0]);
}

#[test]
fn the_elements_of_a_profile_stand_in_a_row_beside_other_statistics() {
    let mut two = input("[-1, 5]", "time_feature", &["['raw']", "['mean','last']"]);
    two.features[0].elements = Some(3);
    let plan = RowPlan::new(&two, &window(4)).unwrap();
    let mut tensor = Tensor::zeros(ElementType::Fp32, &[1, 5]).unwrap();
    plan.write(0, [7.0, 8.0, 9.0].into_iter(), 0, &mut tensor);
    plan.write(1, [1.0, 2.0, 3.0, 6.0].into_iter(), 0, &mut tensor);
    assert_eq!(tensor.as_slice::<f32>(), [7.0, 8.0, 9.0, 3.0, 6.0]);
    two.features[0].elements = Some(2);
    let wrong = RowPlan::new(&two, &window(4)).unwrap_err();
    assert_eq!(wrong, RowPlanError::Elements { input: "x".into(), row: 5, features: 4 });
    two.features[0].elements = Some(0);
    assert!(matches!(RowPlan::new(&two, &window(4)), Err(RowPlanError::NoElements { .. })));
}

#[test]
fn statistics_of_a_profile_are_taken_along_it() {
    let mut one = input("[-1, 2]", "time_feature", &["['mean','range']"]);
    one.features[0].elements = Some(4);
    let plan = RowPlan::new(&one, &window(1)).unwrap();
    let mut tensor = Tensor::zeros(ElementType::Fp32, &[1, 2]).unwrap();
    plan.write(0, [1.0, 2.0, 3.0, 6.0].into_iter(), 0, &mut tensor);
    assert_eq!(tensor.as_slice::<f32>(), [3.0, 5.0]);
}

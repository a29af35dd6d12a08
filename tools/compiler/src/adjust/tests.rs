//! Tests of adjusted packages.

use super::*;
use crate::parse_labels;

const PACKAGE: &[u8] = include_bytes!("../../../../models/standin.stream.onnx");

fn views() -> LabelSet {
    parse_labels(include_str!("../../../../models/views.json")).unwrap()
}

fn read(package: &[u8], key: &str) -> Option<String> {
    read_entry(&decode_package(package).unwrap(), key).map(str::to_owned)
}

#[test]
fn groups_and_thresholds_are_added_without_a_new_graph() {
    let adjustments = Adjustments {
        labels: Some(views()),
        threshold: Some(0.5),
        group_threshold: Some(0.8),
        temperature: Some(1.5),
        ..Adjustments::default()
    };
    let adjusted = adjust_package(PACKAGE, &adjustments).unwrap();
    for (key, value) in [("threshold", "0.5"), ("group_threshold", "0.8"), ("temperature", "1.5")] {
        assert_eq!(read(&adjusted, key).as_deref(), Some(value));
    }
    let groups: Vec<crate::Group> =
        serde_json::from_str(&read(&adjusted, "groups").unwrap()).unwrap();
    let labels: Vec<Label> = serde_json::from_str(&read(&adjusted, "labels").unwrap()).unwrap();
    assert_eq!(LabelSet { groups, labels }, views());
    let graphs = [PACKAGE, &adjusted].map(|bytes| decode_package(bytes).unwrap().graph);
    assert_eq!(graphs[0], graphs[1]);
    let only = Adjustments { group_threshold: Some(0.7), ..Adjustments::default() };
    let again = adjust_package(&adjusted, &only).unwrap();
    assert_eq!(read(&again, "group_threshold").as_deref(), Some("0.7"));
    assert_eq!(read(&again, "threshold").as_deref(), Some("0.5"));
}

#[test]
fn adjustments_that_do_not_fit_the_package_are_refused() {
    let refused =
        |adjustments: Adjustments| adjust_package(PACKAGE, &adjustments).unwrap_err().to_string();
    let none = Adjustments::default;
    let mut swapped = views();
    swapped.labels.swap(0, 1);
    let plain = LabelSet { groups: Vec::new(), ..views() };
    for (adjustments, problem) in [
        (Adjustments { labels: Some(views()), ..none() }, "group_threshold is missing"),
        (Adjustments { labels: Some(swapped), ..none() }, "must have the codes"),
        (Adjustments { labels: Some(plain), ..none() }, "must have groups"),
        (Adjustments { group_threshold: Some(0.8), ..none() }, "needs groups"),
        (Adjustments { threshold: Some(1.5), ..none() }, "0 to 1, got 1.5"),
        (Adjustments { threshold: Some(f64::NAN), ..none() }, "0 to 1, got NaN"),
        (Adjustments { temperature: Some(0.0), ..none() }, "0.001 to 1000, got 0"),
    ] {
        let message = refused(adjustments);
        assert!(message.contains(problem), "{message}");
    }
}

#[test]
fn novelty_must_fit_the_projection_of_the_package() {
    let set = |novelty: Option<&str>, threshold| {
        let novelty = novelty.map(|json| Novelty::from_json(json).unwrap());
        adjust_package(
            PACKAGE,
            &Adjustments { novelty, novelty_threshold: threshold, ..Adjustments::default() },
        )
    };
    let energy = r#"{"kind":"energy","threshold":-2.0}"#;
    let adjusted = set(Some(energy), None).unwrap();
    assert_eq!(read(&adjusted, "novelty").as_deref(), Some(energy));
    let adjusted = set(Some(energy), Some(-3.5)).unwrap();
    assert_eq!(read(&adjusted, "novelty").unwrap(), energy.replace("-2.0", "-3.5"));
    let refused = |novelty, threshold| set(novelty, threshold).unwrap_err().to_string();
    assert!(refused(None, Some(1.0)).contains("needs a novelty score"));
    assert!(refused(Some(energy), Some(f64::NAN)).contains("must be finite"));
    let residual = r#"{"kind":"residual","threshold":1.0,"means":[[0.0,1.0]]}"#;
    assert!(refused(Some(residual), None).contains("must have 0 numbers"));
}

//! Tests of the labels of a package and their groups.

use super::*;
use crate::error::Status;
use std::collections::BTreeMap;

const LABELS: &str = r#"[{"code":"PLAX","name":"long","group":"LONG"},
    {"code":"A4C","name":"four","scheme":"SCT","scheme_code":"399214001","group":"APICAL"},
    {"code":"A2C","name":"two","group":"APICAL"}]"#;
const GROUPS: &str = r#"[{"code":"LONG","name":"parasternal long"},
    {"code":"APICAL","name":"apical","scheme":"SCT","scheme_code":"43674008"}]"#;

/// Parses the keys `labels`, `groups` and `group_threshold`. A key without a value is missing.
fn parse(labels: &str, groups: Option<&str>, threshold: Option<&str>) -> Result<LabelSet> {
    let values = [("labels", Some(labels)), ("groups", groups), ("group_threshold", threshold)];
    let entry = |(key, value): (&str, Option<&str>)| {
        value.map(|value| (format!("tteview.{key}"), value.to_owned()))
    };
    let metadata: BTreeMap<String, String> = values.into_iter().filter_map(entry).collect();
    parse_labels(&Keys(&metadata))
}

#[test]
fn labels_name_their_groups_by_code() {
    let set = parse(LABELS, Some(GROUPS), Some("0.8")).unwrap();
    let groups: Vec<_> = set.labels.iter().map(|label| label.group).collect();
    assert_eq!(groups, [Some(0), Some(1), Some(1)]);
    assert_eq!(set.group_threshold, 0.8);
    let codes: Vec<_> = set.groups.iter().map(|group| group.scheme.clone()).collect();
    assert_eq!(codes, [None, Some(("SCT".into(), "43674008".into()))]);
}

/// Returns the labels of a package whose only label has these modifiers.
fn parse_modifiers(scheme: &str, modifiers: &str) -> Result<LabelSet> {
    let label =
        format!(r#"[{{"code":"A5C","name":"","scheme":{scheme},"modifiers":{modifiers}}}]"#);
    parse(&label, None, None)
}

const FIVE_CHAMBER: &str = r#""SCT","scheme_code":"398994001""#;

#[test]
fn labels_can_have_modifiers() {
    let apical = r#"{"name":"Apical","scheme":"SCT","scheme_code":"43674008"}"#;
    let set = parse_modifiers(FIVE_CHAMBER, &format!("[{apical}]")).unwrap();
    let scheme = ("SCT".into(), "43674008".into());
    assert_eq!(set.labels[0].modifiers, [Modifier { name: "Apical".into(), scheme }]);
    let many = format!("[{}]", [apical; 5].join(","));
    let without_code = apical.replace("43674008", "4367\\u0000");
    let long = apical.replace("SCT", &"S".repeat(65));
    for (scheme, modifiers, problem) in [
        ("null", &*format!("[{apical}]"), "must have a scheme_code for the modifiers of \"A5C\""),
        (FIVE_CHAMBER, &*many, "modifiers of 0 to 4, got 5"),
        (FIVE_CHAMBER, &*format!("[{without_code}]"), "NUL in the modifiers of \"A5C\""),
        (FIVE_CHAMBER, &*format!("[{long}]"), "codes of modifiers"),
        (FIVE_CHAMBER, r#"[{"name":"Apical"}]"#, "labels is malformed"),
    ] {
        let error = parse_modifiers(scheme, modifiers).err().expect(problem);
        assert_eq!(error.status(), Status::ModelInvalid, "{error}");
        assert!(error.message().contains(problem), "{error} for {problem}");
    }
}

#[test]
fn package_may_have_no_groups() {
    let set = parse(r#"[{"code":"A4C","name":""}]"#, None, None).unwrap();
    assert_eq!((set.groups.len(), set.group_threshold), (0, 0.0));
    assert_eq!(set.labels[0].group, None);
}

#[test]
fn groups_that_contradict_the_labels_are_refused() {
    let mismatch = Status::ModelMismatch;
    let unknown = LABELS.replace("LONG", "SHORT");
    let without = LABELS.replace(r#","group":"LONG""#, "");
    let empty_group = LABELS.replace("LONG", "APICAL");
    let twice = GROUPS.replace("LONG", "APICAL");
    let nul = GROUPS.replace("parasternal", r"\u0000");
    let many = format!("[{}]", vec![r#"{"code":"G","name":""}"#; 65].join(","));
    let no_code = GROUPS.replace("LONG", "");
    for (labels, groups, threshold, status, problem) in [
        (LABELS, None, None, mismatch, "must name a group of tteview.groups for PLAX"),
        (&*unknown, Some(GROUPS), Some("0"), mismatch, "for PLAX, got \"SHORT\""),
        (&*without, Some(GROUPS), Some("0"), mismatch, "for PLAX, got none"),
        (&*empty_group, Some(GROUPS), Some("0"), mismatch, "got none in LONG"),
        (r#"[{"code":"A4C","name":""}]"#, None, Some("0.5"), mismatch, "needs tteview.groups"),
        (LABELS, Some(GROUPS), None, Status::ModelInvalid, "group_threshold is missing"),
        (LABELS, Some(GROUPS), Some("1.5"), Status::ModelInvalid, "must be 0 to 1"),
        (LABELS, Some(GROUPS), Some("NaN"), Status::ModelInvalid, "is malformed"),
        (LABELS, Some(&*twice), Some("0"), Status::ModelInvalid, "repeat the code \"APICAL\""),
        (LABELS, Some(&*nul), Some("0"), Status::ModelInvalid, "NUL in entry 0"),
        (LABELS, Some(&*no_code), Some("0"), Status::ModelInvalid, "have a code in entry 0"),
        (LABELS, Some(&*many), Some("0"), Status::ModelInvalid, "1 to 64, got 65"),
        (LABELS, Some("[]"), Some("0"), Status::ModelInvalid, "1 to 64, got 0"),
        (LABELS, Some("{}"), Some("0"), Status::ModelInvalid, "groups is malformed"),
    ] {
        let error = parse(labels, groups, threshold).err().expect(problem);
        assert_eq!(error.status(), status, "{error}");
        assert!(error.message().contains(problem), "{error} for {problem}");
    }
}

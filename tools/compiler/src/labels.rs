//! The labels of a network and their groups.

use crate::error::{CompileError, Result, fail_spec};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A view label: an entry of the package's metadata key `labels`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// Short code, for example `A4C`.
    pub code: String,
    /// Name for display.
    pub name: String,
    /// Coding scheme, for example `SCT`. It is `None` if no scheme has a code for the view.
    #[serde(default)]
    pub scheme: Option<String>,
    /// Code of the view in that scheme.
    #[serde(default)]
    pub scheme_code: Option<String>,
    /// Meaning of the code in the scheme, if it differs from the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme_meaning: Option<String>,
    /// Codes that describe the view together with [`Self::scheme_code`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modifiers: Vec<Modifier>,
    /// Code of the label's group. It is `None` if the labels have no groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// A code that modifies the code of a view (PS3.3 of DICOM, C.8.5.6.1.19).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Modifier {
    /// Name for display.
    pub name: String,
    /// Coding scheme, for example `SCT`.
    pub scheme: String,
    /// Code in that scheme.
    pub scheme_code: String,
}

/// A group of labels: an entry of the package's metadata key `groups`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Short code, for example `APICAL`.
    pub code: String,
    /// Name for display.
    pub name: String,
    /// Coding scheme. It is `None` if no scheme has a code for the group.
    #[serde(default)]
    pub scheme: Option<String>,
    /// Code of the group in that scheme.
    #[serde(default)]
    pub scheme_code: Option<String>,
}

/// Labels in the order of the logits, and their groups.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelSet {
    /// The groups; empty if there are none.
    #[serde(default)]
    pub groups: Vec<Group>,
    /// The labels. If there are groups, each label names one of them.
    pub labels: Vec<Label>,
}

/// Collects labels without groups.
impl FromIterator<Label> for LabelSet {
    fn from_iter<I: IntoIterator<Item = Label>>(labels: I) -> Self {
        Self { groups: Vec::new(), labels: labels.into_iter().collect() }
    }
}

/// Parses the content of `labels.json`: an object with the lists `groups` and `labels`, or only the
/// list of the labels.
///
/// # Errors
/// Returns [`CompileError::Spec`] if `json` has another form, or if the labels do not fit the
/// groups.
pub fn parse_labels(json: &str) -> Result<LabelSet> {
    let malformed = |e: serde_json::Error| CompileError::Spec(format!("labels: {e}"));
    let value: serde_json::Value = serde_json::from_str(json).map_err(malformed)?;
    let set: LabelSet = match value {
        list @ serde_json::Value::Array(_) => {
            let labels: Vec<Label> = serde_json::from_value(list).map_err(malformed)?;
            labels.into_iter().collect()
        }
        other => serde_json::from_value(other).map_err(malformed)?,
    };
    check_groups(&set.labels, &set.groups)?;
    Ok(set)
}

/// Checks that each label names a group and that each group has a label, or that there are neither.
pub(crate) fn check_groups(labels: &[Label], groups: &[Group]) -> Result<()> {
    let codes: BTreeSet<&str> = groups.iter().map(|group| group.code.as_str()).collect();
    let mut used = BTreeSet::new();
    for Label { code, group, .. } in labels {
        match group.as_deref() {
            None if groups.is_empty() => {}
            Some(group) if codes.contains(group) => _ = used.insert(group),
            group => {
                let allowed = codes.into_iter().collect::<Vec<_>>().join(", ");
                let found = group.map_or("none".into(), |group| format!("{group:?}"));
                return fail_spec(format!(
                    "the group of {code} must be one of [{allowed}], got {found}"
                ));
            }
        }
    }
    match codes.iter().find(|code| !used.contains(*code)) {
        Some(code) => fail_spec(format!("each group must have a label, but {code} has none")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUPED: &str = r#"{"groups":[{"code":"LONG","name":"l"},{"code":"APICAL","name":"a"}],
        "labels":[{"code":"PLAX","name":"p","group":"LONG"},
                  {"code":"A4C","name":"f","group":"APICAL"}]}"#;

    #[test]
    fn labels_are_a_list_or_an_object_with_groups() {
        let plain = parse_labels(r#"[{"code":"A4C","name":"f"}]"#).unwrap();
        assert_eq!((plain.labels.len(), plain.groups.len()), (1, 0));
        let grouped = parse_labels(GROUPED).unwrap();
        assert_eq!((grouped.labels.len(), grouped.groups.len()), (2, 2));
        assert_eq!(grouped.labels[1].group.as_deref(), Some("APICAL"));
    }

    #[test]
    fn modifiers_are_kept_and_only_written_if_there_are_some() {
        let json = r#"[{"code":"A5C","name":"f","scheme":"SCT","scheme_code":"398994001",
            "modifiers":[{"name":"Apical","scheme":"SCT","scheme_code":"43674008"}]}]"#;
        let labels = parse_labels(json).unwrap().labels;
        assert_eq!(labels[0].modifiers[0].scheme_code, "43674008");
        let written = serde_json::to_string(&labels).unwrap();
        assert_eq!(parse_labels(&written).unwrap().labels, labels);
        let plain = parse_labels(GROUPED).unwrap().labels;
        assert!(!serde_json::to_string(&plain).unwrap().contains("modifiers"));
        let misspelt = json.replace("\"scheme_code\":\"43674008\"", "\"code\":\"43674008\"");
        assert!(parse_labels(&misspelt).is_err());
    }

    #[test]
    fn labels_that_do_not_fit_their_groups_are_refused() {
        for (from, to, problem) in [
            (r#""group":"LONG""#, r#""group":"SHORT""#, "got \"SHORT\""),
            (r#","group":"LONG""#, "", "the group of PLAX"),
            (r#""group":"LONG""#, r#""group":"APICAL""#, "LONG has none"),
            ("groups", "group", "unknown field"),
        ] {
            let error = parse_labels(&GROUPED.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
        let error = parse_labels(r#"[{"code":"A4C","name":"f","group":"G"}]"#).unwrap_err();
        assert!(error.to_string().contains("must be one of []"), "{error}");
    }
}

//! Parser for the labels of a package and their groups.

use super::keys::{Keys, check, check_agreement, check_number, check_text, has_nul};
use crate::error::Result;
use crate::model::limits;
use crate::model::spec::{Group, Label, Modifier};
use serde::Deserialize;
use std::collections::HashSet;

/// The labels of a package and their groups.
pub(super) struct LabelSet {
    pub(super) labels: Vec<Label>,
    pub(super) groups: Vec<Group>,
    pub(super) group_threshold: f32,
}

/// The texts of a label or of a group.
#[derive(Deserialize)]
struct Entry {
    code: String,
    name: String,
    #[serde(default)]
    scheme: Option<String>,
    #[serde(default)]
    scheme_code: Option<String>,
}

#[derive(Deserialize)]
struct LabelEntry {
    #[serde(flatten)]
    entry: Entry,
    /// Code of the group.
    #[serde(default)]
    group: Option<String>,
    #[serde(default)]
    scheme_meaning: Option<String>,
    #[serde(default)]
    modifiers: Vec<ModifierEntry>,
}

#[derive(Deserialize)]
struct ModifierEntry {
    name: String,
    scheme: String,
    scheme_code: String,
}

/// Parses the keys `labels`, `groups` and `group_threshold`.
pub(super) fn parse_labels(keys: &Keys<'_>) -> Result<LabelSet> {
    let labels: Vec<LabelEntry> = keys.parse_json("labels")?;
    check_number("labels", "a number of entries", labels.len(), 1..=limits::MAX_LABELS)?;
    check_entries("labels", labels.iter().map(|label| &label.entry))?;
    labels.iter().try_for_each(check_scheme)?;
    let (groups, group_threshold) = parse_groups(keys)?;
    let mut used = vec![false; groups.len()];
    let mut found = Vec::with_capacity(labels.len());
    for LabelEntry { entry, group, scheme_meaning, modifiers } in labels {
        let index = match &group {
            None => None,
            Some(code) => groups.iter().position(|group| group.code == *code),
        };
        let code = &entry.code;
        let problem = match &group {
            Some(group) => {
                let group = limits::shorten(group);
                format!("must name a group of tteview.groups for {code}, got {group:?}")
            }
            None => format!("must name a group of tteview.groups for {code}, got none"),
        };
        let is_named = index.is_some() || (group.is_none() && groups.is_empty());
        check_agreement("labels", is_named, &problem)?;
        if let Some(used) = index.and_then(|index| used.get_mut(index)) {
            *used = true;
        }
        let Entry { code, name, scheme, scheme_code } = entry;
        let scheme = scheme.zip(scheme_code);
        let modifiers = modifiers
            .into_iter()
            .map(|entry| Modifier { name: entry.name, scheme: (entry.scheme, entry.scheme_code) });
        let modifiers = modifiers.collect();
        found.push(Label { code, name, scheme, scheme_meaning, modifiers, group: index });
    }
    for (group, used) in groups.iter().zip(used) {
        let problem = format!("must have a label in each group, got none in {}", group.code);
        check_agreement("groups", used, &problem)?;
    }
    Ok(LabelSet { labels: found, groups, group_threshold })
}

/// Parses the keys `groups` and `group_threshold`, which a package has both or not at all.
fn parse_groups(keys: &Keys<'_>) -> Result<(Vec<Group>, f32)> {
    let has_threshold = keys.optional("group_threshold").is_some();
    if keys.optional("groups").is_none() {
        check_agreement("group_threshold", !has_threshold, "needs tteview.groups")?;
        return Ok((Vec::new(), 0.0));
    }
    let entries: Vec<Entry> = keys.parse_json("groups")?;
    check_number("groups", "a number of entries", entries.len(), 1..=limits::MAX_GROUPS)?;
    check_entries("groups", entries.iter())?;
    let threshold: f32 = keys.parse_json("group_threshold")?;
    check("group_threshold", (0.0..=1.0).contains(&threshold), "must be 0 to 1")?;
    let group = |entry: Entry| {
        let Entry { code, name, scheme, scheme_code } = entry;
        Group { code, name, scheme: scheme.zip(scheme_code) }
    };
    Ok((entries.into_iter().map(group).collect(), threshold))
}

/// Checks the texts of labels or groups, whose codes must differ.
fn check_entries<'a>(key: &str, entries: impl Iterator<Item = &'a Entry>) -> Result<()> {
    let mut codes = HashSet::new();
    for (index, entry) in entries.enumerate() {
        let Entry { code, name, scheme, scheme_code } = entry;
        let texts = [Some(code), Some(name), scheme.as_ref(), scheme_code.as_ref()];
        let is_valid = !texts.into_iter().flatten().any(|text| has_nul(text));
        check(key, is_valid, &format!("must not contain a NUL in entry {index}"))?;
        for code in [Some(code), scheme.as_ref(), scheme_code.as_ref()].into_iter().flatten() {
            check_text(key, "codes", code, limits::MAX_LABEL_CODE_BYTES)?;
        }
        check_text(key, "names", name, limits::MAX_LABEL_NAME_BYTES)?;
        check(key, !code.is_empty(), &format!("must have a code in entry {index}"))?;
        let is_new = codes.insert(code.clone());
        check(key, is_new, &format!("must not repeat the code {code:?}"))?;
    }
    Ok(())
}

/// Checks the meaning of the code of a label, and its modifiers, which need a code.
fn check_scheme(label: &LabelEntry) -> Result<()> {
    let Entry { code, scheme, scheme_code, .. } = &label.entry;
    let (modifiers, key) = (&label.modifiers, "labels");
    if let Some(meaning) = &label.scheme_meaning {
        check_text(key, "meanings", meaning, limits::MAX_LABEL_NAME_BYTES)?;
        check(key, !has_nul(meaning), &format!("must not contain a NUL in {code:?}"))?;
    }
    check_number(key, "a number of modifiers", modifiers.len(), 0..=limits::MAX_MODIFIERS)?;
    let is_coded = modifiers.is_empty() || (scheme.is_some() && scheme_code.is_some());
    check(key, is_coded, &format!("must have a scheme_code for the modifiers of {code:?}"))?;
    for ModifierEntry { name, scheme, scheme_code } in modifiers {
        for text in [scheme, scheme_code] {
            check_text(key, "codes of modifiers", text, limits::MAX_LABEL_CODE_BYTES)?;
        }
        check_text(key, "names of modifiers", name, limits::MAX_LABEL_NAME_BYTES)?;
        let is_valid = ![name, scheme, scheme_code].iter().any(|text| has_nul(text));
        check(key, is_valid, &format!("must not contain a NUL in the modifiers of {code:?}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;

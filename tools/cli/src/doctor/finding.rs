//! The results of `tteview doctor`.

use serde_json::{Value, json};

/// The state of a part of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Fine,
    /// The machine does not have the part. This is a problem only if the part is needed.
    Absent,
    /// The part does not work. The advice, if any, explains how to fix it.
    Problem,
    Unknown,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Fine => "ok",
            Self::Absent => "none",
            Self::Problem => "PROBLEM",
            Self::Unknown => "?",
        }
    }
}

/// One result of `tteview doctor`.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    pub(super) name: String,
    pub(super) state: State,
    pub(super) text: String,
    /// Action that the user should take.
    pub(super) advice: Option<String>,
}

impl Finding {
    /// Creates a finding without advice.
    pub(super) fn new(name: impl Into<String>, state: State, text: impl Into<String>) -> Self {
        Self { name: name.into(), state, text: text.into(), advice: None }
    }

    /// Adds advice.
    pub(super) fn with_advice(self, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..self }
    }

    /// Returns the finding as a JSON object.
    pub(super) fn to_json(&self) -> Value {
        json!({ "name": self.name, "state": self.state.word(), "text": self.text, "advice": self.advice })
    }
}

/// Renders one line for each finding. Advice follows on an indented line.
pub(super) fn render_findings(findings: &[Finding]) -> Vec<String> {
    let width = findings.iter().map(|finding| finding.name.len()).max().unwrap_or_default();
    let mut lines = Vec::new();
    for finding in findings {
        lines.push(format!(
            "{:<width$}  {:<7}  {}",
            finding.name,
            finding.state.word(),
            finding.text
        ));
        lines.extend(
            finding.advice.iter().map(|advice| format!("{:width$}           -> {advice}", "")),
        );
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_rendered_in_columns_with_advice_below() {
        let text = render_findings(&[
            Finding::new("a", State::Fine, "good"),
            Finding::new("longer", State::Problem, "bad").with_advice("repair it"),
        ]);
        assert_eq!(
            text,
            ["a       ok       good", "longer  PROBLEM  bad", "                 -> repair it"]
        );
    }
}

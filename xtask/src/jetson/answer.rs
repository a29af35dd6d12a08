//! The answers (a view and its scores) of hosts and of the command-line program, and the comparison
//! of the answers from two platforms.

use crate::process::Result;
use serde_json::Value;

/// Maximum difference between the scores of two platforms. The scores differ because platforms with
/// different vector widths add numbers in different orders.
const TOLERANCE: f64 = 1e-3;

/// A view with its scores.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) view: String,
    pub(super) scores: Vec<f64>,
}

/// Parses the line `view X, confidence C, margin M` in the output of an example.
pub(super) fn parse_example_output(output: &str) -> Result<Answer> {
    let line = output.lines().find(|line| line.starts_with("view "));
    let words =
        line.into_iter().flat_map(|line| line.split([' ', ','])).filter(|word| !word.is_empty());
    let words: Vec<&str> = words.skip(1).collect();
    let view = words.first().ok_or_else(|| format!("the output has no view:\n{output}"))?;
    let scores = words.iter().filter_map(|word| word.parse().ok()).collect();
    Ok(Answer { view: (*view).into(), scores })
}

/// Parses the JSON output of `tteview classify --json`.
pub(super) fn parse_json_output(output: &str) -> Result<Answer> {
    let object: Value =
        serde_json::from_str(output).map_err(|error| format!("{error}: {output}"))?;
    let scores = object["scores"]
        .as_object()
        .ok_or_else(|| format!("the output has no scores: {output}"))?;
    Ok(Answer {
        view: object["view"].as_str().unwrap_or("withheld").into(),
        scores: scores.values().filter_map(Value::as_f64).collect(),
    })
}

/// Returns a phrase that describes how closely two answers agree, or an error if they differ too
/// much.
pub(super) fn describe_agreement(expected: &Answer, emulated: &Answer) -> Result<String> {
    let difference = compare_answers(expected, emulated)?;
    Ok(format!(
        "{} as on x86-64, {} scores within {difference:.0e}",
        emulated.view,
        emulated.scores.len()
    ))
}

/// Returns the largest difference between scores, or an error if the views differ or if a score
/// differs by more than the tolerance.
pub(super) fn compare_answers(expected: &Answer, emulated: &Answer) -> Result<f64> {
    let pairs = expected.scores.iter().zip(&emulated.scores);
    let difference = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    let is_alike = expected.view == emulated.view && expected.scores.len() == emulated.scores.len();
    // The examples print three decimals, so rounding alone can cause a difference of 1 in the last
    // place.
    if is_alike && !emulated.scores.is_empty() && difference <= TOLERANCE + 1e-9 {
        Ok(difference)
    } else {
        Err(format!("the emulated answer must be {expected:?} as on x86-64, got {emulated:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_of_an_example_has_view_and_scores() {
        let output = "frames 3\nview      A4C, confidence 0.512, margin 0.020\n";
        let answer = parse_example_output(output).unwrap();
        assert_eq!((answer.view.as_str(), &answer.scores[..]), ("A4C", &[0.512, 0.02][..]));
        assert!(parse_example_output("no line").is_err());
    }

    #[test]
    fn answer_of_the_command_line_has_view_and_scores() {
        let answer = parse_json_output(r#"{"view": "A4C", "scores": {"A4C": 0.75, "PLAX": 0.25}}"#);
        let answer = answer.unwrap();
        assert_eq!((answer.view.as_str(), &answer.scores[..]), ("A4C", &[0.75, 0.25][..]));
        assert!(parse_json_output("{}").unwrap_err().contains("no scores"));
    }

    #[test]
    fn other_view_or_distant_score_is_an_error() {
        let one = |view: &str, score| Answer { view: view.into(), scores: vec![score] };
        assert!(compare_answers(&one("A4C", 0.5), &one("A4C", 0.501)).is_ok());
        assert!(compare_answers(&one("A4C", 0.5), &one("A4C", 0.503)).is_err());
        assert!(compare_answers(&one("A4C", 0.5), &one("PLAX", 0.5)).is_err());
        let without_scores = Answer { view: "A4C".into(), scores: Vec::new() };
        assert!(compare_answers(&one("A4C", 0.5), &without_scores).is_err());
    }
}

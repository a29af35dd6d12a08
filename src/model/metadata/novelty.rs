//! Parser for the novelty score of a package.

use super::keys::{Keys, check, check_number, check_values, invalid};
use crate::error::Result;
use crate::model::limits;
use crate::model::spec::{Novelty, NoveltyKind};
use serde::Deserialize;
use std::ops::RangeInclusive;

/// Allowed values of a mean. The square of a distance between such values stays finite.
const MEAN: RangeInclusive<f32> = -1e9..=1e9;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoveltyEntry {
    kind: String,
    threshold: f64,
    #[serde(default)]
    means: Vec<Vec<f32>>,
}

/// Parses the key `novelty`, if the package has it.
pub(super) fn parse_novelty(keys: &Keys<'_>) -> Result<Option<Novelty>> {
    if keys.optional("novelty").is_none() {
        return Ok(None);
    }
    let NoveltyEntry { kind, threshold, means } = keys.parse_json("novelty")?;
    let (kind, counts) = match kind.as_str() {
        "mahalanobis" => (NoveltyKind::Mahalanobis, 1..=limits::MAX_LABELS),
        "residual" => (NoveltyKind::Residual, 1..=1),
        "energy" => (NoveltyKind::Energy, 0..=0),
        other => {
            let other = limits::shorten(other);
            let problem =
                format!("must have the kind mahalanobis, residual or energy, got {other:?}");
            return Err(invalid("novelty", &problem));
        }
    };
    check("novelty", threshold.is_finite(), "must have a finite threshold")?;
    check_number("novelty", &format!("a number of means for {kind}"), means.len(), counts)?;
    let values = means.first().map_or(0, Vec::len);
    if let Some(mean) = means.iter().find(|mean| mean.len() != values) {
        let problem = format!("must have means of equal length, got {values} and {}", mean.len());
        return Err(invalid("novelty", &problem));
    }
    if kind != NoveltyKind::Energy {
        let range = 1..=limits::MAX_PROJECTION_VALUES;
        check_number("novelty", "a length of each mean", values, range)?;
    }
    let means = means.concat();
    check_values("novelty", &means, MEAN)?;
    Ok(Some(Novelty { kind, values, means, threshold }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn parse(value: &str) -> Result<Option<Novelty>> {
        let metadata = BTreeMap::from([("tteview.novelty".to_owned(), value.to_owned())]);
        parse_novelty(&Keys(&metadata))
    }

    #[test]
    fn each_kind_has_its_number_of_means() {
        let mahalanobis = r#"{"kind":"mahalanobis","threshold":2.5,"means":[[1,2],[3,4.5]]}"#;
        let found = parse(mahalanobis).unwrap().unwrap();
        assert_eq!((found.kind, found.values), (NoveltyKind::Mahalanobis, 2));
        assert_eq!((found.means, found.threshold), (vec![1.0, 2.0, 3.0, 4.5], 2.5));
        let residual = parse(r#"{"kind":"residual","threshold":1,"means":[[0]]}"#);
        assert_eq!(residual.unwrap().unwrap().values, 1);
        let energy = parse(r#"{"kind":"energy","threshold":-3}"#).unwrap().unwrap();
        assert_eq!((energy.kind, energy.values, energy.threshold), (NoveltyKind::Energy, 0, -3.0));
        assert_eq!(parse_novelty(&Keys(&BTreeMap::new())), Ok(None));
    }

    #[test]
    fn a_score_that_cannot_be_computed_is_refused() {
        let long = vec!["0"; limits::MAX_PROJECTION_VALUES + 1].join(",");
        let long = format!(r#"{{"kind":"residual","threshold":1,"means":[[{long}]]}}"#);
        let many = vec!["[0]"; limits::MAX_LABELS + 1].join(",");
        let many = format!(r#"{{"kind":"mahalanobis","threshold":1,"means":[{many}]}}"#);
        for (value, problem) in [
            (r#"{"kind":"magic","threshold":1}"#, "got \"magic\""),
            (r#"{"kind":"energy","threshold":1,"means":[[1]]}"#, "0 to 0, got 1"),
            (r#"{"kind":"residual","threshold":1,"means":[[1],[2]]}"#, "1 to 1, got 2"),
            (r#"{"kind":"residual","threshold":1,"means":[]}"#, "1 to 1, got 0"),
            (r#"{"kind":"mahalanobis","threshold":1,"means":[[1],[2,3]]}"#, "got 1 and 2"),
            (r#"{"kind":"mahalanobis","threshold":1,"means":[[]]}"#, "1 to 256, got 0"),
            (r#"{"kind":"mahalanobis","threshold":1,"means":[[1e10]]}"#, "got 10000000000"),
            (r#"{"kind":"energy","threshold":1e999}"#, "novelty"),
            (r#"{"kind":"energy"}"#, "missing field"),
            (r#"{"kind":"energy","threshold":1,"scale":2}"#, "unknown field"),
            (r#"[]"#, "malformed"),
            (&long, "1 to 256, got 257"),
            (&many, "1 to 1024, got 1025"),
        ] {
            let error = parse(value).expect_err(problem);
            assert!(error.message().contains("tteview.novelty"), "{error}");
            assert!(error.message().contains(problem), "{error} for {problem}");
        }
    }
}

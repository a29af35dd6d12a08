//! The novelty score of a network: an entry of the package's metadata key `novelty`.

use crate::error::{CompileError, Result, fail_spec};
use serde::{Deserialize, Serialize};

/// Kind of a novelty score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NoveltyKind {
    /// Squared distance of the mean projection from the nearest of several class means.
    Mahalanobis,
    /// Squared distance of the mean projection from one mean.
    Residual,
    /// Energy of the logits. The network needs no projection.
    Energy,
}

/// The novelty score. The values of the projection, if there is one, follow the logits in the
/// output of the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Novelty {
    /// Kind of the score.
    pub kind: NoveltyKind,
    /// Score above which the library withholds the label and the group.
    pub threshold: f64,
    /// Means of the projection.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub means: Vec<Vec<f64>>,
}

impl Novelty {
    /// Parses a JSON object.
    ///
    /// # Errors
    /// Returns [`CompileError::Spec`] if `json` is not such an object or has an unknown field.
    pub fn from_json(json: &str) -> Result<Self> {
        serde_json::from_str(json).map_err(|e| CompileError::Spec(format!("novelty: {e}")))
    }

    /// Returns the number of values in the projection.
    pub(crate) fn values(&self) -> usize {
        self.means.first().map_or(0, Vec::len)
    }

    /// Checks the threshold and the means.
    pub(crate) fn check(&self) -> Result<()> {
        if !self.threshold.is_finite() {
            return fail_spec(format!("novelty.threshold must be finite, got {}", self.threshold));
        }
        let (means, values) = (self.means.len(), self.values());
        let fits = match self.kind {
            NoveltyKind::Mahalanobis => means > 0,
            NoveltyKind::Residual => means == 1,
            NoveltyKind::Energy => means == 0,
        };
        if !fits {
            return fail_spec(format!(
                "novelty.means must have at least one mean for mahalanobis, one for residual and \
                 none for energy, got {means}"
            ));
        }
        let is_wrong = |mean: &&Vec<f64>| {
            mean.len() != values || mean.is_empty() || !mean.iter().all(|value| value.is_finite())
        };
        if self.means.iter().any(|mean| is_wrong(&mean)) {
            return fail_spec("novelty.means must be lists of finite numbers with equal lengths");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Spec;

    #[test]
    fn a_score_is_read_from_json_and_toml() {
        let json = r#"{"kind":"mahalanobis","threshold":2.5,"means":[[1.0,2.0],[3.0,4.0]]}"#;
        let novelty = Novelty::from_json(json).unwrap();
        assert_eq!((novelty.kind, novelty.values()), (NoveltyKind::Mahalanobis, 2));
        assert!(novelty.check().is_ok());
        let toml = "[novelty]\nkind = \"mahalanobis\"\nthreshold = 2.5\nmeans = [[1, 2], [3, 4]]\n";
        assert_eq!(Spec::from_toml(toml).unwrap().novelty, Some(novelty));
        assert_eq!(Spec::from_toml("").unwrap().novelty, None);
        assert!(Novelty::from_json(r#"{"kind":"other","threshold":1}"#).is_err());
        assert!(Novelty::from_json(r#"{"kind":"energy","threshold":1,"scale":1}"#).is_err());
    }

    #[test]
    fn means_that_do_not_fit_the_kind_are_refused() {
        let check = |kind, means: &[&[f64]], threshold| {
            let means = means.iter().map(|mean| mean.to_vec()).collect();
            Novelty { kind, threshold, means }.check().is_ok()
        };
        use NoveltyKind::{Energy, Mahalanobis, Residual};
        assert!(check(Energy, &[], -1.0) && check(Residual, &[&[1.0]], 1.0));
        assert!(!check(Energy, &[&[1.0]], 1.0) && !check(Energy, &[], f64::NAN));
        assert!(!check(Residual, &[&[1.0], &[2.0]], 1.0) && !check(Residual, &[], 1.0));
        assert!(!check(Mahalanobis, &[], 1.0) && !check(Mahalanobis, &[&[]], 1.0));
        assert!(!check(Mahalanobis, &[&[1.0], &[1.0, 2.0]], 1.0));
        assert!(!check(Mahalanobis, &[&[f64::INFINITY]], 1.0));
    }
}

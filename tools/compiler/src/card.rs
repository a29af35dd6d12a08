//! The model card of a package: the metadata key `model_card`, which describes for people and
//! programs what a model is for and how well it works. `docs/model-package.md` defines its fields.

use crate::entries::{decode_package, read_entry, set_entries};
use crate::error::{CompileError, Result};
use serde::{Deserialize, Serialize};

/// Key of the model card in the metadata.
const KEY: &str = "model_card";

/// Maximum size of a model card in bytes.
pub const MAX_CARD_BYTES: usize = 64 * 1024;

/// The fields that every model card has. A card may have further fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelCard {
    /// Name of the model.
    pub name: String,
    /// The use for which the model was made.
    pub intended_use: String,
    /// Uses for which the model must not be used.
    pub not_intended_for: Vec<String>,
    /// The data on which the model was trained.
    pub training_data: String,
    /// Measured results.
    pub evaluation: Vec<Evaluation>,
    /// Known limits, including what the training data lacked.
    pub limits: Vec<String>,
    /// Licence of the model.
    pub licence: String,
}

/// One measured result of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// The set of cines and where it comes from.
    pub set: String,
    /// Number of cines.
    pub cines: u64,
    /// Number of patients, or of hearts in synthetic sets.
    pub patients: u64,
    /// What was measured, for example `accuracy`.
    pub metric: String,
    /// The measured value.
    pub value: f64,
    /// The 95 % interval of the value.
    #[serde(default)]
    pub interval: Option<[f64; 2]>,
}

impl ModelCard {
    /// Parses a model card.
    ///
    /// # Errors
    /// Returns [`CompileError::Spec`] if `json` is longer than [`MAX_CARD_BYTES`], is not a JSON
    /// object, or lacks a field or has a field of the wrong type.
    pub fn from_json(json: &str) -> Result<Self> {
        if json.len() > MAX_CARD_BYTES {
            let size = json.len();
            return Err(CompileError::Spec(format!(
                "the model card must have at most {MAX_CARD_BYTES} bytes, got {size}"
            )));
        }
        serde_json::from_str(json)
            .map_err(|error| CompileError::Spec(format!("the model card is not valid: {error}")))
    }
}

/// Returns a copy of a package with a new model card. The graph and all other metadata stay the
/// same, so `graph_sha256` stays valid. The SHA-256 of the package changes.
///
/// # Errors
/// Returns [`CompileError::File`] if `package` is not a package, or an error of
/// [`ModelCard::from_json`].
pub fn set_model_card(package: &[u8], json: &str) -> Result<Vec<u8>> {
    ModelCard::from_json(json)?;
    set_entries(package, &[(KEY, json.into())])
}

/// Returns the model card of a package as JSON, or `None` if the package has none.
///
/// # Errors
/// Returns [`CompileError::File`] if `package` is not a package.
pub fn read_model_card(package: &[u8]) -> Result<Option<String>> {
    Ok(read_entry(&decode_package(package)?, KEY).map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::EncodedModelProto;

    const PACKAGE: &[u8] = include_bytes!("../../../models/standin.stream.onnx");
    const CARD: &str = r#"{"name":"n","intended_use":"u","not_intended_for":["d"],
        "training_data":"t","evaluation":[{"set":"s","cines":2,"patients":1,"metric":"accuracy",
        "value":0.5}],"limits":[],"licence":"MIT","contact":"c"}"#;

    #[test]
    fn a_card_replaces_the_card_before_and_nothing_else() {
        let first = set_model_card(PACKAGE, CARD).unwrap();
        let second = set_model_card(&first, &CARD.replace("0.5", "0.75")).unwrap();
        assert_eq!(read_model_card(&first).unwrap().as_deref(), Some(CARD));
        assert_eq!(first.len() + 1, second.len());
        let [old, new] = [PACKAGE, &second].map(|bytes| decode_package(bytes).unwrap());
        assert_eq!(old.graph, new.graph);
        let other = |model: EncodedModelProto| {
            model
                .metadata_props
                .into_iter()
                .filter(|entry| entry.key != "tteview.model_card")
                .collect::<Vec<_>>()
        };
        assert_eq!(other(old), other(new));
    }

    #[test]
    fn a_card_without_a_field_or_for_another_file_is_refused() {
        let refused =
            |package: &[u8], card: &str| set_model_card(package, card).unwrap_err().to_string();
        assert!(refused(PACKAGE, &CARD.replace("limits", "limit")).contains("limits"));
        assert!(refused(PACKAGE, "[]").contains("not valid"));
        let long = CARD.replace("\"c\"", &format!("\"{}\"", "c".repeat(MAX_CARD_BYTES)));
        assert!(refused(PACKAGE, &long).contains("65536"));
        assert!(refused(b"no package", CARD).contains("not an ONNX file"));
        assert!(refused(&[], CARD).contains("not a model package"));
    }
}

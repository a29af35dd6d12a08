//! How a frame becomes a sample: the table `preprocess` of the specification, and the metadata keys
//! `resize` and `channel_order` of the package.

use crate::error::{Result, fail_spec};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::str::FromStr;

/// Sizes in pixels that a package may contain.
const SIDE_PX: std::ops::RangeInclusive<usize> = 1..=4096;

/// The properties of the training images that decide how the library makes samples.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Preprocess {
    /// Rule for the size of the resized region. If it is `None`, the region is resized to the
    /// largest size that fits into the sample.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resize: Option<Resize>,
    /// Order of the channels of a network with three channels; red, green, blue if it is `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel_order: Option<ChannelOrder>,
}

/// Rule for the size to which the library resizes the region of interest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resize {
    /// Kind of the rule.
    pub kind: ResizeKind,
    /// Width of the resized region for [`ResizeKind::Stretch`]; that of the input if it is `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<usize>,
    /// Height of the resized region for [`ResizeKind::Stretch`]; that of the input if it is `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<usize>,
    /// Length of the shorter side for [`ResizeKind::ShortSide`]; that of the input if it is `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub side: Option<usize>,
    /// Whether the filter covers all pixels of the region, as in Pillow.
    #[serde(default = "is_antialiased", skip_serializing_if = "Clone::clone")]
    pub antialias: bool,
}

/// Kind of a rule for the size of the resized region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResizeKind {
    /// The largest size that fits into the sample and keeps the aspect ratio.
    #[default]
    Letterbox,
    /// A fixed size, whatever the aspect ratio is.
    Stretch,
    /// The size whose shorter side has a fixed length and which keeps the aspect ratio.
    ShortSide,
}

/// Order of the channels of a network with three channels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelOrder {
    /// Red, green, blue.
    #[default]
    Rgb,
    /// Blue, green, red.
    Bgr,
}

fn is_antialiased() -> bool {
    true
}

impl Resize {
    /// Returns an antialiased rule with the sizes of the input.
    #[must_use]
    pub fn new(kind: ResizeKind) -> Self {
        Self { kind, width: None, height: None, side: None, antialias: true }
    }

    /// Checks that the rule has only sizes of its kind, and that these are in range.
    fn check(&self) -> Result<()> {
        let (kind, sizes) = match self.kind {
            ResizeKind::Letterbox => ("letterbox", [false, false, false]),
            ResizeKind::Stretch => ("stretch", [true, true, false]),
            ResizeKind::ShortSide => ("short_side", [false, false, true]),
        };
        let given = [("width", self.width), ("height", self.height), ("side", self.side)];
        for ((field, value), is_allowed) in given.into_iter().zip(sizes) {
            let Some(value) = value else { continue };
            if !is_allowed {
                return fail_spec(format!(
                    "preprocess.resize must not have {field} for the kind {kind}; remove {field}"
                ));
            }
            if !SIDE_PX.contains(&value) {
                return fail_spec(format!(
                    "preprocess.resize.{field} must be 1 to 4096, got {value}"
                ));
            }
        }
        Ok(())
    }

    /// Returns the rule with explicit sizes, for an input of this width and height.
    fn resolve(&self, width: usize, height: usize) -> Self {
        let mut resolved = self.clone();
        match self.kind {
            ResizeKind::Letterbox => {}
            ResizeKind::Stretch => {
                resolved.width.get_or_insert(width);
                resolved.height.get_or_insert(height);
            }
            ResizeKind::ShortSide => {
                resolved.side.get_or_insert(width.min(height));
            }
        }
        resolved
    }
}

impl FromStr for Resize {
    type Err = String;

    /// Parses `letterbox`, `stretch`, `stretch=WIDTHxHEIGHT`, `short-side` or `short-side=SIDE`.
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let parse = |size: &str| size.parse::<usize>().ok().filter(|size| SIDE_PX.contains(size));
        let sizes = |size: &str| {
            let (width, height) = size.split_once('x')?;
            Some((parse(width)?, parse(height)?))
        };
        let (kind, size) = match text.split_once('=') {
            Some((kind, size)) => (kind, Some(size)),
            None => (text, None),
        };
        let parsed = match (kind, size) {
            ("letterbox", None) => Some(Self::new(ResizeKind::Letterbox)),
            ("stretch", None) => Some(Self::new(ResizeKind::Stretch)),
            ("stretch", Some(size)) => sizes(size).map(|(width, height)| Self {
                width: Some(width),
                height: Some(height),
                ..Self::new(ResizeKind::Stretch)
            }),
            ("short-side", None) => Some(Self::new(ResizeKind::ShortSide)),
            ("short-side", Some(size)) => parse(size)
                .map(|side| Self { side: Some(side), ..Self::new(ResizeKind::ShortSide) }),
            _ => None,
        };
        parsed.ok_or_else(|| {
            "must be letterbox, stretch, stretch=WIDTHxHEIGHT, short-side or short-side=SIDE, with \
             sizes of 1 to 4096"
                .into()
        })
    }
}

impl FromStr for ChannelOrder {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "rgb" => Ok(Self::Rgb),
            "bgr" => Ok(Self::Bgr),
            _ => Err("must be rgb or bgr".into()),
        }
    }
}

impl Preprocess {
    /// Checks the values for a network with this number of channels.
    pub(crate) fn check(&self, channels: usize, is_grey: bool) -> Result<()> {
        self.resize.as_ref().map_or(Ok(()), Resize::check)?;
        // The channels of a network that is folded to grey all get the luma.
        if self.channel_order == Some(ChannelOrder::Bgr) && channels != 3 && !is_grey {
            return fail_spec(format!(
                "preprocess.channel_order must be rgb for a network with {channels} channel, got \
                 bgr; remove it"
            ));
        }
        Ok(())
    }

    /// Adds the keys of the package whose values are not the defaults. The format becomes 3, in
    /// which a library refuses keys that it does not know.
    pub(crate) fn add_entries(
        &self,
        entries: &mut BTreeMap<String, String>,
        [channels, height, width]: [usize; 3],
    ) {
        let letterbox = Resize::new(ResizeKind::Letterbox);
        let resize = self.resize.as_ref().unwrap_or(&letterbox).resolve(width, height);
        if resize != letterbox {
            entries.insert("resize".into(), json!(resize).to_string());
        }
        if channels == 3 && self.channel_order == Some(ChannelOrder::Bgr) {
            entries.insert("channel_order".into(), "bgr".into());
        }
        if ["resize", "channel_order"].iter().any(|key| entries.contains_key(*key)) {
            entries.insert("format".into(), "3".into());
        }
    }

    /// Describes the values that the specification does not contain.
    pub(crate) fn describe_assumed(&self, channels: usize) -> Vec<String> {
        let mut notes = Vec::new();
        if self.resize.is_none() {
            notes.push(
                "preprocess.resize is letterbox (the whole region with a black border), because \
                 neither the specification nor --resize sets it"
                    .into(),
            );
        }
        if self.channel_order.is_none() && channels == 3 {
            notes.push(
                "preprocess.channel_order is rgb, because neither the specification nor \
                 --channel-order sets it"
                    .into(),
            );
        }
        notes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Spec;

    fn entries(toml: &str, input: [usize; 3]) -> String {
        let mut entries = BTreeMap::new();
        let preprocess = Spec::from_toml(toml).unwrap().preprocess;
        preprocess.check(input[0], false).unwrap();
        preprocess.add_entries(&mut entries, input);
        let entry = |(key, value): (&String, &String)| format!("{key}={value}");
        entries.iter().map(entry).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn missing_sizes_are_those_of_the_input() {
        for (toml, expected) in [
            ("", ""),
            ("preprocess.resize.kind = \"letterbox\"", ""),
            ("[preprocess]\nchannel_order = \"rgb\"", ""),
            (
                "[preprocess]\nresize = { kind = \"stretch\" }",
                r#"format=3 resize={"height":120,"kind":"stretch","width":160}"#,
            ),
            (
                "[preprocess]\nresize = { kind = \"stretch\", width = 256, height = 200 }",
                r#"format=3 resize={"height":200,"kind":"stretch","width":256}"#,
            ),
            (
                "[preprocess]\nresize = { kind = \"short_side\" }",
                r#"format=3 resize={"kind":"short_side","side":120}"#,
            ),
            (
                "[preprocess]\nresize = { kind = \"short_side\", side = 256, antialias = false }",
                r#"format=3 resize={"antialias":false,"kind":"short_side","side":256}"#,
            ),
            (
                "[preprocess]\nresize = { kind = \"letterbox\", antialias = false }",
                r#"format=3 resize={"antialias":false,"kind":"letterbox"}"#,
            ),
            ("preprocess.channel_order = \"bgr\"", "channel_order=bgr format=3"),
        ] {
            assert_eq!(entries(toml, [3, 120, 160]).replace('\\', ""), expected, "{toml}");
        }
    }

    #[test]
    fn a_rule_that_does_not_exist_is_refused() {
        let check = |toml: &str, channels| match Spec::from_toml(toml) {
            Ok(spec) => spec.preprocess.check(channels, false).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        for (toml, channels, problem) in [
            ("preprocess.resize.kind = \"five_crop\"", 3, "five_crop"),
            ("preprocess.resize.side = 256", 3, "kind"),
            ("preprocess.resize = { kind = \"letterbox\", side = 3 }", 3, "must not have side"),
            ("preprocess.resize = { kind = \"stretch\", side = 3 }", 3, "must not have side"),
            ("preprocess.resize = { kind = \"short_side\", width = 3 }", 3, "must not have width"),
            ("preprocess.resize = { kind = \"short_side\", side = 0 }", 3, "1 to 4096, got 0"),
            ("preprocess.resize = { kind = \"stretch\", width = 5000 }", 3, "got 5000"),
            ("preprocess.resize = { kind = \"letterbox\", fill = 0 }", 3, "fill"),
            ("preprocess.crop = 224", 3, "crop"),
            ("preprocess.channel_order = \"BGR\"", 3, "BGR"),
            ("preprocess.channel_order = \"bgr\"", 1, "must be rgb for a network with 1 channel"),
        ] {
            let error = check(toml, channels).expect_err(toml);
            assert!(error.contains(problem), "{error} for {toml}");
        }
        assert!(
            Preprocess { channel_order: Some(ChannelOrder::Bgr), resize: None }
                .check(1, true)
                .is_ok()
        );
    }

    #[test]
    fn an_option_gives_the_rule_of_the_specification() {
        let stretch = Resize::new(ResizeKind::Stretch);
        let short_side = Resize::new(ResizeKind::ShortSide);
        for (text, resize) in [
            ("letterbox", Resize::new(ResizeKind::Letterbox)),
            ("stretch", stretch.clone()),
            ("stretch=256x200", Resize { width: Some(256), height: Some(200), ..stretch }),
            ("short-side", short_side.clone()),
            ("short-side=256", Resize { side: Some(256), ..short_side }),
        ] {
            assert_eq!(text.parse(), Ok(resize), "{text}");
        }
        for text in ["", "crop", "stretch=256", "stretch=0x1", "short-side=", "letterbox=1"] {
            assert!(text.parse::<Resize>().is_err(), "{text}");
        }
    }
}

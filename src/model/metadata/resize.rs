//! Parser for the keys that describe how a frame becomes a sample. It implements
//! docs/model-package.md#resizing.

use super::keys::{Keys, check, check_agreement, check_number, invalid};
use crate::error::Result;
use crate::model::limits;
use crate::model::spec::{ChannelOrder, Resize, ResizeMethod};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResizeEntry {
    kind: String,
    width: Option<usize>,
    height: Option<usize>,
    side: Option<usize>,
    antialias: Option<bool>,
}

/// Parses the key `resize`. A package without this key has the antialiased letterbox.
pub(super) fn parse_resize(keys: &Keys<'_>) -> Result<Resize> {
    if keys.optional("resize").is_none() {
        return Ok(Resize::default());
    }
    let ResizeEntry { kind, width, height, side, antialias } = keys.parse_json("resize")?;
    let check_fields = |expected: &str, fits: bool| {
        check("resize", fits, &format!("must have {expected} for the kind {kind}"))
    };
    let size = |what: &str, value: Option<usize>| -> Result<usize> {
        let value = value.unwrap_or_default();
        check_number("resize", what, value, limits::SIDE_PX)?;
        Ok(value)
    };
    let method = match kind.as_str() {
        "letterbox" => {
            let has_none = width.is_none() && height.is_none() && side.is_none();
            check_fields("none of width, height and side", has_none)?;
            ResizeMethod::Letterbox
        }
        "stretch" => {
            let fits = width.is_some() && height.is_some() && side.is_none();
            check_fields("width and height, and no side,", fits)?;
            let [width_px, height_px] = [size("a width", width)?, size("a height", height)?];
            ResizeMethod::Stretch { width_px, height_px }
        }
        "short_side" => {
            let fits = width.is_none() && height.is_none() && side.is_some();
            check_fields("side, and neither width nor height,", fits)?;
            ResizeMethod::ShortSide { side_px: size("a side", side)? }
        }
        other => {
            let other = limits::shorten(other);
            let problem =
                format!("must have the kind letterbox, stretch or short_side, got {other:?}");
            return Err(invalid("resize", &problem));
        }
    };
    Ok(Resize { method, antialias: antialias.unwrap_or(true) })
}

/// Parses the key `channel_order`. A package without this key has the order red, green, blue.
pub(super) fn parse_channel_order(keys: &Keys<'_>, channels: usize) -> Result<ChannelOrder> {
    let Some(order) = keys.optional("channel_order") else { return Ok(ChannelOrder::default()) };
    let order = match order {
        "rgb" => ChannelOrder::Rgb,
        "bgr" => ChannelOrder::Bgr,
        other => {
            let other = limits::shorten(other);
            return Err(invalid("channel_order", &format!("must be rgb or bgr, got {other:?}")));
        }
    };
    check_agreement("channel_order", channels == 3, "must be missing in a package with 1 channel")?;
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn metadata(key: &str, value: &str) -> BTreeMap<String, String> {
        BTreeMap::from([(format!("tteview.{key}"), value.to_owned())])
    }

    #[test]
    fn each_kind_of_resizing_has_its_fields() {
        let parse = |value: &str| parse_resize(&Keys(&metadata("resize", value))).unwrap();
        let letterbox = Resize::default();
        assert_eq!(parse_resize(&Keys(&BTreeMap::new())), Ok(letterbox));
        assert_eq!(parse(r#"{"kind":"letterbox"}"#), letterbox);
        let stretch = ResizeMethod::Stretch { width_px: 256, height_px: 1 };
        let value = r#"{"kind":"stretch","width":256,"height":1,"antialias":false}"#;
        assert_eq!(parse(value), Resize { method: stretch, antialias: false });
        let short_side = ResizeMethod::ShortSide { side_px: 4096 };
        let value = r#"{"kind":"short_side","side":4096,"antialias":true}"#;
        assert_eq!(parse(value), Resize { method: short_side, antialias: true });
    }

    #[test]
    fn a_resizing_that_the_library_does_not_know_is_refused() {
        for (value, problem) in [
            (r#"{"kind":"five_crop"}"#, "got \"five_crop\""),
            (r#"{"kind":"letterbox","side":256}"#, "none of width, height and side"),
            (r#"{"kind":"letterbox","fill":127}"#, "unknown field"),
            (r#"{"kind":"stretch"}"#, "width and height"),
            (r#"{"kind":"stretch","width":256}"#, "width and height"),
            (r#"{"kind":"stretch","width":256,"height":256,"side":1}"#, "width and height"),
            (r#"{"kind":"stretch","width":0,"height":256}"#, "a width of 1 to 4096, got 0"),
            (r#"{"kind":"stretch","width":9,"height":4097}"#, "a height of 1 to 4096, got 4097"),
            (r#"{"kind":"short_side"}"#, "must have side"),
            (r#"{"kind":"short_side","side":256,"width":256}"#, "must have side"),
            (r#"{"kind":"short_side","side":0}"#, "a side of 1 to 4096, got 0"),
            (r#"{"kind":"short_side","side":4097}"#, "a side of 1 to 4096, got 4097"),
            (r#"{"kind":"short_side","side":-1}"#, "malformed"),
            (r#"{"kind":"short_side","side":256,"antialias":1}"#, "malformed"),
            (r#"{"side":256}"#, "missing field"),
            ("letterbox", "malformed"),
            ("[]", "malformed"),
        ] {
            let error = parse_resize(&Keys(&metadata("resize", value))).expect_err(problem);
            assert!(error.message().contains("tteview.resize"), "{error}");
            assert!(error.message().contains(problem), "{error} for {problem}");
        }
    }

    #[test]
    fn a_channel_order_needs_three_channels() {
        let parse = |value: &str, channels| {
            parse_channel_order(&Keys(&metadata("channel_order", value)), channels)
        };
        assert_eq!(parse("rgb", 3), Ok(ChannelOrder::Rgb));
        assert_eq!(parse("bgr", 3), Ok(ChannelOrder::Bgr));
        assert_eq!(parse_channel_order(&Keys(&BTreeMap::new()), 1), Ok(ChannelOrder::Rgb));
        let error = parse("bgr", 1).expect_err("one channel");
        assert!(error.message().contains("tteview.channel_order must be missing"), "{error}");
        let error = parse("BGR", 3).expect_err("an unknown order");
        assert!(error.message().contains("must be rgb or bgr, got \"BGR\""), "{error}");
    }
}

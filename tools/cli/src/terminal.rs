//! Text for terminals and text tables. File names, label codes and values from files may contain
//! control characters, which could move the cursor, change earlier output or add lines to a table.
//! They are replaced by escapes before the text is printed.

use serde_json::Value;
use std::borrow::Cow;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Replaces control characters by escapes: `\n`, `\r`, `\t`, and `\u{1b}` for all others. Every
/// line that is printed passes through this function.
pub(crate) fn escape_controls(text: &str) -> Cow<'_, str> {
    if !text.contains(is_control) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    text.chars().for_each(|c| push_escaped(&mut escaped, c));
    Cow::Owned(escaped)
}

/// Escapes a name like [`escape_controls`] does, and doubles each backslash, so that different
/// names are never printed alike.
pub(crate) fn escape_name(name: &str) -> String {
    escape_controls(&name.replace('\\', "\\\\")).into_owned()
}

/// Escapes the name of a file like [`escape_name`] does. A byte that does not belong to a UTF-8
/// character becomes `\xNN`.
pub(crate) fn escape_path(path: &Path) -> String {
    let mut escaped = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        escaped += &escape_name(chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(escaped, "\\x{byte:02x}");
        }
    }
    escaped
}

/// Serializes JSON such that it contains no control characters, not even inside strings.
pub(crate) fn format_json(value: &Value) -> String {
    let text = value.to_string();
    if !text.contains(is_control) {
        return text;
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    // Outside of strings, JSON contains only ASCII characters, and serde_json prints no line
    // breaks, so every character that is replaced here is inside a string.
    for c in text.chars() {
        if is_control(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(c);
        }
    }
    escaped
}

fn push_escaped(text: &mut String, c: char) {
    match c {
        '\n' => text.push_str("\\n"),
        '\r' => text.push_str("\\r"),
        '\t' => text.push_str("\\t"),
        c if is_control(c) => {
            let _ = write!(text, "\\u{{{:x}}}", u32::from(c));
        }
        c => text.push(c),
    }
}

/// Returns whether a character is a control character (C0, DEL or C1), a line or paragraph
/// separator, or a character that changes the direction of the text around it (Unicode Standard
/// Annex 9), and also for the invisible characters of interlinear annotations and tags.
fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::ffi::OsStr;

    const HOSTILE: &str = "a\u{1b}[31m\r\n\t\u{7f}\u{85}\u{9b}\u{202e}\u{2028}\u{2067}\u{200f}b";
    const ESCAPED: &str =
        "a\\u{1b}[31m\\r\\n\\t\\u{7f}\\u{85}\\u{9b}\\u{202e}\\u{2028}\\u{2067}\\u{200f}b";

    #[test]
    fn every_control_character_is_escaped() {
        assert_eq!(escape_controls(HOSTILE), ESCAPED);
        assert_eq!(escape_controls("Ä 心 é"), "Ä 心 é");
        for code in (0..0x20).chain(0x7f..0xa0).filter_map(char::from_u32) {
            assert!(!escape_controls(&code.to_string()).contains(code), "{code:?}");
        }
    }

    #[test]
    fn different_names_are_printed_differently() {
        assert_eq!(escape_name("a\\n"), "a\\\\n");
        assert_eq!(escape_name("a\n"), "a\\n");
        assert_eq!(escape_controls(&escape_name(HOSTILE)), ESCAPED);
        let path = |bytes: &[u8]| escape_path(Path::new(OsStr::from_bytes(bytes)));
        assert_eq!(path(b"a\xff\xc3b\xc3\xa9"), "a\\xff\\xc3bé");
        assert_eq!(path(b"a\\xff"), "a\\\\xff");
        assert_ne!(path(b"\x85"), path("\u{85}".as_bytes()));
    }

    #[test]
    fn json_without_controls_has_the_same_value() {
        let value = json!({ "file": HOSTILE, "tag": "\u{e0001}" });
        let text = format_json(&value);
        assert!(!text.contains(is_control), "{text:?}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}

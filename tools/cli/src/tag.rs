//! `tteview tag`.

use crate::cine::dicom::edit::{Change, Element, edit};
use crate::cine::dicom::is_dicom;
use crate::cine_arguments::{CineArguments, print_warnings};
use crate::engine_arguments::EngineArguments;
use crate::failure::Failure;
use crate::label::label_cine;
use crate::output::print_line;
use crate::output_file::write_file;
use crate::terminal::{escape_name, escape_path};
use clap::Args;
use std::io::Read;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};
use tteview::{Engine, ModelSpec, Modifier, ViewResult, regular_file};

/// Maximum size of a file in bytes.
const MAX_FILE_BYTES: u64 = 4 << 30;

/// Coding scheme of labels that have no standard code. Names of private schemes begin with 99.
const PRIVATE_SCHEME: &str = "99TTEVIEW";

/// Maximum number of characters of a value of the VRs SH, LO and ST (PS3.5, 6.2).
const MAX_SH: usize = 16;
const MAX_LO: usize = 64;
const MAX_ST: usize = 1024;

#[derive(Debug, Args)]
pub(crate) struct Tag {
    /// DICOM cine
    file: PathBuf,
    /// Output file
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    engine: EngineArguments,
    #[command(flatten)]
    cine: CineArguments,
    /// If the model withholds the view, write its group
    #[arg(long)]
    group: bool,
    /// Give the copy a new SOP Instance UID, for an archive that already has the original
    #[arg(long)]
    new_uid: bool,
}

impl Tag {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let fail = |cause: String| Failure::file(&self.file, cause);
        let file = regular_file::read(&self.file, MAX_FILE_BYTES)
            .map_err(|error| fail(error.to_string()))?;
        if !is_dicom(&file) {
            return Err(fail("the file is not DICOM, so it cannot be tagged".into()));
        }
        let engine = self.engine.load_engine()?;
        let mut cine = self.cine.open(&self.file)?;
        let result = label_cine(&engine, &mut cine, None, |_| {})?.result;
        print_warnings(&cine);
        let name = choose_name(engine.spec(), &result, self.group).map_err(fail)?;
        let description = format!(
            "{} {} ({}), confidence {:.3}, {} frames",
            name.kind, name.code, name.meaning, name.confidence, result.frames_used
        );
        let changes = vec![
            Change::Set(write_view(&name)),
            Change::Append(write_equipment(&engine, &description, &format_time(SystemTime::now()))),
        ];
        let uid = if self.new_uid { Some(create_uid().map_err(fail)?) } else { None };
        let tagged = edit(&file, changes, uid.as_deref()).map_err(fail)?;
        write_file(&self.output, &tagged)?;
        print_line(&format!(
            "{}: {}, confidence {:.3}",
            escape_path(&self.output),
            escape_name(name.code),
            name.confidence
        ))
    }
}

/// What the model says of the cine: a view, or a group of views.
struct Name<'a> {
    /// `View` or `Group`.
    kind: &'static str,
    code: &'a str,
    meaning: &'a str,
    /// Coding scheme and code, if a scheme has one.
    scheme: Option<&'a (String, String)>,
    /// Meaning of the code.
    scheme_meaning: &'a str,
    modifiers: &'a [Modifier],
    confidence: f32,
}

/// Returns the view or, if it is withheld and `allow_group` is set, the group. The error says what
/// the model withholds.
fn choose_name<'a>(
    spec: &'a ModelSpec,
    result: &ViewResult,
    allow_group: bool,
) -> Result<Name<'a>, String> {
    let label = result.label.and_then(|index| spec.labels.get(index as usize));
    let group = result.group.and_then(|index| spec.groups.get(index as usize));
    let cause = match (label, group) {
        (Some(label), _) => {
            return Ok(Name {
                kind: "View",
                code: &label.code,
                meaning: &label.name,
                scheme: label.scheme.as_ref(),
                scheme_meaning: label.scheme_meaning.as_ref().unwrap_or(&label.name),
                modifiers: &label.modifiers,
                confidence: result.confidence,
            });
        }
        (None, Some(group)) if allow_group => {
            return Ok(Name {
                kind: "Group",
                code: &group.code,
                meaning: &group.name,
                scheme: group.scheme.as_ref(),
                scheme_meaning: &group.name,
                modifiers: &[],
                confidence: result.group_confidence,
            });
        }
        (None, Some(group)) => format!(
            "; --group writes the group {} (confidence {:.3})",
            group.code, result.group_confidence
        ),
        (None, None) if allow_group => "; it gives no group".into(),
        (None, None) => String::new(),
    };
    Err(format!(
        "the model withholds the view (confidence {:.3}), so the file is not tagged{cause}",
        result.confidence
    ))
}

/// Writes the View Code Sequence and, in its item, the View Modifier Code Sequence (PS3.3, 10.21).
/// A view or group without a standard code gets a private one.
fn write_view(name: &Name) -> Element {
    let (scheme, code) = match name.scheme {
        Some((scheme, code)) => (scheme.as_str(), code.as_str()),
        None => (PRIVATE_SCHEME, name.code),
    };
    let mut item = write_code(scheme, code, name.scheme_meaning);
    if !name.modifiers.is_empty() {
        let modifiers = name
            .modifiers
            .iter()
            .map(|Modifier { name, scheme: (scheme, code) }| write_code(scheme, code, name));
        item.push(Element::items(0x0054, 0x0222, modifiers.collect()));
    }
    Element::sequence(0x0054, 0x0220, item)
}

/// Writes the elements of a code (PS3.3, 8.8).
fn write_code(scheme: &str, code: &str, meaning: &str) -> Vec<Element> {
    vec![
        Element::text(0x0008, 0x0100, b"SH", &clean(code, MAX_SH)),
        Element::text(0x0008, 0x0102, b"SH", &clean(scheme, MAX_SH)),
        Element::text(0x0008, 0x0104, b"LO", &clean(meaning, MAX_LO)),
    ]
}

/// Writes the Contributing Equipment Sequence (PS3.3, C.12.1.1.5), which says which program and
/// which model wrote the view, and how sure the model is.
fn write_equipment(engine: &Engine, description: &str, time: &str) -> Element {
    let spec = engine.spec();
    // The hash has the maximum length, so it must not be the last value, which can be padded.
    let versions = [
        &format!("tteview {}", env!("CARGO_PKG_VERSION")),
        &spec.package_sha256,
        &spec.model_version,
    ];
    let versions = versions.map(|version| clean(version, MAX_LO)).join("\\");
    let purpose = write_code("DCM", "109103", "Modifying Equipment");
    let item = vec![
        Element::text(0x0008, 0x0070, b"LO", "tteview"),
        Element::text(0x0008, 0x1090, b"LO", "tteview view classifier"),
        Element::text(0x0018, 0x1020, b"LO", &versions),
        Element::text(0x0018, 0xa002, b"DT", time),
        Element::text(0x0018, 0xa003, b"ST", &clean(description, MAX_ST)),
        Element::sequence(0x0040, 0xa170, purpose),
    ];
    Element::sequence(0x0018, 0xa001, item)
}

/// Returns a text without characters that a value must not contain, and with at most `max`
/// characters.
fn clean(text: &str, max: usize) -> String {
    let is_valid = |c: char| matches!(c, ' '..='~') && c != '\\';
    text.chars().map(|c| if is_valid(c) { c } else { '?' }).take(max).collect()
}

/// Creates a UID from a random UUID (PS3.5, B.2).
fn create_uid() -> Result<String, String> {
    let mut bytes = [0; 16];
    let read = std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    read.map_err(|error| format!("/dev/urandom cannot be read: {error}"))?;
    // Version 4 and variant 1 of RFC 9562.
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    Ok(format!("2.25.{}", u128::from_be_bytes(bytes)))
}

/// Formats a time as a value of the VR DT in UTC.
fn format_time(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let (mut days, second) = (seconds / 86_400, seconds % 86_400);
    let mut year = 1970;
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let mut month = 1;
    for length in [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!("{year:04}{month:02}{:02}{hour:02}{minute:02}{:02}+0000", days + 1, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_are_in_utc() {
        let format = |seconds| format_time(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(format(0), "19700101000000+0000");
        assert_eq!(format(951_782_400), "20000229000000+0000");
        assert_eq!(format(1_767_225_599), "20251231235959+0000");
    }

    #[test]
    fn values_have_no_separators_and_a_limited_length() {
        assert_eq!(clean("a\\b\u{e9}c", 4), "a?b?");
    }

    #[test]
    fn uids_are_valid_and_differ() {
        let [first, second] = [(); 2].map(|()| create_uid().unwrap());
        assert!(first.starts_with("2.25.") && first.len() <= 64 && first != second);
    }
}

//! `cargo xtask header`: generates `include/tteview/tteview.h` from the Rust sources.
//!
//! The header consists of sections in the order in which a host needs them. cbindgen generates the
//! structs and functions of a section. The constants come from the enumerations and flags in the
//! Rust sources.

mod constants;
mod sections;

use crate::files::{read_text, write_file};
use crate::paths::root;
use crate::process::{Result, expect_no_arguments};
use constants::Constants;
use sections::{SECTIONS, Section};
use std::path::PathBuf;

/// Folder with the sources of the C ABI.
const FOLDER: &str = "src/ffi";

/// Maximum length of a line.
const WIDTH: usize = 100;

/// Text before the first section.
const OPENING: &str = include_str!("header/opening.h");

/// Text after the last section.
const CLOSING: &str =
    "#ifdef __cplusplus\n} /* extern \"C\" */\n#endif\n\n#endif /* TTEVIEW_TTEVIEW_H */\n";

fn path() -> PathBuf {
    root().join("include/tteview/tteview.h")
}

/// Writes the header.
pub(crate) fn write(arguments: &[&str]) -> Result {
    expect_no_arguments(arguments)?;
    write_file(&path(), generate()?)
}

/// Returns an error if the committed header differs from the one generated from the sources.
pub(crate) fn check() -> Result {
    let committed = read_text(&path())?;
    if committed == generate()? {
        return Ok(());
    }
    Err("include/tteview/tteview.h differs from the sources; run `cargo xtask header` and commit the file".into())
}

/// Generates the text of the header.
fn generate() -> Result<String> {
    let mut text = OPENING.to_owned();
    for section in SECTIONS {
        text += &generate_section(section)?;
    }
    Ok(text + CLOSING)
}

fn generate_section(section: &Section) -> Result<String> {
    let files: Vec<PathBuf> =
        section.files.iter().map(|name| root().join(FOLDER).join(format!("{name}.rs"))).collect();
    let first = files.first().ok_or("a section needs a file")?;
    let (title, introduction) = read_introduction(&read_text(first)?)
        .ok_or_else(|| format!("{}: the file must begin with a title in //!", first.display()))?;
    let mut text =
        format!("/**\n * @defgroup {} {title}\n *\n{introduction} * @{{\n */\n\n", section.group);
    let types = read_text(&root().join(FOLDER).join("types.rs"))?;
    for constants in section.constants {
        let Constants { file, .. } = constants;
        text += &constants::generate(constants, &types, &read_text(&root().join(file))?)?;
    }
    for name in section.declared_early {
        text += &format!("typedef struct {name} {name};\n\n");
    }
    let bindings = generate_bindings(&files)?;
    text += &bindings;
    text += &generate_initializers(&bindings);
    Ok(text + "/** @} */\n\n")
}

/// Returns the title and the introduction of a section. The title is the first line of the `//!`
/// comment, and the introduction is the rest.
fn read_introduction(source: &str) -> Option<(String, String)> {
    let mut lines = source.lines().map_while(|line| line.strip_prefix("//!"));
    let title = lines.next()?.trim().to_owned();
    let rest: Vec<&str> = lines.collect();
    let text: String = rest.iter().skip(1).map(|line| format!(" *{line}\n")).collect();
    Some((title, text))
}

/// Generates C declarations of the structs and functions in these files.
fn generate_bindings(files: &[PathBuf]) -> Result<String> {
    let mut config = cbindgen::Config::from_file(root().join("cbindgen.toml"))?;
    // By default, cbindgen leaves out structs that no function in these files uses.
    for file in files {
        config.export.include.extend(find_structs(&read_text(file)?));
    }
    let mut builder = cbindgen::Builder::new().with_config(config);
    for file in files {
        builder = builder.with_src(file);
    }
    let bindings = builder.generate().map_err(|error| format!("cbindgen: {error}"))?;
    let mut bytes = Vec::new();
    bindings.write(&mut bytes);
    let text = String::from_utf8(bytes).map_err(|error| error.to_string())?;
    let text = shorten_comments(&remove_tags(text.trim()));
    Ok(if text.is_empty() { text } else { text + "\n" })
}

/// Returns the names of the ABI structs in a source file.
fn find_structs(source: &str) -> impl Iterator<Item = String> {
    let names = source.lines().filter_map(|line| line.strip_prefix("pub struct ttv_"));
    names.filter_map(|rest| Some(format!("ttv_{}", rest.split_once(' ')?.0)))
}

/// Replaces type names such as `struct ttv_frame` with `ttv_frame`, except in definitions.
fn remove_tags(text: &str) -> String {
    let shorten = |line: &str| match line.strip_prefix("typedef struct ") {
        Some(rest) => format!("typedef struct {}\n", rest.replace("struct ttv_", "ttv_")),
        None => line.replace("struct ttv_", "ttv_") + "\n",
    };
    text.lines().map(shorten).collect()
}

/// Puts each comment that contains one line of text on a single line.
fn shorten_comments(text: &str) -> String {
    let mut lines = text.lines().peekable();
    let mut short = String::new();
    while let Some(line) = lines.next() {
        let indent = line.len() - line.trim_start().len();
        let mut ahead = lines.clone();
        let (body, end) = (ahead.next().unwrap_or_default(), ahead.next().unwrap_or_default());
        let body = body.trim().strip_prefix("* ").unwrap_or_default();
        let is_short = indent + body.len() + "/**  */".len() <= WIDTH;
        if line.trim() == "/**" && end.trim() == "*/" && !body.is_empty() && is_short {
            short += &format!("{:indent$}/** {body} */\n", "");
            lines = ahead;
        } else {
            short += &format!("{line}\n");
        }
    }
    short
}

/// Generates an initializer macro for each struct that has a `struct_size` field.
fn generate_initializers(bindings: &str) -> String {
    let mut text = String::new();
    for declaration in bindings.split("typedef struct ").skip(1) {
        let Some((name, fields)) = declaration.split_once(" {") else { continue };
        let fields = fields.split("\n}").next().unwrap_or_default();
        if !fields.contains(" struct_size;") {
            continue;
        }
        let macro_name = format!("{}_INIT", name.to_uppercase());
        let has_version = fields.contains(" abi_version;");
        let (set_fields, cpp, c) = if has_version {
            let cpp = format!("::ttv_init_with_version<{name}>(TTV_ABI_VERSION)");
            ("`struct_size` and `abi_version` are set", cpp, ", .abi_version = TTV_ABI_VERSION")
        } else {
            ("`struct_size` is set", format!("::ttv_init<{name}>()"), "")
        };
        text += &format!(
            "/** Initial value: {set_fields}, and all other fields are 0. */\n\
             #ifdef __cplusplus\n#define {macro_name} ({cpp})\n#else\n\
             #define {macro_name} \\\n  {{ .struct_size = sizeof({name}){c} }}\n#endif\n\n"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_header_matches_the_sources() {
        check().unwrap();
    }

    #[test]
    fn structs_with_a_size_get_an_initializer() {
        let bindings = "typedef struct ttv_a {\n  uint32_t struct_size;\n} ttv_a;\n\
                        typedef struct ttv_b {\n  uint32_t struct_size;\n  uint32_t abi_version;\n} ttv_b;\n\
                        typedef struct ttv_c {\n  int x;\n} ttv_c;\ntypedef struct ttv_d ttv_d;\n";
        let text = generate_initializers(bindings);
        assert!(
            text.contains("#define TTV_A_INIT \\\n  { .struct_size = sizeof(ttv_a) }\n"),
            "{text}"
        );
        assert!(
            text.contains("#define TTV_B_INIT (::ttv_init_with_version<ttv_b>(TTV_ABI_VERSION))"),
            "{text}"
        );
        assert!(!text.contains("TTV_C") && !text.contains("TTV_D"), "{text}");
    }

    #[test]
    fn comments_of_one_line_are_shortened() {
        let text = "  /**\n   * One.\n   */\nint a;\n/**\n * Two\n * lines.\n */\nint b;\n";
        assert_eq!(
            shorten_comments(text),
            "  /** One. */\nint a;\n/**\n * Two\n * lines.\n */\nint b;\n"
        );
        let long = format!("/**\n * {}\n */\n", "a".repeat(94));
        assert_eq!(shorten_comments(&long), long);
    }

    #[test]
    fn the_introduction_is_the_comment_at_the_top() {
        let found =
            read_introduction("//! Frame\n//!\n//! A frame is\n//! one image.\n\nuse x;\n//! no\n");
        assert_eq!(found, Some(("Frame".into(), " * A frame is\n * one image.\n".into())));
        assert_eq!(read_introduction("use x;\n"), None);
    }
}

//! The C ABI as hosts see it: the layout of every struct, the value of every constant, and the
//! exported functions. `tests/c/abi.golden` contains the expected ABI.

use crate::files::{read_text, write_file};
use crate::host_build::{build_host, hosts_dir};
use crate::package::archive::list_global_symbols;
use crate::package::{install_for_tests, shared};
use crate::paths::root;
use crate::platform::Platform;
use crate::process::{Result, command, expect_no_arguments, read_output};
use std::path::{Path, PathBuf};

/// A struct in the header and its fields.
struct Struct<'a> {
    name: &'a str,
    fields: Vec<&'a str>,
}

fn golden_path() -> PathBuf {
    root().join("tests/c/abi.golden")
}

/// Writes the ABI of the library to `tests/c/abi.golden`.
pub(crate) fn write(arguments: &[&str]) -> Result {
    expect_no_arguments(arguments)?;
    write_file(&golden_path(), describe(&install_for_tests()?)?)
}

/// Returns an error that names the first differing line if the installed library does not match
/// `tests/c/abi.golden`.
pub(crate) fn check(prefix: &Path) -> Result {
    let committed = read_text(&golden_path())?;
    let found = describe(prefix)?;
    match first_difference(&committed, &found) {
        None => Ok(()),
        Some((committed, found)) => Err(format!(
            "the ABI has changed: tests/c/abi.golden has {committed:?}, but the library has \
             {found:?}; if docs/abi.md allows the change, run `cargo xtask abi` and commit the file"
        )),
    }
}

fn first_difference(committed: &str, found: &str) -> Option<(String, String)> {
    let (mut old, mut new) = (committed.lines(), found.lines());
    loop {
        match (old.next(), new.next()) {
            (None, None) => return None,
            (old, new) if old == new => {}
            (old, new) => {
                return Some([old, new].map(|line| line.unwrap_or("nothing").to_owned()).into());
            }
        }
    }
}

/// Describes the ABI of the installed package. Sizes, offsets and values come from the C compiler,
/// and function names come from the archive.
fn describe(prefix: &Path) -> Result<String> {
    let header = read_text(&prefix.join("include/tteview/tteview.h"))?;
    let source = hosts_dir(&Platform::native()).join("layout.c");
    write_file(&source, write_program(&find_structs(&header), &find_constants(&header)))?;
    let program = build_host(prefix, &source.to_string_lossy(), &[])?;
    let mut text = read_output(&mut command(program, [""; 0]))?;
    let functions = list_global_symbols(&prefix.join("lib/libtteview.a"), &Platform::native())?;
    let exported =
        shared::list_exports(&prefix.join("lib").join(shared::soname()), &Platform::native())?;
    if exported != functions {
        return Err(format!(
            "the shared library must export the functions of the static library, got {}",
            exported.join(", ")
        ));
    }
    for name in functions {
        text += &format!("function {name}\n");
    }
    Ok(text)
}

/// Returns the structs whose fields the header declares.
fn find_structs(header: &str) -> Vec<Struct<'_>> {
    let mut structs: Vec<Struct<'_>> = Vec::new();
    let mut is_inside = false;
    for line in header.lines() {
        let opening = line.strip_prefix("typedef struct ").and_then(|line| line.strip_suffix(" {"));
        if let Some(name) = opening {
            structs.push(Struct { name, fields: Vec::new() });
            is_inside = true;
        } else if line.starts_with('}') {
            is_inside = false;
        } else if is_inside
            && let (Some(last), Some(field)) = (structs.last_mut(), field_name(line))
        {
            last.fields.push(field);
        }
    }
    structs
}

/// Returns the name in a field declaration, or `None` for a comment.
fn field_name(line: &str) -> Option<&str> {
    let declaration = line.trim();
    if declaration.starts_with(['/', '*']) || !declaration.ends_with(';') {
        return None;
    }
    if let Some((_, rest)) = declaration.split_once("(*") {
        return rest.split(')').next();
    }
    let before = declaration.split(['[', ';']).next()?;
    before.rsplit([' ', '*']).next()
}

/// Returns the names of the constants, which are enum values and ABI versions.
fn find_constants(header: &str) -> Vec<&str> {
    header.lines().filter_map(constant_name).collect()
}

fn constant_name(line: &str) -> Option<&str> {
    if let Some(value) = line.strip_prefix("  TTV_") {
        let length = value.split_once(" = ")?.0.len();
        return line.get(2..2 + "TTV_".len() + length);
    }
    let name = line.strip_prefix("#define ")?.split(' ').next()?;
    name.starts_with("TTV_ABI_").then_some(name)
}

/// Returns a C program that prints the layouts of the structs and the values of the constants.
fn write_program(structs: &[Struct<'_>], constants: &[&str]) -> String {
    let mut text = String::from(
        "#include <stddef.h>\n#include <stdio.h>\n#include <tteview/tteview.h>\n\nint main(void) {\n",
    );
    for Struct { name, fields } in structs {
        text += &format!("  printf(\"struct {name} %zu\\n\", sizeof({name}));\n");
        for field in fields {
            let (offset, size) =
                (format!("offsetof({name}, {field})"), format!("sizeof((({name} *)0)->{field})"));
            text += &format!("  printf(\"  {field} %zu %zu\\n\", {offset}, {size});\n");
        }
    }
    for name in constants {
        text += &format!("  printf(\"constant {name} %lld\\n\", (long long){name});\n");
    }
    text + "  return 0;\n}\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "#define TTV_ABI_MAJOR 0\n#define TTV_Y_INIT {0}\ntypedef struct ttv_x ttv_x;\n\
                          enum ttv_z {\n  /** A comment. */\n  TTV_ERR_Z = -1,\n};\ntypedef struct ttv_y {\n  \
                          /** A comment; with a semicolon; */\n  uint32_t a;\n  /**\n   * Another;\n   */\n  \
                          const uint8_t *plane[3];\n  const char *const *names;\n  \
                          void (*log)(void *user, int n);\n} ttv_y;\nint32_t ttv_f(int a);\n";

    #[test]
    fn fields_of_every_type_are_found() {
        let structs = find_structs(HEADER);
        assert_eq!(structs.len(), 1);
        let expected = ("ttv_y", &["a", "plane", "names", "log"][..]);
        assert_eq!((structs[0].name, &structs[0].fields[..]), expected);
    }

    #[test]
    fn constants_are_enum_values_and_versions() {
        assert_eq!(find_constants(HEADER), ["TTV_ABI_MAJOR", "TTV_ERR_Z"]);
    }

    #[test]
    fn the_first_difference_is_named() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(first_difference("a\nb\n", "a\nc\n"), Some(("b".into(), "c".into())));
        assert_eq!(first_difference("a\n", "a\nb\n"), Some(("nothing".into(), "b".into())));
    }
}

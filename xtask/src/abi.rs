//! The ABI as hosts see it: layout of every struct, every constant, every exported function, against a committed file.

use crate::host::build_host;
use crate::package::{exported, own_prefix};
use crate::platform::Platform;
use crate::process::{Result, command, no_arguments, read, root, target};
use std::path::{Path, PathBuf};

/// A struct of the header and its fields.
struct Struct<'a> {
    name: &'a str,
    fields: Vec<&'a str>,
}

fn golden() -> PathBuf {
    root().join("tests/c/abi.golden")
}

/// Writes the file.
pub(crate) fn write(arguments: &[&str]) -> Result {
    no_arguments(arguments)?;
    let text = described(&own_prefix()?)?;
    std::fs::write(golden(), text).map_err(|error| format!("{}: {error}", golden().display()))
}

/// Fails if the installed library is not what the file says, and names the first line that differs.
pub(crate) fn check(prefix: &Path) -> Result {
    let committed =
        std::fs::read_to_string(golden()).map_err(|error| format!("{}: {error}", golden().display()))?;
    let now = described(prefix)?;
    match difference(&committed, &now) {
        None => Ok(()),
        Some((committed, now)) => Err(format!(
            "the ABI changed: tests/c/abi.golden has {committed:?}, the library {now:?}. docs/abi.md says what may \
             change; `cargo xtask abi` writes the file"
        )),
    }
}

fn difference(committed: &str, now: &str) -> Option<(String, String)> {
    let (mut old, mut new) = (committed.lines(), now.lines());
    loop {
        match (old.next(), new.next()) {
            (None, None) => return None,
            (old, new) if old == new => {}
            (old, new) => return Some([old, new].map(|line| line.unwrap_or("no more").to_owned()).into()),
        }
    }
}

/// Sizes and offsets from the C compiler, constants from the header, functions from the archive.
fn described(prefix: &Path) -> Result<String> {
    let header = prefix.join("include/tteview/tteview.h");
    let header =
        std::fs::read_to_string(&header).map_err(|error| format!("{}: {error}", header.display()))?;
    let source = target().join("tteview/hosts/layout.c");
    let folder = source.parent().unwrap_or(&source);
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    std::fs::write(&source, program(&structs(&header)))
        .map_err(|error| format!("{}: {error}", source.display()))?;
    let source = std::path::absolute(&source).map_err(|error| error.to_string())?;
    let mut text = read(&mut command(build_host(prefix, &source.to_string_lossy(), &[])?, [""; 0]))?;
    for line in header.lines() {
        if let Some((name, value)) = line.strip_prefix("#define ").and_then(|line| line.split_once(' ')) {
            text += &format!("constant {name} {value}\n");
        }
    }
    for name in exported(&prefix.join("lib/libtteview.a"), &Platform::here())? {
        text += &format!("function {name}\n");
    }
    Ok(text)
}

/// The structs that the header lays open.
fn structs(header: &str) -> Vec<Struct<'_>> {
    let mut found: Vec<Struct<'_>> = Vec::new();
    let mut open = false;
    for line in header.lines() {
        if let Some(name) = line.strip_prefix("typedef struct ").and_then(|line| line.strip_suffix(" {")) {
            found.push(Struct { name, fields: Vec::new() });
            open = true;
        } else if line.starts_with('}') {
            open = false;
        } else if let (true, Some(structure), Some(field)) = (open, found.last_mut(), field(line)) {
            structure.fields.push(field);
        }
    }
    found
}

/// The name that a declaration declares; `None` for a comment.
fn field(line: &str) -> Option<&str> {
    let declaration = line.trim();
    if declaration.starts_with("//") || !declaration.ends_with(';') {
        return None;
    }
    if let Some((_, rest)) = declaration.split_once("(*") {
        return rest.split(')').next();
    }
    let before = declaration.split(['[', ';']).next()?;
    before.rsplit([' ', '*']).next()
}

/// A C program that prints the layout.
fn program(structs: &[Struct<'_>]) -> String {
    let mut text = String::from(
        "#include <stddef.h>\n#include <stdio.h>\n#include <tteview/tteview.h>\n\nint main(void) {\n",
    );
    for Struct { name, fields } in structs {
        text += &format!("  printf(\"struct {name} %zu\\n\", sizeof({name}));\n");
        for field in fields {
            text += &format!(
                "  printf(\"  {field} %zu %zu\\n\", offsetof({name}, {field}), sizeof((({name} *)0)->{field}));\n"
            );
        }
    }
    text + "  return 0;\n}\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_whatever_their_type() {
        let header = "typedef struct ttv_x ttv_x;\ntypedef struct ttv_y {\n  // A comment; of sorts.\n  uint32_t a;\n  \
                      const uint8_t *plane[3];\n  const char *const *names;\n  void (*log)(void *user, int n);\n} ttv_y;\n\
                      int32_t ttv_f(int a);\n";
        let found = structs(header);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].name, &found[0].fields[..]), ("ttv_y", &["a", "plane", "names", "log"][..]));
    }

    #[test]
    fn the_first_difference_is_named_and_a_missing_line_is_one() {
        assert_eq!(difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(difference("a\nb\n", "a\nc\n"), Some(("b".into(), "c".into())));
        assert_eq!(difference("a\n", "a\nb\n"), Some(("no more".into(), "b".into())));
    }
}

//! The constants of the header, which come from the enumerations (`abi_enum!`) and flags
//! (`bitflags!`) in the Rust sources.

use crate::process::Result;
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Expr, Ident, Item, ItemMacro, Lit, Meta, Token, Type, Visibility, braced};

/// Maximum length of a line in the header.
const WIDTH: usize = 100;

/// The constants of one C type.
pub(super) struct Constants {
    /// Name of the Rust type.
    pub(super) rust: &'static str,
    /// File that defines the Rust type.
    pub(super) file: &'static str,
    /// Name of the C type, which `src/ffi/types.rs` defines as an integer.
    pub(super) c: &'static str,
    /// Prefix of the constants' names. In the names of errors, `ERR_` follows the prefix.
    pub(super) prefix: &'static str,
}

/// A definition in `abi_enum!` or `bitflags!`.
struct Definition {
    name: String,
    is_flags: bool,
    values: Vec<Value>,
}

struct Value {
    documentation: Vec<String>,
    name: String,
    /// The number as C source text.
    number: String,
}

/// Generates the typedef and the enum of a type. `types` is the text of `src/ffi/types.rs`, and
/// `source` is the text of the file that defines the constants.
pub(super) fn generate(constants: &Constants, types: &str, source: &str) -> Result<String> {
    let Constants { rust, file, c, prefix } = constants;
    let (integer, documentation) = find_type(types, c)?;
    let definition = find_definition(source, rust).map_err(|error| format!("{file}: {error}"))?;
    let definition =
        definition.ok_or_else(|| format!("{file}: no abi_enum! or bitflags! defines {rust}"))?;
    let tag = if definition.is_flags { "bits" } else { "value" };
    let mut text = format!("{}typedef {integer} {c};\n\n", comment(&documentation, ""));
    text += &format!("/** Values of ::{c}. */\nenum {c}_{tag} {{\n");
    for Value { documentation, name, number } in &definition.values {
        let error = if number.starts_with('-') { "ERR_" } else { "" };
        let name = to_upper_snake(name);
        text += &format!("{}  {prefix}{error}{name} = {number},\n", comment(documentation, "  "));
    }
    Ok(text + "};\n\n")
}

/// Returns the C integer type and the documentation of a type alias.
fn find_type(types: &str, name: &str) -> Result<(&'static str, Vec<String>)> {
    let file = syn::parse_file(types).map_err(|error| format!("src/ffi/types.rs: {error}"))?;
    for item in file.items {
        let Item::Type(alias) = item else { continue };
        if alias.ident != name {
            continue;
        }
        let Type::Path(path) = &*alias.ty else { continue };
        let integer = match path.path.get_ident().map(ToString::to_string).as_deref() {
            Some("i32") => "int32_t",
            Some("u32") => "uint32_t",
            _ => return Err(format!("src/ffi/types.rs: {name} must be i32 or u32")),
        };
        let documentation = documentation_of(&alias.attrs);
        if documentation.is_empty() {
            return Err(format!("src/ffi/types.rs: {name} has no documentation"));
        }
        return Ok((integer, documentation));
    }
    Err(format!("src/ffi/types.rs does not define {name}"))
}

fn find_definition(source: &str, name: &str) -> syn::Result<Option<Definition>> {
    for item in syn::parse_file(source)?.items {
        let Item::Macro(ItemMacro { mac, .. }) = item else { continue };
        let is_ours = mac
            .path
            .segments
            .last()
            .is_some_and(|last| last.ident == "abi_enum" || last.ident == "bitflags");
        if is_ours {
            let definition: Definition = mac.parse_body()?;
            if definition.name == name {
                return Ok(Some(definition));
            }
        }
    }
    Ok(None)
}

impl Parse for Definition {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        Attribute::parse_outer(input)?;
        input.parse::<Visibility>()?;
        let is_flags = !input.peek(Token![enum]);
        if is_flags {
            _ = input.parse::<Token![struct]>()?
        } else {
            _ = input.parse::<Token![enum]>()?
        }
        let name = input.parse::<Ident>()?.to_string();
        input.parse::<Token![:]>()?;
        input.parse::<Type>()?;
        let body;
        braced!(body in input);
        let mut values = Vec::new();
        while !body.is_empty() {
            values.push(if is_flags { parse_flag(&body)? } else { parse_variant(&body)? });
        }
        Ok(Self { name, is_flags, values })
    }
}

/// Parses a variant and its documentation, such as `/// text` and `Name = 3,`.
fn parse_variant(input: ParseStream<'_>) -> syn::Result<Value> {
    let documentation = documentation_of(&Attribute::parse_outer(input)?);
    let name = input.parse::<Ident>()?.to_string();
    input.parse::<Token![=]>()?;
    let sign = if input.parse::<Option<Token![-]>>()?.is_some() { "-" } else { "" };
    let number = input.parse::<syn::LitInt>()?;
    input.parse::<Token![,]>()?;
    Ok(Value { documentation, name, number: format!("{sign}{}", number.base10_digits()) })
}

/// Parses a flag and its documentation, such as `/// text` and `const NAME = 1 << 3;`.
fn parse_flag(input: ParseStream<'_>) -> syn::Result<Value> {
    let documentation = documentation_of(&Attribute::parse_outer(input)?);
    input.parse::<Token![const]>()?;
    let name = input.parse::<Ident>()?.to_string();
    input.parse::<Token![=]>()?;
    input.parse::<syn::LitInt>()?;
    input.parse::<Token![<<]>()?;
    let shift = input.parse::<syn::LitInt>()?;
    input.parse::<Token![;]>()?;
    Ok(Value { documentation, name, number: format!("1u << {}", shift.base10_digits()) })
}

fn documentation_of(attributes: &[Attribute]) -> Vec<String> {
    let text = |attribute: &Attribute| {
        let Meta::NameValue(pair) = &attribute.meta else { return None };
        let Expr::Lit(literal) = &pair.value else { return None };
        match &literal.lit {
            Lit::Str(text) if pair.path.is_ident("doc") => Some(text.value()),
            _ => None,
        }
    };
    attributes.iter().filter_map(text).collect()
}

/// Formats documentation as a C comment. The paragraphs are wrapped again, because the indentation
/// differs from that in Rust.
fn comment(lines: &[String], indent: &str) -> String {
    let text = lines.join("\n");
    let mut paragraphs = Vec::new();
    for paragraph in text.split("\n\n") {
        let words: Vec<&str> = paragraph.split_whitespace().collect();
        paragraphs.push(wrap(&words, WIDTH - indent.len() - " * ".len()));
    }
    match &paragraphs[..] {
        [lines] if lines.is_empty() => String::new(),
        [lines] if lines.len() == 1 && indent.len() + lines[0].len() + "/**  */".len() <= WIDTH => {
            format!("{indent}/** {} */\n", lines[0])
        }
        _ => {
            let lines: Vec<String> = paragraphs
                .iter()
                .map(|lines| lines.iter().map(|line| format!("{indent} * {line}\n")).collect())
                .collect();
            format!("{indent}/**\n{}{indent} */\n", lines.join(&format!("{indent} *\n")))
        }
    }
}

/// Joins words into lines of at most `width` characters.
fn wrap(words: &[&str], width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= width => *line += &format!(" {word}"),
            _ => lines.push((*word).to_owned()),
        }
    }
    lines
}

/// Converts a name such as `RingFull` to `RING_FULL`. A name in upper case is not changed.
fn to_upper_snake(name: &str) -> String {
    if !name.contains(|letter: char| letter.is_ascii_lowercase()) {
        return name.into();
    }
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(letter.to_ascii_uppercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPES: &str =
        "/// A colour.\npub type ttv_colour = i32;\n/// Marks.\npub type ttv_marks = u32;\n";

    fn constants(rust: &'static str, c: &'static str, prefix: &'static str) -> Constants {
        Constants { rust, file: "a.rs", c, prefix }
    }

    #[test]
    fn an_enumeration_becomes_a_typedef_and_an_enum() {
        let source = "abi_enum! {\n/// Rust.\npub enum Colour: i32 {\n/// Dark.\nDeepRed = 0,\n\n\
                      /// Two\n/// lines.\n///\n/// More.\nNoColour = -3,\n}\n}\n";
        let text = generate(&constants("Colour", "ttv_colour", "TTV_"), TYPES, source).unwrap();
        assert_eq!(
            text,
            "/** A colour. */\ntypedef int32_t ttv_colour;\n\n\
             /** Values of ::ttv_colour. */\nenum ttv_colour_value {\n  /** Dark. */\n  TTV_DEEP_RED = 0,\n\
             \x20 /**\n   * Two lines.\n   *\n   * More.\n   */\n  TTV_ERR_NO_COLOUR = -3,\n};\n\n"
        );
    }

    #[test]
    fn flags_become_unsigned_bits() {
        let source = "bitflags::bitflags! {\n#[derive(Clone)]\npub struct Marks: u32 {\n\
                      /// Old.\nconst IS_OLD = 1 << 4;\n}\n}\n";
        let text = generate(&constants("Marks", "ttv_marks", "TTV_MARK_"), TYPES, source).unwrap();
        let bits = "enum ttv_marks_bits {\n  /** Old. */\n  TTV_MARK_IS_OLD = 1u << 4,\n};";
        assert!(text.contains("typedef uint32_t ttv_marks;") && text.contains(bits), "{text}");
    }

    #[test]
    fn what_is_missing_is_named() {
        let colour = constants("Colour", "ttv_colour", "TTV_");
        let error = generate(&colour, TYPES, "fn f() {}").unwrap_err();
        assert!(error.contains("a.rs") && error.contains("Colour"), "{error}");
        let error = generate(&constants("Colour", "ttv_none", "TTV_"), TYPES, "").unwrap_err();
        assert!(error.contains("does not define ttv_none"), "{error}");
        let error = generate(&colour, "pub type ttv_colour = i32;", "").unwrap_err();
        assert!(error.contains("no documentation"), "{error}");
    }

    #[test]
    fn names_are_split_at_capital_letters() {
        let pairs =
            [("Ok", "OK"), ("Gray16Le", "GRAY16_LE"), ("I420", "I420"), ("TimedOut", "TIMED_OUT")];
        for (rust, c) in pairs {
            assert_eq!(to_upper_snake(rust), c);
        }
    }
}

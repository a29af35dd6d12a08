//! `cargo xtask sentences [COUNT [SEED]]`: prints random sentences from comments and documents, for
//! review.

use super::files::{list_files, read_file};
use super::prose::{ENDINGS, extract_prose, join_paragraphs};
use crate::process::Result;
use std::hash::{DefaultHasher, Hash, Hasher};

/// A sentence and its place in the repository.
struct Sentence {
    place: String,
    text: String,
}

/// Prints COUNT sentences, or 50 if COUNT is not given. The same seed gives the same sentences.
pub(crate) fn draw(arguments: &[&str]) -> Result {
    let usage = || "usage: cargo xtask sentences [COUNT [SEED]]".to_owned();
    let (count, seed) = match arguments {
        [] => (50, "1"),
        [count] => (count.parse().map_err(|_| usage())?, "1"),
        [count, seed] => (count.parse().map_err(|_| usage())?, *seed),
        _ => return Err(usage()),
    };
    let mut sentences = collect()?;
    let total = sentences.len();
    sentences.sort_by_key(|sentence| {
        let mut hasher = DefaultHasher::new();
        (seed, &sentence.place, &sentence.text).hash(&mut hasher);
        hasher.finish()
    });
    for (number, Sentence { place, text }) in sentences.iter().take(count).enumerate() {
        println!("{:>3}. {text}\n     {place}", number + 1);
    }
    println!("\n{count} of {total} sentences, seed {seed}");
    Ok(())
}

fn collect() -> Result<Vec<Sentence>> {
    let mut sentences = Vec::new();
    for file in list_files(ENDINGS)? {
        let lines = extract_prose(&file, &read_file(&file)?);
        for (number, paragraph) in join_paragraphs(&lines) {
            for text in split_sentences(&paragraph) {
                sentences.push(Sentence { place: format!("{}:{number}", file.display()), text });
            }
        }
    }
    Ok(sentences)
}

/// Splits a paragraph into sentences. Sentences of one or two words are left out.
fn split_sentences(paragraph: &str) -> Vec<String> {
    let mut sentences = Vec::new();
    let mut rest = paragraph;
    while !rest.is_empty() {
        let end = rest
            .match_indices(['.', '?', '!'])
            .map(|(index, _)| index + 1)
            .find(|&end| rest[end..].is_empty() || begins_sentence(&rest[end..]));
        let (sentence, tail) = rest.split_at(end.unwrap_or(rest.len()));
        if sentence.split_whitespace().count() > 2 {
            sentences.push(sentence.trim().to_owned());
        }
        rest = tail;
    }
    sentences
}

/// Returns whether a string begins with a space and the first character of a sentence.
fn begins_sentence(text: &str) -> bool {
    let mut letters = text.chars();
    letters.next() == Some(' ')
        && letters.next().is_some_and(|letter| letter.is_uppercase() || "`[(\"".contains(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_are_split_at_ends_of_sentences() {
        let text =
            "The ring of 0.5 MB is full, e.g. after a burst. `push` fails. Yes. Is that all?";
        let expected =
            ["The ring of 0.5 MB is full, e.g. after a burst.", "`push` fails.", "Is that all?"];
        assert_eq!(split_sentences(text)[..1], expected[..1]);
        assert_eq!(split_sentences(text).last().unwrap(), expected[2]);
    }

    #[test]
    fn the_repository_has_thousands_of_sentences() {
        assert!(collect().unwrap().len() > 2000);
    }
}

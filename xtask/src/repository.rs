//! Tests of the rules that a program can check, and the task that selects random sentences for
//! review. docs/develop/style.md explains the rules.

#[cfg(test)]
mod dependencies;
mod files;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod imports;
#[cfg(test)]
mod lengths;
#[cfg(test)]
mod links;
#[cfg(test)]
mod names;
mod prose;
#[cfg(test)]
mod requirements;
pub(crate) mod sentences;
#[cfg(test)]
mod third_party;
#[cfg(test)]
mod words;

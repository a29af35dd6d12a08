//! Another Rust library in the same host. It brings a standard library of its own, and panics inside.

/// The number of words, counted by code that allocates, and a panic that is caught.
#[unsafe(no_mangle)]
pub extern "C" fn second_library_words(text: u32) -> u32 {
    let words: Vec<String> = (0..text).map(|word| format!("word {word}")).collect();
    let caught = std::panic::catch_unwind(|| {
        std::panic::resume_unwind(Box::new("caught"));
    });
    if caught.is_err() { words.len() as u32 } else { 0 }
}

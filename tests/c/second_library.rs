//! A second Rust library in the same host, with its own standard library and panic handler.

/// Returns `words` after allocating that many strings and catching a panic.
#[unsafe(no_mangle)]
pub extern "C" fn second_library_count(words: u32) -> u32 {
    let list: Vec<String> = (0..words).map(|word| format!("word {word}")).collect();
    let caught = std::panic::catch_unwind(|| {
        std::panic::resume_unwind(Box::new("on purpose"));
    });
    if caught.is_err() { list.len() as u32 } else { 0 }
}

//! Fuzz target that imports arbitrary bytes as an engine file.

use crate::memory_folder::create_memory_folder;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::LazyLock;
use tteview::Status;
use tteview::bench_api::import_engine_file;

/// The key of the device that imports the files.
const KEY: [(&str, &str); 2] = [("gpu", "Orin"), ("model", "abc")];

/// First line of an engine file.
const FIRST_LINE: &[u8] = b"tteview engine 1\n";

/// Text in the manifest of an input that stands for the SHA-256 of the content after the manifest.
const CONTENT_HASH: &str = "@";

/// A folder for the engine cache and the engine file.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| create_memory_folder("engine-file"));

/// Imports the input as an engine file: as it is, if its first byte is odd, and otherwise with
/// correct hashes, so that the reader does not stop at the hash of the manifest. An import must
/// succeed or leave nothing in the cache.
pub(crate) fn run_engine_file(input: &[u8]) {
    let Some((&kind, rest)) = input.split_first() else { return };
    let (cache, file) = (FOLDER.join("cache"), FOLDER.join("file"));
    let content = if kind % 2 == 1 { rest.to_vec() } else { complete_file(rest) };
    std::fs::write(&file, content).expect("the engine file can be written");
    let outcome = import_engine_file(&cache, &KEY, &file);
    let entries = std::fs::read_dir(&cache).into_iter().flatten().count();
    match outcome {
        Ok(()) => {
            assert_eq!(entries, 1, "an import leaves one entry");
            std::fs::remove_dir_all(&cache).expect("the cache can be removed");
        }
        Err(error) => {
            let expected = [Status::EngineFile, Status::EngineMismatch];
            assert!(expected.contains(&error.status()), "{error}");
            assert_eq!(entries, 0, "a failed import leaves nothing: {error}");
        }
    }
}

/// Creates an engine file with correct lengths and hashes. The first two bytes of `rest` are the
/// length of the manifest, and the manifest and the content of the engine's files follow.
fn complete_file(rest: &[u8]) -> Vec<u8> {
    let (length, rest) = rest.split_at(rest.len().min(2));
    let length = length.iter().rev().fold(0, |length, &byte| length << 8 | usize::from(byte));
    let (manifest, content) = rest.split_at(length.min(rest.len()));
    let manifest = String::from_utf8_lossy(manifest)
        .replace(&format!("\"{CONTENT_HASH}\""), &format!("\"{}\"", to_hex(content)));
    let manifest = format!("{}\n{manifest}", to_hex(manifest.as_bytes()));
    let length = (manifest.len() as u64).to_le_bytes();
    [FIRST_LINE, &length, manifest.as_bytes(), content].concat()
}

/// Returns the SHA-256 of `bytes` in hexadecimal.
fn to_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Creates inputs for a valid file, for files with other keys and names, and for a file as it is.
pub(crate) fn create_seeds() -> Vec<Vec<u8>> {
    let create = |key: &str, files: &str, content: &[u8]| {
        let manifest =
            format!("{{\"format\":1,\"source\":\"built\",\"key\":{{{key}}},\"files\":[{files}]}}");
        let length = (manifest.len() as u16).to_le_bytes();
        [&[0], &length[..], manifest.as_bytes(), content].concat()
    };
    let key = "\"gpu\":\"Orin\",\"model\":\"abc\"";
    let file = |name: &str, size: usize, hash: &str| {
        format!("{{\"name\":\"{name}\",\"size\":{size},\"sha256\":\"{hash}\"}}")
    };
    let two = format!("{},{}", file("a.engine", 4, CONTENT_HASH), file("b", 0, &to_hex(b"")));
    let whole = create(key, &file("a.engine", 4, CONTENT_HASH), b"abcd");
    let raw = [&[1], &complete_file(&whole[1..])[..]].concat();
    vec![
        whole,
        create(key, &two, b"abcd"),
        create("\"gpu\":\"Xavier\"", &file("a.engine", 4, CONTENT_HASH), b"abcd"),
        create(key, &file("../a", 4, CONTENT_HASH), b"abcd"),
        create(key, &file("a", usize::MAX, CONTENT_HASH), b"abcd"),
        create(key, "", b""),
        raw,
    ]
}

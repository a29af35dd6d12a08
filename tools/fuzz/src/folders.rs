//! Fuzz target that reads arbitrary bytes as the files of a folder.

use crate::cines::check_frames;
use crate::memory_folder::create_memory_folder;
use crate::png;
use std::path::PathBuf;
use std::sync::LazyLock;
use tteview_cli::cine::Cine;

/// Maximum number of files in the folder.
const MAX_FILES: usize = 4;

static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| create_memory_folder("folder"));

/// Reads the input as a folder of images, and its first file as a single image. Each file of the
/// input has a kind of one byte, a length of two bytes, and that number of bytes.
pub(crate) fn run_folder(input: &[u8]) {
    let mut files = Vec::new();
    let mut rest = input;
    while let Some((&[kind, low, high], behind)) = rest.split_first_chunk::<3>() {
        let length = usize::from(u16::from_le_bytes([low, high]));
        let (content, behind) = behind.split_at(length.min(behind.len()));
        let index = files.len();
        let (name, content) = match kind % 3 {
            0 => (format!("{index}.png"), png::correct_checksums(content)),
            1 => (format!("{index}.jpg"), content.to_vec()),
            _ => (format!("{index}.dcm"), content.to_vec()),
        };
        let path = FOLDER.join(name);
        std::fs::write(&path, content).expect("a file of the folder can be written");
        files.push(path);
        rest = behind;
        if files.len() == MAX_FILES {
            break;
        }
    }
    let still = files.first().map(|path| Cine::open_still(path));
    for cine in still.into_iter().chain([Cine::open(&FOLDER)]).flatten() {
        check_frames(cine);
    }
    for path in files {
        std::fs::remove_file(path).expect("a file of the folder can be removed");
    }
}

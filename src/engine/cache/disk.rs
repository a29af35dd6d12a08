//! The disk operations of the engine cache. A test can make any operation fail, or kill the process
//! before any operation.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

/// Number of bytes that are copied at a time.
const BLOCK_BYTES: usize = 1 << 16;

pub(super) fn create_dir(path: &Path) -> io::Result<()> {
    before_operation(path)?;
    fs::create_dir(path)
}

pub(super) fn create_dir_all(path: &Path) -> io::Result<()> {
    before_operation(path)?;
    fs::create_dir_all(path)
}

/// Writes a new file and syncs it to disk.
pub(super) fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    write_from(content, path, content.len() as u64, |_| ())
}

/// Writes the next `size` bytes of `from` to a new file and syncs the file to disk. `inspect`
/// receives every block.
pub(super) fn write_from(
    mut from: impl Read,
    path: &Path,
    size: u64,
    inspect: impl FnMut(&[u8]),
) -> io::Result<()> {
    before_operation(path)?;
    let mut file = File::options().write(true).create_new(true).open(path)?;
    copy_bytes(&mut from, &mut file, size, path, inspect)?;
    before_operation(path)?;
    file.sync_all()
}

/// Copies the next `size` bytes of `from` to `to`, and fails if `from` contains fewer. `inspect`
/// receives every block.
pub(super) fn copy_bytes(
    from: &mut impl Read,
    to: &mut impl Write,
    size: u64,
    path: &Path,
    mut inspect: impl FnMut(&[u8]),
) -> io::Result<()> {
    let mut remaining = size;
    let mut buffer = vec![0; BLOCK_BYTES];
    while remaining > 0 {
        let count = usize::try_from(remaining).unwrap_or(BLOCK_BYTES).min(BLOCK_BYTES);
        let block = buffer.get_mut(..count).unwrap_or_default();
        from.read_exact(block)?;
        before_operation(path)?;
        to.write_all(block)?;
        inspect(block);
        remaining -= count as u64;
    }
    Ok(())
}

/// Syncs a file, or the list of files in a folder, to disk.
pub(super) fn sync(path: &Path) -> io::Result<()> {
    before_operation(path)?;
    File::open(path)?.sync_all()
}

pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    before_operation(to)?;
    fs::rename(from, to)
}

pub(super) fn remove_file(path: &Path) -> io::Result<()> {
    before_operation(path)?;
    fs::remove_file(path)
}

/// Removes a folder and its contents, file by file.
pub(super) fn remove_folder(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        before_operation(&entry.path())?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?
        } else {
            fs::remove_file(entry.path())?
        }
    }
    before_operation(path)?;
    fs::remove_dir(path)
}

#[cfg(not(test))]
fn before_operation(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
pub(super) use fault::before_operation;

/// A test's hook, which runs before each disk operation on the test's thread.
#[cfg(test)]
pub(super) mod fault {
    use std::cell::RefCell;
    use std::io;
    use std::path::Path;

    type Hook = Box<dyn FnMut(&Path) -> io::Result<()>>;

    thread_local! {
        static HOOK: RefCell<Option<Hook>> = const { RefCell::new(None) };
    }

    /// Runs `work`, and calls `hook` before each disk operation on this thread.
    pub(in crate::engine::cache) fn with_hook<R>(
        hook: impl FnMut(&Path) -> io::Result<()> + 'static,
        work: impl FnOnce() -> R,
    ) -> R {
        HOOK.set(Some(Box::new(hook)));
        let result = work();
        HOOK.set(None);
        result
    }

    pub(in crate::engine::cache) fn before_operation(path: &Path) -> io::Result<()> {
        HOOK.with_borrow_mut(|hook| hook.as_mut().map_or(Ok(()), |hook| hook(path)))
    }
}

//! The few operations on files that the cache is written with. Each ends where a test can kill the process or let the
//! operation fail.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

/// Bytes that are written and read at once.
const PIECE: usize = 1 << 16;

pub(super) fn create_dir(path: &Path) -> io::Result<()> {
    operation(path)?;
    fs::create_dir(path)
}

pub(super) fn create_dir_all(path: &Path) -> io::Result<()> {
    operation(path)?;
    fs::create_dir_all(path)
}

/// Writes a new file, to the disk itself.
pub(super) fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    copy(content, path, content.len() as u64, |_| ())
}

/// Writes the next `size` bytes of `from` into a new file, to the disk itself, and shows each piece to `seen`.
pub(super) fn copy(mut from: impl Read, path: &Path, size: u64, seen: impl FnMut(&[u8])) -> io::Result<()> {
    operation(path)?;
    let mut file = File::options().write(true).create_new(true).open(path)?;
    pour(&mut from, &mut file, size, path, seen)?;
    operation(path)?;
    file.sync_all()
}

/// The next `size` bytes of `from` to `to`, piece by piece; fewer are an error.
pub(super) fn pour(
    from: &mut impl Read,
    to: &mut impl Write,
    size: u64,
    path: &Path,
    mut seen: impl FnMut(&[u8]),
) -> io::Result<()> {
    let mut left = size;
    let mut piece = vec![0; PIECE];
    while left > 0 {
        let want = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        let part = piece.get_mut(..want).unwrap_or_default();
        from.read_exact(part)?;
        operation(path)?;
        to.write_all(part)?;
        seen(part);
        left -= want as u64;
    }
    Ok(())
}

/// Brings a file, or the names in a folder, to the disk itself.
pub(super) fn sync(path: &Path) -> io::Result<()> {
    operation(path)?;
    File::open(path)?.sync_all()
}

pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    operation(to)?;
    fs::rename(from, to)
}

pub(super) fn remove_file(path: &Path) -> io::Result<()> {
    operation(path)?;
    fs::remove_file(path)
}

/// Removes a folder with all it holds, file by file.
pub(super) fn remove_folder(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        operation(&entry.path())?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?
        } else {
            fs::remove_file(entry.path())?
        }
    }
    operation(path)?;
    fs::remove_dir(path)
}

#[cfg(not(test))]
fn operation(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
pub(super) use fault::operation;

/// What tests do before the operations of their thread.
#[cfg(test)]
pub(super) mod fault {
    use std::cell::RefCell;
    use std::io;
    use std::path::Path;

    type Hook = Box<dyn FnMut(&Path) -> io::Result<()>>;

    thread_local! {
        static HOOK: RefCell<Option<Hook>> = const { RefCell::new(None) };
    }

    /// Calls `hook` before every operation of `work`, in this thread.
    pub(in crate::engine_cache) fn with<R>(
        hook: impl FnMut(&Path) -> io::Result<()> + 'static,
        work: impl FnOnce() -> R,
    ) -> R {
        HOOK.set(Some(Box::new(hook)));
        let result = work();
        HOOK.set(None);
        result
    }

    pub(in crate::engine_cache) fn operation(path: &Path) -> io::Result<()> {
        HOOK.with_borrow_mut(|hook| hook.as_mut().map_or(Ok(()), |hook| hook(path)))
    }
}

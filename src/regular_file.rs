//! Reading of regular files. A path can name a device that never ends, or a FIFO that blocks until
//! another program writes to it, so such files are refused before they are read.

use std::fs::{File, FileType, OpenOptions};
use std::io::{self, Error, ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// Opens a regular file for reading. Symbolic links to regular files are allowed. The function
/// never blocks.
///
/// # Errors
/// Returns the error of the file system, or [`ErrorKind::InvalidInput`] with the type of the file
/// if it is not a regular file.
pub fn open(path: &Path) -> io::Result<File> {
    // Opening a device can have an effect, so the type is checked before the file is opened, and
    // again afterwards, because another process could have replaced the file.
    check(path)?;
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    check_type(file.metadata()?.file_type())?;
    Ok(file)
}

/// Checks that a path names a regular file, and returns its size in bytes.
///
/// # Errors
/// Returns the same errors as [`open`].
pub fn check(path: &Path) -> io::Result<u64> {
    let metadata = std::fs::metadata(path)?;
    check_type(metadata.file_type())?;
    Ok(metadata.len())
}

/// Reads a regular file of at most `max_bytes` bytes.
///
/// # Errors
/// Returns an error of [`open`], [`ErrorKind::FileTooLarge`] if the file is larger, or
/// [`ErrorKind::OutOfMemory`] if the memory for the file cannot be allocated.
pub fn read(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    let too_large = |bytes: u64| {
        let message = format!("the file must have at most {max_bytes} bytes, got {bytes}");
        Error::new(ErrorKind::FileTooLarge, message)
    };
    let file = open(path)?;
    let length = file.metadata()?.len();
    if length > max_bytes {
        return Err(too_large(length));
    }
    let mut bytes = Vec::new();
    let capacity = usize::try_from(length).map_err(|_| too_large(length))?;
    // `read_to_end` needs room for one more byte to find the end of the file.
    let capacity = capacity.saturating_add(1);
    bytes.try_reserve_exact(capacity).map_err(|error| Error::new(ErrorKind::OutOfMemory, error))?;
    // The file may grow while it is read, and a file of the kernel can have the length 0.
    file.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
    match bytes.len() as u64 {
        length if length > max_bytes => Err(too_large(length)),
        _ => Ok(bytes),
    }
}

fn check_type(kind: FileType) -> io::Result<()> {
    let name = match kind {
        kind if kind.is_file() => return Ok(()),
        kind if kind.is_dir() => "a folder",
        kind if kind.is_fifo() => "a FIFO",
        kind if kind.is_socket() => "a socket",
        _ => "a device",
    };
    let message = format!("the path must name a regular file, got {name}");
    Err(Error::new(ErrorKind::InvalidInput, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_folders_and_sockets_are_refused_by_type() {
        let socket = std::env::temp_dir().join(format!("tteview-socket-{}", std::process::id()));
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for (path, name) in
            [("/dev/zero", "a device"), ("/", "a folder"), (socket.to_str().unwrap(), "a socket")]
        {
            let error = read(Path::new(path), 10).unwrap_err();
            assert_eq!(error.to_string(), format!("the path must name a regular file, got {name}"));
        }
        drop(listener);
        std::fs::remove_file(socket).unwrap();
    }

    #[test]
    fn files_larger_than_the_maximum_are_refused() {
        let path = std::env::temp_dir().join(format!("tteview-size-{}", std::process::id()));
        std::fs::write(&path, [7; 10]).unwrap();
        assert_eq!(read(&path, 10).unwrap(), [7; 10]);
        let error = read(&path, 9).unwrap_err();
        assert_eq!(error.to_string(), "the file must have at most 9 bytes, got 10");
        std::fs::remove_file(&path).unwrap();
        // The kernel gives this file the length 0.
        assert!(read(Path::new("/proc/self/status"), 10).is_err());
        assert!(!read(Path::new("/proc/self/status"), 1 << 20).unwrap().is_empty());
    }
}

//! The fake driver for tests, `tests/c/fake_driver.c`.

use super::queue::GpuQueue;
use libloading::Library;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// Builds `tests/c/fake_driver.c` as a library with this name, and returns the path of the library.
pub(crate) fn build_fake_driver(name: &str, defines: &[&str]) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("tteview-driver-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let library = folder.join(name);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c/fake_driver.c");
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let mut command = Command::new(compiler);
    command.args(["-shared", "-fPIC"]).args(defines).arg(format!("-Wl,-soname,{name}"));
    assert!(command.arg("-o").arg(&library).arg(source).status().expect("a C compiler").success());
    library
}

/// A loaded fake driver.
pub(crate) struct FakeDriver {
    library: Library,
    file: PathBuf,
}

impl FakeDriver {
    /// Builds and loads the fake driver. Drivers with different names have separate counters.
    pub(crate) fn new(name: &str) -> Self {
        let file = build_fake_driver(name, &[]);
        // SAFETY: the library was built above and has no initialisers.
        let library = unsafe { Library::new(&file) }.unwrap();
        Self { library, file }
    }

    pub(crate) fn queue(&self) -> Arc<GpuQueue> {
        GpuQueue::on_fake_driver(&self.file).unwrap()
    }

    /// Returns the number of contexts, streams and allocations that have not been freed.
    pub(crate) fn alive(&self) -> i32 {
        self.counter(b"fake_alive\0", None)
    }

    /// Returns the number of contexts that are pushed on this thread.
    pub(crate) fn contexts(&self) -> i32 {
        // SAFETY: the library is open and defines this function with this type.
        unsafe { self.library.get::<unsafe extern "C" fn() -> i32>(b"fake_contexts\0").unwrap()() }
    }

    /// Returns the number of copies so far.
    pub(crate) fn copies(&self) -> i32 {
        self.counter(b"fake_copies\0", None)
    }

    /// Makes one of the next allocations, copies and waits fail: the first if `call` is 1, the
    /// second if it is 2, and so on.
    pub(crate) fn fail(&self, call: i32) {
        self.counter(b"fake_fails\0", Some(call));
    }

    fn counter(&self, name: &[u8], set: Option<i32>) -> i32 {
        // SAFETY: the library is open and defines a variable with this name and type. Only one
        // thread at a time accesses the variable.
        unsafe {
            let counter = *self.library.get::<*mut i32>(name).unwrap();
            if let Some(value) = set {
                *counter = value;
            }
            *counter
        }
    }
}

impl Drop for FakeDriver {
    fn drop(&mut self) {
        std::fs::remove_file(&self.file).unwrap();
    }
}

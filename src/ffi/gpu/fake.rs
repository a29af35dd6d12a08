//! A driver for tests, `tests/c/fake_driver.c`.

use super::GpuQueue;
use libloading::Library;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// Builds `tests/c/fake_driver.c`, which stands for the driver in tests.
pub(crate) fn fake(name: &str, defines: &[&str]) -> PathBuf {
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

/// The fake driver, loaded.
pub(crate) struct Fake {
    library: Library,
    file: PathBuf,
}

impl Fake {
    /// One of its own for each name.
    pub(crate) fn new(name: &str) -> Self {
        let file = fake(name, &[]);
        // SAFETY: a library without initialisers, built just now.
        let library = unsafe { Library::new(&file) }.unwrap();
        Self { library, file }
    }

    pub(crate) fn queue(&self) -> Arc<GpuQueue> {
        GpuQueue::fake(&self.file).unwrap()
    }

    /// Contexts, streams and pieces of memory that are not given back.
    pub(crate) fn alive(&self) -> i32 {
        self.counter(b"fake_alive\0", None)
    }

    /// Contexts that are pushed in this thread.
    pub(crate) fn contexts(&self) -> i32 {
        // SAFETY: a function of this type stands in the library, which is open.
        unsafe { self.library.get::<unsafe extern "C" fn() -> i32>(b"fake_contexts\0").unwrap()() }
    }

    /// Copies made so far.
    pub(crate) fn copies(&self) -> i32 {
        self.counter(b"fake_copies\0", None)
    }

    /// Has one call fail from now on, the next being 1: an allocation, a copy or a wait.
    pub(crate) fn fail(&self, call: i32) {
        self.counter(b"fake_fails\0", Some(call));
    }

    fn counter(&self, name: &[u8], set: Option<i32>) -> i32 {
        // SAFETY: a number of this name stands in the library, which is open; one thread at a time asks.
        unsafe {
            let counter = *self.library.get::<*mut i32>(name).unwrap();
            if let Some(value) = set {
                *counter = value;
            }
            *counter
        }
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        std::fs::remove_file(&self.file).unwrap();
    }
}

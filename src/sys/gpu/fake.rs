//! The fake driver for tests, `tests/c/fake_driver.c`.

use super::queue::GpuQueue;
use super::stream::GpuStream;
use libloading::Library;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering::SeqCst};

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

    /// Returns a queue with a new CUDA stream.
    pub(crate) fn queue(&self) -> Arc<GpuQueue> {
        GpuQueue::on_fake_driver(&self.file, None).unwrap()
    }

    /// Returns a queue with a CUDA stream of the host.
    pub(crate) fn queue_on(&self, stream: GpuStream) -> Arc<GpuQueue> {
        GpuQueue::on_fake_driver(&self.file, Some(stream)).unwrap()
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
    /// second if it is 2, and so on. No call fails if `call` is 0. Returns the number that was left
    /// of an earlier call of this function, or 0 if that call has failed.
    pub(crate) fn fail(&self, call: i32) -> i32 {
        let left = self.counter(b"fake_fails\0", None);
        self.counter(b"fake_fails\0", Some(call));
        left
    }

    /// Sets whether a graph is captured, so that allocations and releases are wrong.
    pub(crate) fn set_capturing(&self, is_capturing: bool) {
        self.counter(b"fake_captures\0", Some(i32::from(is_capturing)));
    }

    /// Returns the number of allocations and releases during captures.
    pub(crate) fn wrong_calls(&self) -> i32 {
        self.counter(b"fake_wrong\0", None)
    }

    fn counter(&self, name: &[u8], set: Option<i32>) -> i32 {
        // SAFETY: the library is open and defines an atomic variable with this name, whose type has
        // the layout of `AtomicI32`.
        let counter = unsafe { &**self.library.get::<*const AtomicI32>(name).unwrap() };
        if let Some(value) = set {
            counter.store(value, SeqCst);
        }
        counter.load(SeqCst)
    }
}

impl Drop for FakeDriver {
    fn drop(&mut self) {
        std::fs::remove_file(&self.file).unwrap();
    }
}

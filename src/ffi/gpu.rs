//! The GPU as its driver sees it: what it is, which decides whether a built engine fits, its memory, and a stream of the
//! host's. Nothing of NVIDIA's is linked.

#[cfg(feature = "ort")]
mod driver;
#[cfg(feature = "ort")]
mod memory;
#[cfg(feature = "ort")]
mod probe;
#[cfg(feature = "ort")]
mod tensors;

use std::ffi::c_void;

/// A `cudaStream_t` of the host's, made with the priority it wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpuStream(usize);

impl GpuStream {
    /// The stream at this address; `None` for NULL.
    ///
    /// # Safety
    /// It is a stream of the device that the engine is made for, and lives as long as the engine and its streams.
    #[must_use]
    pub unsafe fn from_raw(stream: *mut c_void) -> Option<Self> {
        (!stream.is_null()).then_some(Self(stream as usize))
    }

    /// An address that nothing lies at, for tests in which nothing runs.
    #[cfg(all(test, feature = "ort"))]
    pub(crate) fn of_nobody() -> Self {
        Self(0x1234)
    }

    #[cfg(feature = "ort")]
    pub(crate) fn address(self) -> usize {
        self.0
    }
}

#[cfg(feature = "ort")]
pub(crate) use memory::{GpuMemory, GpuQueue, HostMemory};
#[cfg(feature = "ort")]
pub(crate) use probe::{Gpu, gpu, tensorrt_version};
#[cfg(feature = "ort")]
pub(crate) use tensors::{FixedTensors, Places};

/// Builds `tests/c/fake_driver.c`, which stands for the driver in tests.
#[cfg(all(test, feature = "ort"))]
pub(crate) fn fake(name: &str, defines: &[&str]) -> std::path::PathBuf {
    let folder = std::env::temp_dir().join(format!("tteview-driver-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let library = folder.join(name);
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c/fake_driver.c");
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let mut command = std::process::Command::new(compiler);
    command.args(["-shared", "-fPIC"]).args(defines).arg(format!("-Wl,-soname,{name}"));
    assert!(command.arg("-o").arg(&library).arg(source).status().expect("a C compiler").success());
    library
}

/// The fake driver, loaded.
#[cfg(all(test, feature = "ort"))]
pub(crate) struct Fake {
    library: libloading::Library,
    file: std::path::PathBuf,
}

#[cfg(all(test, feature = "ort"))]
impl Fake {
    /// One of its own for each name.
    pub(crate) fn new(name: &str) -> Self {
        let file = fake(name, &[]);
        // SAFETY: a library without initialisers, built just now.
        let library = unsafe { libloading::Library::new(&file) }.unwrap();
        Self { library, file }
    }

    pub(crate) fn queue(&self) -> std::sync::Arc<GpuQueue> {
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

#[cfg(all(test, feature = "ort"))]
impl Drop for Fake {
    fn drop(&mut self) {
        std::fs::remove_file(&self.file).unwrap();
    }
}

//! Access to the GPU through its driver: the GPU properties that determine whether a built engine
//! can be used, and memory for CUDA graphs. The driver is loaded at run time, so the library is not
//! linked to any NVIDIA library.

#[cfg(feature = "ort")]
mod copies;
#[cfg(feature = "ort")]
mod driver;
#[cfg(all(test, feature = "ort"))]
mod fake;
#[cfg(feature = "ort")]
mod info;
#[cfg(feature = "ort")]
mod memory;
#[cfg(feature = "ort")]
mod queue;
#[cfg(feature = "ort")]
mod slice;
mod stream;
#[cfg(feature = "ort")]
mod tensors;

#[cfg(all(test, feature = "ort"))]
pub(crate) use fake::{FakeDriver, build_fake_driver};
#[cfg(feature = "ort")]
pub(crate) use info::{GpuInfo, query_gpu, tensorrt_version};
#[cfg(feature = "ort")]
pub(crate) use memory::{GpuMemory, HostMemory};
#[cfg(feature = "ort")]
pub(crate) use queue::{Access, GpuQueue};
pub use stream::GpuStream;
#[cfg(feature = "ort")]
pub(crate) use tensors::{FixedTensors, Layout};

//! The packages that the compiler returns.

use crate::output::LogitsSource;

/// A package file in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// File name without a folder, for example `NAME.clip.onnx`.
    pub file_name: String,
    /// Content of the file.
    pub bytes: Vec<u8>,
}

/// The packages of one source network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompiledNetwork {
    /// The clip package, which runs the network on a whole clip.
    pub clip: Package,
    /// The stream package, which runs one chunk in frame steps or in one chunk step. It is `None`
    /// if the network cannot stream.
    pub stream: Option<Package>,
    /// The reason why there is no stream package. It is `None` if the network can stream.
    pub window_only_reason: Option<String>,
    /// The reason why the stream package has chunk steps although
    /// [`Steps::Frame`](crate::Steps::Frame) was requested. It is `None` otherwise.
    pub chunk_steps_reason: Option<String>,
    /// The first operator that only ONNX Runtime runs, which the clip package contains as it is in
    /// the source. It is `None` if every provider runs the packages.
    pub runtime_operator: Option<&'static str>,
    /// The value of the source from which the logits follow.
    pub logits: LogitsSource,
    /// What the compiler assumed, or found in the network, in sentences for the user.
    pub notes: Vec<String>,
}

impl CompiledNetwork {
    /// Iterates over the packages in the order clip, stream.
    pub fn packages(&self) -> impl Iterator<Item = &Package> {
        [Some(&self.clip), self.stream.as_ref()].into_iter().flatten()
    }
}

//! The origin of a provider's engine.

use crate::abi::abi_enum;

abi_enum! {
    /// Whether the provider needs an engine for this device and, if so, where the engine came from.
    ///
    /// The TensorRT providers compile the graph for one GPU. NVIDIA calls the result an engine.
    #[derive(Default)]
    pub enum EngineOrigin: u32 {
        /// The provider builds no engine.
        #[default]
        NotNeeded = 0,
        /// `prepare` or the first stream will load or build the engine.
        NotYet = 1,
        /// The engine was built by this process.
        Built = 2,
        /// The engine was built by an earlier process and loaded from the engine cache.
        Loaded = 3,
        /// The engine was imported from a file and loaded from the engine cache.
        Imported = 4,
    }
}

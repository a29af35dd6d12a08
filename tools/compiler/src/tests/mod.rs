//! Tests of the whole compiler. Most of them compare packages with the source network in ONNX
//! Runtime. The environment variable `TTEVIEW_ORT_DYLIB` must contain the path of ONNX Runtime's
//! shared library. `cargo xtask fetch` prints this path.

mod changed_operators;
mod equality;
mod exported;
mod folding;
mod frame_steps;
mod heads;
mod hostile;
mod kept;
mod logits;
mod one_frame;
mod operators;
mod outputs;
mod package;
mod random;
mod random_network;
mod recurrent;
mod source;
mod specification;
mod streaming;
mod support;
mod windows;

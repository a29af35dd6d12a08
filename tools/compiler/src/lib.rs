//! Compiles a SlowFast ONNX file into tteview model packages

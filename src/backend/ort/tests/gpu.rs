//! Tests of the GPU build of ONNX Runtime, whose path is in `TTEVIEW_ORT_GPU_DYLIB`.
//!
//! Stub libraries replace NVIDIA's libraries. They define the functions that the providers import,
//! and most of these functions do nothing.

use super::{
    check_refused, compile_library, create_engine, create_folder, imported_functions, path_from,
    run_child, runtime_of_child,
};
use crate::backend::ort::provider::{Provider, Settings};
use crate::backend::ort::{runtime, session};
use crate::engine::config::EngineConfig;
use crate::engine::options::check_options;
use crate::engine::origin::EngineOrigin;
use crate::error::Status;
use crate::model::Precision;
use crate::sys::gpu::GpuStream;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// CUDA libraries that the providers need, in the order in which the loader reports them as
/// missing.
const CUDA: [&str; 6] = [
    "libcublasLt.so.12",
    "libcublas.so.12",
    "libcurand.so.10",
    "libcufft.so.11",
    "libcudart.so.12",
    "libcudnn.so.9",
];
const TENSORRT: [&str; 2] = ["libnvinfer.so.10", "libnvonnxparser.so.10"];

/// Options of the TensorRT provider with valid values, from its documentation (onnxruntime.ai,
/// "TensorRT Execution Provider", Configurations). Options that require addresses and options that
/// this library sets are omitted.
const TENSORRT_OPTIONS: &[(&str, &str)] = &[
    ("trt_max_workspace_size", "1073741824"),
    ("trt_max_partition_iterations", "1000"),
    ("trt_min_subgraph_size", "1"),
    ("trt_int8_enable", "0"),
    ("trt_int8_calibration_table_name", "table"),
    ("trt_int8_use_native_calibration_table", "0"),
    ("trt_dla_enable", "1"),
    ("trt_dla_core", "0"),
    ("trt_dump_subgraphs", "0"),
    ("trt_engine_decryption_enable", "0"),
    ("trt_engine_decryption_lib_path", "lib.so"),
    ("trt_force_sequential_engine_build", "0"),
    ("trt_context_memory_sharing_enable", "0"),
    ("trt_layer_norm_fp32_fallback", "0"),
    ("trt_force_timing_cache", "0"),
    ("trt_detailed_build_log", "1"),
    ("trt_build_heuristics_enable", "0"),
    ("trt_sparsity_enable", "0"),
    ("trt_builder_optimization_level", "5"),
    ("trt_auxiliary_streams", "0"),
    ("trt_tactic_sources", "-CUDNN,+CUBLAS"),
    ("trt_extra_plugin_lib_paths", "libm.so.6"),
    ("trt_profile_min_shapes", "fast:8x1x112x112"),
    ("trt_profile_max_shapes", "fast:8x1x112x112"),
    ("trt_profile_opt_shapes", "fast:8x1x112x112"),
    ("trt_engine_hw_compatible", "0"),
    ("trt_weight_stripped_engine_enable", "0"),
    ("trt_onnx_model_folder_path", "models"),
    ("trt_dump_ep_context_model", "0"),
    ("trt_ep_context_file_path", "context.onnx"),
    ("trt_ep_context_embed_mode", "0"),
    ("trt_op_types_to_exclude", "NonMaxSuppression"),
    ("trt_preview_features", "ALIASED_PLUGIN_IO_10_03"),
    ("trt_cuda_graph_enable", "1"),
];

/// Options of the CUDA provider with valid values, from its documentation ("CUDA Execution
/// Provider").
const CUDA_OPTIONS: &[(&str, &str)] = &[
    ("gpu_mem_limit", "2147483648"),
    ("arena_extend_strategy", "kSameAsRequested"),
    ("cudnn_conv_algo_search", "HEURISTIC"),
    ("cudnn_conv_use_max_workspace", "1"),
    ("cudnn_conv1d_pad_to_nc1d", "0"),
    ("do_copy_in_default_stream", "1"),
    ("use_ep_level_unified_stream", "0"),
    ("enable_cuda_graph", "1"),
    ("enable_skip_layer_norm_strict_mode", "0"),
    ("use_tf32", "1"),
    ("prefer_nhwc", "1"),
    ("fuse_conv_bias", "0"),
    ("sdpa_kernel", "0"),
    ("tunable_op_enable", "0"),
    ("tunable_op_tuning_enable", "0"),
    ("tunable_op_max_tuning_duration_ms", "0"),
];

fn find_runtime() -> PathBuf {
    path_from("TTEVIEW_ORT_GPU_DYLIB")
}

/// Builds a stub library for each of `names`. Each stub has the name of a real library and
/// defines the functions that the two providers import from that library.
fn build_stubs(folder: &Path, names: &[&str]) {
    let mut functions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for provider in ["cuda", "tensorrt"] {
        let name = format!("libonnxruntime_providers_{provider}.so");
        for symbol in imported_functions(&find_runtime().with_file_name(name)) {
            let (function, library) = match symbol.split_once('@') {
                Some((function, library)) => (function, library),
                None if symbol.starts_with("createNvOnnx") => (&symbol[..], TENSORRT[1]),
                None => (&symbol[..], TENSORRT[0]),
            };
            functions.entry(library.into()).or_default().insert(function.into());
        }
    }
    for &name in names {
        let mut source = String::from(
            "static long nothing(void) { return 0; }\n\
             static long (*methods[64])(void) = {[0 ... 63] = nothing};\n\
             static void *registry = methods;\n",
        );
        for function in functions.get(name).into_iter().flatten() {
            let body = match function.as_str() {
                "cudaGetDeviceCount" => "(int *count) { return *count = 8, 0; }",
                "getInferLibVersion" => "(void) { return 100300; }",
                // The function returns a C++ object whose methods do nothing.
                "getPluginRegistry" => "(void) { return (long)&registry; }",
                _ => "(void) { return 0; }",
            };
            source += &format!("long {function}{body}\n");
        }
        let (file, script) = (folder.join("stub.c"), folder.join("stub.map"));
        std::fs::write(&file, source).unwrap();
        std::fs::write(&script, format!("{name} {{ global: *; }};\n")).unwrap();
        let has_versions = !TENSORRT.contains(&name);
        let flag = format!("-Wl,--version-script={}", script.display());
        let flags = if has_versions { std::slice::from_ref(&flag) } else { &[] };
        compile_library(folder, name, &file, flags);
    }
}

/// Builds a fake driver that reports two GPUs.
fn build_driver(folder: &Path) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c/fake_driver.c");
    compile_library(folder, "libcuda.so.1", &source, &[]);
}

fn run_test(test: &str, runtime: &Path, folder: &Path) {
    run_child("gpu", test, runtime, folder);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
#[ignore = "needs TTEVIEW_ORT_GPU_DYLIB; `cargo xtask test --all` runs it"]
fn a_missing_provider_library_is_named() {
    if let Some(runtime) = runtime_of_child() {
        for provider in ["tensorrt", "cuda"] {
            let library = format!("libonnxruntime_providers_{provider}.so");
            check_refused(&runtime, provider, &[&library, "next to ONNX Runtime's library"]);
        }
        return;
    }
    let folder = create_folder("bare");
    let name = find_runtime().file_name().unwrap().to_owned();
    for name in [name.to_str().unwrap(), "libonnxruntime_providers_shared.so"] {
        std::fs::copy(find_runtime().with_file_name(name), folder.join(name)).unwrap();
    }
    run_test("a_missing_provider_library_is_named", &folder.join(name), &folder);
}

#[test]
#[ignore = "needs TTEVIEW_ORT_GPU_DYLIB; `cargo xtask test --all` runs it"]
fn a_missing_library_of_cuda_is_named() {
    if let Some(runtime) = runtime_of_child() {
        check_refused(&runtime, "tensorrt", &["libcublas.so.12", "install that version of CUDA"]);
        check_refused(&runtime, "cuda", &["libcublasLt.so.12", "install that version of CUDA"]);
        return;
    }
    let folder = create_folder("no-cuda");
    run_test("a_missing_library_of_cuda_is_named", &find_runtime(), &folder);
}

#[test]
#[ignore = "needs TTEVIEW_ORT_GPU_DYLIB; `cargo xtask test --all` runs it"]
fn a_missing_library_of_tensorrt_is_named() {
    if let Some(runtime) = runtime_of_child() {
        let words = ["libnvinfer.so.10", "install that version of TensorRT"];
        return check_refused(&runtime, "tensorrt", &words);
    }
    let folder = create_folder("no-tensorrt");
    build_stubs(&folder, &CUDA);
    run_test("a_missing_library_of_tensorrt_is_named", &find_runtime(), &folder);
}

#[test]
#[ignore = "needs TTEVIEW_ORT_GPU_DYLIB; `cargo xtask test --all` runs it"]
fn a_missing_driver_is_named() {
    if let Some(runtime) = runtime_of_child() {
        return check_refused(&runtime, "tensorrt", &["libcuda.so.1", "install the NVIDIA driver"]);
    }
    let folder = create_folder("no-driver");
    build_stubs(&folder, &[&CUDA[..], &TENSORRT].concat());
    run_test("a_missing_driver_is_named", &find_runtime(), &folder);
}

#[test]
#[ignore = "needs TTEVIEW_ORT_GPU_DYLIB; `cargo xtask test --all` runs it"]
fn a_tensorrt_engine_is_created_and_built_in_prepare() {
    if let Some(runtime) = runtime_of_child() {
        check_unprepared_engine(&runtime);
        return check_engine_files(&runtime);
    }
    let folder = create_folder("all");
    build_stubs(&folder, &[&CUDA[..], &TENSORRT].concat());
    build_driver(&folder);
    run_test("a_tensorrt_engine_is_created_and_built_in_prepare", &find_runtime(), &folder);
}

fn with_cache(folder: &str) -> EngineConfig {
    EngineConfig { cache_folder: Some(folder.into()), ..EngineConfig::default() }
}

fn check_unprepared_engine(runtime: &Path) {
    let missing_gpu = EngineConfig { device_id: 2, ..EngineConfig::default() };
    let error = create_engine(runtime, "tensorrt", missing_gpu).err().expect("there are two GPUs");
    assert_eq!(error.status(), Status::InvalidArgument);
    assert!(error.message().contains("device_id must be 0 to 1, got 2"), "{error}");
    let engine = create_engine(runtime, "tensorrt", with_cache("/proc/tteview-engines")).unwrap();
    assert_eq!(engine.origin(), EngineOrigin::NotYet);
    let report = engine.report();
    assert_eq!(report.provider, "tensorrt");
    assert_eq!(report.provider_version, "TensorRT 10.3.0");
    let error = engine.prepare().unwrap_err();
    assert_eq!(error.status(), Status::EngineCache, "{error}");
    assert!(error.message().contains("/proc/tteview-engines"), "{error}");
}

fn check_engine_files(runtime: &Path) {
    let engine = create_engine(runtime, "tensorrt", with_cache("/proc/tteview-engines")).unwrap();
    let file = std::env::temp_dir().join(format!("tteview-gpu-{}.file", std::process::id()));
    assert_eq!(engine.export(&file).unwrap_err().status(), Status::WrongState);
    std::fs::write(&file, "no engine").unwrap();
    let error = engine.import(&file).unwrap_err();
    std::fs::remove_file(&file).unwrap();
    assert_eq!(error.status(), Status::EngineFile, "{error}");
    let without_cache = create_engine(runtime, "tensorrt", EngineConfig::default()).unwrap();
    let error = without_cache.import(&file).unwrap_err();
    assert_eq!(error.status(), Status::WrongState);
    assert!(error.message().contains("cache_folder"), "{error}");
}

/// Registers a provider with one option, or without options if `key` is empty.
fn register_with(
    runtime: &runtime::Runtime,
    provider: Provider,
    precision: Precision,
    key: &str,
    value: &str,
) -> Result<(), String> {
    let mut config = EngineConfig { device_id: 1, ..EngineConfig::default() };
    config.options.extend((!key.is_empty()).then(|| (key.to_owned(), value.to_owned())));
    check_options(&config, &[provider.name().into()]).map_err(|error| format!("{key}: {error}"))?;
    config.gpu_stream = Some(GpuStream::dangling());
    let settings = Settings::new(provider, precision, &config);
    let engines = (provider == Provider::TensorRt).then_some(Path::new("/engines"));
    let builder = session::create_builder(runtime, &settings, engines);
    builder.map(drop).map_err(|error| error.to_string())
}

#[test]
#[ignore = "needs TTEVIEW_ORT_GPU_DYLIB; `cargo xtask test --all` runs it"]
fn the_providers_accept_every_documented_option() {
    let Some(path) = runtime_of_child() else {
        let folder = create_folder("options");
        build_stubs(&folder, &[&CUDA[..], &TENSORRT].concat());
        build_driver(&folder);
        let test = "the_providers_accept_every_documented_option";
        return run_test(test, &find_runtime(), &folder);
    };
    let runtime = runtime::get_runtime(Some(&path)).unwrap();
    for (provider, options) in
        [(Provider::TensorRt, TENSORRT_OPTIONS), (Provider::Cuda, CUDA_OPTIONS)]
    {
        for precision in [Precision::Fp16, Precision::Fp32] {
            register_with(&runtime, provider, precision, "", "").unwrap();
        }
        for (key, value) in options {
            register_with(&runtime, provider, Precision::Fp16, key, value).unwrap();
        }
        let unknown = if provider == Provider::TensorRt { "trt_unknown" } else { "unknown" };
        let error = register_with(&runtime, provider, Precision::Fp16, unknown, "1").unwrap_err();
        println!("{error}");
        assert!(error.contains(unknown) && error.contains("has no such option"), "{error}");
        assert!(error.starts_with(Status::InvalidArgument.text()), "{error}");
        let (key, _) = options[0];
        let error = register_with(&runtime, provider, Precision::Fp16, key, "much").unwrap_err();
        println!("{error}");
        assert!(error.contains(key), "{error}");
        assert!(error.starts_with(Status::InvalidArgument.text()), "{error}");
    }
}

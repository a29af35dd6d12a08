//! The GPU build of ONNX Runtime on a machine without GPU, driver, CUDA and TensorRT: what is missing is named, one after
//! the other, and the real providers read our options. What they need of NVIDIA's is built from the names that they
//! import: functions that do nothing. `TTEVIEW_ORT_GPU_DYLIB` names the library.
//!
//! A process runs one ONNX Runtime and the loader looks for libraries where it was told at the start, so each test plays
//! a child of its own.

use super::provider::{Provider, Settings};
use super::{runtime, session};
use crate::engine::{Engine, EngineConfig, EngineOrigin};
use crate::ffi::gpu::GpuStream;
use crate::model::{ModelPackage, Precision};
use crate::{Error, Status};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Set in a child: the library to load.
const CHILD: &str = "TTEVIEW_TEST_RUNTIME";

/// What the providers need; in the order in which their loader misses them.
const CUDA: [&str; 6] = [
    "libcublasLt.so.12",
    "libcublas.so.12",
    "libcurand.so.10",
    "libcufft.so.11",
    "libcudart.so.12",
    "libcudnn.so.9",
];
const TENSORRT: [&str; 2] = ["libnvinfer.so.10", "libnvonnxparser.so.10"];

/// Options of TensorRT's provider, from its page (onnxruntime.ai, "TensorRT Execution Provider", Configurations), each
/// with a value it may have; those that the library sets and the addresses are left out.
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

/// The same of CUDA's, from the page "CUDA Execution Provider".
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

fn library() -> PathBuf {
    std::env::var_os("TTEVIEW_ORT_GPU_DYLIB")
        .expect("set TTEVIEW_ORT_GPU_DYLIB to the library of onnxruntime-gpu (libonnxruntime.so)")
        .into()
}

/// A folder of this test's own.
pub(super) fn folder(test: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("tteview-gpu-{}-{test}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}

/// Plays a test of this file again in a process that finds NVIDIA's libraries in `libraries`.
fn child(test: &str, runtime: &Path, libraries: &Path) {
    play("gpu_tests", test, runtime, libraries);
}

/// Plays a test of this module in a process of its own.
pub(super) fn play(file: &str, test: &str, runtime: &Path, libraries: &Path) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("backend::ort::{file}::{test}"), "--include-ignored", "--nocapture"])
        .env(CHILD, runtime)
        .env("LD_LIBRARY_PATH", libraries)
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    print!("{printed}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "the child failed: {}", output.status);
    // A child that finds no test of this name succeeds too.
    assert!(printed.contains("1 passed"), "the child ran no test");
}

/// The library to load, in a child.
pub(super) fn played() -> Option<PathBuf> {
    std::env::var_os(CHILD).map(PathBuf::from)
}

pub(super) fn compile(folder: &Path, name: &str, source: &Path, more: &[String]) {
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let mut command = Command::new(compiler);
    command.args(["-w", "-shared", "-fPIC"]).arg(format!("-Wl,-soname,{name}")).args(more);
    assert!(command.arg("-o").arg(folder.join(name)).arg(source).status().expect("a C compiler").success());
}

/// The functions that a library leaves to others, with the version that each is asked for in.
pub(super) fn imported(library: &Path) -> Vec<String> {
    let output = Command::new("nm").args(["-D", "--undefined-only"]).arg(library).output().expect("nm");
    assert!(output.status.success());
    let lines = String::from_utf8(output.stdout).unwrap();
    let symbols = lines.lines().filter_map(|line| line.trim().strip_prefix("U ").map(str::to_owned));
    symbols.collect()
}

/// Builds `names` of NVIDIA's libraries: every function that both providers import, doing nothing.
fn stubs(folder: &Path, names: &[&str]) {
    let mut functions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for provider in ["cuda", "tensorrt"] {
        let provider = library().with_file_name(format!("libonnxruntime_providers_{provider}.so"));
        for symbol in imported(&provider) {
            let (function, of) = match symbol.split_once('@') {
                Some((function, of)) => (function, of),
                None if symbol.starts_with("createNvOnnx") => (&symbol[..], TENSORRT[1]),
                None => (&symbol[..], TENSORRT[0]),
            };
            functions.entry(of.into()).or_default().insert(function.into());
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
                // An object whose methods all do nothing.
                "getPluginRegistry" => "(void) { return (long)&registry; }",
                _ => "(void) { return 0; }",
            };
            source += &format!("long {function}{body}\n");
        }
        let (file, script) = (folder.join("stub.c"), folder.join("stub.map"));
        std::fs::write(&file, source).unwrap();
        std::fs::write(&script, format!("{name} {{ global: *; }};\n")).unwrap();
        let versioned = !TENSORRT.contains(&name);
        let flag = format!("-Wl,--version-script={}", script.display());
        compile(folder, name, &file, if versioned { std::slice::from_ref(&flag) } else { &[] });
    }
}

/// A driver that sees two GPUs.
fn driver(folder: &Path) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c/fake_driver.c");
    compile(folder, "libcuda.so.1", &source, &[]);
}

pub(super) fn engine(runtime: &Path, provider: &str, more: EngineConfig) -> Result<Engine, Error> {
    let bytes = include_bytes!("../../../models/standin.stream.onnx").to_vec();
    let config =
        EngineConfig { providers: vec![provider.into()], runtime_library: Some(runtime.to_owned()), ..more };
    Engine::new(ModelPackage::from_bytes(bytes, None).unwrap(), &config)
}

/// Refused, and the message names each of the words.
pub(super) fn refused(runtime: &Path, provider: &str, words: &[&str]) {
    let error = engine(runtime, provider, EngineConfig::default()).err().expect("refused");
    println!("{error}");
    assert_eq!(error.status(), Status::ProviderUnavailable, "{error}");
    for word in words {
        assert!(error.message().contains(word), "{error} does not name {word}");
    }
}

#[test]
#[ignore = "needs TTEVIEW_ORT_GPU_DYLIB; `cargo xtask test` runs it"]
fn without_the_providers_own_libraries_they_are_named_with_where_to_put_them() {
    if let Some(runtime) = played() {
        for provider in ["tensorrt", "cuda"] {
            refused(&runtime, provider, &[&format!("libonnxruntime_providers_{provider}.so"), "beside"]);
        }
        return;
    }
    let test = "without_the_providers_own_libraries_they_are_named_with_where_to_put_them";
    let folder = folder("bare");
    for name in [library().file_name().unwrap().to_str().unwrap(), "libonnxruntime_providers_shared.so"] {
        std::fs::copy(library().with_file_name(name), folder.join(name)).unwrap();
    }
    child(test, &folder.join(library().file_name().unwrap()), &folder);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
#[ignore = "needs TTEVIEW_ORT_GPU_DYLIB; `cargo xtask test` runs it"]
fn without_cuda_its_first_missing_library_is_named() {
    if let Some(runtime) = played() {
        refused(&runtime, "tensorrt", &["libcublas.so.12", "install that version of CUDA"]);
        refused(&runtime, "cuda", &["libcublasLt.so.12", "install that version of CUDA"]);
        return;
    }
    let folder = folder("no-cuda");
    child("without_cuda_its_first_missing_library_is_named", &library(), &folder);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
#[ignore = "needs TTEVIEW_ORT_GPU_DYLIB; `cargo xtask test` runs it"]
fn without_tensorrt_its_library_is_named() {
    if let Some(runtime) = played() {
        return refused(&runtime, "tensorrt", &["libnvinfer.so.10", "install that version of TensorRT"]);
    }
    let folder = folder("no-tensorrt");
    stubs(&folder, &CUDA);
    child("without_tensorrt_its_library_is_named", &library(), &folder);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
#[ignore = "needs TTEVIEW_ORT_GPU_DYLIB; `cargo xtask test` runs it"]
fn without_a_driver_its_library_is_named() {
    if let Some(runtime) = played() {
        return refused(&runtime, "tensorrt", &["libcuda.so.1", "install the NVIDIA driver"]);
    }
    let folder = folder("no-driver");
    stubs(&folder, &[&CUDA[..], &TENSORRT].concat());
    child("without_a_driver_its_library_is_named", &library(), &folder);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
#[ignore = "needs TTEVIEW_ORT_GPU_DYLIB; `cargo xtask test` runs it"]
fn with_all_of_it_the_engine_is_there_and_what_it_builds_waits_for_prepare() {
    if let Some(runtime) = played() {
        let no_such = EngineConfig { device_id: 2, ..EngineConfig::default() };
        let error = engine(&runtime, "tensorrt", no_such).err().expect("there are two");
        assert_eq!(error.status(), Status::InvalidArgument);
        assert!(error.message().contains("device_id is 2"), "{error}");
        let unwritable = |folder: &str| {
            let config = EngineConfig { cache_folder: Some(folder.into()), ..EngineConfig::default() };
            engine(&runtime, "tensorrt", config).unwrap()
        };
        let there = unwritable("/proc/tteview-engines");
        assert_eq!(there.origin(), EngineOrigin::NotYet);
        let report = there.report();
        assert_eq!(
            (report.provider.as_str(), report.provider_version.as_str()),
            ("tensorrt", "TensorRT 10.3.0")
        );
        let error = there.prepare().unwrap_err();
        assert_eq!(error.status(), Status::EngineCache, "{error}");
        assert!(
            error.message().contains("/proc/tteview-engines") && error.message().contains("; "),
            "{error}"
        );
        assert_eq!(there.export(Path::new("engine.file")).unwrap_err().status(), Status::WrongState);
        let file = std::env::temp_dir().join(format!("tteview-gpu-{}.file", std::process::id()));
        std::fs::write(&file, "no engine").unwrap();
        let error = there.import(&file).unwrap_err();
        std::fs::remove_file(file).unwrap();
        assert_eq!(error.status(), Status::EngineFile, "{error}");
        let without = engine(&runtime, "tensorrt", EngineConfig::default()).unwrap();
        let error = without.import(Path::new("engine.file")).unwrap_err();
        assert!(error.status() == Status::WrongState && error.message().contains("cache_folder"), "{error}");
        return;
    }
    let folder = folder("all");
    stubs(&folder, &[&CUDA[..], &TENSORRT].concat());
    driver(&folder);
    let test = "with_all_of_it_the_engine_is_there_and_what_it_builds_waits_for_prepare";
    child(test, &library(), &folder);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
#[ignore = "needs TTEVIEW_ORT_GPU_DYLIB; `cargo xtask test` runs it"]
fn the_real_providers_take_every_option_that_they_document_and_all_that_the_library_sets() {
    if let Some(path) = played() {
        let runtime = runtime::runtime(Some(&path)).unwrap();
        let told = |provider: Provider, precision, key: &str, value: &str| {
            let mut config = EngineConfig { device_id: 1, ..EngineConfig::default() };
            config.options.extend((!key.is_empty()).then(|| (key.to_owned(), value.to_owned())));
            // Our own checks let it through.
            crate::options::check(&config, &[provider.name().into()])
                .map_err(|error| format!("{key}: {error}"))?;
            config.gpu_stream = stream();
            let settings = Settings::new(provider, precision, &config);
            let engines = (provider == Provider::TensorRt).then_some(Path::new("/engines"));
            session::registered(&runtime, &settings, engines).map(drop).map_err(|error| error.to_string())
        };
        for (provider, options) in [(Provider::TensorRt, TENSORRT_OPTIONS), (Provider::Cuda, CUDA_OPTIONS)] {
            for precision in [Precision::Fp16, Precision::Fp32] {
                told(provider, precision, "", "").unwrap();
            }
            for (key, value) in options {
                told(provider, Precision::Fp16, key, value).unwrap();
            }
            let unknown = if provider == Provider::TensorRt { "trt_of_nobody" } else { "of_nobody" };
            let error = told(provider, Precision::Fp16, unknown, "1").unwrap_err();
            println!("{error}");
            assert!(error.contains(unknown) && error.contains("has no such option"), "{error}");
            assert!(error.starts_with(Status::InvalidArgument.text()), "{error}");
            let (key, _) = options[0];
            let error = told(provider, Precision::Fp16, key, "much").unwrap_err();
            println!("{error}");
            assert!(error.contains(key) && error.starts_with(Status::InvalidArgument.text()), "{error}");
        }
        return;
    }
    let folder = folder("options");
    stubs(&folder, &[&CUDA[..], &TENSORRT].concat());
    driver(&folder);
    let test = "the_real_providers_take_every_option_that_they_document_and_all_that_the_library_sets";
    child(test, &library(), &folder);
    std::fs::remove_dir_all(folder).unwrap();
}

/// A stream that nothing ever works in.
fn stream() -> Option<GpuStream> {
    Some(GpuStream::of_nobody())
}

//! Settings of streams and engines.

use super::init;
use crate::error::{Error, Status};
use crate::ffi::engine_config::{ttv_engine_config, ttv_option};
use crate::ffi::runtime::{TTV_ABI_VERSION, ttv_abi_version};
use crate::ffi::stream_config::ttv_stream_config;
use crate::sampling::PartialChunk;
use crate::stream::config::{Drive, StreamConfig};
use std::ffi::{CString, c_char};
use std::path::Path;
use std::ptr::null;

fn parse_stream(change: impl FnOnce(&mut ttv_stream_config)) -> Result<StreamConfig, Error> {
    let mut config = init();
    change(&mut config);
    config.parse()
}

#[test]
fn every_stream_setting_arrives_in_its_field() {
    let config = parse_stream(|config| {
        config.flags = 1;
        config.ring_slots = 33;
        config.max_width_px = 640;
        config.max_height_px = 480;
        config.max_frame_bytes = 307_200;
        config.drive = Drive::Poll.code();
        config.partial_chunk = PartialChunk::Hold.code();
        config.frame_period_ns = 11;
        config.gap_ns = 12;
        config.label_span_ns = 13;
        config.history_ns = 14;
        config.exact_history_ns = 15;
        config.window_hop_samples = 16;
        config.early_stop_outputs = 17;
        config.early_stop_margin = 0.25;
        config.view_change_margin = 0.5;
        config.view_change_span = 18;
        config.view_change_outputs = 19;
    })
    .unwrap();
    assert!(config.lock_memory);
    assert_eq!((config.ring_slots, config.max_frame_bytes), (33, 307_200));
    assert_eq!((config.max_width_px, config.max_height_px), (640, 480));
    assert_eq!((config.drive, config.partial_chunk), (Drive::Poll, PartialChunk::Hold));
    assert_eq!((config.frame_period_ns, config.gap_ns, config.label_span_ns), (11, 12, 13));
    assert_eq!((config.history_ns, config.exact_history_ns), (14, 15));
    assert_eq!(config.window_hop_samples, 16);
    let early_stop = config.early_stop.unwrap();
    assert_eq!((early_stop.outputs, early_stop.margin), (17, 0.25));
    let view_change = config.view_change.unwrap();
    assert_eq!((view_change.span, view_change.outputs, view_change.margin), (18, 19, 0.5));
}

#[test]
fn a_zero_selects_the_default_of_each_stream_setting() {
    let (config, default) = (parse_stream(|_| ()).unwrap(), StreamConfig::default());
    assert_eq!(format!("{config:?}"), format!("{default:?}"));
    assert!(config.early_stop.is_none() && config.view_change.is_none() && !config.lock_memory);
    assert!(!config.publish_each_sample);
}

#[test]
fn unknown_values_of_a_stream_are_refused_by_name() {
    let check = |change: fn(&mut ttv_stream_config), status, text: &str| {
        let error = parse_stream(change).unwrap_err();
        assert_eq!(error.status(), status, "{error}");
        assert!(error.message().contains(text), "{error}");
    };
    check(|config| config.drive = 3, Status::InvalidArgument, "drive");
    check(|config| config.partial_chunk = 77, Status::InvalidArgument, "partial_chunk");
    check(|config| config.flags = 4, Status::UnknownFlags, "0x4");
    check(|config| config.flags = 1 << 31, Status::UnknownFlags, "flags");
}

/// An engine configuration with texts that live as long as it.
struct Engine {
    config: ttv_engine_config,
    _texts: Vec<CString>,
    _names: Vec<*const c_char>,
    _options: Vec<ttv_option>,
}

/// Creates a configuration with these providers and options. An empty text becomes NULL.
fn create_engine_config(providers: &[&str], options: &[(&str, &str)]) -> Engine {
    let mut texts: Vec<CString> = Vec::new();
    let mut to_c = |text: &str| {
        if text.is_empty() {
            return null();
        }
        texts.push(CString::new(text).unwrap());
        texts[texts.len() - 1].as_ptr()
    };
    let names: Vec<*const c_char> = providers.iter().map(|name| to_c(name)).collect();
    let options: Vec<ttv_option> = options
        .iter()
        .map(|(key, value)| ttv_option { key: to_c(key), value: to_c(value) })
        .collect();
    let mut config: ttv_engine_config = init();
    config.abi_version = ttv_abi_version();
    (config.providers, config.provider_count) = (names.as_ptr(), names.len() as u32);
    (config.options, config.option_count) = (options.as_ptr(), options.len() as u32);
    Engine { config, _texts: texts, _names: names, _options: options }
}

#[test]
fn every_engine_setting_arrives_in_its_field() {
    let mut engine =
        create_engine_config(&["cuda", "embedded"], &[("arena", "kSame"), ("trt_x", "1")]);
    let folder = CString::new("/var/cache/engines").unwrap();
    let stream = std::ptr::without_provenance_mut(0x1000);
    engine.config.threads = 3;
    engine.config.device_id = 2;
    engine.config.cache_folder = folder.as_ptr();
    engine.config.gpu_stream = stream;
    let config = engine.config.parse().unwrap();
    assert_eq!(config.providers, ["cuda", "embedded"]);
    let options = config.options.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    assert_eq!(options.collect::<Vec<_>>(), [("arena", "kSame"), ("trt_x", "1")]);
    assert_eq!((config.threads, config.device_id), (3, 2));
    assert_eq!(config.cache_folder.as_deref(), Some(Path::new("/var/cache/engines")));
    assert!(config.gpu_stream.is_some() && config.thread_start.is_some());
    let mut empty: ttv_engine_config = init();
    empty.abi_version = ttv_abi_version();
    let config = empty.parse().unwrap();
    assert!(config.providers.is_empty() && config.options.is_empty());
    assert!(config.cache_folder.is_none() && config.gpu_stream.is_none());
}

#[test]
fn lists_of_an_engine_have_limits_and_no_null_entries() {
    let names = ["embedded"; 17];
    assert_eq!(create_engine_config(&names[..16], &[]).config.parse().unwrap().providers.len(), 16);
    let options = [("key", "value"); 129];
    let parsed = create_engine_config(&[], &options[..128]).config.parse().unwrap();
    assert_eq!(parsed.options.len(), 128);
    let check = |engine: &Engine, status, text: &str| {
        let error = engine.config.parse().unwrap_err();
        assert_eq!(error.status(), status, "{error}");
        assert!(error.message().contains(text), "{error}");
    };
    check(&create_engine_config(&names, &[]), Status::InvalidArgument, "0 to 16, got 17");
    check(&create_engine_config(&[], &options), Status::InvalidArgument, "0 to 128, got 129");
    check(&create_engine_config(&["cpu", ""], &[]), Status::NullArgument, "entry of providers");
    check(&create_engine_config(&[], &[("", "v")]), Status::NullArgument, "key of an option");
    check(&create_engine_config(&[], &[("k", "")]), Status::NullArgument, "value of an option");
    let mut engine = create_engine_config(&[], &[]);
    (engine.config.providers, engine.config.provider_count) = (null(), 1);
    check(&engine, Status::NullArgument, "providers");
    engine.config.provider_count = 0;
    let text = CString::new([0xff, 0xfe]).unwrap();
    let names = [text.as_ptr()];
    (engine.config.providers, engine.config.provider_count) = (names.as_ptr(), 1);
    check(&engine, Status::InvalidArgument, "UTF-8");
    engine.config.abi_version = TTV_ABI_VERSION + 1;
    check(&engine, Status::AbiVersion, "abi_version");
}

#[test]
fn exactly_one_source_of_the_package_is_set() {
    let check = |config: &ttv_engine_config, status, text: &str| {
        let error = config.load_package().err().unwrap();
        assert_eq!(error.status(), status, "{error}");
        assert!(error.message().contains(text), "{error}");
    };
    let mut config: ttv_engine_config = init();
    check(&config, Status::NullArgument, "both NULL");
    let bytes = [0_u8; 8];
    config.model_data = bytes.as_ptr().cast();
    check(&config, Status::InvalidArgument, "model_size must be 1 to");
    config.model_size = usize::MAX;
    check(&config, Status::InvalidArgument, "model_size must be 1 to");
    // The size is checked before the data is read.
    config.model_size = (640 << 20) + 1;
    check(&config, Status::ModelInvalid, "at most 671088640 bytes, got 671088641");
    config.model_size = 8;
    check(&config, Status::ModelInvalid, "");
    let path = CString::new("/nowhere/model.onnx").unwrap();
    config.model_path = path.as_ptr();
    check(&config, Status::InvalidArgument, "both set");
    config.model_data = null();
    check(&config, Status::ModelUnreadable, "/nowhere/model.onnx");
}

#[test]
#[cfg_attr(miri, ignore = "hashing the package takes minutes")]
fn the_hash_of_the_package_is_compared_with_the_expected_one() {
    let mut config: ttv_engine_config = init();
    let package = concat!(env!("CARGO_MANIFEST_DIR"), "/models/standin.stream.onnx");
    let path = CString::new(package).unwrap();
    config.model_path = path.as_ptr();
    assert!(config.load_package().is_ok());
    let wrong = [7_u8; 32];
    config.model_sha256 = wrong.as_ptr();
    assert_eq!(config.load_package().err().unwrap().status(), Status::ModelHash);
}

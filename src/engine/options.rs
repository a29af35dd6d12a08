//! Options of the providers: the provider to which each option belongs, and the options that a host
//! must not set.

use super::config::EngineConfig;
use crate::error::{Error, Result, Status};

/// Maximum number of options. Together with [`MAX_TEXT_BYTES`], it limits the size of an engine's
/// key in the engine cache.
const MAX_OPTIONS: usize = 128;

/// Maximum length of a key or a value in bytes.
const MAX_TEXT_BYTES: usize = 4096;

/// Providers that run on a GPU.
const GPU_PROVIDERS: [&str; 3] = ["tensorrt", "cuda", "tensorrt-rtx"];

/// Keys that the library sets itself, and the settings that a host must use instead.
const RESERVED_KEYS: [(&str, &str); 9] = [
    ("device_id", "the field device_id"),
    ("user_compute_stream", "the field gpu_stream"),
    ("has_user_compute_stream", "the field gpu_stream"),
    ("trt_engine_cache_enable", "the field cache_folder"),
    ("trt_engine_cache_path", "the field cache_folder"),
    ("trt_engine_cache_prefix", "the field cache_folder"),
    ("trt_timing_cache_enable", "the field cache_folder"),
    ("trt_timing_cache_path", "the field cache_folder"),
    ("trt_fp16_enable", "a model package compiled for fp16"),
];

/// Key of the option that turns on CUDA graphs in TensorRT for RTX. The option is refused, because
/// a CUDA graph needs tensors in GPU memory and this provider's states are in host memory.
const RTX_GRAPH_KEY: &str = "nv_cuda_graph_enable";

/// Keys of options that require addresses of memory or functions. The library refuses these
/// options, because it cannot check an address that is passed as text.
const ADDRESS_KEYS: [&str; 13] = [
    "trt_onnx_bytestream",
    "trt_onnx_bytestream_size",
    "trt_external_data_bytestream",
    "trt_external_data_bytestream_size",
    "gpu_external_alloc",
    "gpu_external_free",
    "gpu_external_empty_cache",
    "user_aux_stream_array",
    "VkExternalComputeQueueDataParamsNV_data",
    "nv_onnx_bytestream",
    "nv_onnx_bytestream_size",
    "nv_external_data_bytestream",
    "nv_external_data_bytestream_size",
];

/// Returns the provider to which the option with this key belongs.
fn owner_of(key: &str) -> &'static str {
    match key {
        _ if key.starts_with("trt_") => "tensorrt",
        _ if key.starts_with("nv_") => "tensorrt-rtx",
        _ => "cuda",
    }
}

/// Returns the options that belong to a provider.
#[cfg(feature = "ort")]
pub(crate) fn options_of<'a>(
    options: &'a [(String, String)],
    provider: &'a str,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let own = options.iter().filter(move |(key, _)| owner_of(key) == provider);
    own.map(|(key, value)| (key.as_str(), value.as_str()))
}

/// Checks the provider settings in a configuration.
///
/// # Errors
/// Returns [`Status::InvalidArgument`] if a GPU setting is used without a GPU provider, if there
/// are too many options, or if an option is repeated, is not plain text, is set by the library
/// itself or belongs to a provider that is not in the list; or [`Status::Unsupported`] if an option
/// requires an address or turns on CUDA graphs in TensorRT for RTX.
pub(crate) fn check_options(config: &EngineConfig, providers: &[String]) -> Result<()> {
    let invalid = |message: String| Err(Error::new(Status::InvalidArgument, message));
    let has_gpu = providers.iter().any(|provider| GPU_PROVIDERS.contains(&provider.as_str()));
    let listed = providers.join(", ");
    if !has_gpu && config.device_id != 0 {
        let number = config.device_id;
        return invalid(format!(
            "device_id must be 0 for providers without a GPU ({listed}), got {number}"
        ));
    }
    if !has_gpu && config.gpu_stream.is_some() {
        return invalid(format!("gpu_stream must be unset for providers without a GPU ({listed})"));
    }
    if config.options.len() > MAX_OPTIONS {
        let count = config.options.len();
        return invalid(format!("the number of options must be 0 to {MAX_OPTIONS}, got {count}"));
    }
    for (index, (key, value)) in config.options.iter().enumerate() {
        check_option(key, value, providers)?;
        if config.options.iter().take(index).any(|(earlier, _)| earlier == key) {
            return invalid(format!("the option {key} is set twice; set it once"));
        }
    }
    Ok(())
}

fn check_option(key: &str, value: &str, providers: &[String]) -> Result<()> {
    let invalid = |message: String| Err(Error::new(Status::InvalidArgument, message));
    let is_plain = |text: &str| {
        (1..=MAX_TEXT_BYTES).contains(&text.len()) && !text.chars().any(char::is_control)
    };
    if !is_plain(key) || !is_plain(value) || key.contains(char::is_whitespace) {
        return invalid(format!(
            "the option {key:?} must have a key without spaces and a value, each 1 to \
             {MAX_TEXT_BYTES} bytes on one line"
        ));
    }
    if key == RTX_GRAPH_KEY {
        let message = format!(
            "the option {key} is not supported: a CUDA graph needs its tensors at fixed addresses \
             in GPU memory, and this provider's states are in host memory"
        );
        return Err(Error::new(Status::Unsupported, message));
    }
    if ADDRESS_KEYS.contains(&key) {
        let message = format!("the option {key} is not supported: its value is an address");
        return Err(Error::new(Status::Unsupported, message));
    }
    if let Some((_, instead)) = RESERVED_KEYS.iter().find(|(reserved, _)| *reserved == key) {
        return invalid(format!("the library sets the option {key} itself; use {instead}"));
    }
    if !providers.iter().any(|provider| provider == owner_of(key)) {
        let (owner, listed) = (owner_of(key), providers.join(", "));
        return invalid(format!(
            "the option {key} belongs to the provider {owner}, which is not in providers ({listed})"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(providers: &[&str], options: &[(&str, &str)]) -> Result<()> {
        let own = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
        let providers: Vec<String> = providers.iter().map(ToString::to_string).collect();
        let config =
            EngineConfig { options: options.iter().map(own).collect(), ..EngineConfig::default() };
        check_options(&config, &providers)
    }

    fn assert_refused(providers: &[&str], options: &[(&str, &str)], word: &str) {
        let error = check(providers, options).expect_err(word);
        assert_eq!(error.status(), Status::InvalidArgument, "{error}");
        assert!(error.message().contains(word), "{error} does not name {word}");
    }

    #[test]
    fn a_key_selects_the_provider_by_its_prefix() {
        let options = [
            ("trt_max_workspace_size", "1073741824"),
            ("trt_builder_optimization_level", "5"),
            ("gpu_mem_limit", "2147483648"),
        ];
        check(&["tensorrt", "cuda"], &options).unwrap();
        #[cfg(feature = "ort")]
        {
            let options = options.map(|(key, value)| (key.to_owned(), value.to_owned()));
            assert_eq!(
                options_of(&options, "cuda").collect::<Vec<_>>(),
                [("gpu_mem_limit", "2147483648")]
            );
            assert_eq!(options_of(&options, "tensorrt").count(), 2);
            assert_eq!(options_of(&options, "cpu").count(), 0);
        }
        assert_refused(&["tensorrt"], &options, "gpu_mem_limit belongs to the provider cuda");
        assert_refused(
            &["embedded"],
            &options,
            "belongs to the provider tensorrt, which is not in providers (embedded)",
        );
        assert_refused(&["cpu"], &[("x", "1")], "cpu");
    }

    #[test]
    fn reserved_keys_are_refused_with_the_field_to_use() {
        for (key, instead) in RESERVED_KEYS {
            assert_refused(&["tensorrt", "cuda"], &[(key, "1")], instead);
        }
    }

    #[test]
    fn addresses_and_rtx_graphs_are_unsupported() {
        let error = check(&["tensorrt-rtx"], &[(RTX_GRAPH_KEY, "1")]).unwrap_err();
        assert_eq!(error.status(), Status::Unsupported);
        assert!(error.message().contains("fixed addresses"), "{error}");
        check(&["tensorrt", "cuda"], &[("trt_cuda_graph_enable", "1"), ("enable_cuda_graph", "1")])
            .unwrap();
        for key in ADDRESS_KEYS {
            let error = check(&["tensorrt", "cuda"], &[(key, "140230")]).unwrap_err();
            assert_eq!(error.status(), Status::Unsupported);
            assert!(error.message().contains("address"), "{error}");
        }
    }

    #[test]
    fn malformed_and_repeated_options_are_refused() {
        assert_refused(&["tensorrt"], &[("trt_a", "1"), ("trt_a", "2")], "twice");
        for bad in [
            ("", "1"),
            ("trt_a", ""),
            ("trt_a b", "1"),
            ("trt_a\0", "1"),
            ("trt_a", "1\n"),
            ("trt_a", "\0"),
        ] {
            assert_refused(&["tensorrt"], &[bad], "one line");
        }
        assert_refused(
            &["tensorrt"],
            &[("trt_a", &"9".repeat(MAX_TEXT_BYTES + 1))],
            "1 to 4096 bytes",
        );
        let many: Vec<String> = (0..=MAX_OPTIONS).map(|index| format!("trt_{index}")).collect();
        assert_refused(
            &["tensorrt"],
            &many.iter().map(|key| (key.as_str(), "1")).collect::<Vec<_>>(),
            "128",
        );
    }

    #[test]
    fn device_id_is_refused_without_a_gpu_provider() {
        let config = EngineConfig { device_id: 1, ..EngineConfig::default() };
        assert!(check_options(&config, &["cuda".into()]).is_ok());
        let error = check_options(&config, &["cpu".into()]).unwrap_err();
        assert_eq!(error.status(), Status::InvalidArgument);
        assert!(error.message().contains("device_id"), "{error}");
    }
}

//! Options of the providers: whose they are, and which the host may not set.

use crate::engine::EngineConfig;
use crate::{Error, Result, Status};

/// Most options, and longest key or value. Bounds what goes into the key of a built engine.
const MOST: usize = 128;
const LONGEST: usize = 4096;

/// Providers that run on a GPU.
const ON_GPU: [&str; 3] = ["tensorrt", "cuda", "tensorrt-rtx"];

/// Keys that the library sets itself, and the field of the engine's configuration to use in their place.
const OWNED: [(&str, &str); 9] = [
    ("device_id", "the field device_id"),
    ("user_compute_stream", "the field gpu_stream"),
    ("has_user_compute_stream", "the field gpu_stream"),
    ("trt_engine_cache_enable", "the field cache_folder"),
    ("trt_engine_cache_path", "the field cache_folder"),
    ("trt_engine_cache_prefix", "the field cache_folder"),
    ("trt_timing_cache_enable", "the field cache_folder"),
    ("trt_timing_cache_path", "the field cache_folder"),
    ("trt_fp16_enable", "a model package of that precision"),
];

/// CUDA graphs of TensorRT for RTX: they need tensors in the memory of its device, and there the states are in the host's.
const RTX_GRAPH: &str = "nv_cuda_graph_enable";

/// Keys whose values are addresses of memory or functions: no text can know one.
const ADDRESSES: [&str; 13] = [
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

/// The provider that an option belongs to, by its key.
fn owner(key: &str) -> &'static str {
    match key {
        _ if key.starts_with("trt_") => "tensorrt",
        _ if key.starts_with("nv_") => "tensorrt-rtx",
        _ => "cuda",
    }
}

/// The options that go to this provider.
#[cfg(feature = "ort")]
pub(crate) fn of<'a>(
    options: &'a [(String, String)],
    provider: &'a str,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let own = options.iter().filter(move |(key, _)| owner(key) == provider);
    own.map(|(key, value)| (key.as_str(), value.as_str()))
}

/// Checks what a configuration says of providers.
///
/// # Errors
/// [`Status::InvalidArgument`] for an option that none of the providers takes, that the library sets itself, that stands
/// there twice or is no text; [`Status::Unsupported`] for addresses, and for CUDA graphs of TensorRT
/// for RTX.
pub(crate) fn check(config: &EngineConfig, providers: &[String]) -> Result<()> {
    let invalid = |what: String| Err(Error::new(Status::InvalidArgument, what));
    let on_gpu = providers.iter().any(|provider| ON_GPU.contains(&provider.as_str()));
    let listed = providers.join(", ");
    if !on_gpu && config.device_id != 0 {
        return invalid(format!("device_id is {}, and none of {listed} runs on a GPU", config.device_id));
    }
    if !on_gpu && config.gpu_stream.is_some() {
        return invalid(format!("gpu_stream is set, and none of {listed} runs on a GPU"));
    }
    if config.options.len() > MOST {
        return invalid(format!("{} options, {MOST} are possible", config.options.len()));
    }
    for (index, (key, value)) in config.options.iter().enumerate() {
        let plain = |text: &str| text.len() <= LONGEST && !text.chars().any(char::is_control);
        if [key, value].iter().any(|text| text.is_empty() || !plain(text))
            || key.contains(char::is_whitespace)
        {
            return invalid(format!(
                "option {key:?}: keys and values are short texts of one line, keys without blanks"
            ));
        }
        if key == RTX_GRAPH {
            let what = format!(
                "option {key}: a captured CUDA graph works on fixed places of the GPU's memory, and the states of this provider \
                 pass through the host's"
            );
            return Err(Error::new(Status::Unsupported, what));
        }
        if ADDRESSES.contains(&key.as_str()) {
            let what = format!("option {key} takes an address, which would be followed unseen");
            return Err(Error::new(Status::Unsupported, what));
        }
        if let Some((_, instead)) = OWNED.iter().find(|(owned, _)| owned == key) {
            return invalid(format!("option {key} is set by the library: use {instead}"));
        }
        if !providers.iter().any(|provider| provider == owner(key)) {
            return invalid(format!(
                "option {key} belongs to {}, and the providers are {listed}",
                owner(key)
            ));
        }
        if config.options.iter().take(index).any(|(before, _)| before == key) {
            return invalid(format!("option {key} is given twice"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(providers: &[&str], options: &[(&str, &str)]) -> Result<()> {
        let own = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
        let providers: Vec<String> = providers.iter().map(ToString::to_string).collect();
        let config = EngineConfig { options: options.iter().map(own).collect(), ..EngineConfig::default() };
        check(&config, &providers)
    }

    fn refused(providers: &[&str], options: &[(&str, &str)], word: &str) {
        let error = checked(providers, options).expect_err(word);
        assert_eq!(error.status(), Status::InvalidArgument, "{error}");
        assert!(error.message().contains(word), "{error} does not name {word}");
    }

    #[test]
    fn documented_keys_go_to_the_provider_that_they_belong_to() {
        let options = [
            ("trt_max_workspace_size", "1073741824"),
            ("trt_builder_optimization_level", "5"),
            ("gpu_mem_limit", "2147483648"),
        ];
        checked(&["tensorrt", "cuda"], &options).unwrap();
        #[cfg(feature = "ort")]
        {
            let options = options.map(|(key, value)| (key.to_owned(), value.to_owned()));
            assert_eq!(of(&options, "cuda").collect::<Vec<_>>(), [("gpu_mem_limit", "2147483648")]);
            assert_eq!(of(&options, "tensorrt").count(), 2);
            assert_eq!(of(&options, "cpu").count(), 0);
        }
        refused(&["tensorrt"], &options, "gpu_mem_limit belongs to cuda");
        refused(
            &["embedded"],
            &options,
            "trt_max_workspace_size belongs to tensorrt, and the providers are embedded",
        );
        refused(&["cpu"], &[("x", "1")], "cpu");
    }

    #[test]
    fn what_the_library_sets_is_refused_with_the_field_to_use() {
        for (key, instead) in OWNED {
            refused(&["tensorrt", "cuda"], &[(key, "1")], instead);
        }
    }

    #[test]
    fn addresses_and_a_graph_without_fixed_places_are_refused_with_the_reason() {
        let error = checked(&["tensorrt-rtx"], &[(RTX_GRAPH, "1")]).unwrap_err();
        assert_eq!(error.status(), Status::Unsupported);
        assert!(error.message().contains("fixed places"), "{error}");
        checked(&["tensorrt", "cuda"], &[("trt_cuda_graph_enable", "1"), ("enable_cuda_graph", "1")])
            .unwrap();
        for key in ADDRESSES {
            let error = checked(&["tensorrt", "cuda"], &[(key, "140230")]).unwrap_err();
            assert_eq!(error.status(), Status::Unsupported);
            assert!(error.message().contains("address"), "{error}");
        }
    }

    #[test]
    fn what_is_no_option_or_stands_there_twice_is_refused() {
        refused(&["tensorrt"], &[("trt_a", "1"), ("trt_a", "2")], "twice");
        for bad in
            [("", "1"), ("trt_a", ""), ("trt_a b", "1"), ("trt_a\0", "1"), ("trt_a", "1\n"), ("trt_a", "\0")]
        {
            refused(&["tensorrt"], &[bad], "one line");
        }
        refused(&["tensorrt"], &[("trt_a", &"9".repeat(LONGEST + 1))], "short");
        let many: Vec<String> = (0..=MOST).map(|index| format!("trt_{index}")).collect();
        refused(&["tensorrt"], &many.iter().map(|key| (key.as_str(), "1")).collect::<Vec<_>>(), "128");
    }

    #[test]
    fn a_device_is_refused_where_no_provider_has_one() {
        let config = EngineConfig { device_id: 1, ..EngineConfig::default() };
        assert!(check(&config, &["cuda".into()]).is_ok());
        let error = check(&config, &["cpu".into()]).unwrap_err();
        assert_eq!(error.status(), Status::InvalidArgument);
        assert!(error.message().contains("device_id"), "{error}");
    }
}

//! Test of `ttv_runtime_init`, which a process can call only once.

use std::ffi::{CStr, c_char, c_void};
use std::mem::zeroed;
use std::ptr::null_mut;
use std::sync::Mutex;
use tteview::Status;
use tteview::ffi::engine::{ttv_engine_create, ttv_engine_destroy};
use tteview::ffi::engine_config::ttv_engine_config;
use tteview::ffi::runtime::{ttv_abi_version, ttv_runtime_config, ttv_runtime_init};
use tteview::ffi::stream::{ttv_stream_create, ttv_stream_destroy};
use tteview::ffi::stream_config::ttv_stream_config;

/// What the hooks received: the levels and texts of messages, and the roles of threads.
#[derive(Default)]
struct Received {
    messages: Mutex<Vec<(i32, String)>>,
    roles: Mutex<Vec<String>>,
}

unsafe extern "C" fn receive_message(
    user: *mut c_void,
    level: i32,
    message: *const c_char,
    length: usize,
) {
    // SAFETY: `user` points to the record of the test, and the message has `length` bytes.
    let (received, bytes) = unsafe {
        (&*user.cast::<Received>(), std::slice::from_raw_parts(message.cast::<u8>(), length))
    };
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    received.messages.lock().unwrap().push((level, text));
}

unsafe extern "C" fn receive_role(user: *mut c_void, role: *const c_char) {
    // SAFETY: `user` points to the record of the test, and the role ends with NUL.
    let (received, role) = unsafe { (&*user.cast::<Received>(), CStr::from_ptr(role)) };
    received.roles.lock().unwrap().push(role.to_str().unwrap().to_owned());
}

/// Returns a struct of the ABI whose fields are zero except its size.
macro_rules! init_struct {
    ($name:ty) => {{
        // SAFETY: zero is valid for every field of the structs of the ABI.
        let mut value: $name = unsafe { zeroed() };
        value.struct_size = size_of::<$name>() as u32;
        value
    }};
}

#[test]
fn the_hooks_of_the_process_receive_messages_and_threads() {
    let received: &'static Received = Box::leak(Box::default());
    let mut config = init_struct!(ttv_runtime_config);
    config.abi_version = ttv_abi_version() + 1;
    config.user = (&raw const *received).cast_mut().cast();
    config.log = Some(receive_message);
    config.thread_start = Some(receive_role);
    // SAFETY: the configuration is a local variable, and the record of the hooks lives forever.
    let init = |config: &ttv_runtime_config| unsafe { ttv_runtime_init(config) };
    assert_eq!(init(&config), Status::AbiVersion.code());
    config.abi_version = ttv_abi_version();
    assert_eq!(init(&config), 0);
    assert_eq!(init(&config), Status::WrongState.code());
    log::error!("one");
    log::warn!("two");
    log::info!("three {}", 3);
    log::debug!("too detailed");
    log::logger().flush();
    let messages = received.messages.lock().unwrap().clone();
    let expected = [(1, "one"), (2, "two"), (3, "three 3")];
    assert_eq!(messages, expected.map(|(level, text)| (level, text.to_owned())));

    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/models/standin.stream.onnx\0");
    let mut settings = init_struct!(ttv_engine_config);
    (settings.abi_version, settings.model_path) = (ttv_abi_version(), path.as_ptr().cast());
    let stream_settings = init_struct!(ttv_stream_config);
    let (mut engine, mut stream) = (null_mut(), null_mut());
    // SAFETY: every pointer refers to a local variable, and the handles come from the create
    // functions.
    unsafe {
        assert_eq!(ttv_engine_create(&raw const settings, &raw mut engine), 0);
        assert_eq!(ttv_stream_create(engine, &raw const stream_settings, &raw mut stream), 0);
        ttv_stream_destroy(stream);
        ttv_engine_destroy(engine);
    }
    assert!(received.roles.lock().unwrap().iter().any(|role| role == "tteview"));
}

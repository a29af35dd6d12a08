//! The library as a C host sees it: all of its work through `ttv_*`, driven frame by frame in one thread, so that the
//! same cine gives the same results at the same chunks on every machine. The only unsafe code of the program.
#![allow(unsafe_code)]

use crate::cine::Facts;
use crate::engine::EngineArguments;
use crate::{Exit, Failure};
use std::ffi::{CStr, CString, c_char, c_void};
use std::marker::PhantomData;
use std::os::unix::ffi::OsStrExt;
use std::ptr::null_mut;
use std::sync::Mutex;
use tteview::ffi::border::ttv_last_error;
use tteview::ffi::engine::{
    ttv_engine, ttv_engine_config, ttv_engine_create, ttv_engine_destroy, ttv_engine_get_info,
    ttv_engine_info, ttv_engine_prepare, ttv_option,
};
use tteview::ffi::frame::{TTV_FORMAT_GRAY8, TTV_FORMAT_RGB24, ttv_frame};
use tteview::ffi::host::{TTV_ABI_VERSION, ttv_host, ttv_runtime_init, ttv_status_string};
use tteview::ffi::label::ttv_engine_label;
use tteview::ffi::result::{TTV_RESULT_DEGRADED, TTV_RESULT_FINAL, ttv_result};
use tteview::ffi::status::{TTV_FRAME_REFUSED, TTV_NOT_READY, TTV_OK};
use tteview::ffi::stream::{
    TTV_STREAM_HOST_DRIVEN, ttv_stream, ttv_stream_begin, ttv_stream_config, ttv_stream_create,
    ttv_stream_destroy, ttv_stream_end, ttv_stream_process, ttv_stream_push,
};
use tteview::frame::PixelFormat;

/// A struct of the ABI with every field zero, as C hosts begin.
macro_rules! zeroed {
    ($type:ty) => {{
        // SAFETY: repr(C) of numbers, pointers and nullable function pointers, for all of which zero is a value.
        let mut value: $type = unsafe { std::mem::zeroed() };
        value.struct_size = size_of::<$type>() as u32;
        value
    }};
}

/// A model on a provider, after its self-test.
pub(super) struct Engine {
    raw: *mut ttv_engine,
}

impl Engine {
    /// Loads the package on the first of the providers that can run it.
    pub(super) fn create(arguments: &EngineArguments) -> Result<Self, Failure> {
        let model = &arguments.model;
        if let Some(runtime) = &arguments.runtime {
            let path = c_string(runtime.as_os_str().as_bytes())?;
            let host = ttv_host {
                abi_version: TTV_ABI_VERSION,
                runtime_library: path.as_ptr(),
                ..zeroed!(ttv_host)
            };
            // SAFETY: a struct of the size it says; the library copies the path.
            check(unsafe { ttv_runtime_init(&host) })?;
        }
        let path = c_string(model.as_os_str().as_bytes())?;
        let names = &arguments.provider;
        let names = names.iter().map(|name| c_string(name.as_bytes())).collect::<Result<Vec<_>, _>>()?;
        let pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
        let texts = arguments.provider_option.iter();
        let texts = texts
            .map(|(key, value)| Ok([c_string(key.as_bytes())?, c_string(value.as_bytes())?]))
            .collect::<Result<Vec<_>, Failure>>()?;
        let options: Vec<ttv_option> = texts
            .iter()
            .map(|[key, value]| ttv_option { key: key.as_ptr(), value: value.as_ptr() })
            .collect();
        let cache = arguments.engine_cache.as_ref();
        let cache = cache.map(|folder| c_string(folder.as_os_str().as_bytes())).transpose()?;
        let config = ttv_engine_config {
            model_path: path.as_ptr(),
            providers: pointers.as_ptr(),
            provider_count: pointers.len() as u32,
            threads: arguments.threads(),
            options: options.as_ptr(),
            option_count: options.len() as u32,
            cache_folder: cache.as_ref().map_or(std::ptr::null(), |folder| folder.as_ptr()),
            ..zeroed!(ttv_engine_config)
        };
        let mut engine = Self { raw: null_mut() };
        // SAFETY: a struct of the size it says, whose strings live through the call, and a place for a pointer.
        let created = check(unsafe { ttv_engine_create(&config, &mut engine.raw) });
        // SAFETY: a live handle.
        let prepared = created.and_then(|()| check(unsafe { ttv_engine_prepare(engine.raw) }));
        prepared.map_err(|failure| Failure::model(model, failure.message))?;
        Ok(engine)
    }

    fn info(&self) -> Result<ttv_engine_info, Failure> {
        let mut info = zeroed!(ttv_engine_info);
        // SAFETY: a live handle, and a struct of the size it says.
        check(unsafe { ttv_engine_get_info(self.raw, &mut info) })?;
        Ok(info)
    }

    /// Codes of the labels in the order of the scores.
    pub(super) fn labels(&self) -> Result<Vec<String>, Failure> {
        let label = |index| {
            let mut code = std::ptr::null();
            // SAFETY: a live handle, and a place for a pointer.
            check(unsafe { ttv_engine_label(self.raw, index, &mut code) })?;
            // SAFETY: a string that lives as long as the engine.
            Ok(unsafe { CStr::from_ptr(code) }.to_string_lossy().into_owned())
        };
        (0..self.info()?.label_count).map(label).collect()
    }

    /// Provider that runs the network, and whether the package is in window mode.
    pub(super) fn runs(&self) -> Result<(String, bool), Failure> {
        let info = self.info()?;
        // SAFETY: the library ends the text with a NUL inside the array.
        let provider = unsafe { CStr::from_ptr(info.provider.as_ptr()) };
        Ok((provider.to_string_lossy().into_owned(), info.mode == 0))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // SAFETY: NULL or a handle that create gave; streams borrow the engine, so none is in use.
        unsafe { ttv_engine_destroy(self.raw) };
    }
}

/// What the library said after a chunk.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Said {
    /// Grid time of the last sample behind it.
    pub(super) time_ns: i64,
    pub(super) posterior: Vec<f32>,
    chunks: u32,
    flags: u32,
    status: i32,
}

/// One acquisition on a stream of its own.
pub(super) struct Acquisition<'e> {
    stream: *mut ttv_stream,
    /// The callback holds its address.
    said: Box<Mutex<Vec<Said>>>,
    sequence: u64,
    engine: PhantomData<&'e Engine>,
}

impl<'e> Acquisition<'e> {
    /// Begins. `gap_ns` without a frame restart the temporal state; `view_change_margin` 0 is no rule.
    pub(super) fn begin(
        engine: &'e Engine,
        facts: &Facts,
        gap_ns: i64,
        view_change_margin: f32,
    ) -> Result<Self, Failure> {
        let said = Box::new(Mutex::new(Vec::new()));
        let config = ttv_stream_config {
            flags: TTV_STREAM_HOST_DRIVEN,
            max_width_px: facts.width_px,
            max_height_px: facts.height_px,
            gap_ns,
            view_change_margin,
            on_result: Some(heard),
            user: std::ptr::from_ref(&*said).cast_mut().cast(),
            ..zeroed!(ttv_stream_config)
        };
        let mut acquisition = Self { stream: null_mut(), said, sequence: 0, engine: PhantomData };
        // SAFETY: a live handle, a struct of the size it says, and a place for a pointer.
        check(unsafe { ttv_stream_create(engine.raw, &config, &mut acquisition.stream) })?;
        let mut id = 0;
        // SAFETY: a live handle, and a place for a number.
        check(unsafe { ttv_stream_begin(acquisition.stream, &mut id) })?;
        Ok(acquisition)
    }

    /// Pushes a frame of a cine, rows packed, and does all the work that it makes.
    pub(super) fn push(&mut self, facts: &Facts, pixels: &[u8], time_ns: i64) -> Result<(), Failure> {
        let geometry = facts.geometry();
        let region = geometry.region;
        let [um_x, um_y] = facts.region.and_then(|image| image.um_per_px).unwrap_or_default();
        let row_bytes = facts.format.row_bytes(0, facts.width_px);
        if pixels.len() != row_bytes * facts.height_px as usize {
            return Err(Failure::files(format!("a frame of {} bytes", pixels.len())));
        }
        let format = match facts.format {
            PixelFormat::Gray8 => TTV_FORMAT_GRAY8,
            PixelFormat::Rgb24 => TTV_FORMAT_RGB24,
            other => return Err(Failure::files(format!("frames of {other:?}"))),
        };
        let frame = ttv_frame {
            plane: [pixels.as_ptr(), std::ptr::null(), std::ptr::null()],
            stride_bytes: [row_bytes as u32, 0, 0],
            format,
            width_px: facts.width_px,
            height_px: facts.height_px,
            roi_x_px: region.x_px,
            roi_y_px: region.y_px,
            roi_width_px: region.width_px,
            roi_height_px: region.height_px,
            um_per_px_x: um_x as f32,
            um_per_px_y: um_y as f32,
            sequence: self.sequence,
            time_ns,
            ..zeroed!(ttv_frame)
        };
        self.sequence += 1;
        // SAFETY: a live handle, and a struct of the size it says whose plane has the bytes that were counted above.
        match unsafe { ttv_stream_push(self.stream, &frame) } {
            // A frame whose time is not later than the one before is no part of the acquisition.
            TTV_FRAME_REFUSED => Ok(()),
            status => check(status).and_then(|()| self.process()),
        }
    }

    fn process(&mut self) -> Result<(), Failure> {
        loop {
            // SAFETY: a live handle, used by this thread only.
            match unsafe { ttv_stream_process(self.stream) } {
                TTV_OK => (),
                TTV_NOT_READY => return Ok(()),
                status => return check(status),
            }
        }
    }

    /// Ends, and gives what was said after each chunk or window, the last of it final.
    pub(super) fn end(mut self) -> Result<Vec<Said>, Failure> {
        // SAFETY: a live handle.
        check(unsafe { ttv_stream_end(self.stream) })?;
        self.process()?;
        let mut said = self.said.lock().map(|mut said| std::mem::take(&mut *said)).unwrap_or_default();
        if let Some(failed) = said.iter().find(|result| result.status != TTV_OK) {
            check(failed.status)?;
        }
        if said.last().is_none_or(|last| last.flags & TTV_RESULT_FINAL == 0) {
            return Err(model("the acquisition has no final result"));
        }
        if said.iter().any(|result| result.flags & TTV_RESULT_DEGRADED != 0) {
            return Err(model("chunks were skipped"));
        }
        // The final result repeats the one before it where the end left nothing to compute.
        said.dedup_by(|later, earlier| (later.chunks, later.time_ns) == (earlier.chunks, earlier.time_ns));
        said.retain(|result| result.chunks > 0);
        match said.is_empty() {
            true => Err(model("the acquisition has no label")),
            false => Ok(said),
        }
    }
}

impl Drop for Acquisition<'_> {
    fn drop(&mut self) {
        // SAFETY: NULL or a handle that create gave, used by this thread only. No callback comes afterwards.
        unsafe { ttv_stream_destroy(self.stream) };
    }
}

/// The callback: keeps what was said.
///
/// # Safety
/// `user` is the `said` of an [`Acquisition`]; `result` and its scores live through the call.
unsafe extern "C" fn heard(user: *mut c_void, result: *const ttv_result) {
    // SAFETY: as above; the box outlives the stream, and is only ever locked for a moment.
    let (said, result) = unsafe { (&*user.cast::<Mutex<Vec<Said>>>(), &*result) };
    let length = result.scores_length.min(result.scores_capacity) as usize;
    let posterior = match result.scores.is_null() {
        true => Vec::new(),
        // SAFETY: not NULL, and the library says how many scores there are.
        false => unsafe { std::slice::from_raw_parts(result.scores, length) }.to_vec(),
    };
    let result = Said {
        time_ns: result.last_time_ns,
        posterior,
        chunks: result.chunks,
        flags: result.flags,
        status: result.status,
    };
    if let Ok(mut said) = said.lock() {
        said.push(result);
    }
}

/// A status as a failure, in the words of the library.
fn check(status: i32) -> Result<(), Failure> {
    if status == TTV_OK {
        return Ok(());
    }
    // SAFETY: the library returns static text.
    let sentence = unsafe { CStr::from_ptr(ttv_status_string(status)) }.to_string_lossy();
    let mut cause = [0 as c_char; 512];
    // SAFETY: a buffer with room for as many bytes as the call is told.
    let length = unsafe { ttv_last_error(cause.as_mut_ptr(), cause.len()) };
    if length == 0 {
        return Err(model(&sentence));
    }
    // SAFETY: the library ended the text with a NUL inside the buffer.
    Err(model(&unsafe { CStr::from_ptr(cause.as_ptr()) }.to_string_lossy()))
}

fn model(message: &str) -> Failure {
    Failure { exit: Exit::Model, message: message.into() }
}

fn c_string(bytes: &[u8]) -> Result<CString, Failure> {
    CString::new(bytes).map_err(|_| Failure::usage("a name with a NUL in it"))
}

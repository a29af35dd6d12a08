//! What the host's real-time calls do to the heap: nothing.

mod counting;

use counting::allocations;
use std::time::Duration;
use tteview::ffi::{engine::*, frame::*, result::*, stream::*};
use tteview::frame::{FrameView, Geometry, PixelFormat};
use tteview::model::ModelPackage;
use tteview::stream::Drive;
use tteview::{Engine, EngineConfig, Status, Stream, StreamConfig};

const MODEL: &[u8] = include_bytes!("../models/standin.stream.onnx");
const SIDE: u32 = 64;
const STEP_NS: i64 = 33_333_333;

const FORMATS: [PixelFormat; 10] = [
    PixelFormat::Gray8,
    PixelFormat::Gray16Le,
    PixelFormat::Rgb24,
    PixelFormat::Bgr24,
    PixelFormat::Rgba32,
    PixelFormat::Bgra32,
    PixelFormat::Yuyv,
    PixelFormat::Uyvy,
    PixelFormat::Nv12,
    PixelFormat::I420,
];

fn stream(drive: Drive, ring_slots: usize) -> Stream {
    let package = ModelPackage::from_bytes(MODEL.to_vec(), None).unwrap();
    let engine = Engine::new(package, &EngineConfig::default()).unwrap();
    let config = StreamConfig {
        ring_slots,
        max_width_px: SIDE,
        max_height_px: SIDE,
        drive,
        ..StreamConfig::default()
    };
    Stream::new(&engine, &config).unwrap()
}

/// The result of a call that must leave the heap alone.
#[track_caller]
fn untouched<T>(call: impl FnOnce() -> T) -> T {
    let (count, result) = allocations(call);
    assert_eq!(count, 0, "the call reached the allocator");
    result
}

#[test]
fn the_counter_sees_what_a_box_takes_and_gives_back() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(7)))).0, 2);
}

#[test]
fn no_call_of_the_acquisition_thread_allocates_whatever_drives_the_worker() {
    for drive in [Drive::Park, Drive::Poll, Drive::Host] {
        let mut stream = stream(drive, 64);
        let reader = stream.reader();
        let mut result = reader.result();
        let pixels = vec![9; 4 * (SIDE * SIDE) as usize];
        assert_eq!(untouched(|| reader.poll(&mut result)), Status::NotReady);
        for acquisition in 1..=2 {
            assert_eq!(untouched(|| stream.begin()), Ok(acquisition));
            for (index, format) in (0..).zip(FORMATS) {
                let geometry = Geometry::whole(format, SIDE, SIDE);
                let frame = FrameView::packed(geometry, &pixels, index * STEP_NS).unwrap();
                assert_eq!(untouched(|| stream.push(&frame)), Status::Ok, "{format:?}");
            }
            assert_eq!(untouched(|| stream.mark()), Status::Ok);
            let geometry = Geometry::whole(PixelFormat::Gray8, SIDE, SIDE);
            let token =
                untouched(|| stream.acquire().map(|(pixels, token)| (pixels.fill(3), token).1)).unwrap();
            let time_ns = FORMATS.len() as i64 * STEP_NS;
            assert_eq!(untouched(|| stream.commit(token, &geometry, time_ns, 5)), Status::Ok);
            assert_eq!(untouched(|| stream.end()), Status::Ok);
            if drive == Drive::Host {
                while stream.process() == Status::Ok {}
            }
            assert_eq!(reader.wait(acquisition, Duration::from_secs(60), &mut result), Status::Ok);
            assert_eq!(result.frames_used, FORMATS.len() as u64 + 1);
            assert_eq!(untouched(|| reader.poll(&mut result)), Status::Ok);
            assert_eq!(untouched(|| reader.stats()).pushed, acquisition * (FORMATS.len() as u64 + 1));
        }
    }
}

#[test]
fn no_refused_call_allocates() {
    let mut stream = stream(Drive::Host, 4);
    let pixels = vec![9; 4 * 128 * 128];
    let geometry = Geometry::whole(PixelFormat::Gray8, SIDE, SIDE);
    let frame = |geometry: Geometry, time_ns| FrameView::packed(geometry, &pixels, time_ns).unwrap();
    let first = frame(geometry, 1);
    assert_eq!(untouched(|| stream.push(&first)), Status::WrongState);
    assert_eq!(untouched(|| stream.mark()), Status::WrongState);
    assert_eq!(untouched(|| stream.end()), Status::WrongState);
    assert_eq!(untouched(|| stream.begin()), Ok(1));
    assert_eq!(untouched(|| stream.begin()), Err(Status::WrongState));
    assert_eq!(untouched(|| stream.push(&first)), Status::Ok);
    assert_eq!(untouched(|| stream.push(&first)), Status::FrameRefused);
    let large = frame(Geometry::whole(PixelFormat::Gray8, 128, 128), 2);
    assert_eq!(untouched(|| stream.push(&large)), Status::FrameTooLarge);
    let narrow = FrameView { strides: [8, 0, 0], ..frame(geometry, 2) };
    assert_eq!(untouched(|| stream.push(&narrow)), Status::FrameStride);
    let short = FrameView { planes: [&pixels[..8], &[], &[]], ..frame(geometry, 2) };
    assert_eq!(untouched(|| stream.push(&short)), Status::FrameGeometry);
    for time_ns in 2..5 {
        assert_eq!(stream.push(&frame(geometry, time_ns)), Status::Ok);
    }
    while stream.push(&frame(geometry, 5)) == Status::Ok {}
    let last = frame(geometry, 9);
    assert_eq!(untouched(|| stream.push(&last)), Status::RingFull);
    assert_eq!(untouched(|| stream.acquire().map(|(_, token)| token)), Err(Status::RingFull));
    assert_eq!(untouched(|| stream.end()), Status::Ok);
}

/// Zero, as the header asks for fields that are not set, but for the size.
fn zeroed<T>() -> T {
    // SAFETY: only called for structs of the ABI, which are plain numbers, pointers and nullable functions.
    let mut value: T = unsafe { std::mem::zeroed() };
    // SAFETY: they begin with their size, a u32.
    unsafe { (&raw mut value).cast::<u32>().write(size_of::<T>() as u32) };
    value
}

#[test]
#[allow(unsafe_code)]
fn no_real_time_call_of_the_c_interface_allocates() {
    let (mut engine, mut stream) = (std::ptr::null_mut(), std::ptr::null_mut());
    let config = ttv_engine_config { model_data: MODEL.as_ptr().cast(), model_size: MODEL.len(), ..zeroed() };
    let settings = ttv_stream_config { max_width_px: SIDE, max_height_px: SIDE, ..zeroed() };
    let pixels = vec![9_u8; (SIDE * SIDE) as usize];
    let (mut id, mut scores) = (0, [0.0_f32; 64]);
    let mut result = ttv_result { scores: scores.as_mut_ptr(), scores_capacity: 64, ..zeroed() };
    let (mut slot, mut stats): (ttv_slot, ttv_stats) = (zeroed(), zeroed());
    let frame = |time_ns| ttv_frame {
        plane: [pixels.as_ptr(), std::ptr::null(), std::ptr::null()],
        stride_bytes: [SIDE, 0, 0],
        format: TTV_FORMAT_GRAY8,
        width_px: SIDE,
        height_px: SIDE,
        time_ns,
        ..zeroed()
    };
    let (first, second) = (frame(1), ttv_frame { plane: [std::ptr::null(); 3], ..frame(2) });
    // SAFETY: every pointer is to a live value of its type, the handles are those that create gave, and the frame
    // has the bytes that its sizes say.
    unsafe {
        assert_eq!(ttv_engine_create(&raw const config, &raw mut engine), 0);
        assert_eq!(ttv_stream_create(engine, &raw const settings, &raw mut stream), 0);
        assert_eq!(untouched(|| ttv_stream_poll(stream, &raw mut result)), Status::NotReady.code());
        assert_eq!(untouched(|| ttv_stream_begin(stream, &raw mut id)), 0);
        assert_eq!(untouched(|| ttv_stream_push(stream, &raw const first)), 0);
        assert_eq!(untouched(|| ttv_stream_push(stream, std::ptr::null())), Status::NullArgument.code());
        assert_eq!(untouched(|| ttv_stream_push(stream, &raw const first)), Status::FrameRefused.code());
        assert_eq!(untouched(|| ttv_stream_mark(stream)), 0);
        assert_eq!(untouched(|| ttv_stream_acquire(stream, &raw mut slot)), 0);
        assert_eq!(untouched(|| ttv_stream_commit(stream, &raw const slot, &raw const second)), 0);
        assert_eq!(untouched(|| ttv_stream_end(stream)), 0);
        assert_eq!(ttv_stream_wait(stream, id, 60_000_000_000, &raw mut result), 0);
        assert_eq!(result.frames_used, 2);
        assert_eq!(untouched(|| ttv_stream_poll(stream, &raw mut result)), 0);
        assert_eq!(untouched(|| ttv_stream_get_stats(stream, &raw mut stats)), 0);
        assert_eq!(untouched(|| ttv_stream_last_event(stream)), Status::FrameRefused.code());
        ttv_stream_destroy(stream);
        ttv_engine_destroy(engine);
    }
}

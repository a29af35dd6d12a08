//! Tests that the real-time calls neither allocate nor free memory.

mod common;
mod counting;

use common::{TIMEOUT, create_engine, grey_frame, run_worker_to_end};
use counting::allocations;
use tteview::frame::{FrameView, Geometry, PixelFormat};
use tteview::{Drive, PushError, Status, Stream, StreamConfig};

const SIDE: u32 = 64;
const STEP_NS: i64 = 33_333_333;

const FORMATS: &[PixelFormat] = PixelFormat::ALL;

fn open_stream(drive: Drive, ring_slots: usize) -> Stream {
    let config = StreamConfig {
        ring_slots,
        max_width_px: SIDE,
        max_height_px: SIDE,
        drive,
        ..StreamConfig::default()
    };
    Stream::open(&create_engine("standin.stream.onnx"), &config).unwrap()
}

/// Returns the result of a call, and checks that the call does not use the allocator.
#[track_caller]
fn check<T>(call: impl FnOnce() -> T) -> T {
    let (count, result) = allocations(call);
    assert_eq!(count, 0, "the call used the allocator");
    result
}

#[test]
fn the_counter_counts_allocations_and_frees() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(7)))).0, 2);
}

#[test]
fn real_time_calls_allocate_nothing_with_any_drive() {
    for drive in [Drive::Wake, Drive::Poll, Drive::Host] {
        let Stream { mut acquirer, mut driver, reader } = open_stream(drive, 64);
        let pixels = vec![9; 4 * (SIDE * SIDE) as usize];
        let mut scores = [0.0; 64];
        assert_eq!(check(|| reader.poll(&mut scores)), Err(Status::NotReady));
        for acquisition in 1..=2 {
            assert_eq!(check(|| acquirer.begin()), Ok(acquisition));
            for (index, &format) in (0..).zip(FORMATS) {
                let geometry = Geometry::new(format, SIDE, SIDE).unwrap();
                let frame =
                    FrameView::new(geometry, &pixels).unwrap().with_time_ns(index * STEP_NS);
                assert_eq!(check(|| acquirer.push(&frame)), Ok(()), "{format:?}");
            }
            assert_eq!(check(|| acquirer.mark()), Ok(()));
            let token = check(|| {
                let loan = acquirer.loan()?;
                loan.pixels.fill(3);
                Ok::<_, PushError>(loan.token)
            });
            let time_ns = FORMATS.len() as i64 * STEP_NS;
            let geometry = grey_frame(SIDE, SIDE);
            let committed = check(|| acquirer.commit(token.unwrap(), &geometry, time_ns, 5));
            assert_eq!(committed, Ok(()));
            assert_eq!(check(|| acquirer.end()), Ok(()));
            run_worker_to_end(&mut driver);
            let result = reader.wait(acquisition, TIMEOUT, &mut []).unwrap();
            assert_eq!(result.frames_used, FORMATS.len() as u64 + 1);
            assert!(check(|| reader.poll(&mut scores)).is_ok());
            let pushed = check(|| reader.stats()).pushed;
            assert_eq!(pushed, acquisition * (FORMATS.len() as u64 + 1));
        }
    }
}

#[test]
fn calls_that_fail_allocate_nothing() {
    let Stream { mut acquirer, .. } = open_stream(Drive::Host, 4);
    let pixels = vec![9; 4 * 128 * 128];
    let frame_at = |side, time_ns| {
        FrameView::new(grey_frame(side, side), &pixels).unwrap().with_time_ns(time_ns)
    };
    let wrong_state = PushError::Invalid(Status::WrongState);
    let first = frame_at(SIDE, 1);
    assert_eq!(check(|| acquirer.push(&first)), Err(wrong_state));
    assert_eq!(check(|| acquirer.mark()), Err(Status::WrongState));
    assert_eq!(check(|| acquirer.end()), Err(Status::WrongState));
    assert_eq!(check(|| acquirer.begin()), Ok(1));
    assert_eq!(check(|| acquirer.begin()), Err(Status::WrongState));
    assert_eq!(check(|| acquirer.push(&first)), Ok(()));
    assert_eq!(check(|| acquirer.push(&first)), Err(PushError::Refused));
    let too_large = frame_at(128, 2);
    let error = PushError::Invalid(Status::FrameTooLarge);
    assert_eq!(check(|| acquirer.push(&too_large)), Err(error));
    let geometry = grey_frame(SIDE, SIDE);
    let strided =
        |stride| FrameView::with_strides(geometry, [&pixels[..8], &[], &[]], [stride, 0, 0]);
    assert_eq!(check(|| strided(8).map(drop)), Err(Status::FrameStride));
    assert_eq!(check(|| strided(64).map(drop)), Err(Status::FrameGeometry));
    for time_ns in 2..5 {
        assert_eq!(acquirer.push(&frame_at(SIDE, time_ns)), Ok(()));
    }
    while acquirer.push(&frame_at(SIDE, 5)) == Ok(()) {}
    let last = frame_at(SIDE, 9);
    assert_eq!(check(|| acquirer.push(&last)), Err(PushError::Dropped));
    assert_eq!(check(|| acquirer.loan().map(drop)), Err(PushError::Dropped));
    assert_eq!(check(|| acquirer.end()), Ok(()));
}

#[cfg(feature = "capi")]
mod c_abi {
    use super::{SIDE, check};
    use tteview::Status;
    use tteview::ffi::{
        acquisition::{
            ttv_slot, ttv_stream_begin, ttv_stream_commit, ttv_stream_end, ttv_stream_loan,
            ttv_stream_mark, ttv_stream_push,
        },
        engine::{ttv_engine_create, ttv_engine_destroy},
        engine_config::ttv_engine_config,
        events::{ttv_stats, ttv_stream_get_stats, ttv_stream_last_event},
        frame::ttv_frame,
        poll::{ttv_stream_poll, ttv_stream_wait},
        result::ttv_result,
        runtime::ttv_abi_version,
        stream::{ttv_stream_create, ttv_stream_destroy},
        stream_config::ttv_stream_config,
    };
    use tteview::frame::PixelFormat;

    const MODEL: &[u8] = include_bytes!("../models/standin.stream.onnx");

    /// Returns an ABI struct whose size is set and whose other fields are zero.
    #[allow(unsafe_code)]
    fn init_struct<T>() -> T {
        // SAFETY: `T` is always a struct of the ABI, which contains only numbers, pointers and
        // nullable functions. All-zero bytes are valid values of all these types.
        let mut value: T = unsafe { std::mem::zeroed() };
        // SAFETY: every struct of the ABI begins with its size, which is a `u32`.
        unsafe { (&raw mut value).cast::<u32>().write(size_of::<T>() as u32) };
        value
    }

    #[test]
    #[allow(unsafe_code)]
    fn real_time_calls_of_the_c_abi_allocate_nothing() {
        let (mut engine, mut stream) = (std::ptr::null_mut(), std::ptr::null_mut());
        let config = ttv_engine_config {
            abi_version: ttv_abi_version(),
            model_data: MODEL.as_ptr().cast(),
            model_size: MODEL.len(),
            ..init_struct()
        };
        let settings =
            ttv_stream_config { max_width_px: SIDE, max_height_px: SIDE, ..init_struct() };
        let pixels = vec![9_u8; (SIDE * SIDE) as usize];
        let (mut acquisition, mut scores) = (0, [0.0_f32; 64]);
        let mut result =
            ttv_result { scores: scores.as_mut_ptr(), scores_capacity: 64, ..init_struct() };
        let (mut slot, mut stats): (ttv_slot, ttv_stats) = (init_struct(), init_struct());
        let frame_at = |time_ns| ttv_frame {
            plane: [pixels.as_ptr(), std::ptr::null(), std::ptr::null()],
            stride_bytes: [SIDE, 0, 0],
            format: PixelFormat::Gray8.code(),
            width_px: SIDE,
            height_px: SIDE,
            time_ns,
            ..init_struct()
        };
        let first = frame_at(1);
        let second = ttv_frame { plane: [std::ptr::null(); 3], ..frame_at(2) };
        let code = |status: Status| status.code();
        // SAFETY: every pointer points to a live value of its type, the handles come from the
        // create functions, and `pixels` is as large as the geometry of a frame requires.
        unsafe {
            assert_eq!(ttv_engine_create(&raw const config, &raw mut engine), 0);
            assert_eq!(ttv_stream_create(engine, &raw const settings, &raw mut stream), 0);
            let status = check(|| ttv_stream_poll(stream, &raw mut result));
            assert_eq!(status, code(Status::NotReady));
            assert_eq!(check(|| ttv_stream_begin(stream, &raw mut acquisition)), 0);
            assert_eq!(check(|| ttv_stream_push(stream, &raw const first)), 0);
            let status = check(|| ttv_stream_push(stream, std::ptr::null()));
            assert_eq!(status, code(Status::NullArgument));
            let status = check(|| ttv_stream_push(stream, &raw const first));
            assert_eq!(status, code(Status::FrameRefused));
            assert_eq!(check(|| ttv_stream_mark(stream)), 0);
            assert_eq!(check(|| ttv_stream_loan(stream, &raw mut slot)), 0);
            let status = check(|| ttv_stream_commit(stream, &raw const slot, &raw const second));
            assert_eq!(status, 0);
            assert_eq!(check(|| ttv_stream_end(stream)), 0);
            assert_eq!(ttv_stream_wait(stream, acquisition, 60_000_000_000, &raw mut result), 0);
            assert_eq!(result.frames_used, 2);
            assert_eq!(check(|| ttv_stream_poll(stream, &raw mut result)), 0);
            assert_eq!(check(|| ttv_stream_get_stats(stream, &raw mut stats)), 0);
            let status = check(|| ttv_stream_last_event(stream));
            assert_eq!(status, code(Status::FrameRefused));
            ttv_stream_destroy(stream);
            ttv_engine_destroy(engine);
        }
    }
}

//! Frames that the host describes in C structs.

use super::init;
use crate::error::Status;
use crate::ffi::frame::{read_committed_frame, read_frame, ttv_frame};
use crate::frame::{Geometry, Orientation, PixelFormat, Region};

/// A grey frame of 40 x 32 pixels without pixels.
fn create_frame() -> ttv_frame {
    let mut frame: ttv_frame = init();
    frame.format = PixelFormat::Gray8.code();
    (frame.width_px, frame.height_px) = (40, 32);
    frame
}

fn read_geometry(change: impl FnOnce(&mut ttv_frame)) -> Result<Geometry, Status> {
    let mut frame = create_frame();
    change(&mut frame);
    read_committed_frame(&raw const frame).map(|(_, geometry)| geometry)
}

fn grey() -> Geometry {
    Geometry::new(PixelFormat::Gray8, 40, 32).unwrap()
}

#[test]
fn every_property_of_a_frame_reaches_its_geometry() {
    assert_eq!(read_geometry(|_| ()), Ok(grey()));
    let turned =
        |mirrored, upside_down| Ok(grey().with_orientation(Orientation { mirrored, upside_down }));
    assert_eq!(read_geometry(|frame| frame.flags = 1), turned(true, false));
    assert_eq!(read_geometry(|frame| frame.flags = 2), turned(false, true));
    assert_eq!(read_geometry(|frame| frame.flags = 7), turned(true, true));
    assert_eq!(read_geometry(|frame| frame.flags = 4), Ok(grey()), "an overlay changes nothing");
    let region = Region { x_px: 3, y_px: 4, width_px: 20, height_px: 10 };
    let with_region = read_geometry(|frame| {
        (frame.roi_x_px, frame.roi_y_px) = (3, 4);
        (frame.roi_width_px, frame.roi_height_px) = (20, 10);
    });
    assert_eq!(with_region, grey().with_region(region));
    let wide = read_geometry(|frame| (frame.um_per_px_x, frame.um_per_px_y) = (200.0, 100.0));
    assert_eq!(wide, grey().with_pixel_size(200.0, 100.0));
    assert_ne!(wide, Ok(grey()));
}

#[test]
fn a_frame_that_is_not_valid_gets_its_status() {
    let check = |change: fn(&mut ttv_frame), status| assert_eq!(read_geometry(change), Err(status));
    check(|frame| frame.struct_size = 4, Status::StructSize);
    check(|frame| frame.flags = 8, Status::UnknownFlags);
    check(|frame| frame.format = 999, Status::UnsupportedFormat);
    check(|frame| frame.width_px = 31, Status::FrameGeometry);
    check(|frame| frame.height_px = 4097, Status::FrameGeometry);
    check(|frame| frame.roi_x_px = 1, Status::FrameGeometry);
    check(|frame| frame.roi_width_px = 41, Status::FrameGeometry);
    check(|frame| frame.um_per_px_x = f32::NAN, Status::InvalidArgument);
    check(|frame| frame.um_per_px_y = -1.0, Status::InvalidArgument);
    check(|frame| (frame.um_per_px_x, frame.um_per_px_y) = (1.0, 11.0), Status::FrameGeometry);
    assert_eq!(read_frame(std::ptr::null()).err(), Some(Status::NullArgument));
    assert_eq!(read_committed_frame(std::ptr::null()).err(), Some(Status::NullArgument));
}

#[test]
fn a_committed_frame_has_packed_rows() {
    let stride = |plane: usize, bytes: u32, format: PixelFormat| {
        read_geometry(|frame| {
            frame.format = format.code();
            frame.stride_bytes[plane] = bytes;
        })
    };
    for (format, rows) in [
        (PixelFormat::Gray8, &[40][..]),
        (PixelFormat::Rgb24, &[120]),
        (PixelFormat::Nv12, &[40, 40]),
        (PixelFormat::I420, &[40, 20, 20]),
    ] {
        for (plane, &bytes) in rows.iter().enumerate() {
            assert!(stride(plane, 0, format).is_ok() && stride(plane, bytes, format).is_ok());
            assert_eq!(stride(plane, bytes - 1, format), Err(Status::FrameStride), "{format:?}");
            assert_eq!(stride(plane, bytes + 1, format), Err(Status::FrameStride), "{format:?}");
        }
        // The library ignores the strides of planes that the format does not have.
        if rows.len() < 3 {
            assert!(stride(rows.len(), 1, format).is_ok(), "{format:?}");
        }
    }
}

#[test]
fn planes_with_padded_rows_are_read() {
    // 32 rows with a stride of 48 bytes: every pixel is the number of its row, the padding is 255.
    let mut pixels = vec![255_u8; 31 * 48 + 40];
    for (row, line) in pixels.chunks_mut(48).enumerate() {
        line[..40].fill(row as u8);
    }
    let mut frame = create_frame();
    (frame.time_ns, frame.sequence) = (-5, 9);
    frame.stride_bytes[0] = 48;
    assert_eq!(read_frame(&raw const frame).err(), Some(Status::NullArgument));
    frame.plane[0] = pixels.as_ptr();
    let view = read_frame(&raw const frame).unwrap();
    let mut packed = vec![0; 40 * 32];
    view.copy_packed(&mut packed);
    for (row, line) in packed.chunks(40).enumerate() {
        assert!(line.iter().all(|&pixel| pixel == row as u8), "row {row}");
    }
    frame.stride_bytes[0] = 39;
    assert_eq!(read_frame(&raw const frame).err(), Some(Status::FrameStride));
}

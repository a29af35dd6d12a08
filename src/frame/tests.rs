use super::*;

#[test]
fn odd_sides_are_refused_where_pixels_share_chroma() {
    for (format, width_px, height_px, fits) in [
        (PixelFormat::Gray8, 33, 33, true),
        (PixelFormat::Yuyv, 33, 33, false),
        (PixelFormat::Yuyv, 34, 33, true),
        (PixelFormat::Nv12, 34, 33, false),
        (PixelFormat::I420, 34, 34, true),
        (PixelFormat::Gray8, 31, 33, false),
        (PixelFormat::Gray8, 33, 4097, false),
    ] {
        let geometry = Geometry::new(format, width_px, height_px);
        assert_eq!(geometry.is_ok(), fits, "{format:?} {width_px} x {height_px}");
    }
}

#[test]
fn a_region_must_lie_inside_the_frame() {
    let geometry = Geometry::new(PixelFormat::Gray8, 64, 48).unwrap();
    let region = |x_px, y_px, width_px, height_px| Region { x_px, y_px, width_px, height_px };
    for inside in [region(0, 0, 64, 48), region(63, 47, 1, 1)] {
        assert_eq!(geometry.with_region(inside).unwrap().region(), inside);
    }
    for outside in
        [region(0, 0, 65, 48), region(64, 0, 1, 1), region(0, 0, 0, 48), region(u32::MAX, 0, 2, 1)]
    {
        assert_eq!(geometry.with_region(outside), Err(Status::FrameGeometry), "{outside:?}");
    }
}

#[test]
fn pixel_sizes_give_the_aspect_and_zero_means_unknown() {
    let geometry = Geometry::new(PixelFormat::Gray8, 64, 48).unwrap();
    let aspect = |x, y| geometry.with_pixel_size(x, y).map(|found| found.pixel_aspect());
    assert_eq!(aspect(200.0, 300.0), Ok(1.5));
    for unknown in [(0.0, 0.0), (200.0, 0.0), (0.0, 200.0)] {
        assert_eq!(aspect(unknown.0, unknown.1), Ok(1.0));
    }
    for invalid in [(-1.0, 1.0), (f32::NAN, 1.0), (1.0, f32::INFINITY)] {
        assert_eq!(aspect(invalid.0, invalid.1), Err(Status::InvalidArgument));
    }
    assert_eq!(aspect(1.0, 11.0), Err(Status::FrameGeometry));
}

#[test]
fn strides_and_plane_lengths_are_checked_per_plane() {
    let geometry = Geometry::new(PixelFormat::Nv12, 32, 32).unwrap();
    let (luma, chroma) = ([1; 40 * 31 + 32], [2; 32 * 16]);
    let view = |strides, luma, chroma| {
        FrameView::with_strides(geometry, [luma, chroma, &[]], strides).map(drop)
    };
    assert_eq!(view([40, 32, 0], &luma[..], &chroma[..]), Ok(()));
    assert_eq!(view([31, 32, 0], &luma, &chroma), Err(Status::FrameStride));
    assert_eq!(view([40, 31, 0], &luma, &chroma), Err(Status::FrameStride));
    assert_eq!(view([usize::MAX, 32, 0], &luma, &chroma), Err(Status::FrameStride));
    assert_eq!(view([41, 32, 0], &luma, &chroma), Err(Status::FrameGeometry));
    assert_eq!(view([40, 32, 0], &luma, &chroma[1..]), Err(Status::FrameGeometry));
}

#[test]
fn padding_between_rows_is_not_copied() {
    let geometry = Geometry::new(PixelFormat::Gray8, 32, 32).unwrap();
    let padded: Vec<u8> = (0..40 * 32).map(|i| if i % 40 < 32 { 7 } else { 9 }).collect();
    let frame = FrameView::with_strides(geometry, [&padded, &[], &[]], [40, 0, 0]).unwrap();
    let mut packed = [0; 32 * 32];
    frame.copy_packed(&mut packed);
    assert_eq!(packed, [7; 32 * 32]);
}

#[test]
fn too_few_bytes_are_named_with_the_number_needed() {
    let geometry = Geometry::new(PixelFormat::I420, 32, 32).unwrap();
    assert!(FrameView::new(geometry, &[0; 1536]).is_ok());
    let error = FrameView::new(geometry, &[0; 1535]).unwrap_err();
    assert_eq!(error.status(), Status::FrameGeometry);
    assert!(error.message().contains("has 1536 bytes, got 1535"), "{error}");
}

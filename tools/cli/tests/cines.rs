//! Tests of the cine reader. The pixels of real files are compared with the pixels that pydicom
//! decodes. Other tests write and read files of every format.

mod common;
#[path = "common/files.rs"]
#[allow(dead_code, reason = "each test file uses some of the items")]
mod files;

use common::create_folder;
use files::{Dicom, create_avi, create_gif, extract_jpegs, read_pnm, real_file};
use std::path::{Path, PathBuf};
use tteview::frame::{PixelFormat, Region};
use tteview_cli::cine::{Cine, Facts, Frame};
use tteview_phantom::{Settings, View, render, write_dicom, write_png};

const EXPLICIT: &str = "1.2.840.10008.1.2.1";
const CARDIAC: &str = "examples_ybr_color.dcm";

fn write_file(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn decode_frames(path: &Path) -> Vec<Frame> {
    Cine::open(path).unwrap().map(Result::unwrap).collect()
}

fn size(facts: &Facts) -> (u32, u32) {
    (facts.geometry().width_px(), facts.geometry().height_px())
}

/// Returns the first error that occurs while a file is opened and decoded.
fn first_error(path: &Path) -> Option<String> {
    match Cine::open(path) {
        Ok(cine) => cine.into_iter().find_map(Result::err).map(|error| error.to_string()),
        Err(error) => Some(error.to_string()),
    }
}

#[test]
fn real_dicom_files_decode_as_pydicom_decodes_them() {
    // JPEG decoders round differently, so the pixels of JPEG files may differ slightly. The pixels
    // of all other encodings must equal those that pydicom decodes.
    for (name, tolerance) in [
        (CARDIAC, 4),
        ("examples_palette.dcm", 0),
        ("examples_rgb_color.dcm", 0),
        ("ExplVR_BigEnd.dcm", 0),
        ("SC_ybr_full_422_uncompressed.dcm", 0),
        ("SC_rgb_rle_16bit_2frame.dcm", 0),
        ("SC_rgb_dcmtk_+eb+cr.dcm", 2),
        ("SC_rgb_dcmtk_+eb+cy+np.dcm", 2),
        ("SC_jpeg_no_color_transform.dcm", 2),
    ] {
        let cine = Cine::open(&real_file(name)).unwrap();
        let (width, height) = size(&cine.facts);
        let size = (width as usize, height as usize);
        let reference = read_pnm(&real_file(&format!("{name}.ppm")));
        assert_eq!(cine.facts.frame_count(), reference.len(), "{name}");
        for (frame, (width, height, expected)) in cine.zip(reference) {
            assert_eq!((width, height), size, "{name}");
            let pixels = frame.unwrap().pixels;
            let largest = pixels.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            let sum: u64 =
                pixels.iter().zip(&expected).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
            assert!(largest <= tolerance, "{name}: a sample differs by {largest}");
            assert!(
                sum as f64 / pixels.len() as f64 <= 0.1,
                "{name}: the differences add up to {sum}"
            );
        }
    }
}

#[test]
fn the_cardiac_cine_has_frame_times_and_no_valid_region() {
    let facts = Cine::open(&real_file(CARDIAC)).unwrap().facts;
    assert_eq!((facts.frame_count(), size(&facts)), (30, (320, 240)));
    assert_eq!(facts.geometry().format(), PixelFormat::Rgb24);
    assert_eq!((facts.timing.source, facts.timing.period_ns()), (Some("FrameTime"), 33_333_000));
    // The regions in this file refer to the original frames of 640 x 480 pixels, but its frames
    // have 320 x 240 pixels, so the reader ignores the regions.
    assert_eq!(facts.region(), None);
}

#[test]
fn lossless_jpeg_and_rle_of_an_image_have_the_same_pixels() {
    let (jpeg, rle) = (
        decode_frames(&real_file("SC_rgb_jpeg_gdcm.dcm")),
        decode_frames(&real_file("SC_rgb_rle.dcm")),
    );
    assert_eq!(jpeg.len(), 1);
    assert!(jpeg == rle);
}

#[test]
fn a_phantom_is_unchanged_after_dicom_and_png() {
    let folder = create_folder("phantom-files");
    let settings = Settings { width: 48, height: 40, frames: 12, ..Settings::default() };
    let cine = render(View::A4c, 3, &settings);
    write_dicom(&folder.join("a.dcm"), &cine).unwrap();
    let pngs = folder.join("a");
    std::fs::create_dir(&pngs).unwrap();
    for (index, frame) in cine.frames.iter().enumerate() {
        // The names have no leading zeros, so sorting them as text would give a wrong order.
        write_png(&pngs.join(format!("frame{index}.png")), frame, 48, 40).unwrap();
    }
    for path in [folder.join("a.dcm"), pngs] {
        let facts = Cine::open(&path).unwrap().facts;
        assert_eq!((size(&facts), facts.geometry().format()), ((48, 40), PixelFormat::Gray8));
        assert!((facts.timing.period_ns() - 33_333_333).abs() < 100);
        let pixels: Vec<_> = decode_frames(&path).into_iter().map(|frame| frame.pixels).collect();
        assert!(pixels == cine.frames, "{}", path.display());
    }
}

#[test]
fn the_frame_increment_pointer_selects_the_times() {
    let folder = create_folder("timing");
    let times = |pointer: Option<[u16; 2]>, put: &dyn Fn(&mut Dicom)| {
        let mut file = Dicom::new(EXPLICIT);
        put(&mut file);
        file.image("MONOCHROME2", [32, 32], 3);
        if let Some([group, element]) = pointer {
            file.put(0x28, 9, b"AT", &[group.to_le_bytes(), element.to_le_bytes()].concat());
        }
        let timing = Cine::open(&write_file(&folder, "t.dcm", &file.pixels(&[0; 3 * 1024])))
            .unwrap()
            .facts
            .timing;
        (timing.source, timing.times_ns)
    };
    let both = |file: &mut Dicom| {
        file.put(0x18, 0x1063, b"DS", b"20").put(0x18, 0x1065, b"DS", b"0\\10.5\\ 30");
    };
    let vector = (Some("FrameTimeVector"), vec![0, 10_500_000, 40_500_000]);
    let regular = |source, period: i64| (source, vec![0, period, 2 * period]);
    assert_eq!(times(Some([0x18, 0x1065]), &both), vector);
    assert_eq!(times(Some([0x18, 0x1063]), &both), regular(Some("FrameTime"), 20_000_000));
    assert_eq!(times(None, &both), regular(Some("FrameTime"), 20_000_000));
    let rate = |file: &mut Dicom| {
        file.put(0x18, 0x40, b"IS", b"50");
    };
    assert_eq!(times(None, &rate), regular(Some("CineRate"), 20_000_000));
    let nonsense = |file: &mut Dicom| {
        file.put(0x18, 0x40, b"IS", b"0").put(0x18, 0x1063, b"DS", b"soon");
    };
    assert_eq!(times(None, &nonsense), regular(None, 33_333_333));
}

#[test]
fn an_ultrasound_region_is_the_region_of_interest() {
    let mut item = Dicom(Vec::new());
    let long = |value: u32| value.to_le_bytes();
    item.short(0x18, 0x6012, 1).short(0x18, 0x6014, 1);
    for (element, value) in [(0x6018, 8), (0x601a, 4), (0x601c, 39), (0x601e, 27)] {
        item.put(0x18, element, b"UL", &long(value));
    }
    item.short(0x18, 0x6024, 3).short(0x18, 0x6026, 3);
    item.put(0x18, 0x602c, b"FD", &0.02f64.to_le_bytes()).put(
        0x18,
        0x602e,
        b"FD",
        &0.03f64.to_le_bytes(),
    );
    let item = item.bytes();
    let sequence = [&[0xfe, 0xff, 0x00, 0xe0][..], &long(item.len() as u32), &item].concat();
    let mut file = Dicom::new(EXPLICIT);
    file.put(0x18, 0x6011, b"SQ", &sequence).image("MONOCHROME2", [48, 32], 1);
    let path = write_file(&create_folder("regions"), "r.dcm", &file.pixels(&[0; 48 * 32]));
    let mut facts = Cine::open(&path).unwrap().facts;
    let geometry = *facts.geometry();
    assert_eq!(geometry.region(), Region { x_px: 8, y_px: 4, width_px: 32, height_px: 24 });
    assert!((geometry.pixel_aspect() - 1.5).abs() < 1e-6);
    assert_eq!(facts.region().unwrap().um_per_px, Some([200.0, 300.0]));
    facts.remove_region();
    assert_eq!(facts.region(), None);
    let whole = Region { x_px: 0, y_px: 0, width_px: 48, height_px: 32 };
    assert_eq!((facts.geometry().region(), facts.geometry().pixel_aspect()), (whole, 1.0));
}

#[test]
fn gif_frames_are_painted_and_disposed() {
    let path = write_file(&create_folder("gif"), "a.gif", &create_gif([4, 7, 4]));
    let cine = Cine::open(&path).unwrap();
    assert_eq!(cine.facts.timing.times_ns, [0, 40_000_000, 110_000_000]);
    let at = |frame: &Frame, x: usize, y: usize| frame.pixels[3 * (y * 40 + x)..][..3].to_vec();
    let (red, green, blue) = (vec![255, 0, 0], vec![0, 255, 0], vec![0, 0, 255]);
    let frames = decode_frames(&path);
    assert_eq!(frames.len(), 3);
    assert!(frames[0].pixels.chunks(3).all(|pixel| pixel == red));
    assert_eq!(
        [at(&frames[1], 4, 6), at(&frames[1], 11, 13), at(&frames[1], 12, 13)],
        [green.clone(), green, red.clone()]
    );
    assert_eq!([at(&frames[2], 4, 6), at(&frames[2], 0, 0)], [red, blue]);
}

#[test]
fn a_gif_without_delays_gets_30_frames_per_second() {
    let timing =
        Cine::open(&write_file(&create_folder("gif-delays"), "a.gif", &create_gif([0, 0, 0])))
            .unwrap()
            .facts
            .timing;
    assert_eq!((timing.source, timing.period_ns()), (None, 33_333_333));
}

#[test]
fn motion_jpeg_and_dicom_give_the_same_pixels() {
    let cardiac = real_file(CARDIAC);
    let images = extract_jpegs(&std::fs::read(&cardiac).unwrap());
    assert_eq!(images.len(), 30);
    let path = write_file(
        &create_folder("mjpeg"),
        "a.avi",
        &create_avi(b"MJPG", 24, [320, 240], &[], &images),
    );
    let facts = Cine::open(&path).unwrap().facts;
    assert_eq!(
        (facts.timing.period_ns(), facts.timing.source),
        (40_000_000, Some("AVI stream rate"))
    );
    let pixels =
        |path: &Path| decode_frames(path).into_iter().map(|frame| frame.pixels).collect::<Vec<_>>();
    assert!(pixels(&path) == pixels(&cardiac));
}

#[test]
fn uncompressed_avi_is_decoded_from_the_top_row() {
    let folder = create_folder("avi");
    let (width, height) = (33, 32);
    // A row of 33 pixels has 100 bytes with padding. The last row in the file is the top of the
    // image.
    let mut bgr = vec![0; 100 * height];
    bgr[100 * (height - 1)..][..3].copy_from_slice(&[3, 2, 1]);
    let path = write_file(
        &folder,
        "bgr.avi",
        &create_avi(&[0; 4], 24, [width, height as i32], &[], &[bgr.clone(), Vec::new()]),
    );
    let found = decode_frames(&path);
    assert_eq!(found[0].pixels[..4], [1, 2, 3, 0]);
    assert_eq!(found[0].pixels.len(), 33 * 32 * 3);
    assert_eq!(found[1].pixels, found[0].pixels, "an empty frame repeats the previous one");
    let mut grey = vec![0; 36 * height];
    grey[0] = 1;
    let palette: Vec<u8> = [[0, 0, 0, 0], [200, 200, 200, 0]].concat();
    let path = write_file(
        &folder,
        "grey.avi",
        &create_avi(&[0; 4], 8, [width, -(height as i32)], &palette, &[grey.clone()]),
    );
    assert_eq!(Cine::open(&path).unwrap().facts.geometry().format(), PixelFormat::Gray8);
    assert_eq!(decode_frames(&path)[0].pixels[..2], [200, 0]);
    let palette: Vec<u8> = [[0, 0, 0, 0], [10, 20, 30, 0]].concat();
    let path = write_file(
        &folder,
        "colour.avi",
        &create_avi(&[0; 4], 8, [width, -(height as i32)], &palette, &[grey]),
    );
    assert_eq!(decode_frames(&path)[0].pixels[..3], [30, 20, 10]);
}

#[test]
fn an_unreadable_file_is_named_with_its_cause() {
    let folder = create_folder("refused");
    let mut mpeg = Dicom::new("1.2.840.10008.1.2.4.100");
    let mpeg = mpeg.image("MONOCHROME2", [32, 32], 1).pixels(&[0; 64]);
    let mut small = Dicom::new(EXPLICIT);
    let small = small.image("MONOCHROME2", [8, 8], 1).pixels(&[0; 64]);
    let mut short = Dicom::new(EXPLICIT);
    let short = short.image("MONOCHROME2", [32, 32], 4_000_000).pixels(&[0; 64]);
    let xvid = create_avi(b"XVID", 24, [32, 32], &[], &[vec![0; 9]]);
    for (name, bytes, cause) in [
        ("empty.dcm", Vec::new(), "the file is empty"),
        ("text.dcm", b"not a cine at all".to_vec(), "the file is not DICOM, AVI, GIF"),
        ("still.png", vec![0x89, b'P', b'N', b'G', 13, 10, 26, 10], "folder"),
        ("mpeg.dcm", mpeg, "MPEG-2"),
        ("small.dcm", small, "8 x 8"),
        ("short.dcm", short, "a frame has 1024 bytes, but the pixel data have only 64"),
        ("xvid.avi", xvid, "XVID"),
    ] {
        let path = write_file(&folder, name, &bytes);
        let error = first_error(&path).unwrap();
        assert!(error.starts_with(path.to_str().unwrap()) && error.contains(cause), "{error}");
    }
    let empty = folder.join("empty");
    std::fs::create_dir(&empty).unwrap();
    assert!(first_error(&empty).unwrap().contains("has no PNG, JPEG or DICOM files"));
    assert!(first_error(&folder.join("missing.dcm")).unwrap().contains("missing.dcm"));
}

//! Behaviour of the phantom through its public API.
use tteview_phantom::{Heart, Scanner, Set, Settings, View, render};

fn small() -> Settings {
    Settings { frames: 2, burn_in: false, ..Settings::default() }
}

#[test]
fn the_same_seed_gives_the_same_cine_and_another_seed_another() {
    for scanner in [Scanner::Bench, Scanner::Training, Scanner::Field, Scanner::Broad] {
        let settings = Settings { scanner, burn_in: true, ..small() };
        let a = render(View::A4c, 3, &settings).frames;
        assert_eq!(a, render(View::A4c, 3, &settings).frames);
        assert_ne!(a, render(View::A4c, 4, &settings).frames);
    }
}

#[test]
fn every_view_has_its_own_code_and_its_own_picture() {
    let all: Vec<_> = View::ALL.iter().map(|&v| render(v, 1, &small()).frames[0].clone()).collect();
    for (i, a) in all.iter().enumerate() {
        assert_eq!(View::from_code(View::ALL[i].code()), Some(View::ALL[i]));
        for (j, b) in all.iter().enumerate().skip(i + 1) {
            let d: u64 = a.iter().zip(b).map(|(x, y)| u64::from(x.abs_diff(*y))).sum();
            assert!(d / a.len() as u64 > 5, "views {i} and {j} look alike");
        }
    }
    assert_eq!(View::from_code("A9C"), None);
}

#[test]
fn nothing_is_drawn_outside_the_sector() {
    let c = render(View::A4c, 1, &small());
    for f in &c.frames {
        for y in 0..40 {
            assert_eq!((f[y * 112], f[y * 112 + 111]), (0, 0));
        }
        assert!(f[60 * 112 + 40..60 * 112 + 72].iter().any(|&v| v > 0));
    }
}

#[test]
fn the_ejection_fraction_sets_how_much_volume_leaves_the_ventricle() {
    let mut heart = Heart::draw(1);
    heart.rate = 60.0;
    for ef in [0.3, 0.6] {
        heart.ejection_fraction = ef;
        let (full, least) = (heart.lv_volume_ml(0.0), heart.lv_volume_ml(0.39));
        assert!((45.0..240.0).contains(&full), "{full} ml");
        assert!((1.0 - least / full - ef).abs() < 0.02, "{least} of {full} ml");
    }
}

#[test]
fn the_picture_moves_with_the_beat() {
    let c = render(View::PsaxPm, 2, &Settings { frames: 20, burn_in: false, ..Settings::default() });
    assert_ne!(c.frames[0], c.frames[10]);
}

/// A folder of its own for a test, empty.
fn folder(name: &str) -> std::path::PathBuf {
    let folder = std::env::temp_dir().join(format!("tteview-phantom-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    folder
}

fn rows(folder: &std::path::Path) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(folder.join("manifest.csv")).unwrap();
    text.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

fn set(views: &[View], patients: usize, settings: Settings) -> Set {
    Set { views: views.to_vec(), patients, seed: 7, settings, seconds: None, split: None }
}

#[test]
fn a_set_lists_every_cine_and_keeps_a_patient_in_one_split() {
    let dir = folder("set");
    set(&[View::A4c, View::Plax], 10, small()).write(&dir).unwrap();
    let rows = &rows(&dir)[1..];
    assert_eq!(rows.len(), 20);
    for a in rows {
        assert!(dir.join(&a[0]).join("0001.png").is_file());
        assert!(rows.iter().all(|b| a[2] != b[2] || a[3] == b[3]));
    }
    for split in ["train", "val", "test"] {
        assert!(rows.iter().any(|r| r[3] == split), "no {split}");
    }
    let dicom = std::fs::read(dir.join("A4C_00000.dcm")).unwrap();
    assert_eq!(&dicom[128..132], b"DICM");
    assert!(dicom.ends_with(&render(View::A4c, 7, &small()).frames.concat()));
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_set_is_the_same_whichever_thread_wrote_what_and_can_be_one_split() {
    let (one, two) = (folder("one"), folder("two"));
    let settings = Settings { scanner: Scanner::Training, ..small() };
    let field = Set { split: Some("test".into()), ..set(&[View::A2c, View::Other], 6, settings) };
    field.write(&one).unwrap();
    field.write(&two).unwrap();
    assert_eq!(rows(&one), rows(&two));
    assert!(rows(&one)[1..].iter().all(|row| row[3] == "test"));
    for row in &rows(&one)[1..] {
        let frame = |dir: &std::path::Path| std::fs::read(dir.join(&row[0]).join("0001.png")).unwrap();
        assert_eq!(frame(&one), frame(&two));
    }
    std::fs::remove_dir_all(&one).unwrap();
    std::fs::remove_dir_all(&two).unwrap();
}

#[test]
fn every_row_of_a_manifest_has_a_value_for_every_column() {
    let dir = folder("columns");
    set(&[View::A3c], 3, Settings { scanner: Scanner::Field, ..small() }).write(&dir).unwrap();
    let rows = rows(&dir);
    assert_eq!(rows[0][..6], ["path", "label", "patient", "split", "colour", "frame_period_ns"]);
    for row in &rows[1..] {
        assert_eq!(row.len(), rows[0].len());
        assert!(row.iter().all(|value| !value.is_empty()), "{row:?}");
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_length_in_seconds_is_that_long_at_every_frame_rate() {
    for n in 0..8 {
        let settings = Settings { scanner: Scanner::Field, ..small() };
        let cine = Set { seconds: Some(0.5), ..set(&[View::A4c], 8, settings) }.cine(View::A4c, n);
        let ns = cine.frames.len() as u64 * cine.frame_period_ns;
        assert!((500_000_000..500_000_000 + cine.frame_period_ns).contains(&ns), "{ns} ns");
    }
}

#[test]
fn the_field_shares_no_frame_rate_and_no_layout_with_training() {
    let draw =
        |scanner, n| set(&[View::A4c], 40, Settings { scanner, burn_in: true, ..small() }).cine(View::A4c, n);
    let rate = |period: u64| 1e9 / period as f64;
    let (mut training, mut field) = (Vec::new(), Vec::new());
    for n in 0..40 {
        training.push(draw(Scanner::Training, n).look.layout);
        field.push(draw(Scanner::Field, n).look.layout);
        let (a, b) = (Scanner::Training.frame_period_ns(n as u64), Scanner::Field.frame_period_ns(n as u64));
        assert!((22.0..=55.1).contains(&rate(a)), "{a}");
        assert!(!(20.1..59.9).contains(&rate(b)), "{b}");
    }
    assert!(field.iter().all(|layout| !training.contains(layout)));
}

/// Below the tip of the sector, where any sector has pixels, a scanner of training shows most of the heart; of a broad one
/// tissues may be next to black.
#[test]
fn tissues_of_a_broad_scanner_are_of_any_brightness() {
    let dark = |scanner| {
        let is_dark = |&seed: &u64| {
            let frame = &render(View::PsaxAp, seed, &Settings { scanner, ..small() }).frames[0];
            let middle = (40..90).flat_map(|y| (46..66).map(move |x| frame[y * 112 + x]));
            middle.filter(|&value| value > 20).count() < 500
        };
        (0..40).filter(is_dark).count()
    };
    let (broad, training) = (dark(Scanner::Broad), dark(Scanner::Training));
    assert!(broad >= training + 6, "mostly dark: {broad} of 40 broad, {training} in training");
}

/// A narrow sector shows less of its plane: black columns at both sides of the frame.
#[test]
fn sectors_of_a_broad_scanner_are_narrow_and_wide() {
    let widths = |scanner| -> Vec<f32> {
        (0..60).map(|seed| render(View::A4c, seed, &Settings { scanner, ..small() }).angle_deg).collect()
    };
    let (broad, training) = (widths(Scanner::Broad), widths(Scanner::Training));
    let narrow = |angles: &[f32]| angles.iter().filter(|&&angle| angle < 66.0).count();
    assert_eq!(narrow(&training), 0, "{training:?}");
    assert!((10..40).contains(&narrow(&broad)), "{broad:?}");
    assert!(broad.iter().any(|&angle| angle > 85.0), "{broad:?}");
}

#[test]
fn hearts_of_a_broad_scanner_are_of_any_size() {
    let volumes: Vec<f32> =
        (0..40).map(|seed| Heart::draw(seed).of_any_size(seed).lv_volume_ml(0.0)).collect();
    let plain: Vec<f32> = (0..40).map(|seed| Heart::draw(seed).lv_volume_ml(0.0)).collect();
    let spread = |all: &[f32]| {
        let most = all.iter().copied().fold(0.0, f32::max);
        most / all.iter().copied().fold(f32::MAX, f32::min)
    };
    assert!(spread(&volumes) > 1.5 * spread(&plain), "{volumes:?} {plain:?}");
}

#[test]
fn colour_doppler_colours_blood_inside_its_box_and_keeps_the_grey_elsewhere() {
    let settings = Settings { colour: true, frames: 32, burn_in: false, ..Settings::default() };
    let cine = render(View::A4c, 1, &settings);
    let coloured = |frame: &Vec<u8>| frame.chunks(3).filter(|p| p[0] != p[1] || p[1] != p[2]).count();
    let most = cine.frames.iter().map(coloured).max().unwrap();
    assert!((200..112 * 112 / 2).contains(&most), "{most} pixels in colour");
    let red = |f: &Vec<u8>| f.chunks(3).filter(|p| p[0] > p[2].saturating_add(50)).count();
    let blue = |f: &Vec<u8>| f.chunks(3).filter(|p| p[2] > p[0].saturating_add(50)).count();
    // Filling runs to the apex, which is toward the probe; ejection away from it.
    assert!(cine.frames.iter().any(|f| red(f) > blue(f)) && cine.frames.iter().any(|f| blue(f) > red(f)));
}

//! Tests of the phantom through its public interface.

use tteview_phantom::{CineFiles, Heart, Scanner, Set, Settings, View, render};

fn short_settings() -> Settings {
    Settings { frames: 2, burn_in: false, ..Settings::default() }
}

#[test]
fn equal_seeds_give_equal_cines_and_others_differ() {
    for scanner in [Scanner::Bench, Scanner::Training, Scanner::Field, Scanner::Broad] {
        let settings = Settings { scanner, burn_in: true, ..short_settings() };
        let a = render(View::A4c, 3, &settings).frames;
        assert_eq!(a, render(View::A4c, 3, &settings).frames);
        assert_ne!(a, render(View::A4c, 4, &settings).frames);
    }
}

#[test]
fn every_view_has_its_own_code_and_image() {
    let all: Vec<_> =
        View::ALL.iter().map(|&v| render(v, 1, &short_settings()).frames[0].clone()).collect();
    for (i, a) in all.iter().enumerate() {
        assert_eq!(View::from_code(View::ALL[i].code()), Some(View::ALL[i]));
        for (j, b) in all.iter().enumerate().skip(i + 1) {
            let d: u64 = a.iter().zip(b).map(|(x, y)| u64::from(x.abs_diff(*y))).sum();
            assert!(d / a.len() as u64 > 5, "views {i} and {j} are too similar");
        }
    }
    assert_eq!(View::from_code("A9C"), None);
}

#[test]
fn nothing_is_drawn_outside_the_sector() {
    let c = render(View::A4c, 1, &short_settings());
    for f in &c.frames {
        for y in 0..40 {
            assert_eq!((f[y * 112], f[y * 112 + 111]), (0, 0));
        }
        assert!(f[60 * 112 + 40..60 * 112 + 72].iter().any(|&v| v > 0));
    }
}

#[test]
fn the_ejection_fraction_sets_the_ejected_volume() {
    let mut heart = Heart::draw(1);
    heart.rate_bpm = 60.0;
    for ef in [0.3, 0.6] {
        heart.ejection_fraction = ef;
        let (full, least) = (heart.lv_volume_ml(0.0), heart.lv_volume_ml(0.39));
        assert!((45.0..240.0).contains(&full), "{full} ml");
        assert!((1.0 - least / full - ef).abs() < 0.02, "{least} of {full} ml");
    }
}

#[test]
fn the_image_moves_with_the_beat() {
    let c =
        render(View::PsaxPm, 2, &Settings { frames: 20, burn_in: false, ..Settings::default() });
    assert_ne!(c.frames[0], c.frames[10]);
}

/// Returns the path of a folder that no other test uses and that does not exist yet.
fn reserve_folder(name: &str) -> std::path::PathBuf {
    let folder =
        std::env::temp_dir().join(format!("tteview-phantom-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    folder
}

fn read_manifest(folder: &std::path::Path) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(folder.join("manifest.csv")).unwrap();
    text.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

fn build_set(views: &[View], patients: usize, settings: Settings) -> Set {
    Set { views: views.to_vec(), patients, seed: 7, settings, ..Set::default() }
}

#[test]
fn a_set_lists_every_cine_and_keeps_a_patient_in_one_split() {
    let dir = reserve_folder("set");
    build_set(&[View::A4c, View::Plax], 10, short_settings()).write(&dir).unwrap();
    let rows = &read_manifest(&dir)[1..];
    assert_eq!(rows.len(), 20);
    for a in rows {
        assert!(dir.join(&a[0]).join("0001.png").is_file());
        assert!(rows.iter().all(|b| a[2] != b[2] || a[3] == b[3]));
    }
    for split in ["train", "val", "test"] {
        assert!(rows.iter().any(|r| r[3] == split), "no patient is in split {split}");
    }
    let dicom = std::fs::read(dir.join("A4C_00000.dcm")).unwrap();
    assert_eq!(&dicom[128..132], b"DICM");
    assert!(dicom.ends_with(&render(View::A4c, 7, &short_settings()).frames.concat()));
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_set_of_dicom_files_has_no_folders() {
    let dir = reserve_folder("dicom-set");
    let set =
        Set { files: CineFiles::Dicom, ..build_set(&[View::A4c, View::Plax], 2, short_settings()) };
    set.write(&dir).unwrap();
    for row in &read_manifest(&dir)[1..] {
        let dicom = std::fs::read(dir.join(&row[0])).unwrap();
        let view = View::from_code(&row[1]).unwrap();
        let seed = row[2][1..].parse().unwrap();
        assert!(dicom.ends_with(&render(view, seed, &short_settings()).frames.concat()));
    }
    let names = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.count(), 2 * 2 + 2);
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_set_is_reproducible_and_can_be_one_split() {
    let (one, two) = (reserve_folder("one"), reserve_folder("two"));
    let settings = Settings { scanner: Scanner::Training, ..short_settings() };
    let field =
        Set { split: Some("test".into()), ..build_set(&[View::A2c, View::Other], 6, settings) };
    field.write(&one).unwrap();
    field.write(&two).unwrap();
    assert_eq!(read_manifest(&one), read_manifest(&two));
    assert!(read_manifest(&one)[1..].iter().all(|row| row[3] == "test"));
    for row in &read_manifest(&one)[1..] {
        let frame =
            |dir: &std::path::Path| std::fs::read(dir.join(&row[0]).join("0001.png")).unwrap();
        assert_eq!(frame(&one), frame(&two));
    }
    std::fs::remove_dir_all(&one).unwrap();
    std::fs::remove_dir_all(&two).unwrap();
}

#[test]
fn every_row_of_a_manifest_has_a_value_for_every_column() {
    let dir = reserve_folder("columns");
    build_set(&[View::A3c], 3, Settings { scanner: Scanner::Field, ..short_settings() })
        .write(&dir)
        .unwrap();
    let rows = read_manifest(&dir);
    assert_eq!(rows[0][..6], ["path", "label", "patient", "split", "colour", "frame_period_ns"]);
    for row in &rows[1..] {
        assert_eq!(row.len(), rows[0].len());
        assert!(row.iter().all(|value| !value.is_empty()), "{row:?}");
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_length_in_seconds_holds_at_every_frame_rate() {
    for n in 0..8 {
        let settings = Settings { scanner: Scanner::Field, ..short_settings() };
        let cine = Set { seconds: Some(0.5), ..build_set(&[View::A4c], 8, settings) }
            .render_cine(View::A4c, n);
        let ns = cine.frames.len() as u64 * cine.frame_period_ns;
        assert!((500_000_000..500_000_000 + cine.frame_period_ns).contains(&ns), "{ns} ns");
    }
}

#[test]
fn field_and_training_share_no_frame_rate_or_layout() {
    let draw = |scanner, n| {
        build_set(&[View::A4c], 40, Settings { scanner, burn_in: true, ..short_settings() })
            .render_cine(View::A4c, n)
    };
    let rate = |period: u64| 1e9 / period as f64;
    let (mut training, mut field) = (Vec::new(), Vec::new());
    for n in 0..40 {
        training.push(draw(Scanner::Training, n).conditions.layout);
        field.push(draw(Scanner::Field, n).conditions.layout);
        let (a, b) = (
            Scanner::Training.draw_frame_period_ns(n as u64),
            Scanner::Field.draw_frame_period_ns(n as u64),
        );
        assert!((22.0..=55.1).contains(&rate(a)), "{a}");
        assert!(!(20.1..59.9).contains(&rate(b)), "{b}");
    }
    assert!(field.iter().all(|layout| !training.contains(layout)));
}

/// An image is dark if it has few bright pixels in its middle, which lies inside every sector.
#[test]
fn broad_scanners_show_tissues_of_any_brightness() {
    let count_dark = |scanner| {
        let is_dark = |&seed: &u64| {
            let frame =
                &render(View::PsaxAp, seed, &Settings { scanner, ..short_settings() }).frames[0];
            let middle = (40..90).flat_map(|y| (46..66).map(move |x| frame[y * 112 + x]));
            middle.filter(|&value| value > 20).count() < 500
        };
        (0..40).filter(is_dark).count()
    };
    let (broad, training) = (count_dark(Scanner::Broad), count_dark(Scanner::Training));
    assert!(broad >= training + 6, "dark images: {broad} of 40 broad, {training} of 40 training");
}

#[test]
fn broad_scanners_have_narrow_and_wide_sectors() {
    let render_angles = |scanner| -> Vec<f32> {
        (0..60)
            .map(|seed| {
                render(View::A4c, seed, &Settings { scanner, ..short_settings() }).angle_deg
            })
            .collect()
    };
    let (broad, training) = (render_angles(Scanner::Broad), render_angles(Scanner::Training));
    let count_narrow = |angles: &[f32]| angles.iter().filter(|&&angle| angle < 66.0).count();
    assert_eq!(count_narrow(&training), 0, "{training:?}");
    assert!((10..40).contains(&count_narrow(&broad)), "{broad:?}");
    assert!(broad.iter().any(|&angle| angle > 85.0), "{broad:?}");
}

#[test]
fn broad_scanners_show_hearts_of_any_size() {
    let volumes: Vec<f32> =
        (0..40).map(|seed| Heart::draw(seed).vary_size(seed).lv_volume_ml(0.0)).collect();
    let plain: Vec<f32> = (0..40).map(|seed| Heart::draw(seed).lv_volume_ml(0.0)).collect();
    let spread = |all: &[f32]| {
        let most = all.iter().copied().fold(0.0, f32::max);
        most / all.iter().copied().fold(f32::MAX, f32::min)
    };
    assert!(spread(&volumes) > 1.5 * spread(&plain), "{volumes:?} {plain:?}");
}

#[test]
fn colour_doppler_colours_blood_in_both_directions() {
    let settings = Settings { colour: true, frames: 32, burn_in: false, ..Settings::default() };
    let cine = render(View::A4c, 1, &settings);
    let count_coloured =
        |frame: &Vec<u8>| frame.chunks(3).filter(|p| p[0] != p[1] || p[1] != p[2]).count();
    let most = cine.frames.iter().map(count_coloured).max().unwrap();
    assert!((200..112 * 112 / 2).contains(&most), "{most} pixels are coloured");
    let red = |f: &Vec<u8>| f.chunks(3).filter(|p| p[0] > p[2].saturating_add(50)).count();
    let blue = |f: &Vec<u8>| f.chunks(3).filter(|p| p[2] > p[0].saturating_add(50)).count();
    // The probe is at the apex, so blood flows towards the probe during filling and away from it
    // during ejection.
    assert!(
        cine.frames.iter().any(|f| red(f) > blue(f))
            && cine.frames.iter().any(|f| blue(f) > red(f))
    );
}

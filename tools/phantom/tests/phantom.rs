//! Behaviour of the phantom through its public API.
use tteview_phantom::{Heart, Settings, View, render};

fn small() -> Settings {
    Settings { frames: 2, burn_in: false, ..Settings::default() }
}

#[test]
fn the_same_seed_gives_the_same_cine_and_another_seed_another() {
    let a = render(View::A4c, 3, &small());
    assert_eq!(a, render(View::A4c, 3, &small()));
    assert_ne!(a.frames, render(View::A4c, 4, &small()).frames);
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
        assert!((70.0..220.0).contains(&full), "{full} ml");
        assert!((1.0 - least / full - ef).abs() < 0.02, "{least} of {full} ml");
    }
}

#[test]
fn the_picture_moves_with_the_beat() {
    let c = render(View::PsaxPm, 2, &Settings { frames: 20, burn_in: false, ..Settings::default() });
    assert_ne!(c.frames[0], c.frames[10]);
}

#[test]
fn a_set_lists_every_cine_and_keeps_a_patient_in_one_split() {
    let dir = std::env::temp_dir().join(format!("tteview-phantom-{}", std::process::id()));
    tteview_phantom::write_set(&dir, &[View::A4c, View::Plax], 10, 7, &small()).unwrap();
    let text = std::fs::read_to_string(dir.join("manifest.csv")).unwrap();
    let rows: Vec<Vec<&str>> = text.lines().skip(1).map(|l| l.split(',').collect()).collect();
    assert_eq!(rows.len(), 20);
    for a in &rows {
        assert!(dir.join(a[0]).join("0001.png").is_file());
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

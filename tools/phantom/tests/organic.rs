//! Tests of the scanners with organic hearts, `wild` and `unlike`.

use std::collections::HashSet;
use tteview_phantom::{Cine, OtherKind, Scanner, Set, Settings, View, render};

const ORGANIC: [Scanner; 2] = [Scanner::Wild, Scanner::Unlike];

fn short_settings(scanner: Scanner) -> Settings {
    Settings { frames: 3, scanner, ..Settings::default() }
}

fn render_kind(kind: OtherKind, seed: u64, scanner: Scanner) -> Cine {
    let settings = Settings { other_kinds: vec![kind], ..short_settings(scanner) };
    render(View::Other, seed, &settings)
}

#[test]
fn organic_cines_depend_on_the_seed_alone() {
    for scanner in ORGANIC {
        for &view in View::ALL {
            let settings = short_settings(scanner);
            let frames = render(view, 3, &settings).frames;
            assert_eq!(frames, render(view, 3, &settings).frames, "{}", view.code());
            assert_ne!(frames, render(view, 4, &settings).frames, "{}", view.code());
        }
    }
}

#[test]
fn the_number_of_frames_does_not_change_the_first_ones() {
    let short = render(View::A4c, 5, &short_settings(Scanner::Wild)).frames;
    let long = render(View::A4c, 5, &Settings { frames: 6, ..short_settings(Scanner::Wild) });
    assert_eq!(short, long.frames[..3]);
}

/// An examiner sets the gain so that the image is visible, so the grey values of every cine of a
/// view spread over a part of the range.
#[test]
fn organic_views_are_neither_black_nor_white() {
    for scanner in ORGANIC {
        for seed in 0..6 {
            for &view in View::ALL.iter().filter(|&&view| view != View::Other) {
                let settings = Settings { burn_in: false, ..short_settings(scanner) };
                let mut frame = render(view, seed, &settings).frames.swap_remove(0);
                frame.sort_unstable();
                let [low, high] =
                    [0.5, 0.98].map(|part| frame[(frame.len() as f32 * part) as usize]);
                let name = format!("{} {} {seed}: {low} to {high}", scanner.name(), view.code());
                assert!(low < 250 && high > 40 && high - low > 10, "{name}");
            }
        }
    }
}

#[test]
fn every_kind_of_other_content_has_its_name_and_its_own_image() {
    let mut images = HashSet::new();
    for &kind in OtherKind::ALL {
        assert_eq!(OtherKind::from_name(kind.name()), Some(kind));
        for scanner in ORGANIC {
            let cine = render_kind(kind, 2, scanner);
            assert_eq!(cine.content, kind.name());
            assert_eq!(cine.frames[0].len(), 112 * 112 * cine.channels);
            assert!(images.insert(cine.frames[0].clone()), "{}", kind.name());
        }
    }
    assert_eq!(OtherKind::from_name("heart"), None);
}

#[test]
fn organic_cines_have_any_size() {
    for [width, height] in [[32, 32], [64, 48], [47, 90], [300, 200]] {
        for scanner in ORGANIC {
            let settings = Settings { width, height, frames: 1, scanner, ..Settings::default() };
            for &kind in OtherKind::ALL {
                let settings = Settings { other_kinds: vec![kind], ..settings.clone() };
                let cine = render(View::Other, 11, &settings);
                assert_eq!(cine.frames[0].len(), width * height * cine.channels);
            }
            for view in [View::A4c, View::PlaxZmv] {
                let settings = Settings { colour: true, ..settings.clone() };
                assert_eq!(render(view, 11, &settings).frames[0].len(), width * height * 3);
            }
        }
    }
}

#[test]
fn other_cines_have_only_the_kinds_asked_for() {
    let kinds = vec![OtherKind::Report, OtherKind::Biplane, OtherKind::Kidney];
    let settings = Settings { other_kinds: kinds.clone(), ..short_settings(Scanner::Wild) };
    let found: HashSet<_> =
        (0..30).map(|seed| render(View::Other, seed, &settings).content).collect();
    assert_eq!(found, kinds.iter().map(|kind| kind.name()).collect());
    assert_eq!(render(View::A4c, 1, &settings).content, "heart");
}

/// Compares the two halves of frames that differ only in their orientation.
#[test]
fn an_upside_down_sector_has_its_tip_at_the_bottom() {
    let mut is_wider_above = 0;
    for seed in 0..20 {
        let settings = Settings {
            other_kinds: vec![OtherKind::UpsideDown],
            burn_in: false,
            ..short_settings(Scanner::Wild)
        };
        let frame = render(View::Other, seed, &settings).frames.swap_remove(0);
        let background = frame[0];
        let count = |rows: std::ops::Range<usize>| {
            frame[rows.start * 112..rows.end * 112].iter().filter(|&&v| v > background + 12).count()
        };
        is_wider_above += usize::from(count(10..50) > count(62..102));
    }
    assert!(is_wider_above >= 16, "{is_wider_above} of 20");
}

#[test]
fn the_manifest_names_the_content_of_every_cine() {
    let folder =
        std::env::temp_dir().join(format!("tteview-phantom-content-{}", std::process::id()));
    let settings =
        Settings { other_kinds: vec![OtherKind::Lung], ..short_settings(Scanner::Unlike) };
    let views = vec![View::A4c, View::Other];
    let set = Set { views, patients: 2, seed: 7, settings, ..Set::default() };
    set.write(&folder).unwrap();
    let manifest = std::fs::read_to_string(folder.join("manifest.csv")).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let rows: Vec<Vec<&str>> = manifest.lines().map(|line| line.split(',').collect()).collect();
    let column = rows[0].iter().position(|&name| name == "content").unwrap();
    let contents: Vec<_> = rows[1..].iter().map(|row| (row[1], row[column])).collect();
    let expected = [("A4C", "heart"), ("OTHER", "lung"), ("A4C", "heart"), ("OTHER", "lung")];
    assert_eq!(contents, expected);
}

//! Tests of the page that `tteview classify --page` writes.

mod common;

use common::{Outcome, create_folder, run_tteview};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use tteview_phantom::{Settings, View, render, write_dicom, write_png};

const MODEL: &str = "models/demo.stream.onnx";

/// Maximum size of an entry in bytes.
const MAX_ENTRY_BYTES: usize = 60_000;

fn write_cine(path: &Path, seed: u64) {
    let settings = Settings { width: 160, height: 120, frames: 40, ..Settings::default() };
    write_dicom(path, &render(View::A4c, seed, &settings)).unwrap();
}

fn classify(model: &str, files: &[&Path], page: &Path) -> Outcome {
    let words = ["classify", "--model", model, "--page"].map(OsStr::new);
    run_tteview(
        words.into_iter().chain([page.as_os_str()]).chain(files.iter().map(|p| p.as_os_str())),
    )
}

/// Writes a package with other texts or thresholds than those of the demo model.
fn adjust(folder: &Path, options: &[&str]) -> String {
    let path = folder.join("model.onnx").to_str().unwrap().to_owned();
    let outcome = run_tteview(["adjust", MODEL, "-o", &path].iter().chain(options));
    assert_eq!(outcome.exit, 0, "{}", outcome.stderr);
    path
}

/// Returns the entries of a page, which are checked for their size.
fn read_entries(page: &str) -> Vec<&str> {
    let entries: Vec<&str> = page
        .split_inclusive("</article>")
        .filter_map(|part| Some(&part[part.find("<article")?..]))
        .collect();
    assert!(entries.iter().all(|entry| entry.len() <= MAX_ENTRY_BYTES));
    entries
}

#[test]
fn the_page_shows_labels_errors_and_loops() {
    let folder = create_folder("page");
    let [good, cut, page] = ["good.dcm", "cut.dcm", "page.html"].map(|name| folder.join(name));
    write_cine(&good, 3);
    std::fs::write(&cut, &std::fs::read(&good).unwrap()[..1000]).unwrap();
    let outcome = classify(MODEL, &[&good, &cut], &page);
    assert_eq!(outcome.exit, 1, "{}", outcome.stderr);
    let html = std::fs::read_to_string(&page).unwrap();
    let [label, error] = read_entries(&html)[..] else { panic!("{html}") };
    for text in [
        "<article class=\"given\"",
        "<span>A4C</span>",
        "apical four-chamber",
        "group APICAL",
        "good.dcm",
        "40 frames in 1.3 s",
        "src=\"data:image/png;base64,iVBORw0KGgo",
        "<path class=\"c",
    ] {
        assert!(label.contains(text), "{text} in {label}");
    }
    for text in ["<article class=\"failed\"", "cut.dcm", "the file is truncated"] {
        assert!(error.contains(text), "{text} in {error}");
    }
    for text in [
        "<li class=\"given\"><b>1</b>with a label</li>",
        "<li class=\"failed\"><b>1</b>unreadable</li>",
        "<li>A4C 1</li>",
        "default-src 'none'; img-src data:;",
    ] {
        assert!(html.contains(text), "{text}");
    }
    // Nothing is loaded from a network.
    assert!(!html.contains("://"));
    assert!(std::fs::read_dir(&folder).unwrap().count() == 3, "no partial file may be left");
}

#[test]
fn a_page_that_cannot_be_completed_leaves_the_old_one() {
    let folder = create_folder("page-old");
    let (good, page) = (folder.join("good.dcm"), folder.join("page.html"));
    write_cine(&good, 3);
    std::fs::write(&page, "old").unwrap();
    let outcome = run_tteview(
        ["classify", "--model", MODEL, "--hop", "1", "--page"]
            .map(OsStr::new)
            .into_iter()
            .chain([page.as_os_str(), good.as_os_str()]),
    );
    assert_eq!(outcome.exit, 2, "{}", outcome.stderr);
    assert_eq!(std::fs::read_to_string(&page).unwrap(), "old");
    let missing = folder.join("missing").join("page.html");
    assert_eq!(classify(MODEL, &[&good], &missing).exit, 1);
}

#[test]
fn hostile_names_are_escaped() {
    let folder = create_folder("page-hostile");
    let names: [&[u8]; 4] = [
        b"<img src=x onerror=alert(1)>.dcm",
        b"a\"b'c&d.dcm",
        "a\u{202e}mcd.dcm".as_bytes(),
        b"\xff<script>\n.dcm",
    ];
    let files = names.map(|name| folder.join(OsStr::from_bytes(name)));
    files.iter().for_each(|path| write_cine(path, 3));
    let labels = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/views.json"),
    );
    let labels = labels.unwrap().replace("apical four-chamber", "<script>alert(2)</script>");
    let path = folder.join("labels.json");
    std::fs::write(&path, labels).unwrap();
    let options = ["--labels", path.to_str().unwrap(), "--group-threshold", "0.8"];
    let options = [&options[..], &["--threshold", "0"]].concat();
    let model = adjust(&folder, &options);
    let page = folder.join("page.html");
    let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    let outcome = classify(&model, &files, &page);
    assert_eq!(outcome.exit, 0, "{}", outcome.stderr);
    let html = std::fs::read_to_string(&page).unwrap();
    for text in [
        "&lt;img src=x onerror=alert(1)&gt;.dcm",
        "a&quot;b&#39;c&amp;d.dcm",
        "a\\u{202e}mcd.dcm",
        "\\xff&lt;script&gt;\\n.dcm",
        "&lt;script&gt;alert(2)&lt;/script&gt;",
    ] {
        assert!(html.contains(text), "{text}");
    }
    assert_eq!(html.matches("<script>").count(), 1);
    assert!(!html.contains("<img src=x") && !html.contains('\u{202e}'));
}

#[test]
fn the_page_says_what_is_withheld_and_left_out() {
    let folder = create_folder("page-withheld");
    let frames = folder.join("frames");
    std::fs::create_dir(&frames).unwrap();
    let settings = Settings { width: 160, height: 120, frames: 40, ..Settings::default() };
    for (index, frame) in render(View::A4c, 3, &settings).frames.iter().enumerate() {
        write_png(&frames.join(format!("{index:04}.png")), frame, 160, 120).unwrap();
    }
    std::fs::write(frames.join("0007.png"), b"\x89PNG").unwrap();
    let model = adjust(&folder, &["--threshold", "1"]);
    let page = folder.join("page.html");
    let outcome = classify(&model, &[&frames], &page);
    assert_eq!(outcome.exit, 0, "{}", outcome.stderr);
    let html = std::fs::read_to_string(&page).unwrap();
    let [entry] = read_entries(&html)[..] else { panic!("{html}") };
    for text in [
        "<article class=\"withheld warned\"",
        "A4C is withheld: its confidence 0.99",
        " is below 1.000",
        "1 of 40 frames are damaged and left out",
        "39 frames",
        "assumed 30 frames per second",
    ] {
        assert!(entry.contains(text), "{text} in {entry}");
    }
}

#[test]
fn the_demo_writes_a_page() {
    let page = create_folder("page-demo").join("demo.html");
    let outcome = run_tteview(["demo", "--page", page.to_str().unwrap()]);
    assert_eq!(outcome.exit, 0, "{}", outcome.stderr);
    let html = std::fs::read_to_string(&page).unwrap();
    let [entry] = read_entries(&html)[..] else { panic!("{html}") };
    assert!(entry.contains("<span>A4C</span>") && entry.contains("60 frames"), "{entry}");
}

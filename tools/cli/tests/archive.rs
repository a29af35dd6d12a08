//! Tests of `tteview classify` with many cines: several at a time, folders, and `--watch`.

mod common;
#[allow(dead_code, reason = "each test file uses some of the items")]
#[path = "common/files.rs"]
mod files;

use common::{create_folder, run_tteview};
use files::Dicom;
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use tteview_phantom::{Settings, View, render, write_dicom, write_png};

const MODEL: &str = "models/standin.stream.onnx";

/// Longest time to wait for a line of a program that watches a folder.
const PATIENCE: Duration = Duration::from_secs(300);

fn write_cine(path: &Path, seed: u64, frames: usize) {
    let settings = Settings { width: 96, height: 80, frames, ..Settings::default() };
    write_dicom(path, &render(View::A4c, seed, &settings)).unwrap();
}

/// Labels cines with `--json`, and returns the results without the times that the program took.
fn classify(model: &str, options: &[&str], paths: &[&Path]) -> Vec<Value> {
    let words = [&["classify", "--json", "--model", model][..], options].concat();
    let words = words.iter().map(|word| word.as_ref());
    let outcome = run_tteview(words.chain(paths.iter().map(|path| path.as_os_str())));
    let parse = |line: &str| {
        let mut object: Value = serde_json::from_str(line).unwrap();
        for time in ["seconds", "latency_ms"] {
            object.as_object_mut().unwrap().remove(time);
        }
        object
    };
    outcome.stdout.lines().map(parse).collect()
}

#[test]
fn results_are_the_same_for_every_number_of_jobs() {
    let folder = create_folder("jobs");
    let paths: Vec<PathBuf> = (0..12).map(|seed| folder.join(format!("{seed}.dcm"))).collect();
    for (seed, path) in paths.iter().enumerate() {
        // The cines have different lengths, so the jobs end in another order.
        write_cine(path, seed as u64, 8 + 40 * (seed % 3));
    }
    std::fs::write(&paths[5], "no cine").unwrap();
    let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    for model in [MODEL, "models/standin.clip.onnx"] {
        let [one, two, many] =
            ["1", "2", "7"].map(|jobs| classify(model, &["--jobs", jobs], &paths));
        assert!(one == two && one == many, "{one:?}\n{two:?}\n{many:?}");
        let files: Vec<&str> = one.iter().map(|object| object["file"].as_str().unwrap()).collect();
        assert_eq!(files, paths.iter().map(|path| path.to_str().unwrap()).collect::<Vec<_>>());
        assert!(one[5]["error"].is_string() && one[4]["scores"].is_object());
    }
}

#[test]
fn a_folder_is_searched_for_cines() {
    let folder = create_folder("search");
    for name in ["2/b", "10", "frames", ".hidden"] {
        std::fs::create_dir_all(folder.join(name)).unwrap();
    }
    for name in ["z.dcm", "2/a2.dcm", "2/a10.dcm", "2/b/IM1", "10/x.dcm", ".hidden/h.dcm"] {
        write_cine(&folder.join(name), 1, 8);
    }
    for index in 0..8 {
        let path = folder.join(format!("frames/{index}.png"));
        write_png(&path, &[index; 32 * 32], 32, 32).unwrap();
    }
    write_png(&folder.join("contact.png"), &[0; 32 * 32], 32, 32).unwrap();
    std::fs::write(folder.join("notes.txt"), "notes").unwrap();
    std::fs::write(folder.join("2/archive.zip"), b"PK\x03\x04").unwrap();
    std::fs::write(folder.join("10/wrong.DCM"), "no cine").unwrap();
    std::fs::write(folder.join("DICOMDIR"), std::fs::read(folder.join("z.dcm")).unwrap()).unwrap();
    let link = std::os::unix::fs::symlink(&folder, folder.join("2/loop"));
    link.unwrap();
    let found = classify(MODEL, &[], &[&folder]);
    let name = |object: &Value| {
        let path = PathBuf::from(object["file"].as_str().unwrap());
        path.strip_prefix(&folder).unwrap().to_str().unwrap().to_owned()
    };
    assert_eq!(
        found.iter().map(name).collect::<Vec<_>>(),
        [
            "z.dcm",
            "frames",
            "2/a2.dcm",
            "2/a10.dcm",
            "2/archive.zip",
            "2/b/IM1",
            "10/wrong.DCM",
            "10/x.dcm"
        ]
    );
    assert!(found[4]["error"].as_str().unwrap().contains("ZIP archive"));
    assert!(found[6]["error"].as_str().unwrap().contains("the file is not DICOM"));
    assert_eq!(found[1]["frames"], 8);
    let outcome = run_tteview(["classify", "--model", MODEL, folder.to_str().unwrap()]);
    assert_eq!(outcome.exit, 1);
    // The overview, the notes, the DICOMDIR and the link are not cines.
    assert!(outcome.stderr.contains("; 4 other files skipped"), "{}", outcome.stderr);
    let empty = folder.join("empty");
    std::fs::create_dir(&empty).unwrap();
    let found = classify(MODEL, &[], &[&empty]);
    assert!(found[0]["error"].as_str().unwrap().contains("has no PNG, JPEG or DICOM files"));
}

/// Writes a DICOMDIR that lists files, one for each record.
fn write_directory(path: &Path, file_ids: &[&str]) {
    let mut file = Dicom::new("1.2.840.10008.1.2.1");
    file.put(2, 2, b"UI", b"1.2.840.10008.1.3.10");
    let mut records = Vec::new();
    for id in file_ids {
        let mut record = Dicom(Vec::new());
        record.put(4, 0x1430, b"CS", b"IMAGE").put(4, 0x1500, b"CS", id.as_bytes());
        records.extend([0xfe, 0xff, 0, 0xe0]);
        records.extend((record.0.len() as u32).to_le_bytes());
        records.extend(record.0);
    }
    file.put(4, 0x1220, b"SQ", &records);
    std::fs::write(path, file.0).unwrap();
}

#[test]
fn a_dicomdir_stands_for_the_files_that_it_lists() {
    let folder = create_folder("directory");
    for name in ["IMAGES/IM1", "IMAGES/IM2", "IMAGES/IM3", "lower/im4"] {
        std::fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
        write_cine(&folder.join(name), 1, 8);
    }
    let directory = folder.join("DICOMDIR");
    let find = |file_ids: &[&str]| {
        write_directory(&directory, file_ids);
        let found = classify(MODEL, &[], &[&directory]);
        let name = |object: &Value| {
            let path = PathBuf::from(object["file"].as_str().unwrap());
            let error = object["error"].as_str().unwrap_or_default();
            (path.strip_prefix(&folder).unwrap().to_str().unwrap().to_owned(), error.to_owned())
        };
        found.iter().map(name).unzip::<_, _, Vec<String>, Vec<String>>()
    };
    let (names, errors) = find(&["IMAGES\\IM1", "IMAGES\\IM3", "LOWER\\IM4", "IMAGES\\IM9"]);
    assert_eq!(names, ["IMAGES/IM1", "IMAGES/IM3", "lower/im4", "IMAGES/IM9"]);
    assert!(errors[..3].iter().all(String::is_empty), "{errors:?}");
    assert!(errors[3].contains("No such file"), "{errors:?}");
    for outside in ["..\\IM1", "/etc\\passwd", "IMAGES\\..\\..\\IM1", "."] {
        let (names, errors) = find(&["IMAGES\\IM1", outside]);
        assert_eq!(names, ["DICOMDIR"], "{outside}");
        assert!(errors[0].contains("DICOMDIR, which lists other files"), "{errors:?}");
    }
    let (_, errors) = find(&[]);
    assert!(errors[0].contains("DICOMDIR that lists no files"), "{errors:?}");
}

#[test]
fn the_summary_counts_labels_and_errors() {
    let folder = create_folder("summary");
    let paths = ["a.dcm", "b.dcm", "c.dcm"].map(|name| folder.join(name));
    paths[..2].iter().for_each(|path| write_cine(path, 1, 40));
    std::fs::write(&paths[2], "no cine").unwrap();
    let model = folder.join("model.onnx");
    let adjust = ["adjust", MODEL, "-o", model.to_str().unwrap(), "--threshold"];
    for (threshold, counts) in [
        ("0", "2 with a label, 0 withheld, 1"),
        ("1", "0 with a label, 2 withheld (2 confidence), 1"),
    ] {
        assert_eq!(run_tteview(adjust.iter().chain(&[threshold])).exit, 0);
        let words = ["classify", "--model"].map(str::as_ref);
        let words = words.into_iter().chain([model.as_os_str()]);
        let outcome = run_tteview(words.chain(paths.iter().map(|path| path.as_os_str())));
        assert_eq!(outcome.exit, 1);
        assert!(outcome.stderr.contains("tteview: 3 cines in "), "{}", outcome.stderr);
        assert!(outcome.stderr.contains(&format!("{counts} unreadable")), "{}", outcome.stderr);
    }
}

/// A program that watches a folder.
struct Watch {
    child: Child,
    lines: Receiver<Value>,
}

impl Watch {
    fn start(folder: &Path, options: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tteview"));
        command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."));
        command.args(["classify", "--json", "--model", MODEL, "--settle", "0.5", "--watch"]);
        command.arg(folder).args(options).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = sender.send(serde_json::from_str(&line).unwrap());
            }
        });
        Self { child, lines }
    }

    /// Waits for the result of a file.
    fn wait_for(&self, path: &Path) -> Value {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap();
            if line["file"] == path.to_str().unwrap() {
                return line;
            }
        }
    }

    /// Ends the program as Ctrl-C does. Returns its exit code, and what it printed to standard
    /// error.
    fn interrupt(mut self) -> (i32, String) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        let code = self.child.wait().unwrap().code().unwrap();
        let mut stderr = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        (code, stderr)
    }
}

#[test]
fn watched_files_are_labelled_when_they_are_complete() {
    let folder = create_folder("watch");
    let path = |name: &str| folder.join(name);
    write_cine(&path("first.dcm"), 1, 40);
    let bytes = std::fs::read(path("first.dcm")).unwrap();
    let watch = Watch::start(&folder, &["--page", path("page.html").to_str().unwrap()]);
    assert!(watch.wait_for(&path("first.dcm"))["scores"].is_object());
    // A file without a cine, a file under a temporary name that is renamed, and a hidden file.
    std::fs::write(path("notes.txt"), "notes").unwrap();
    std::fs::write(path(".hidden.dcm"), &bytes).unwrap();
    std::fs::create_dir(path("sub")).unwrap();
    let mut part = File::create(path("sub/second.dcm.part")).unwrap();
    part.write_all(&bytes).unwrap();
    std::fs::rename(path("sub/second.dcm.part"), path("sub/second.dcm")).unwrap();
    assert!(watch.wait_for(&path("sub/second.dcm"))["scores"].is_object());
    // A file that grows: if the writer pauses for longer than the settle time, the file is labelled
    // again when it is complete.
    let mut grown = File::create(path("grown.dcm")).unwrap();
    grown.write_all(&bytes[..1000]).unwrap();
    assert!(watch.wait_for(&path("grown.dcm"))["error"].is_string());
    grown.write_all(&bytes[1000..]).unwrap();
    assert!(watch.wait_for(&path("grown.dcm"))["scores"].is_object());
    // A file that is replaced is labelled again, and a file that is removed is forgotten.
    std::fs::remove_file(path("sub/second.dcm")).unwrap();
    write_cine(&path("new.part"), 2, 8);
    std::fs::rename(path("new.part"), path("first.dcm")).unwrap();
    assert_eq!(watch.wait_for(&path("first.dcm"))["frames"], 8);
    let (code, stderr) = watch.interrupt();
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("tteview: 5 cines in "), "{stderr}");
    assert!(stderr.contains("1 unreadable"), "{stderr}");
    let page = std::fs::read_to_string(path("page.html")).unwrap();
    assert_eq!(page.matches("<article").count(), 5);
}

#[test]
fn a_folder_that_cannot_be_watched_is_refused() {
    let missing = create_folder("watch-missing").join("none");
    let path = missing.to_str().unwrap();
    let outcome = run_tteview(["classify", "--model", MODEL, "--watch", path]);
    assert_eq!(outcome.exit, 1);
    assert!(outcome.stderr.contains("none: No such file"), "{}", outcome.stderr);
    let outcome = run_tteview(["classify", "--model", MODEL, "--watch", path, "a.dcm"]);
    assert_eq!(outcome.exit, 2);
    let outcome = run_tteview(["classify", "--model", MODEL, "--settle", "1", "a.dcm"]);
    assert_eq!(outcome.exit, 2);
}

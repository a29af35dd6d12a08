//! Tests of the program at its edges: locks, terminals, closed outputs, devices and FIFOs.

mod common;

use common::{create_folder, run_tteview};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const MODEL: &str = "models/demo.stream.onnx";

/// Time after which a command that reads a device or a FIFO counts as blocked.
const BLOCKED: Duration = Duration::from_secs(60);

/// Header of a file of predictions of a complete run without rows.
const HEADER: &str =
    r#"{"predictions":1,"labels":["A","B"],"model":null,"temperature":1.0,"threshold":0.5}"#;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn tteview() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tteview"));
    command.current_dir(root()).stdin(Stdio::null());
    command
}

/// Runs the program through a shell, which redirects its output. `$0` is the program.
fn run_in_shell(script: &str, arguments: &[&OsStr]) -> std::process::Output {
    let mut shell = Command::new("bash");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_tteview")]).args(arguments);
    shell.current_dir(root()).output().unwrap()
}

fn create_fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Writes a small labelled set and returns its folder.
fn write_set(name: &str) -> PathBuf {
    let folder = create_folder(name);
    let set = folder.join("set");
    let arguments = ["phantom", "--views", "A4C", "--frames", "40", "--split", "test", "--out"];
    let outcome =
        run_tteview(arguments.iter().map(OsStr::new).chain([set.as_os_str()]).collect::<Vec<_>>());
    assert_eq!(outcome.exit, 0, "{}", outcome.stderr);
    folder
}

fn eval_arguments(folder: &Path) -> Vec<OsString> {
    let manifest = folder.join("set/manifest.csv");
    let out = folder.join("out");
    let texts = ["eval".into(), "--model".into(), MODEL.into(), "--manifest".into()];
    texts.into_iter().chain([manifest.into(), "--out".into(), out.into()]).collect()
}

#[test]
fn a_second_evaluation_into_a_folder_is_refused() {
    let folder = write_set("second-eval");
    let arguments = eval_arguments(&folder);
    assert_eq!(run_tteview(&arguments).exit, 0);
    let predictions = folder.join("out/predictions.jsonl");
    let before = std::fs::read(&predictions).unwrap();
    let lock = File::open(&predictions).unwrap();
    lock.lock().unwrap();
    let outcome = run_tteview(&arguments);
    assert_eq!(outcome.exit, 1);
    assert!(outcome.stderr.contains("another process writes to this file"), "{}", outcome.stderr);
    assert_eq!(std::fs::read(&predictions).unwrap(), before);
    drop(lock);
    assert_eq!(run_tteview(&arguments).exit, 0);
    assert_eq!(std::fs::read(&predictions).unwrap(), before);
}

#[test]
fn evaluations_that_start_together_write_each_row_once() {
    let folder = write_set("eval-race");
    let arguments = eval_arguments(&folder);
    let children: Vec<_> = (0..4)
        .map(|_| {
            let mut command = tteview();
            command.args(&arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let outputs: Vec<_> =
        children.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
    assert!(outputs.iter().any(|output| output.status.success()));
    for output in outputs.iter().filter(|output| !output.status.success()) {
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(message.contains("another process writes"), "{message}");
    }
    let text = std::fs::read_to_string(folder.join("out/predictions.jsonl")).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    let count = lines.len();
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len(), count, "{text}");
}

#[test]
fn a_killed_process_leaves_no_lock_on_its_folder() {
    let out = create_folder("killed").join("set");
    let mut long = tteview();
    long.args(["phantom", "--views", "all", "--count", "500", "--out"]).arg(&out);
    let mut child = long.stdout(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    // The process writes only while it holds the lock. Trying the lock here could take it from the
    // process.
    while !std::fs::read_dir(&out).is_ok_and(|mut entries| entries.next().is_some()) {
        assert!(start.elapsed() < BLOCKED, "the process must write to the folder");
        assert!(child.try_wait().unwrap().is_none(), "the process must be running");
    }
    let short = || {
        let texts = ["phantom", "--views", "A4C", "--frames", "2", "--out"].map(OsStr::new);
        run_tteview(texts.into_iter().chain([out.as_os_str()]))
    };
    let refused = short();
    assert_eq!(refused.exit, 1);
    assert!(refused.stderr.contains("another process writes to this folder"), "{}", refused.stderr);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(short().exit, 0);
    for entry in walk(&out) {
        if entry.extension().is_some_and(|end| end == "png") {
            let decoder = png::Decoder::new(std::io::BufReader::new(File::open(&entry).unwrap()));
            let mut reader = decoder.read_info().unwrap();
            let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
            reader.next_frame(&mut pixels).unwrap();
        }
    }
}

/// Lists the files below a folder.
fn walk(folder: &Path) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

/// Returns whether a text contains a control character other than a line feed.
fn has_controls(text: &str) -> bool {
    text.chars().any(|c| {
        c != '\n'
            && (c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
    })
}

const HOSTILE: &str = "x\u{1b}[2J\r\u{9b}31m\u{7f}\u{202e}\u{2028}\ny  A4C  1.000";

#[test]
fn control_characters_in_file_names_are_escaped() {
    let folder = create_folder("names");
    let good = folder.join(HOSTILE);
    std::fs::copy(write_gif(&folder), &good).unwrap();
    let missing = folder.join(format!("{HOSTILE}missing"));
    let bytes = folder.join(OsStr::from_bytes(b"n\xff\\xfe.gif"));
    std::fs::copy(&good, &bytes).unwrap();
    let arguments = |option: &[&str]| {
        let texts = ["classify", "--model", MODEL].iter().chain(option).map(OsString::from);
        texts.chain([&good, &missing, &bytes].map(OsString::from)).collect::<Vec<_>>()
    };
    let table = run_tteview(arguments(&[]));
    assert!(!has_controls(&table.stdout) && !has_controls(&table.stderr), "{}", table.stdout);
    // The header and the rows of the two files that exist.
    assert_eq!(table.stdout.lines().count(), 3, "{}", table.stdout);
    assert!(table.stdout.contains("\\u{1b}[2J\\r") && table.stdout.contains("n\\xff\\\\xfe.gif"));
    // The error, the summary and the number of failed files.
    assert_eq!(table.stderr.lines().count(), 3, "{}", table.stderr);
    let lines = run_tteview(arguments(&["--json"])).stdout;
    assert!(!has_controls(&lines), "{lines}");
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["file"], good.to_str().unwrap());
    assert_eq!(lines[1]["file"], missing.to_str().unwrap());
    assert!(lines[0].get("file_bytes").is_none() && lines[1]["error"].is_string());
    let hex: String =
        bytes.as_os_str().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(lines[2]["file_bytes"], hex);
}

fn write_gif(folder: &Path) -> PathBuf {
    let path = folder.join("a.gif");
    let mut encoder =
        gif::Encoder::new(File::create(&path).unwrap(), 40, 32, &[0, 0, 0, 9, 9, 9]).unwrap();
    for _ in 0..40 {
        let buffer = vec![1; 40 * 32].into();
        let frame = gif::Frame { delay: 4, width: 40, height: 32, buffer, ..Default::default() };
        encoder.write_frame(&frame).unwrap();
    }
    path
}

#[test]
fn control_characters_in_files_and_arguments_are_escaped() {
    let folder = create_folder("texts");
    let name = serde_json::to_string(HOSTILE).unwrap();
    let row = format!(
        r#"{{"path":{name},"label":"A","patient":"p","split":"t","log_posterior":[[0.0,-1.0]]}}"#
    );
    let header = HEADER.replace("\"A\"", &name);
    let [one, two] =
        [("one", row.clone()), ("two", row.replace("0.0", "-2.0"))].map(|(file, row)| {
            let path = folder.join(file);
            std::fs::write(&path, format!("{header}\n{row}\n")).unwrap();
            path.into_os_string()
        });
    let outcome = run_tteview(["eval".into(), "compare".into(), one, two]);
    assert!(outcome.stdout.contains("x\\u{1b}[2J"), "{}", outcome.stdout);
    assert_eq!(outcome.stdout.lines().count(), 3, "{}", outcome.stdout);
    assert!(!has_controls(&outcome.stdout));

    let manifest = folder.join("manifest.csv");
    let quoted = HOSTILE.replace('"', "\"\"");
    let text = format!("path,label,patient,split,colour\n\"{quoted}\",\"{quoted}\",p,test,0\n");
    std::fs::write(&manifest, text).unwrap();
    let mut arguments: Vec<OsString> =
        ["eval", "--model", MODEL, "--out"].iter().map(OsString::from).collect();
    arguments.extend([folder.join("o").into(), "--manifest".into(), manifest.into()]);
    let outcome = run_tteview(arguments);
    assert_eq!((outcome.exit, outcome.stderr.lines().count()), (1, 1), "{}", outcome.stderr);
    assert!(!has_controls(&outcome.stderr), "{}", outcome.stderr);

    let outcome = run_tteview(["classify", "--bogus\u{1b}[2J\r\n=1"]);
    assert_eq!(outcome.exit, 2);
    assert!(!has_controls(&outcome.stderr), "{}", outcome.stderr);
}

#[test]
fn every_command_fails_if_its_output_cannot_be_written() {
    let folder = write_set("outputs");
    let gif = write_gif(&folder);
    let predictions = folder.join("p.jsonl");
    let row = r#"{"path":"a","label":"A","patient":"p","split":"t","log_posterior":[[0.0,-1.0]]}"#;
    std::fs::write(&predictions, format!("{HEADER}\n{row}\n")).unwrap();
    let phantom = folder.join("phantom");
    let texts = |words: &[&str], paths: &[&Path]| -> Vec<OsString> {
        words.iter().map(OsString::from).chain(paths.iter().map(OsString::from)).collect()
    };
    let commands = [
        texts(&["--help"], &[]),
        texts(&["--version"], &[]),
        texts(&["classify", "--model", MODEL], &[&gif]),
        texts(&["classify", "--model", MODEL, "--json"], &[&gif]),
        texts(&["inspect", MODEL], &[]),
        texts(&["inspect", MODEL, "--json"], &[]),
        texts(&["frames", "-o", "/dev/null"], &[&gif]),
        texts(&["phantom", "--views", "A4C", "--frames", "2", "--out"], &[&phantom]),
        eval_arguments(&folder),
        texts(&["eval", "compare"], &[&predictions, &predictions]),
        texts(&["bench", "memory", "--model", MODEL], &[]),
        texts(&["demo", "--cine"], &[&gif]),
        texts(&["doctor"], &[]),
        texts(&["doctor", "--json"], &[]),
    ];
    for command in &commands {
        let arguments: Vec<&OsStr> = command.iter().map(OsString::as_os_str).collect();
        for (script, is_quiet) in [
            ("exec \"$0\" \"$@\" >&-", false),
            ("exec \"$0\" \"$@\" >/dev/full", false),
            // The reader of the pipe is closed before the program starts.
            ("exec 3> >(:); sleep 0.2; exec \"$0\" \"$@\" >&3", true),
        ] {
            let output = run_in_shell(script, &arguments);
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{command:?} with {script}: {stderr}");
            assert!(!stderr.contains("panicked"), "{command:?}: {stderr}");
            assert_eq!(!stderr.contains("standard output"), is_quiet, "{command:?}: {stderr}");
        }
    }
    // An error cannot be printed if standard error is full, but the exit code remains.
    let output = run_in_shell("exec \"$0\" inspect /nowhere 2>/dev/full", &[]);
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn devices_and_fifos_are_refused_at_once() {
    let folder = write_set("devices");
    let fifo = folder.join("fifo");
    create_fifo(&fifo);
    let frames = folder.join("frames");
    std::fs::create_dir(&frames).unwrap();
    create_fifo(&frames.join("0.png"));
    let link = folder.join("link");
    std::os::unix::fs::symlink(&fifo, &link).unwrap();
    let out = folder.join("never");
    let manifest = folder.join("set/manifest.csv");
    let [out, manifest] = [&out, &manifest].map(|path| path.to_str().unwrap());
    let labels = folder.join("labels.json");
    std::fs::write(&labels, r#"[{"code":"A","name":"a","scheme":"s","scheme_code":"1"}]"#).unwrap();
    let labels = labels.to_str().unwrap();
    let commands: &[(&[&str], i32)] = &[
        (&["classify", "INPUT", "--model", MODEL], 1),
        (&["classify", "x.gif", "--model", "INPUT"], 3),
        (&["frames", "INPUT", "-o", "/dev/null"], 1),
        (&["demo", "--model", "INPUT"], 3),
        (&["inspect", "INPUT"], 3),
        (&["compile", "INPUT", "--labels", labels, "-o", "x"], 3),
        (&["compile", MODEL, "--labels", "INPUT", "-o", "x"], 3),
        (&["compile", MODEL, "--labels", labels, "--spec", "INPUT", "-o", "x"], 3),
        (&["eval", "--manifest", "INPUT", "--model", MODEL, "--out", out], 1),
        (&["eval", "--manifest", manifest, "--model", "INPUT", "--out", out], 3),
        (&["eval", "merge", "INPUT", "--out", out], 1),
        (&["eval", "compare", "INPUT", "INPUT"], 1),
        (&["bench", "memory", "--model", "INPUT"], 3),
        (&["bench", "memory", "--model", MODEL, "--provider", "cpu", "--runtime", "INPUT"], 3),
        (&["bench", "latency", "--model", MODEL, "--source", "INPUT"], 3),
    ];
    for (command, exit) in commands {
        for input in [&fifo, &link, Path::new("/dev/zero"), Path::new("/dev/stdin")] {
            let arguments = command
                .iter()
                .map(|&word| if word == "INPUT" { input.as_os_str() } else { word.as_ref() });
            check_refusal(tteview().args(arguments), *exit);
        }
    }
    check_refusal(tteview().args(["frames", "-o", "/dev/null"]).arg(&frames), 1);
    check_refusal(tteview().args(["eval", "compare", "/dev/null", "/dev/null"]), 1);
}

/// Runs a command, which must end soon with the exit code and a message about its input.
fn check_refusal(command: &mut Command, exit: i32) {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() > BLOCKED {
            child.kill().unwrap();
            panic!("{command:?} must not block");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let mut message = String::new();
    child.stderr.take().unwrap().read_to_string(&mut message).unwrap();
    assert_eq!(status.code(), Some(exit), "{command:?}: {message}");
    assert!(message.contains("must name a regular file"), "{command:?}: {message}");
}

#[test]
fn an_output_file_may_be_a_fifo() {
    let folder = create_folder("fifo-output");
    let (gif, fifo) = (write_gif(&folder), folder.join("fifo"));
    create_fifo(&fifo);
    let mut reader = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(&fifo).unwrap();
    let mut child = tteview().arg("frames").arg(gif).arg("-o").arg(&fifo).spawn().unwrap();
    let mut images = Vec::new();
    let mut buffer = [0; 4096];
    while child.try_wait().unwrap().is_none() {
        if let Ok(bytes) = reader.read(&mut buffer) {
            images.extend_from_slice(&buffer[..bytes]);
        }
    }
    assert!(child.wait().unwrap().success());
    let _ = reader.read_to_end(&mut images);
    assert_eq!(images.len(), 40 * (b"P6\n40 32\n255\n".len() + 40 * 32 * 3));
}

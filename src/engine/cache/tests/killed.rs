//! Tests of the cache in which child processes are killed, either before a certain disk operation
//! or at a random time.

use super::*;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Environment variable that contains the cache folder for a child process.
const FOLDER_VARIABLE: &str = "TTEVIEW_TEST_CACHE";

/// Environment variable that contains the number of operations after which a child process stops.
const STOP_VARIABLE: &str = "TTEVIEW_TEST_STOP";

/// Starts a child process that runs the test again.
fn spawn_child(test: &str, folder: &Folder, stop: usize) -> Child {
    let _guard = CHILD_START.write();
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("engine::cache::tests::killed::{test}"), "--nocapture"])
        .env(FOLDER_VARIABLE, &folder.0)
        .env(STOP_VARIABLE, stop.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Runs `work` if this process is a child, and returns whether it is a child. The child stops after
/// the number of operations in [`STOP_VARIABLE`], prints a line and waits to be killed.
fn run_as_child(work: impl FnOnce(&Folder)) -> bool {
    let Some(folder) = std::env::var_os(FOLDER_VARIABLE) else { return false };
    let stop: usize = std::env::var(STOP_VARIABLE).unwrap().parse().unwrap();
    let folder = std::mem::ManuallyDrop::new(Folder(folder.into()));
    let mut count = 0;
    let hook = move |_: &Path| {
        count += 1;
        if count > stop {
            println!("\nready to be killed");
            loop {
                std::thread::park();
            }
        }
        Ok(())
    };
    fault::with_hook(hook, || work(&folder));
    true
}

/// Starts children one after another, and kills the first child before its first operation, the
/// second child before its second operation and so on, until a child finishes. Calls `before`
/// before each child starts and `after` when it has ended. Returns the number of operations that
/// the last child performed.
fn kill_at_every_operation(
    test: &str,
    folder: &Folder,
    mut before: impl FnMut(),
    mut after: impl FnMut(usize),
) -> usize {
    for stop in 0.. {
        before();
        let mut child = spawn_child(test, folder, stop);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let stopped =
            lines.map_while(std::result::Result::ok).any(|line| line == "ready to be killed");
        if stopped {
            child.kill().unwrap();
        }
        let status = child.wait().unwrap();
        after(stop);
        if !stopped {
            assert!(status.success(), "the child failed: {status}");
            return stop;
        }
    }
    0
}

/// Checks that the next start loads the entry if it is complete, and builds a new one if it is
/// missing or incomplete. After a build, the cache must contain only the new entry.
fn check_cache(folder: &Folder, numbers: &[u8], what: &str) {
    let before = read_entry(&folder.entry(), &key());
    let (number, origin) = engine_number(folder, 9);
    assert!(number == 9 || numbers.contains(&number), "{what}: {number}");
    let was_complete = matches!(before, Ok(Some(_)));
    assert_eq!(origin != EngineOrigin::Built, was_complete, "{what}: {before:?}");
    let names: Vec<_> =
        folder.names().into_iter().filter(|name| !name.ends_with(".file")).collect();
    assert_eq!(engine_number(folder, 0).0, number, "{what}");
    // Only a start that builds an engine removes stale folders.
    assert!(was_complete || names == [key().folder()], "{what}: {names:?}");
}

#[test]
fn a_process_killed_while_it_builds_leaves_no_partial_entry() {
    if run_as_child(|folder| assert_eq!(engine_number(folder, 1).0, 1)) {
        return;
    }
    let folder = Folder::new("killed-build");
    let clear = || drop(std::fs::remove_dir_all(&folder.0));
    let test = "a_process_killed_while_it_builds_leaves_no_partial_entry";
    let operations = kill_at_every_operation(test, &folder, clear, |stop| {
        if !folder.0.exists() {
            return;
        }
        check_cache(&folder, &[1], &format!("operation {stop}"));
    });
    assert!(operations > 20, "only {operations} operations");
}

#[test]
fn a_process_killed_while_it_replaces_leaves_no_partial_entry() {
    if run_as_child(|folder| assert_eq!(engine_number(folder, 1).0, 1)) {
        return;
    }
    // Each child finds a damaged entry, and an unfinished folder that an earlier process has left.
    let folder = Folder::new("killed-replacement");
    let prepare = || {
        let _ = std::fs::remove_dir_all(&folder.0);
        engine_number(&folder, 5);
        std::fs::write(folder.entry().join("cache_sm87.timing"), "damaged").unwrap();
        let stale = folder.0.join(format!("{}{PARTIAL_MARK}999999-0", key().folder()));
        std::fs::create_dir(&stale).unwrap();
        std::fs::write(stale.join("x.engine"), "half").unwrap();
    };
    let test = "a_process_killed_while_it_replaces_leaves_no_partial_entry";
    let operations = kill_at_every_operation(test, &folder, prepare, |stop| {
        check_cache(&folder, &[1], &format!("operation {stop}"));
    });
    assert!(operations > 25, "only {operations} operations");
}

#[test]
fn a_process_killed_while_it_imports_leaves_no_partial_entry() {
    if run_as_child(|folder| {
        folder.cache().import(&key(), &folder.0.with_extension("file")).unwrap()
    }) {
        return;
    }
    let (factory, folder) = (Folder::new("killed-factory"), Folder::new("killed-import"));
    engine_number(&factory, 1);
    let file = folder.0.with_extension("file");
    factory.cache().export(&key(), &file).unwrap();
    let prepare = || {
        let _ = std::fs::remove_dir_all(&folder.0);
        engine_number(&folder, 5);
    };
    let test = "a_process_killed_while_it_imports_leaves_no_partial_entry";
    let operations = kill_at_every_operation(test, &folder, prepare, |stop| {
        check_cache(&folder, &[1, 5], &format!("operation {stop}"));
    });
    std::fs::remove_file(file).unwrap();
    assert!(operations > 15, "only {operations} operations");
}

#[test]
fn a_process_killed_at_any_time_leaves_no_partial_entry() {
    let endless = |folder: &Folder| {
        println!("\nready to be killed");
        loop {
            let _ = std::fs::remove_dir_all(folder.entry());
            engine_number(folder, 1);
        }
    };
    if run_as_child(endless) {
        return;
    }
    let folder = Folder::new("killed-anytime");
    let mut x = 2_463_534_242u32;
    for round in 0..40 {
        let mut child = spawn_child(
            "a_process_killed_at_any_time_leaves_no_partial_entry",
            &folder,
            usize::MAX,
        );
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "ready to be killed"), "the child did not begin");
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        std::thread::sleep(Duration::from_micros(u64::from(x % 20_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        if folder.0.exists() {
            // A child that was killed while it was removing its entry leaves an incomplete entry,
            // which `check_cache` accepts.
            check_cache(&folder, &[1], &format!("round {round}"));
        }
    }
}

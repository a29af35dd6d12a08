//! The cache when processes die: killed before every operation, and at any time.

use super::*;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Names the folder of the cache to a child that shall be killed, and before which operation.
const CHILD: &str = "TTEVIEW_TEST_CACHE";
const STOP: &str = "TTEVIEW_TEST_STOP";

/// This test again in a process of its own, which plays the part of the child.
fn child(test: &str, folder: &Folder, stop: usize) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("engine_cache::tests::killed::{test}"), "--nocapture"])
        .env(CHILD, &folder.0)
        .env(STOP, stop.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Does it in the child; before operation `stop` it says so and waits for its end.
fn play(work: impl FnOnce(&Folder)) -> bool {
    let Some(folder) = std::env::var_os(CHILD) else { return false };
    let stop: usize = std::env::var(STOP).unwrap().parse().unwrap();
    let folder = std::mem::ManuallyDrop::new(Folder(folder.into()));
    let mut count = 0;
    let hook = move |_: &Path| {
        count += 1;
        if count > stop {
            println!("\nbefore {count}");
            loop {
                std::thread::park();
            }
        }
        Ok(())
    };
    fault::with(hook, || work(&folder));
    true
}

/// Kills a child before each of its operations, until it comes to its end; `before` and `after` each.
fn kill_at_every_operation(
    test: &str,
    folder: &Folder,
    mut before: impl FnMut(),
    mut after: impl FnMut(usize),
) -> usize {
    for stop in 0.. {
        before();
        let mut child = child(test, folder, stop);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let stopped = lines.map_while(std::result::Result::ok).any(|line| line.starts_with("before "));
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

/// Nothing or a whole entry; and the next start has its engine and leaves nothing else.
fn check_after_a_death(folder: &Folder, numbers: &[u8], what: &str) {
    let there = read_entry(&folder.entry(), &key());
    let (number, origin) = obtained(folder, 9);
    assert!(number == 9 || numbers.contains(&number), "{what}: {number}");
    let whole = matches!(there, Ok(Some(_)));
    assert_eq!(origin != EngineOrigin::Built, whole, "{what}: {there:?}");
    let names: Vec<_> = folder.names().into_iter().filter(|name| !name.ends_with(".file")).collect();
    assert_eq!(obtained(folder, 0).0, number, "{what}");
    // A start that only loads removes nothing.
    assert!(whole || names == [key().folder()], "{what}: {names:?}");
}

#[test]
fn a_process_killed_at_any_operation_of_a_build_leaves_nothing_or_a_whole_entry() {
    if play(|folder| assert_eq!(obtained(folder, 1).0, 1)) {
        return;
    }
    let folder = Folder::new("killed-build");
    let clear = || drop(std::fs::remove_dir_all(&folder.0));
    let test = "a_process_killed_at_any_operation_of_a_build_leaves_nothing_or_a_whole_entry";
    let operations = kill_at_every_operation(test, &folder, clear, |stop| {
        if !folder.0.exists() {
            return;
        }
        check_after_a_death(&folder, &[1], &format!("operation {stop}"));
    });
    assert!(operations > 20, "only {operations} operations");
}

#[test]
fn a_process_killed_at_any_operation_of_a_replacement_leaves_nothing_or_a_whole_entry() {
    if play(|folder| assert_eq!(obtained(folder, 1).0, 1)) {
        return;
    }
    // What lies there is spoilt, and a process before left a half-filled folder.
    let folder = Folder::new("killed-replacement");
    let prepare = || {
        let _ = std::fs::remove_dir_all(&folder.0);
        obtained(&folder, 5);
        std::fs::write(folder.entry().join("cache_sm87.timing"), "spoilt").unwrap();
        let stale = folder.0.join(format!("{}{PARTIAL}999999-0", key().folder()));
        std::fs::create_dir(&stale).unwrap();
        std::fs::write(stale.join("x.engine"), "half").unwrap();
    };
    let test = "a_process_killed_at_any_operation_of_a_replacement_leaves_nothing_or_a_whole_entry";
    let operations = kill_at_every_operation(test, &folder, prepare, |stop| {
        check_after_a_death(&folder, &[1], &format!("operation {stop}"));
    });
    assert!(operations > 25, "only {operations} operations");
}

#[test]
fn a_process_killed_at_any_operation_of_an_import_leaves_nothing_or_a_whole_entry() {
    if play(|folder| folder.cache().import(&key(), &folder.0.with_extension("file")).unwrap()) {
        return;
    }
    let (factory, folder) = (Folder::new("killed-factory"), Folder::new("killed-import"));
    obtained(&factory, 1);
    let file = folder.0.with_extension("file");
    factory.cache().export(&key(), &file).unwrap();
    let prepare = || {
        let _ = std::fs::remove_dir_all(&folder.0);
        obtained(&folder, 5);
    };
    let test = "a_process_killed_at_any_operation_of_an_import_leaves_nothing_or_a_whole_entry";
    let operations = kill_at_every_operation(test, &folder, prepare, |stop| {
        check_after_a_death(&folder, &[1, 5], &format!("operation {stop}"));
    });
    std::fs::remove_file(file).unwrap();
    assert!(operations > 15, "only {operations} operations");
}

#[test]
fn a_process_killed_at_any_time_leaves_nothing_or_a_whole_entry() {
    let endless = |folder: &Folder| {
        println!("\nbefore all");
        loop {
            let _ = std::fs::remove_dir_all(folder.entry());
            obtained(folder, 1);
        }
    };
    if play(endless) {
        return;
    }
    let folder = Folder::new("killed-anytime");
    let mut x = 2_463_534_242u32;
    for round in 0..40 {
        let mut child =
            child("a_process_killed_at_any_time_leaves_nothing_or_a_whole_entry", &folder, usize::MAX);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().starts_with("before ")), "the child did not begin");
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        std::thread::sleep(Duration::from_micros(u64::from(x % 20_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        if folder.0.exists() {
            // The child removes its entry as a careless person would: that alone may leave a part of it.
            check_after_a_death(&folder, &[1], &format!("round {round}"));
        }
    }
}

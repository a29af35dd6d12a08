//! Tests of the cache with full disks, damaged files and, in the module `killed`, killed processes.
//!
//! The provider in these tests writes an engine and a timing cache, and loads the engine. In the
//! module `parts`, it writes two engines.

mod killed;
mod parts;
mod transfer;

use super::disk::fault;
use super::*;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::RwLock;

/// Size of an engine in bytes, which is more than one block of `disk::copy_bytes`.
const ENGINE_BYTES: usize = 3 * (1 << 16) + 17;

/// Lock that is held for writing while a child process starts, and for reading by the tests that
/// the start of a child would disturb. Until the child executes its program, it also holds this
/// process's locks on cache folders.
static CHILD_START: RwLock<()> = RwLock::new(());

fn key() -> Key {
    Key::default().with("model", "abc").with("tensorrt", "10.3.0").with("gpu", "Orin")
}

/// A temporary folder.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("tteview-cache-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }

    fn cache(&self) -> EngineCache {
        EngineCache::new(&self.0)
    }

    fn entry(&self) -> PathBuf {
        self.cache().entry_path(&key())
    }

    /// Returns the sorted names of the files in the folder.
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).into_iter().flatten();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Returns the contents of engine number `number`.
fn engine_bytes(number: u8) -> Vec<u8> {
    (0..ENGINE_BYTES).map(|index| (index as u8).wrapping_mul(31).wrapping_add(number)).collect()
}

/// Acts as the provider: loads the engine in the folder, or builds engine number `builds` if the
/// folder contains none.
fn run_provider(builds: u8, folder: &Path) -> Result<Vec<u8>> {
    let path = folder.join("graph_1_sm87.engine");
    if let Ok(found) = std::fs::read(&path) {
        return Ok(found);
    }
    disk::write(&path, &engine_bytes(builds)).map_err(|_| Error::from(Status::Inference))?;
    disk::write(&folder.join("cache_sm87.timing"), &[builds; 999])
        .map_err(|_| Error::from(Status::Inference))?;
    Ok(engine_bytes(builds))
}

/// Loads the engine from the cache, or builds engine number `builds` if the cache contains none.
fn load_or_build(folder: &Folder, builds: u8) -> Result<(Vec<u8>, EngineOrigin)> {
    folder.cache().load_or_build(&key(), &|_| (), |path| run_provider(builds, path))
}

/// Returns the number and the origin of the engine that [`load_or_build`] returns.
fn engine_number(folder: &Folder, builds: u8) -> (u8, EngineOrigin) {
    let (found, origin) = load_or_build(folder, builds).unwrap();
    let number = found[0];
    assert!(found == engine_bytes(number), "an engine that was never built");
    (number, origin)
}

#[test]
fn the_list_says_what_engines_were_built_for_and_their_problems() {
    let folder = Folder::new("list");
    assert_eq!(list_cached_engines(&folder.0).unwrap(), []);
    let other = key().with("gpu", "NVIDIA RTX A2000");
    for key in [&key(), &other] {
        folder.cache().load_or_build(key, &|_| {}, |folder| run_provider(1, folder)).unwrap();
    }
    std::fs::create_dir(folder.0.join(format!("{}{PARTIAL_MARK}7-0", key().folder()))).unwrap();
    std::fs::write(folder.0.join("notes.txt"), "unrelated").unwrap();
    let names = folder.names();
    let found = list_cached_engines(&folder.0).unwrap();
    assert_eq!(folder.names(), names, "listing changes nothing");
    assert_eq!(found.len(), 2);
    let whole = found.iter().find(|engine| engine.path == folder.entry()).unwrap();
    assert_eq!(whole.problem, None);
    assert!(whole.bytes > ENGINE_BYTES as u64);
    assert!(whole.built_for.contains(&("gpu".into(), "Orin".into())), "{:?}", whole.built_for);
    std::fs::write(folder.cache().entry_path(&other).join("graph_1_sm87.engine"), engine_bytes(2))
        .unwrap();
    std::fs::rename(folder.entry(), folder.0.join("0".repeat(64))).unwrap();
    let found = list_cached_engines(&folder.0).unwrap();
    let problems: Vec<_> = found.iter().map(|engine| engine.problem.as_deref().unwrap()).collect();
    assert!(
        problems[0].contains("name of another engine")
            && problems[1].contains("graph_1_sm87.engine"),
        "{problems:?}"
    );
}

#[test]
fn the_first_start_builds_and_the_next_one_loads() {
    let folder = Folder::new("first");
    let stages = RefCell::new(Vec::new());
    let calls = Cell::new(0);
    let load = |path: &Path| {
        calls.set(calls.get() + 1);
        run_provider(1, path)
    };
    let cache = folder.cache();
    let (_, origin) =
        cache.load_or_build(&key(), &|stage| stages.borrow_mut().push(stage), load).unwrap();
    assert_eq!((origin, calls.get()), (EngineOrigin::Built, 2), "built, and read back once");
    assert_eq!(stages.take(), [Stage::ReadingCache, Stage::Building]);
    assert_eq!(engine_number(&folder, 2), (1, EngineOrigin::Loaded));
    assert_eq!(folder.names(), [key().folder()]);
    let text = std::fs::read_to_string(folder.entry().join(MANIFEST_NAME)).unwrap();
    assert!(text.contains("\"tensorrt\": \"10.3.0\""), "the key is readable in {text}");
    let other = key().with("tensorrt", "10.7.0");
    let (found, origin) =
        cache.load_or_build(&other, &|_| (), |path| run_provider(3, path)).unwrap();
    assert_eq!((found[0], origin), (engine_bytes(3)[0], EngineOrigin::Built));
    assert_eq!(folder.names().len(), 2);
}

#[test]
fn a_damaged_entry_is_built_again() {
    let folder = Folder::new("rot");
    let names = ["graph_1_sm87.engine", "cache_sm87.timing", MANIFEST_NAME];
    let mut number = 0;
    let mut check = |damage: &dyn Fn(&Path), what: &str| {
        number += 2;
        let _ = std::fs::remove_dir_all(&folder.0);
        assert_eq!(engine_number(&folder, number), (number, EngineOrigin::Built));
        damage(&folder.entry());
        assert_eq!(engine_number(&folder, number + 1), (number + 1, EngineOrigin::Built), "{what}");
        assert_eq!(engine_number(&folder, 0), (number + 1, EngineOrigin::Loaded), "{what}");
        assert_eq!(folder.names(), [key().folder()], "{what}");
    };
    for name in names {
        for part in [0, 1, 2, 3] {
            let flip = |entry: &Path| {
                let mut bytes = std::fs::read(entry.join(name)).unwrap();
                let at = (bytes.len() - 1) * part / 3;
                bytes[at] ^= 1 << (2 * part);
                std::fs::write(entry.join(name), bytes).unwrap();
            };
            check(&flip, &format!("{name} with a flipped bit at {part}/3"));
            let cut = |entry: &Path| {
                let bytes = std::fs::read(entry.join(name)).unwrap();
                std::fs::write(entry.join(name), &bytes[..(bytes.len() - 1) * part / 3]).unwrap();
            };
            check(&cut, &format!("{name} truncated at {part}/3"));
        }
        check(&|entry| std::fs::remove_file(entry.join(name)).unwrap(), &format!("{name} removed"));
    }
    let more = |entry: &Path| std::fs::write(entry.join("more.engine"), "x").unwrap();
    check(&more, "one file more");
    check(&|entry| std::fs::create_dir(entry.join("folder")).unwrap(), "a folder inside");
    let file_in_its_place = |entry: &Path| {
        std::fs::remove_dir_all(entry).unwrap();
        std::fs::write(entry, "x").unwrap();
    };
    check(&file_in_its_place, "a file instead of the folder");
    let other_key = |entry: &Path| {
        let bytes = std::fs::read(entry.join(MANIFEST_NAME)).unwrap();
        let files = Manifest::from_bytes(&bytes).unwrap().files;
        let other = Manifest::new(&key().with("tensorrt", "10.7.0"), Source::Built, files);
        std::fs::write(entry.join(MANIFEST_NAME), other.to_text()).unwrap();
    };
    check(&other_key, "the manifest of another key");
    let link = |entry: &Path| {
        std::fs::rename(entry.join(names[0]), entry.join("../../elsewhere")).unwrap();
        std::os::unix::fs::symlink("../../elsewhere", entry.join(names[0])).unwrap();
    };
    let outside = folder.0.parent().unwrap().join("elsewhere");
    check(&link, "a link to a file outside");
    std::fs::remove_file(outside).unwrap();
}

#[test]
fn an_entry_that_the_provider_refuses_or_changes_is_replaced() {
    let folder = Folder::new("refused");
    assert_eq!(engine_number(&folder, 1), (1, EngineOrigin::Built));
    let entry = folder.entry();
    // The provider refuses the entry, as TensorRT refuses an engine that another version built.
    let refuses = |path: &Path| {
        if path == entry {
            Err(Error::new(Status::ProviderUnavailable, "no"))
        } else {
            run_provider(2, path)
        }
    };
    let (_, origin) = folder.cache().load_or_build(&key(), &|_| (), refuses).unwrap();
    assert_eq!(origin, EngineOrigin::Built);
    assert_eq!(engine_number(&folder, 0), (2, EngineOrigin::Loaded));
    // If the build also fails, the old entry is kept.
    let fails =
        |_: &Path| -> Result<()> { Err(Error::new(Status::ProviderUnavailable, "out of memory")) };
    let error = folder.cache().load_or_build(&key(), &|_| (), fails).unwrap_err();
    assert_eq!((error.status(), error.message()), (Status::ProviderUnavailable, "out of memory"));
    assert_eq!(engine_number(&folder, 0), (2, EngineOrigin::Loaded));
    // The provider looks for a file with a different name and therefore builds a new engine, as it
    // does after an update of CUDA.
    let builds = |path: &Path| {
        let path = path.join("graph_2_sm87.engine");
        if !path.exists() {
            std::fs::write(&path, "another").unwrap();
        }
        Ok(())
    };
    let (_, origin) = folder.cache().load_or_build(&key(), &|_| (), builds).unwrap();
    assert_eq!(origin, EngineOrigin::Built);
    let (_, origin) = folder.cache().load_or_build(&key(), &|_| (), builds).unwrap();
    assert_eq!((origin, folder.names()), (EngineOrigin::Loaded, vec![key().folder()]));
}

#[test]
fn a_provider_that_cannot_read_back_its_engine_leaves_no_entry() {
    let folder = Folder::new("nothing");
    let error = folder.cache().load_or_build(&key(), &|_| (), |_: &Path| Ok(())).unwrap_err();
    assert_eq!(error.status(), Status::EngineCache);
    assert!(error.message().contains("wrote no engine"), "{error}");
    let number = Cell::new(0);
    let always_builds = |path: &Path| {
        number.set(number.get() + 1);
        std::fs::write(path.join("x.engine"), "x".repeat(number.get())).unwrap();
        Ok(())
    };
    let error = folder.cache().load_or_build(&key(), &|_| (), always_builds).unwrap_err();
    assert_eq!(error.status(), Status::EngineCache);
    assert!(error.message().contains("whether the disk is full"), "{error}");
    assert_eq!(folder.names(), [""; 0]);
}

#[test]
fn a_folder_that_cannot_be_created_is_named_with_a_hint() {
    for folder in ["/proc/tteview-engines", "/dev/null/engines"] {
        let cache = EngineCache::new(Path::new(folder));
        let error =
            cache.load_or_build(&key(), &|_| (), |path: &Path| run_provider(1, path)).unwrap_err();
        assert_eq!(error.status(), Status::EngineCache);
        assert!(error.message().contains(folder) && error.message().contains("; "), "{error}");
    }
}

/// Makes each disk operation in turn fail with `kind`, and calls `check` with the outcome. If
/// `from_then_on` is true, all later operations also fail.
fn fail_every_operation(
    kind: ErrorKind,
    from_then_on: bool,
    mut check: impl FnMut(Result<(Vec<u8>, EngineOrigin)>, &Folder),
) {
    let _no_child_starts = CHILD_START.read();
    for at in 0.. {
        let folder = Folder::new(&format!("fails-{kind:?}-{from_then_on}-{at}"));
        let (seen, hit) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(false)));
        let (count, failed) = (Rc::clone(&seen), Rc::clone(&hit));
        let hook = move |_: &Path| {
            let now = count.replace(count.get() + 1);
            if now == at || (from_then_on && now > at) {
                failed.set(true);
                return Err(kind.into());
            }
            Ok(())
        };
        let outcome = fault::with_hook(hook, || load_or_build(&folder, 1));
        if !hit.get() {
            assert!(at > 10, "only {at} operations");
            return;
        }
        check(outcome, &folder);
    }
}

#[test]
fn a_full_disk_is_reported_with_the_file_and_leaves_no_entry() {
    fail_every_operation(ErrorKind::StorageFull, false, |outcome, folder| {
        match outcome {
            // A write by the provider failed.
            Err(error) if error.status() == Status::Inference => {}
            Err(error) => {
                assert_eq!(error.status(), Status::EngineCache, "{error}");
                let named = error.message().contains(folder.0.to_str().unwrap());
                assert!(named && error.message().contains("free space"), "{error}");
            }
            Ok(_) => panic!("a full disk went unnoticed"),
        }
        let partial = folder.names().iter().filter(|name| name.contains(PARTIAL_MARK)).count();
        assert_eq!(partial, 0, "{:?}", folder.names());
        let (number, _) = engine_number(folder, 2);
        assert!([1, 2].contains(&number));
    });
}

#[test]
fn what_a_failed_disk_leaves_is_removed_by_the_next_start() {
    fail_every_operation(ErrorKind::ReadOnlyFilesystem, true, |outcome, folder| {
        let error = outcome.unwrap_err();
        let own =
            error.status() == Status::EngineCache && error.message().contains("make it writable");
        assert!(own || error.status() == Status::Inference, "{error}");
        let (number, _) = engine_number(folder, 2);
        assert!([1, 2].contains(&number));
        assert_eq!(folder.names(), [key().folder()]);
    });
}

#[test]
fn an_entry_is_loaded_from_a_read_only_folder() {
    let folder = Folder::new("read-only");
    assert_eq!(engine_number(&folder, 1), (1, EngineOrigin::Built));
    let (number, origin) = {
        let writes = |_: &Path| Err(ErrorKind::ReadOnlyFilesystem.into());
        // The hook is also called when the entry is read. These reads must succeed, so only
        // operations outside the entry fail.
        let entry = folder.entry();
        let hook = move |path: &Path| if path.starts_with(&entry) { Ok(()) } else { writes(path) };
        fault::with_hook(hook, || engine_number(&folder, 2))
    };
    assert_eq!((number, origin), (1, EngineOrigin::Loaded));
}

#[test]
fn two_processes_that_build_at_once_both_get_an_engine() {
    let folder = Folder::new("race");
    let second = RefCell::new(None);
    let load = |path: &Path| {
        let found = run_provider(1, path)?;
        // Simulate a second process that starts and ends while the first one builds its engine.
        if second.borrow().is_none() {
            second.replace(Some(engine_number(&folder, 2)));
        }
        Ok(found)
    };
    let (found, origin) = folder.cache().load_or_build(&key(), &|_| (), load).unwrap();
    assert_eq!((found, origin), (engine_bytes(1), EngineOrigin::Built));
    assert_eq!(second.take(), Some((2, EngineOrigin::Built)));
    assert_eq!(engine_number(&folder, 3), (2, EngineOrigin::Loaded));
    assert_eq!(folder.names(), [key().folder()]);
}

#[test]
fn only_unlocked_unfinished_folders_are_removed() {
    let folder = Folder::new("stale");
    let stale = folder.0.join(format!("{}{PARTIAL_MARK}999999-0", key().folder()));
    let strange = folder.0.join("mine.partial-1");
    for path in [&stale, &strange] {
        std::fs::create_dir_all(path).unwrap();
        std::fs::write(path.join("x.engine"), "half").unwrap();
    }
    let other = key().with("gpu", "other");
    let used = folder.cache().create_partial(&other).unwrap();
    assert!(!stale.exists());
    assert_eq!(engine_number(&folder, 1), (1, EngineOrigin::Built));
    assert!(used.path.exists() && strange.exists());
}

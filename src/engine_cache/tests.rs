//! The cache when disks fill, files rot and, in `killed`, processes die. A provider stands in that writes two files and loads them.

mod killed;

use super::disk::fault;
use super::*;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// More than one piece.
const ENGINE: usize = 3 * (1 << 16) + 17;

fn key() -> Key {
    Key::default().with("model", "abc").with("tensorrt", "10.3.0").with("gpu", "Orin")
}

/// A folder of its own, gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tteview-cache-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }

    fn cache(&self) -> EngineCache {
        EngineCache::new(&self.0)
    }

    fn entry(&self) -> PathBuf {
        self.cache().entry(&key())
    }

    /// Names in the folder.
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

/// What an engine is: the same for the same number.
fn engine(number: u8) -> Vec<u8> {
    (0..ENGINE).map(|index| (index as u8).wrapping_mul(31).wrapping_add(number)).collect()
}

/// Loads the engine in the folder, or builds number `builds`, as a provider does.
fn provider(builds: u8, folder: &Path) -> Result<Vec<u8>> {
    let path = folder.join("graph_1_sm87.engine");
    if let Ok(found) = std::fs::read(&path) {
        return Ok(found);
    }
    disk::write(&path, &engine(builds)).map_err(|_| Error::from(Status::Inference))?;
    disk::write(&folder.join("cache_sm87.timing"), &[builds; 999])
        .map_err(|_| Error::from(Status::Inference))?;
    Ok(engine(builds))
}

fn obtain(folder: &Folder, builds: u8) -> Result<(Vec<u8>, EngineOrigin)> {
    folder.cache().obtain(&key(), &|_| (), |path| provider(builds, path))
}

fn obtained(folder: &Folder, builds: u8) -> (u8, EngineOrigin) {
    let (found, origin) = obtain(folder, builds).unwrap();
    let number = found[0];
    assert!(found == engine(number), "an engine that nobody built");
    (number, origin)
}

#[test]
fn a_person_sees_what_each_engine_was_built_for_and_which_is_damaged() {
    let folder = Folder::new("list");
    assert_eq!(cached_engines(&folder.0).unwrap(), []);
    let other = key().with("gpu", "NVIDIA RTX A2000");
    for key in [&key(), &other] {
        folder.cache().obtain(key, &|_| {}, |folder| provider(1, folder)).unwrap();
    }
    std::fs::create_dir(folder.0.join(format!("{}{PARTIAL}7-0", key().folder()))).unwrap();
    std::fs::write(folder.0.join("notes.txt"), "of nobody").unwrap();
    let names = folder.names();
    let found = cached_engines(&folder.0).unwrap();
    assert_eq!(folder.names(), names, "a look changes nothing");
    assert_eq!(found.len(), 2);
    let whole = found.iter().find(|engine| engine.path == folder.entry()).unwrap();
    assert_eq!(whole.problem, None);
    assert!(whole.bytes > ENGINE as u64);
    assert!(whole.built_for.contains(&("gpu".into(), "Orin".into())), "{:?}", whole.built_for);
    std::fs::write(folder.cache().entry(&other).join("graph_1_sm87.engine"), engine(2)).unwrap();
    std::fs::rename(folder.entry(), folder.0.join("0".repeat(64))).unwrap();
    let found = cached_engines(&folder.0).unwrap();
    let problems: Vec<_> = found.iter().map(|engine| engine.problem.as_deref().unwrap()).collect();
    assert!(
        problems[0].contains("another engine") && problems[1].contains("graph_1_sm87.engine"),
        "{problems:?}"
    );
}

#[test]
fn the_first_start_builds_and_the_next_loads_what_it_built() {
    let folder = Folder::new("first");
    let stages = RefCell::new(Vec::new());
    let calls = Cell::new(0);
    let load = |path: &Path| {
        calls.set(calls.get() + 1);
        provider(1, path)
    };
    let cache = folder.cache();
    let (_, origin) = cache.obtain(&key(), &|stage| stages.borrow_mut().push(stage), load).unwrap();
    assert_eq!((origin, calls.get()), (EngineOrigin::Built, 2), "built, and read back once");
    assert_eq!(stages.take(), [Stage::ReadingCache, Stage::Building]);
    assert_eq!(obtained(&folder, 2), (1, EngineOrigin::Loaded));
    assert_eq!(folder.names(), [key().folder()]);
    let text = std::fs::read_to_string(folder.entry().join(NAME)).unwrap();
    assert!(text.contains("\"tensorrt\": \"10.3.0\""), "a person can read {text}");
    let other = key().with("tensorrt", "10.7.0");
    let (found, origin) = cache.obtain(&other, &|_| (), |path| provider(3, path)).unwrap();
    assert_eq!((found[0], origin), (engine(3)[0], EngineOrigin::Built));
    assert_eq!(folder.names().len(), 2);
}

#[test]
fn an_engine_with_a_flipped_bit_or_a_cut_or_a_stranger_is_built_anew() {
    let folder = Folder::new("rot");
    let names = ["graph_1_sm87.engine", "cache_sm87.timing", NAME];
    let mut number = 0;
    let mut check = |spoil: &dyn Fn(&Path), what: &str| {
        number += 2;
        let _ = std::fs::remove_dir_all(&folder.0);
        assert_eq!(obtained(&folder, number), (number, EngineOrigin::Built));
        spoil(&folder.entry());
        assert_eq!(obtained(&folder, number + 1), (number + 1, EngineOrigin::Built), "{what}");
        assert_eq!(obtained(&folder, 0), (number + 1, EngineOrigin::Loaded), "{what}");
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
            check(&flip, &format!("{name}, a bit at {part}/3"));
            let cut = |entry: &Path| {
                let bytes = std::fs::read(entry.join(name)).unwrap();
                std::fs::write(entry.join(name), &bytes[..(bytes.len() - 1) * part / 3]).unwrap();
            };
            check(&cut, &format!("{name}, cut at {part}/3"));
        }
        check(&|entry| std::fs::remove_file(entry.join(name)).unwrap(), &format!("{name} is gone"));
    }
    let more = |entry: &Path| std::fs::write(entry.join("more.engine"), "x").unwrap();
    check(&more, "a file too many");
    check(&|entry| std::fs::create_dir(entry.join("folder")).unwrap(), "a folder in it");
    let file_in_its_place = |entry: &Path| {
        std::fs::remove_dir_all(entry).unwrap();
        std::fs::write(entry, "x").unwrap();
    };
    check(&file_in_its_place, "a file in its place");
    let other_key = |entry: &Path| {
        let bytes = std::fs::read(entry.join(NAME)).unwrap();
        let files = Manifest::from_bytes(&bytes).unwrap().files;
        let other = Manifest::new(&key().with("tensorrt", "10.7.0"), Source::Built, files);
        std::fs::write(entry.join(NAME), other.to_text()).unwrap();
    };
    check(&other_key, "of another key under this name");
    let link = |entry: &Path| {
        std::fs::rename(entry.join(names[0]), entry.join("../../elsewhere")).unwrap();
        std::os::unix::fs::symlink("../../elsewhere", entry.join(names[0])).unwrap();
    };
    let outside = folder.0.parent().unwrap().join("elsewhere");
    check(&link, "a link that leads elsewhere");
    std::fs::remove_file(outside).unwrap();
}

#[test]
fn an_entry_that_the_provider_does_not_take_is_replaced_and_one_that_it_builds_into_is_sealed_anew() {
    let folder = Folder::new("refused");
    assert_eq!(obtained(&folder, 1), (1, EngineOrigin::Built));
    let entry = folder.entry();
    // It fails on what lies there, as TensorRT does on an engine of another version.
    let refuses = |path: &Path| {
        if path == entry { Err(Error::new(Status::ProviderUnavailable, "no")) } else { provider(2, path) }
    };
    let (_, origin) = folder.cache().obtain(&key(), &|_| (), refuses).unwrap();
    assert_eq!(origin, EngineOrigin::Built);
    assert_eq!(obtained(&folder, 0), (2, EngineOrigin::Loaded));
    // Where the build fails too, what lies there stays.
    let fails = |_: &Path| -> Result<()> { Err(Error::new(Status::ProviderUnavailable, "out of memory")) };
    let error = folder.cache().obtain(&key(), &|_| (), fails).unwrap_err();
    assert_eq!((error.status(), error.message()), (Status::ProviderUnavailable, "out of memory"));
    assert_eq!(obtained(&folder, 0), (2, EngineOrigin::Loaded));
    // It finds no engine of the name it looks for and builds one, as after an update of CUDA.
    let builds = |path: &Path| {
        let path = path.join("graph_2_sm87.engine");
        if !path.exists() {
            std::fs::write(&path, "another").unwrap();
        }
        Ok(())
    };
    let (_, origin) = folder.cache().obtain(&key(), &|_| (), builds).unwrap();
    assert_eq!(origin, EngineOrigin::Built);
    let (_, origin) = folder.cache().obtain(&key(), &|_| (), builds).unwrap();
    assert_eq!((origin, folder.names()), (EngineOrigin::Loaded, vec![key().folder()]));
}

#[test]
fn a_provider_that_writes_nothing_or_does_not_read_back_what_it_wrote_leaves_no_entry() {
    let folder = Folder::new("nothing");
    let error = folder.cache().obtain(&key(), &|_| (), |_: &Path| Ok(())).unwrap_err();
    assert_eq!(error.status(), Status::EngineCache);
    assert!(error.message().contains("wrote no engine"), "{error}");
    let number = Cell::new(0);
    let always_builds = |path: &Path| {
        number.set(number.get() + 1);
        std::fs::write(path.join("x.engine"), "x".repeat(number.get())).unwrap();
        Ok(())
    };
    let error = folder.cache().obtain(&key(), &|_| (), always_builds).unwrap_err();
    assert_eq!(error.status(), Status::EngineCache);
    assert!(error.message().contains("disk is full"), "{error}");
    assert_eq!(folder.names(), [""; 0]);
}

#[test]
fn a_folder_that_cannot_be_made_is_named_with_what_to_do() {
    for folder in ["/proc/tteview-engines", "/dev/null/engines"] {
        let cache = EngineCache::new(Path::new(folder));
        let error = cache.obtain(&key(), &|_| (), |path: &Path| provider(1, path)).unwrap_err();
        assert_eq!(error.status(), Status::EngineCache);
        assert!(error.message().contains(folder) && error.message().contains("; "), "{error}");
    }
}

/// Every operation in turn fails in this way, from the first on or alone; what it came to, and the file it was about.
fn failing(
    kind: ErrorKind,
    from_then_on: bool,
    mut check: impl FnMut(Result<(Vec<u8>, EngineOrigin)>, &Folder),
) {
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
        let outcome = fault::with(hook, || obtain(&folder, 1));
        if !hit.get() {
            assert!(at > 10, "only {at} operations");
            return;
        }
        check(outcome, &folder);
    }
}

#[test]
fn wherever_the_disk_is_full_the_message_names_a_file_and_nothing_is_left_to_trust() {
    failing(ErrorKind::StorageFull, false, |outcome, folder| {
        match outcome {
            // A write of the provider's own, or one after the entry was there.
            Err(error) if error.status() == Status::Inference => {}
            Err(error) => {
                assert_eq!(error.status(), Status::EngineCache, "{error}");
                let named = error.message().contains(folder.0.to_str().unwrap());
                assert!(named && error.message().contains("make room"), "{error}");
            }
            Ok(_) => panic!("a full disk went unnoticed"),
        }
        let partial = folder.names().iter().filter(|name| name.contains(PARTIAL)).count();
        assert_eq!(partial, 0, "{:?}", folder.names());
        let (number, _) = obtained(folder, 2);
        assert!([1, 2].contains(&number));
    });
}

#[test]
fn a_disk_that_stays_broken_leaves_at_most_a_folder_that_the_next_start_removes() {
    failing(ErrorKind::ReadOnlyFilesystem, true, |outcome, folder| {
        let error = outcome.unwrap_err();
        let own = error.status() == Status::EngineCache && error.message().contains("make it writable");
        assert!(own || error.status() == Status::Inference, "{error}");
        let (number, _) = obtained(folder, 2);
        assert!([1, 2].contains(&number));
        assert_eq!(folder.names(), [key().folder()]);
    });
}

#[test]
fn what_is_there_is_loaded_from_a_folder_that_cannot_be_written() {
    let folder = Folder::new("read-only");
    assert_eq!(obtained(&folder, 1), (1, EngineOrigin::Built));
    let (number, origin) = {
        let writes = |_: &Path| Err(ErrorKind::ReadOnlyFilesystem.into());
        // Reading goes piece by piece too, so only what changes the disk fails here.
        let entry = folder.entry();
        let hook = move |path: &Path| if path.starts_with(&entry) { Ok(()) } else { writes(path) };
        fault::with(hook, || obtained(&folder, 2))
    };
    assert_eq!((number, origin), (1, EngineOrigin::Loaded));
}

#[test]
fn of_two_that_build_at_once_the_first_entry_stays_and_both_have_an_engine() {
    let folder = Folder::new("race");
    let second = RefCell::new(None);
    let load = |path: &Path| {
        let found = provider(1, path)?;
        // While this one builds, another starts and ends.
        if second.borrow().is_none() {
            second.replace(Some(obtained(&folder, 2)));
        }
        Ok(found)
    };
    let (found, origin) = folder.cache().obtain(&key(), &|_| (), load).unwrap();
    assert_eq!((found, origin), (engine(1), EngineOrigin::Built));
    assert_eq!(second.take(), Some((2, EngineOrigin::Built)));
    assert_eq!(obtained(&folder, 3), (2, EngineOrigin::Loaded));
    assert_eq!(folder.names(), [key().folder()]);
}

#[test]
fn folders_of_processes_that_are_gone_are_removed_and_those_in_use_and_of_strangers_stay() {
    let folder = Folder::new("stale");
    let stale = folder.0.join(format!("{}{PARTIAL}999999-0", key().folder()));
    let strange = folder.0.join("mine.partial-1");
    for path in [&stale, &strange] {
        std::fs::create_dir_all(path).unwrap();
        std::fs::write(path.join("x.engine"), "half").unwrap();
    }
    let other = key().with("gpu", "other");
    let used = folder.cache().create(&other).unwrap();
    assert!(!stale.exists());
    assert_eq!(obtained(&folder, 1), (1, EngineOrigin::Built));
    assert!(used.path.exists() && strange.exists());
}

// ---- export and import

fn exported(folder: &Folder) -> PathBuf {
    let file = folder.0.join("engine.file");
    folder.cache().export(&key(), &file).unwrap();
    file
}

#[test]
fn an_exported_engine_is_loaded_where_it_is_imported_and_what_it_was_built_for_must_fit() {
    let (factory, device) = (Folder::new("factory"), Folder::new("device"));
    let error = factory.cache().export(&key(), &factory.0.join("x")).unwrap_err();
    assert_eq!(error.status(), Status::WrongState);
    obtained(&factory, 1);
    let file = exported(&factory);
    device.cache().import(&key(), &file).unwrap();
    assert_eq!(obtained(&device, 2), (1, EngineOrigin::Imported));
    // Again, over what lies there.
    device.cache().import(&key(), &file).unwrap();
    assert_eq!(obtained(&device, 2), (1, EngineOrigin::Imported));
    assert_eq!(device.names(), [key().folder()]);
    let here = key().with("tensorrt", "10.7.0");
    let error = device.cache().import(&here, &file).unwrap_err();
    assert_eq!(error.status(), Status::EngineMismatch);
    assert!(error.message().contains("built for tensorrt 10.3.0, here is 10.7.0"), "{error}");
    let error = factory.cache().export(&key(), Path::new("/proc/engine.file")).unwrap_err();
    assert_eq!(error.status(), Status::System);
    assert!(error.message().contains("/proc/engine.file"), "{error}");
    let error = device.cache().import(&key(), Path::new("/nowhere/engine.file")).unwrap_err();
    assert_eq!(error.status(), Status::EngineFile);
    assert!(error.message().contains("/nowhere/engine.file"), "{error}");
}

#[test]
fn a_damaged_engine_file_is_refused_wherever_it_is_damaged_and_leaves_nothing() {
    let (factory, device) = (Folder::new("damage-from"), Folder::new("damage-to"));
    obtained(&factory, 1);
    let file = exported(&factory);
    let good = std::fs::read(&file).unwrap();
    let refused = |bytes: &[u8], what: &str| {
        std::fs::write(&file, bytes).unwrap();
        let error = device.cache().import(&key(), &file).expect_err(what);
        assert_eq!(error.status(), Status::EngineFile, "{what}: {error}");
        assert!(error.message().contains("engine.file"), "{what}: {error}");
        assert_eq!(device.names(), [""; 0], "{what}");
    };
    // Every third byte of head and manifest, and here and there in the engine.
    for at in (0..700).step_by(3).chain((700..good.len()).step_by(1 + good.len() / 40)) {
        let mut bytes = good.clone();
        bytes[at] ^= 1 << (at % 8);
        refused(&bytes, &format!("bit at {at}"));
        refused(&good[..at], &format!("cut at {at}"));
    }
    refused(&[&good[..], b"x"].concat(), "one byte more");
    // Sizes that add up to less than nothing: nothing is written for them.
    let files = |size| {
        let file = |name: &str| FileEntry { name: name.into(), size, sha256: String::new() };
        Manifest::new(&key(), Source::Built, vec![file("a"), file("b")]).to_text()
    };
    for size in [u64::MAX, u64::MAX / 2 + 1, 1 << 40] {
        let text = files(size);
        let bytes = [b"tteview engine 1\n", &(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
        refused(&bytes, &format!("files of {size}"));
    }
}

mod hostile {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn no_file_makes_an_import_panic_or_leave_anything(
            start in prop::bool::ANY,
            length in any::<u64>(),
            bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let folder = Folder::new("hostile");
            std::fs::create_dir_all(&folder.0).unwrap();
            let file = folder.0.with_extension("file");
            let mut content = if start { b"tteview engine 1\n".to_vec() } else { Vec::new() };
            content.extend(if bytes.len() % 2 == 0 { length } else { bytes.len() as u64 }.to_le_bytes());
            content.extend(bytes);
            std::fs::write(&file, content).unwrap();
            let error = folder.cache().import(&key(), &file).unwrap_err();
            std::fs::remove_file(file).unwrap();
            prop_assert_eq!(error.status(), Status::EngineFile);
            prop_assert_eq!(folder.names(), [""; 0]);
        }
    }
}

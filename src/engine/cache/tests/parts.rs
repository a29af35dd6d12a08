//! Tests with a provider that builds an engine for each part of a network with frame steps. Both
//! engines share one entry and one timing cache.

use super::*;

const ENGINES: [&str; 2] = ["fast_1_sm87.engine", "slow_2_sm87.engine"];

/// Loads the engines in the folder, and builds engine number `builds` for each part that has none.
/// Like TensorRT, each build also writes the timing cache again, and nothing reports a write that
/// fails. The engine of the part `lost` is never written.
fn run_two_parts(builds: u8, lost: Option<usize>, folder: &Path) -> Result<[Vec<u8>; 2]> {
    let load = |part: usize| {
        let path = folder.join(ENGINES[part]);
        if let Ok(found) = std::fs::read(&path) {
            return found;
        }
        let timing = folder.join("cache_sm87.timing");
        let mut times = std::fs::read(&timing).unwrap_or_default();
        times.push(builds);
        std::fs::write(&timing, times).unwrap();
        if lost != Some(part) {
            std::fs::write(&path, engine_bytes(builds)).unwrap();
        }
        engine_bytes(builds)
    };
    Ok([load(0), load(1)])
}

/// Returns the numbers and the origin of the engines that the cache loads or builds.
fn engine_numbers(folder: &Folder, builds: u8) -> ([u8; 2], EngineOrigin) {
    let load = |path: &Path| run_two_parts(builds, None, path);
    let (found, origin) = folder.cache().load_or_build(&key(), &|_| (), load).unwrap();
    let numbers = found.each_ref().map(|engine| engine[0]);
    assert_eq!(found, numbers.map(engine_bytes), "an engine that was never built");
    (numbers, origin)
}

#[test]
fn engines_of_both_parts_are_built_loaded_and_exported() {
    let (factory, device) = (Folder::new("parts-factory"), Folder::new("parts-device"));
    assert_eq!(engine_numbers(&factory, 1), ([1, 1], EngineOrigin::Built));
    assert_eq!(engine_numbers(&factory, 2), ([1, 1], EngineOrigin::Loaded));
    let listed = list_cached_engines(&factory.0).unwrap();
    assert_eq!((listed.len(), &listed[0].problem), (1, &None));
    assert!(listed[0].bytes > 2 * ENGINE_BYTES as u64, "the entry contains both engines");
    let file = factory.0.join("engine.file");
    factory.cache().export(&key(), &file).unwrap();
    device.cache().import(&key(), &file).unwrap();
    assert_eq!(engine_numbers(&device, 3), ([1, 1], EngineOrigin::Imported));
}

#[test]
fn damage_to_the_engine_of_either_part_is_noticed() {
    for (part, name) in ENGINES.into_iter().enumerate() {
        let folder = Folder::new(&format!("parts-damage-{part}"));
        let mut number = 1;
        engine_numbers(&folder, number);
        let damages: [&dyn Fn(&Path); 2] = [&|path| std::fs::remove_file(path).unwrap(), &|path| {
            std::fs::write(path, vec![0; ENGINE_BYTES]).unwrap()
        }];
        for damage in damages {
            damage(&folder.entry().join(name));
            number += 1;
            assert_eq!(engine_numbers(&folder, number), ([number; 2], EngineOrigin::Built));
            assert_eq!(engine_numbers(&folder, 9), ([number; 2], EngineOrigin::Loaded));
        }
    }
}

#[test]
fn entry_that_serves_only_one_part_is_replaced() {
    for (part, name) in ENGINES.into_iter().enumerate() {
        let folder = Folder::new(&format!("parts-half-{part}"));
        // A provider that looks for one engine under another name leaves such an entry.
        std::fs::create_dir_all(folder.entry()).unwrap();
        std::fs::write(folder.entry().join(name), engine_bytes(5)).unwrap();
        let files = hash_files(&folder.entry(), take_snapshot(&folder.entry()).unwrap()).unwrap();
        seal(&folder.entry(), &Manifest::new(&key(), Source::Built, files)).unwrap();
        let (numbers, origin) = engine_numbers(&folder, 6);
        assert_eq!((numbers[part], numbers[1 - part]), (5, 6), "{name}");
        assert_eq!(origin, EngineOrigin::Built);
        assert_eq!(engine_numbers(&folder, 7), (numbers, EngineOrigin::Loaded));
        assert_eq!(folder.names(), [key().folder()]);
    }
}

#[test]
fn engine_of_one_part_that_is_not_written_leaves_no_entry() {
    for part in [0, 1] {
        let folder = Folder::new(&format!("parts-lost-{part}"));
        let load = |path: &Path| run_two_parts(1, Some(part), path);
        let error = folder.cache().load_or_build(&key(), &|_| (), load).unwrap_err();
        assert_eq!(error.status(), Status::EngineCache, "{error}");
        assert!(error.message().contains("does not accept the engine"), "{error}");
        assert_eq!(folder.names(), [""; 0]);
    }
}

#[test]
fn part_that_cannot_be_built_fails_the_build_of_both() {
    let folder = Folder::new("parts-failing");
    let load = |path: &Path| -> Result<()> {
        std::fs::write(path.join(ENGINES[0]), engine_bytes(1)).unwrap();
        Err(Error::new(Status::ProviderUnavailable, "no engine for the slow part"))
    };
    let error = folder.cache().load_or_build(&key(), &|_| (), load).unwrap_err();
    assert_eq!(error.status(), Status::ProviderUnavailable);
    assert_eq!(folder.names(), [""; 0]);
    assert_eq!(engine_numbers(&folder, 2), ([2, 2], EngineOrigin::Built));
}

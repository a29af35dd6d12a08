//! Tests of exported engines and of damaged engine files.

use super::*;
use proptest::prelude::*;

/// Exports the engine to a file.
fn export_engine(folder: &Folder) -> PathBuf {
    let file = folder.0.join("engine.file");
    folder.cache().export(&key(), &file).unwrap();
    file
}

#[test]
fn an_exported_engine_is_loaded_where_its_key_matches() {
    let (factory, device) = (Folder::new("factory"), Folder::new("device"));
    let error = factory.cache().export(&key(), &factory.0.join("x")).unwrap_err();
    assert_eq!(error.status(), Status::WrongState);
    engine_number(&factory, 1);
    let file = export_engine(&factory);
    device.cache().import(&key(), &file).unwrap();
    assert_eq!(engine_number(&device, 2), (1, EngineOrigin::Imported));
    // A second import replaces the first.
    device.cache().import(&key(), &file).unwrap();
    assert_eq!(engine_number(&device, 2), (1, EngineOrigin::Imported));
    assert_eq!(device.names(), [key().folder()]);
    let here = key().with("tensorrt", "10.7.0");
    let error = device.cache().import(&here, &file).unwrap_err();
    assert_eq!(error.status(), Status::EngineMismatch);
    assert!(
        error.message().contains("built for tensorrt 10.3.0, this device has 10.7.0"),
        "{error}"
    );
    let error = factory.cache().export(&key(), Path::new("/proc/engine.file")).unwrap_err();
    assert_eq!(error.status(), Status::System);
    assert!(error.message().contains("/proc/engine.file"), "{error}");
    let error = device.cache().import(&key(), Path::new("/nowhere/engine.file")).unwrap_err();
    assert_eq!(error.status(), Status::EngineFile);
    assert!(error.message().contains("/nowhere/engine.file"), "{error}");
}

#[test]
fn a_damaged_engine_file_is_refused_and_leaves_nothing() {
    let (factory, device) = (Folder::new("damage-from"), Folder::new("damage-to"));
    engine_number(&factory, 1);
    let file = export_engine(&factory);
    let good = std::fs::read(&file).unwrap();
    let check_refused = |bytes: &[u8], what: &str| {
        std::fs::write(&file, bytes).unwrap();
        let error = device.cache().import(&key(), &file).expect_err(what);
        assert_eq!(error.status(), Status::EngineFile, "{what}: {error}");
        assert!(error.message().contains("engine.file"), "{what}: {error}");
        assert_eq!(device.names(), [""; 0], "{what}");
    };
    // Check a flipped bit and a truncated file at every third byte of the header and the manifest,
    // and at 40 positions in the engine.
    for at in (0..700).step_by(3).chain((700..good.len()).step_by(1 + good.len() / 40)) {
        let mut bytes = good.clone();
        bytes[at] ^= 1 << (at % 8);
        check_refused(&bytes, &format!("a flipped bit at {at}"));
        check_refused(&good[..at], &format!("truncated at {at}"));
    }
    check_refused(&[&good[..], b"x"].concat(), "one byte more");
    // If the total size of the listed files overflows or exceeds the size of the engine file, the
    // engine file is refused before anything is written.
    let files = |size| {
        let file = |name: &str| FileEntry { name: name.into(), size, sha256: String::new() };
        Manifest::new(&key(), Source::Built, vec![file("a"), file("b")]).to_text()
    };
    for size in [u64::MAX, u64::MAX / 2 + 1, 1 << 40] {
        let text = files(size);
        let bytes =
            [b"tteview engine 1\n", &(text.len() as u64).to_le_bytes()[..], text.as_bytes()]
                .concat();
        check_refused(&bytes, &format!("files of {size}"));
    }
}

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

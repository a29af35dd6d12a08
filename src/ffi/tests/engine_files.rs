//! Export and import of engines, with a backend that keeps the paths.

use super::init;
use crate::backend::interface::{Backend, Session};
use crate::backend::report::RuntimeReport;
use crate::backend::windows::LateralWindows;
use crate::engine::Engine;
use crate::error::{Error, Result, Status};
use crate::ffi::engine::{ttv_engine, ttv_engine_export, ttv_engine_import, ttv_engine_prepare};
use crate::ffi::engine_info::{ttv_engine_get_info, ttv_engine_info};
use crate::ffi::label::LabelTexts;
use crate::model::part::Part;
use crate::stream::tests::network::Network;
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A backend that records the paths of the files that it would write and read.
struct Recorder {
    exported: Mutex<Vec<PathBuf>>,
    imported: Mutex<Vec<PathBuf>>,
}

impl Backend for Recorder {
    fn report(&self) -> RuntimeReport {
        Network::default().engine().report()
    }

    fn create_session(&self, _: Part) -> Result<Box<dyn Session>> {
        Err(Error::new(Status::SelfTest, "no network"))
    }

    fn create_windows(&self) -> Result<LateralWindows> {
        Err(Error::new(Status::SelfTest, "no network"))
    }

    fn export(&self, path: &Path) -> Result<()> {
        self.exported.lock().push(path.to_owned());
        Ok(())
    }

    fn import(&self, path: &Path) -> Result<()> {
        self.imported.lock().push(path.to_owned());
        Ok(())
    }
}

#[test]
fn engines_are_exported_and_imported_at_the_path_of_the_host() {
    let backend = Arc::new(Recorder { exported: Mutex::default(), imported: Mutex::default() });
    let spec = Network::default().spec;
    let labels = LabelTexts::new(&spec.labels, &spec.groups);
    let self_test_error = Mutex::new(Some(0.5));
    let engine = Engine::with_backend(spec, backend.clone());
    let mut engine = ttv_engine { engine, labels, self_test_error };
    let engine = &raw mut engine;
    let mut info: ttv_engine_info = init();
    // SAFETY: the pointers refer to local variables, and the paths end with NUL.
    unsafe {
        assert_eq!(ttv_engine_export(engine, c"/folder/to".as_ptr()), 0);
        assert_eq!(ttv_engine_import(engine, c"/folder/from".as_ptr()), 0);
        assert_eq!(ttv_engine_get_info(engine, &raw mut info), 0);
        assert_eq!(info.self_test_error_ppm, 500_000);
        // A self-test that fails makes the error of an earlier one invalid.
        assert_eq!(ttv_engine_prepare(engine), Status::SelfTest.code());
        assert_eq!(ttv_engine_get_info(engine, &raw mut info), 0);
        assert_eq!(info.self_test_error_ppm, -1);
    }
    assert_eq!(*backend.exported.lock(), [Path::new("/folder/to")]);
    assert_eq!(*backend.imported.lock(), [Path::new("/folder/from")]);
}

//! The model packages and cines that the tasks pass to hosts.

use crate::files::write_file;
use crate::paths::work_dir;
use crate::process::Result;
use std::path::PathBuf;

/// The demo model. It is trained only on phantom cines; see docs/model/demo-model.md.
pub(crate) const DEMO_MODEL: &str = "models/demo.stream.onnx";

/// A small package with random weights, for tests.
pub(crate) const STANDIN_MODEL: &str = "models/standin.stream.onnx";

/// A small package with frame steps and random weights, for tests.
pub(crate) const FRAMES_MODEL: &str = "models/standin.frames.onnx";

/// The packages with random weights: with chunk steps, for window mode, and with frame steps.
pub(crate) const STANDIN_MODELS: [&str; 3] =
    [STANDIN_MODEL, "models/standin.clip.onnx", FRAMES_MODEL];

/// Frame period of the cine that [`write_phantom_cine`] writes, for 30 frames per second.
pub(crate) const PERIOD_NS: &str = "33333333";

/// Number of frames in the cine that [`write_phantom_cine`] writes.
pub(crate) const PHANTOM_FRAMES: usize = 60;
pub(crate) const PHANTOM_WIDTH_PX: usize = 640;
pub(crate) const PHANTOM_HEIGHT_PX: usize = 480;

/// Returns the folder for the cines.
pub(crate) fn cines_dir() -> PathBuf {
    work_dir().join("demo")
}

/// Renders an apical four-chamber view and writes it as PGM images to one file.
pub(crate) fn write_phantom_cine() -> Result<PathBuf> {
    let settings = tteview_phantom::Settings {
        width: PHANTOM_WIDTH_PX,
        height: PHANTOM_HEIGHT_PX,
        frames: PHANTOM_FRAMES,
        ..tteview_phantom::Settings::default()
    };
    let view = tteview_phantom::View::from_code("A4C").ok_or("the phantom has no view A4C")?;
    let cine = tteview_phantom::render(view, 1, &settings);
    let mut images = Vec::new();
    for frame in &cine.frames {
        images.extend_from_slice(format!("P5\n{} {}\n255\n", cine.width, cine.height).as_bytes());
        images.extend_from_slice(frame);
    }
    let path = cines_dir().join("phantom.pgm");
    write_file(&path, images)?;
    Ok(path)
}

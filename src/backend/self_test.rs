//! The self-test of a model package, and the measurement of the run times.

mod frames;
mod tolerance;

use super::interface::Backend;
use crate::error::{Error, Result, Status};
use crate::frame::{Geometry, PixelFormat};
use crate::model::part::Part;
use crate::model::{Mode, ModelSpec, self_test_input};
use crate::preprocess::Preprocess;
use frames::{Parts, check_chunks};
use std::time::Duration;
pub(crate) use tolerance::RunSession;
use tolerance::Tolerance;

/// Width and height of the images of the self-test, in pixels.
const IMAGE_SIDE: u32 = 64;

/// Number of images of the self-test.
const IMAGES: usize = 4;

/// Runs the package's self-test in separate sessions. Returns the largest absolute error of a
/// logit.
///
/// The input with which the package was compiled is already normalised. The self-test therefore
/// also runs the network on images, which pass through the mean and the standard deviation of the
/// package. It does not know the logits of these images, and checks only that they are finite.
///
/// # Errors
/// Returns [`Status::SelfTest`] if an error is larger than the tolerance, or if a logit is not
/// finite.
pub(crate) fn run_self_test(
    backend: &dyn Backend,
    spec: &ModelSpec,
    run: &RunSession<'_>,
) -> Result<f32> {
    let tolerance = Tolerance::new(spec, backend.report().precision);
    if spec.frame_steps.is_some() {
        let mut parts = Parts::new(backend, spec)?;
        let largest = check_chunks(&mut parts, spec, tolerance, run)?;
        parts.reset()?;
        let mut fill = fill_images(spec)?;
        for _ in 0..count_image_runs(spec) {
            parts.run_chunk(&mut fill, run)?;
            check_finite(parts.chunk_logits())?;
            check_finite(parts.run_head(run)?.iter().copied())?;
        }
        return Ok(largest);
    }
    let mut session = backend.create_session(Part::Whole)?;
    session.reset()?;
    let mut values = self_test_input(spec.self_test.seed);
    let inputs = session.inputs();
    inputs.slow.fill_with(|| values.next().unwrap_or_default());
    inputs.fast.fill_with(|| values.next().unwrap_or_default());
    run(Part::Whole, session.as_mut())?;
    let largest = tolerance.check(("logit", ""), session.logits(), &spec.self_test.logits)?;
    session.reset()?;
    let mut fill = fill_images(spec)?;
    for _ in 0..count_image_runs(spec) {
        let inputs = session.inputs();
        fill(inputs.fast)?;
        fill(inputs.slow)?;
        run(Part::Whole, session.as_mut())?;
        check_finite(session.logits().iter().copied())?;
    }
    Ok(largest)
}

/// Returns the number of runs or chunks after which every image has been a sample. In stream mode,
/// it is at least 2, so that a run reads the states that another one has written.
fn count_image_runs(spec: &ModelSpec) -> usize {
    match spec.mode {
        Mode::Window => 1,
        Mode::Stream => IMAGES.div_ceil(spec.alpha.max(1)).max(2),
    }
}

/// Returns a function that fills samples with black, white, chequered and noisy images, one after
/// the other.
fn fill_images(spec: &ModelSpec) -> Result<impl FnMut(&mut [f32]) -> Result<()>> {
    let images = create_images(spec.self_test.seed);
    let geometry = Geometry::new(PixelFormat::Gray8, IMAGE_SIDE, IMAGE_SIDE)?;
    let mut preprocess = Preprocess::new(spec, IMAGE_SIDE, IMAGE_SIDE)?;
    let sample_len = spec.sample_len();
    let mut number = 0;
    Ok(move |samples: &mut [f32]| {
        for sample in samples.chunks_exact_mut(sample_len) {
            let image = images.get(number % IMAGES).map_or(&[][..], Vec::as_slice);
            preprocess.run(&geometry, image, sample)?;
            number += 1;
        }
        Ok(())
    })
}

fn check_finite(logits: impl Iterator<Item = f32>) -> Result<()> {
    let Some((index, logit)) = logits.enumerate().find(|(_, logit)| !logit.is_finite()) else {
        return Ok(());
    };
    let message = format!("logit {index} of an image must be finite, got {logit}");
    Err(Error::new(Status::SelfTest, message))
}

fn create_images(seed: u32) -> [Vec<u8>; IMAGES] {
    let pixels = 0..IMAGE_SIDE * IMAGE_SIDE;
    let is_light = |pixel: u32| (pixel % IMAGE_SIDE / 8 + pixel / IMAGE_SIDE / 8) % 2 == 1;
    let noise = self_test_input(seed).map(|value| (127.5 * (value + 1.0)) as u8);
    [
        vec![0; pixels.len()],
        vec![255; pixels.len()],
        pixels.clone().map(|pixel| if is_light(pixel) { 255 } else { 0 }).collect(),
        noise.take(pixels.len()).collect(),
    ]
}

/// Times of the runs of a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RunTimes {
    /// Time of a run of the whole graph, or of a fast run.
    pub(crate) run: Duration,
    /// Time of a slow run; 0 if the network has no slow part.
    pub(crate) slow_run: Duration,
    /// Time of a run of the head; 0 if it is linear.
    pub(crate) head_run: Duration,
}

impl RunTimes {
    /// Returns the time of the lane that takes longer for a step, or the time of a window. The
    /// lanes of frame steps run at the same time.
    pub(crate) fn longest_lane(self, spec: &ModelSpec) -> Duration {
        (self.step(spec) - self.slow_run).max(self.slow_run)
    }

    /// Returns the computing time of a step or a window.
    pub(crate) fn step(self, spec: &ModelSpec) -> Duration {
        let runs = if spec.frame_steps.is_some() { spec.alpha } else { 1 };
        let fast_runs = self.run.saturating_mul(u32::try_from(runs).unwrap_or(u32::MAX));
        fast_runs + self.slow_run + self.head_run
    }
}

/// Measures the time of one run of each part in separate sessions: the median of five runs after
/// one warm-up run.
pub(crate) fn measure_runs(
    backend: &dyn Backend,
    spec: &ModelSpec,
    run: &RunSession<'_>,
) -> Result<RunTimes> {
    let measure = |part: Part| -> Result<Duration> {
        let mut session = backend.create_session(part)?;
        let mut times = [Duration::ZERO; 5];
        run(part, session.as_mut())?;
        for time in &mut times {
            *time = run(part, session.as_mut())?;
        }
        times.sort_unstable();
        Ok(times[2])
    };
    let mut times = RunTimes::default();
    for &part in spec.parts() {
        let time = measure(part)?;
        match part {
            Part::Whole | Part::Fast => times.run = time,
            Part::Slow => times.slow_run = time,
            Part::Head => times.head_run = time,
        }
    }
    Ok(times)
}

#[cfg(all(test, feature = "rten"))]
mod tests {
    use super::*;
    use crate::backend::interface::Session;
    use crate::backend::rten;
    use crate::engine::config::EngineConfig;
    use crate::model::{ModelPackage, Precision};

    const STREAM: &[u8] = include_bytes!("../../models/standin.stream.onnx");
    const CLIP: &[u8] = include_bytes!("../../models/standin.clip.onnx");

    fn run(_: Part, session: &mut dyn Session) -> Result<Duration> {
        session.run().map(|()| Duration::ZERO)
    }

    fn package(bytes: &[u8]) -> ModelPackage {
        ModelPackage::from_bytes(bytes.to_vec(), None).expect("a valid package")
    }

    #[test]
    fn embedded_backend_passes_the_self_test_and_fails_a_wrong_one() {
        for bytes in [STREAM, CLIP] {
            let mut package = package(bytes);
            let backend = rten::load(&package, &EngineConfig::default()).expect("loads");
            assert!(run_self_test(backend.as_ref(), &package.spec, &run).expect("passes") < 1e-3);
            package.spec.self_test.logits[3] += 1.0;
            let error = run_self_test(backend.as_ref(), &package.spec, &run).expect_err("fails");
            assert_eq!(error.status(), Status::SelfTest);
        }
    }

    #[test]
    fn the_lanes_of_frame_steps_run_at_the_same_time() {
        let mut spec = package(STREAM).spec;
        let ms = Duration::from_millis;
        let times = RunTimes { run: ms(5), ..RunTimes::default() };
        assert_eq!([times.step(&spec), times.longest_lane(&spec)], [ms(5); 2]);
        spec.frame_steps = Some(crate::model::FrameSteps {
            lateral_reach: 0,
            fast_nodes: 1,
            fast_states: 0,
            lateral_windows: Vec::new(),
            head: None,
            self_test: Vec::new(),
        });
        assert_eq!(spec.alpha, 4);
        for (slow_run, longest) in [(12, 20), (30, 30)] {
            let times = RunTimes { run: ms(5), slow_run: ms(slow_run), ..RunTimes::default() };
            assert_eq!(times.step(&spec), ms(20 + slow_run));
            assert_eq!(times.longest_lane(&spec), ms(longest));
        }
    }

    #[test]
    fn tolerance_is_that_of_the_lower_precision() {
        let mut package = package(STREAM);
        let backend = rten::load(&package, &EngineConfig::default()).expect("loads");
        let test = &mut package.spec.self_test;
        test.logits[0] += f32::midpoint(test.tolerance_fp32, test.tolerance_fp16);
        let error =
            run_self_test(backend.as_ref(), &package.spec, &run).expect_err("too far for fp32");
        assert!(error.message().contains("fp32"), "{error}");
        package.spec.precision = Precision::Fp16;
        run_self_test(backend.as_ref(), &package.spec, &run).expect("near enough for fp16");
    }
}

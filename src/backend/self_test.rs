//! The self-test of a model package, and the measurement of a step's run time.

use super::interface::{Backend, Session};
use crate::error::{Error, Result, Status};
use crate::frame::{Geometry, PixelFormat};
use crate::model::{Mode, ModelSpec, Precision, self_test_input};
use crate::preprocess::Preprocess;
use std::time::Duration;

/// Width and height of the images of the self-test, in pixels.
const IMAGE_SIDE: u32 = 64;

/// Number of images of the self-test.
const IMAGES: usize = 4;

/// Runs the package's self-test in a separate session. Returns the largest absolute error of a
/// logit. `run` runs the session once and returns the time that the run took.
///
/// The input with which the package was compiled is already normalised. The self-test therefore
/// also runs the network on images, which pass through the mean and the standard deviation of the
/// package. It does not know the logits of these images, and checks only that they are finite.
///
/// The fp16 tolerance applies if the provider computes in fp16. It also applies to every fp16
/// package, because the package's weights are rounded even if the provider computes in fp32.
///
/// # Errors
/// Returns [`Status::SelfTest`] if an error is larger than the tolerance, or if a logit is not
/// finite.
pub(crate) fn run_self_test(
    backend: &dyn Backend,
    spec: &ModelSpec,
    run: impl Fn(&mut dyn Session) -> Result<Duration>,
) -> Result<f32> {
    let mut session = backend.create_session()?;
    session.reset()?;
    let largest = check_logits(session.as_mut(), backend, spec, &run)?;
    session.reset()?;
    check_images(session.as_mut(), spec, &run)?;
    Ok(largest)
}

fn check_logits(
    session: &mut dyn Session,
    backend: &dyn Backend,
    spec: &ModelSpec,
    run: impl Fn(&mut dyn Session) -> Result<Duration>,
) -> Result<f32> {
    let mut values = self_test_input(spec.self_test.seed);
    let inputs = session.inputs();
    inputs.slow.fill_with(|| values.next().unwrap_or_default());
    inputs.fast.fill_with(|| values.next().unwrap_or_default());
    run(session)?;
    let test = &spec.self_test;
    let precisions = [spec.precision, backend.report().precision];
    let (precision, tolerance) = if precisions.contains(&Precision::Fp16) {
        (Precision::Fp16, test.tolerance_fp16)
    } else {
        (Precision::Fp32, test.tolerance_fp32)
    };
    let mut largest = 0.0f32;
    for (index, (logit, expected)) in session.logits().iter().zip(&test.logits).enumerate() {
        let error = (logit - expected).abs();
        if error.is_nan() || error > tolerance {
            let message = format!(
                "logit {index} must be {expected} within {tolerance} ({precision}), got {logit}"
            );
            return Err(Error::new(Status::SelfTest, message));
        }
        largest = largest.max(error);
    }
    Ok(largest)
}

/// Runs the network on black, white, chequered and noisy images, one after the other.
fn check_images(
    session: &mut dyn Session,
    spec: &ModelSpec,
    run: impl Fn(&mut dyn Session) -> Result<Duration>,
) -> Result<()> {
    let images = create_images(spec.self_test.seed);
    let geometry = Geometry::new(PixelFormat::Gray8, IMAGE_SIDE, IMAGE_SIDE)?;
    let mut preprocess = Preprocess::new(spec, IMAGE_SIDE, IMAGE_SIDE)?;
    let mut numbered = images.iter().cycle();
    let mut fill = |samples: &mut [f32]| {
        let samples = samples.chunks_exact_mut(spec.sample_len());
        samples
            .zip(&mut numbered)
            .try_for_each(|(sample, image)| preprocess.run(&geometry, image, sample))
    };
    // In stream mode, the second run reads the states that the first one wrote.
    let runs = match spec.mode {
        Mode::Window => 1,
        Mode::Stream => IMAGES.div_ceil(spec.alpha.max(1)).max(2),
    };
    for _ in 0..runs {
        let inputs = session.inputs();
        fill(inputs.fast)?;
        fill(inputs.slow)?;
        run(session)?;
        let mut logits = session.logits().iter().enumerate();
        if let Some((index, logit)) = logits.find(|(_, logit)| !logit.is_finite()) {
            let message = format!("logit {index} of an image must be finite, got {logit}");
            return Err(Error::new(Status::SelfTest, message));
        }
    }
    Ok(())
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

/// Measures the time of one run in a separate session: the median of five runs after one warm-up
/// run. `run` runs the session once and returns the time that the run took.
pub(crate) fn measure_step(
    backend: &dyn Backend,
    run: impl Fn(&mut dyn Session) -> Result<Duration>,
) -> Result<Duration> {
    let mut session = backend.create_session()?;
    let mut times = [Duration::ZERO; 5];
    run(session.as_mut())?;
    for time in &mut times {
        *time = run(session.as_mut())?;
    }
    times.sort_unstable();
    Ok(times[2])
}

#[cfg(all(test, feature = "rten"))]
mod tests {
    use super::*;
    use crate::backend::rten;
    use crate::engine::config::EngineConfig;
    use crate::model::ModelPackage;

    const STREAM: &[u8] = include_bytes!("../../models/standin.stream.onnx");
    const CLIP: &[u8] = include_bytes!("../../models/standin.clip.onnx");

    fn run(session: &mut dyn Session) -> Result<Duration> {
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
            assert!(run_self_test(backend.as_ref(), &package.spec, run).expect("passes") < 1e-3);
            package.spec.self_test.logits[3] += 1.0;
            let error = run_self_test(backend.as_ref(), &package.spec, run).expect_err("fails");
            assert_eq!(error.status(), Status::SelfTest);
        }
    }

    #[test]
    fn tolerance_is_that_of_the_lower_precision() {
        let mut package = package(STREAM);
        let backend = rten::load(&package, &EngineConfig::default()).expect("loads");
        let test = &mut package.spec.self_test;
        test.logits[0] += f32::midpoint(test.tolerance_fp32, test.tolerance_fp16);
        let error =
            run_self_test(backend.as_ref(), &package.spec, run).expect_err("too far for fp32");
        assert!(error.message().contains("fp32"), "{error}");
        package.spec.precision = Precision::Fp16;
        run_self_test(backend.as_ref(), &package.spec, run).expect("near enough for fp16");
    }
}

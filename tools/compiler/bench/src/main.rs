//! Measures one graph in a Rust runtime, for `cargo xtask bench graphs`.
//!
//! `tteview-compiler-bench rten|tract MODEL SHAPE...` loads the model, which runs on one thread.
//! Each `SHAPE` is the shape of one input, for example `1,3,8,224,224`. For every line on standard
//! input, the program runs the graph once and prints the time in milliseconds on standard output.

use std::error::Error;
use std::io::{BufRead, Write};
use std::sync::Arc;
use std::time::Instant;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A function that runs a graph once.
type Run = Box<dyn FnMut() -> Result<()>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [runtime, model, shapes @ ..] = arguments.as_slice() else {
        return Err("usage: tteview-compiler-bench rten|tract MODEL SHAPE...".into());
    };
    let shapes = shapes.iter().map(|shape| parse_shape(shape)).collect::<Result<Vec<_>>>()?;
    let mut run = match runtime.as_str() {
        "rten" => load_rten(model, &shapes)?,
        "tract" => load_tract(model, &shapes)?,
        other => return Err(format!("the runtime must be rten or tract, got {other}").into()),
    };
    for line in std::io::stdin().lock().lines() {
        line?;
        let start = Instant::now();
        run()?;
        println!("{}", start.elapsed().as_secs_f64() * 1e3);
        std::io::stdout().flush()?;
    }
    Ok(())
}

fn parse_shape(shape: &str) -> Result<Vec<usize>> {
    shape.split(',').map(|size| Ok(size.parse()?)).collect()
}

/// Returns pseudo-random numbers from -1 to 1, which are the same in every run.
fn random_numbers(count: usize) -> Vec<f32> {
    let mut x = 1u32;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        (f64::from(x) / f64::from(1u32 << 31) - 1.0) as f32
    };
    (0..count).map(|_| next()).collect()
}

fn load_rten(path: &str, shapes: &[Vec<usize>]) -> Result<Run> {
    use rten::{Model, NodeId, RunOptions, ThreadPool, Value};
    let model = Model::load_file(path)?;
    let count = model.input_ids().len();
    if count != shapes.len() {
        return Err(format!("the model has {count} inputs, but {} shapes are given", shapes.len()).into());
    }
    let mut inputs = Vec::new();
    for (&id, shape) in model.input_ids().iter().zip(shapes) {
        let value =
            Value::from_shape(shape, random_numbers(shape.iter().product())).map_err(|e| format!("{e:?}"))?;
        inputs.push((id, value));
    }
    let pool = Arc::new(ThreadPool::with_num_threads(1));
    let outputs: Vec<NodeId> = model.output_ids().to_vec();
    Ok(Box::new(move || {
        let options = RunOptions::default().with_thread_pool(Some(pool.clone()));
        let inputs = inputs.iter().map(|(id, value)| (*id, value.as_view().into())).collect();
        model.run(inputs, &outputs, Some(options))?;
        Ok(())
    }))
}

fn load_tract(path: &str, shapes: &[Vec<usize>]) -> Result<Run> {
    use tract_onnx::prelude::*;
    let mut model = tract_onnx::onnx().model_for_path(path)?;
    let mut inputs = tvec!();
    for (index, shape) in shapes.iter().enumerate() {
        model = model.with_input_fact(index, f32::fact(shape).into())?;
        inputs.push(Tensor::from_shape(shape, &random_numbers(shape.iter().product()))?);
    }
    let model = model.into_optimized()?.into_runnable()?;
    Ok(Box::new(move || {
        model.run(inputs.iter().map(|t| t.clone().into()).collect())?;
        Ok(())
    }))
}

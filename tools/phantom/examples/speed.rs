//! Frames of 112x112 a second on two threads, over every view; and the time of one 640x480 cine.
use std::time::Instant;
use tteview_phantom::{Settings, View, render};

fn main() {
    let s = Settings::default();
    let start = Instant::now();
    std::thread::scope(|scope| {
        for k in 0..2 {
            let s = &s;
            scope.spawn(move || {
                View::ALL.iter().for_each(|&v| drop(std::hint::black_box(render(v, k, s))));
            });
        }
    });
    let n = 2 * View::ALL.len() * s.frames;
    println!("{:.0} frames/s of 112x112 on two threads", n as f64 / start.elapsed().as_secs_f64());
    let start = Instant::now();
    std::hint::black_box(render(View::A4c, 1, &Settings { width: 640, height: 480, frames: 60, ..s }));
    println!("{:.2} s for 60 frames of 640x480", start.elapsed().as_secs_f64());
}

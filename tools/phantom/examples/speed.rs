//! `speed [SCANNER]` prints the number of 112 x 112 frames that two threads render per second,
//! averaged over all views, and the time to render one 640 x 480 cine. The scanner is `bench`
//! unless it is given.

use std::time::Instant;
use tteview_phantom::{Scanner, Settings, View, render};

fn main() {
    let name = std::env::args().nth(1).unwrap_or_default();
    let scanner = Scanner::ALL.into_iter().find(|scanner| scanner.name() == name);
    let settings = Settings { scanner: scanner.unwrap_or_default(), ..Settings::default() };
    let start = Instant::now();
    std::thread::scope(|scope| {
        for seed in 0..2 {
            let settings = &settings;
            scope.spawn(move || {
                for &view in View::ALL {
                    std::hint::black_box(render(view, seed, settings));
                }
            });
        }
    });
    let frames = 2 * View::ALL.len() * settings.frames;
    println!(
        "{}: {:.0} frames/s of 112x112 on two threads",
        settings.scanner.name(),
        frames as f64 / start.elapsed().as_secs_f64()
    );
    let start = Instant::now();
    let large = Settings { width: 640, height: 480, frames: 60, ..settings };
    std::hint::black_box(render(View::A4c, 1, &large));
    println!("{:.2} s for 60 frames of 640x480", start.elapsed().as_secs_f64());
}

//! Burned-in marks of the organic scanners. Each cine has its own arrangement of marks.

use crate::body::organic::shape::Family;
use crate::image::overlay::{Canvas, Ecg, Overlay};
use crate::rng::Rng;

/// Draws the marks of one cine. `middle` is the middle of the sector, as a fraction of the width.
///
/// The marks never depend on the view. `Wild` and `Unlike` have different kinds of marks.
pub(crate) fn draw_marks(
    family: Family,
    middle: f32,
    [height, width]: [usize; 2],
    rng: &mut Rng,
) -> Overlay {
    let mut canvas = Canvas { width, height, pixels: Vec::new() };
    let grey = 90 + rng.draw_below(166) as u8;
    let ecg = match family {
        Family::Wild => add_wild_marks(&mut canvas, middle, grey, rng),
        Family::Unlike => add_unlike_marks(&mut canvas, middle, grey, rng),
    };
    Overlay { still: canvas.pixels, ecg }
}

fn add_wild_marks(canvas: &mut Canvas, middle: f32, grey: u8, rng: &mut Rng) -> Option<Ecg> {
    let corners = [[0.01, 0.01], [0.72, 0.01], [0.01, 0.72], [0.78, 0.8], [0.8, 0.3], [0.01, 0.3]];
    for corner in corners {
        match rng.draw_below(6) {
            0 => canvas.add_text(corner, 1 + rng.draw_below(3), 6, grey, rng),
            1 | 2 => add_small_print(canvas, corner, rng),
            _ => {}
        }
    }
    if rng.draw_below(2) == 0 {
        let x = [0.01, 0.97, 0.9][rng.draw_below(3)];
        canvas.add_ticks(x, 8 + rng.draw_below(14), grey);
    }
    if rng.draw_below(3) == 0 {
        let x = [0.01, 0.95][rng.draw_below(2)];
        canvas.add_bar(x, rng.draw_uniform(0.05, 0.4), rng.draw_uniform(0.2, 0.4));
    }
    if rng.draw_below(3) == 0 {
        let side = rng.draw_uniform(-0.12, 0.12);
        canvas.add_disc([middle + side, 0.03], rng.draw_uniform(0.01, 0.03), 200);
    }
    if rng.draw_below(8) == 0 {
        canvas.add_block([0.0, 0.95, 1.0, 0.05], |_| 50);
    }
    (rng.draw_below(5) < 2).then(|| Ecg {
        base: rng.draw_uniform(0.88, 0.98),
        height: rng.draw_uniform(0.03, 0.1),
        speed: rng.draw_uniform(0.25, 0.7),
        grey,
    })
}

fn add_unlike_marks(canvas: &mut Canvas, middle: f32, grey: u8, rng: &mut Rng) -> Option<Ecg> {
    if rng.draw_below(3) == 0 {
        // A title bar with a name and a number.
        canvas.add_block([0.0, 0.0, 1.0, 0.06], |down| 90 - (50.0 * down) as u8);
        canvas.add_text([0.03, 0.005], 1, 8, 230, rng);
    }
    if rng.draw_below(3) == 0 {
        // Pictures of other cines at the edge.
        let x = [0.0, 0.88][rng.draw_below(2)];
        for place in 0..1 + rng.draw_below(4) {
            let shade = 20 + rng.draw_below(90) as u8;
            canvas.add_block([x, 0.1 + 0.2 * place as f32, 0.12, 0.15], |_| 130);
            canvas.add_block([x + 0.01, 0.11 + 0.2 * place as f32, 0.1, 0.13], |_| shade);
        }
    }
    if rng.draw_below(2) == 0 {
        // Depth marks along the edge of the sector.
        let slope = rng.draw_uniform(0.4, 0.8) * [1.0, -1.0][rng.draw_below(2)];
        for tick in 1..12 {
            let down = 0.08 * tick as f32;
            canvas.add_disc([middle + slope * down, down], 0.006, grey);
        }
    }
    if rng.draw_below(3) == 0 {
        // A measuring line with crosses at its ends.
        let start = [rng.draw_uniform(0.3, 0.6), rng.draw_uniform(0.3, 0.7)];
        let reach = [rng.draw_uniform(-0.2, 0.2), rng.draw_uniform(-0.2, 0.2)];
        for step in (0..=40).step_by(4) {
            let t = step as f32 / 40.0;
            canvas.add_disc([start[0] + t * reach[0], start[1] + t * reach[1]], 0.004, 220);
        }
    }
    if rng.draw_below(3) == 0 {
        for place in 0..6 {
            let shade = 40 + rng.draw_below(120) as u8;
            canvas.add_block([0.05 + 0.15 * place as f32, 0.93, 0.12, 0.06], |_| shade);
        }
    }
    if rng.draw_below(3) == 0 {
        canvas.add_text([rng.draw_uniform(0.05, 0.7), 0.82], 1, 5, grey, rng);
    }
    (rng.draw_below(4) == 0).then(|| Ecg {
        base: rng.draw_uniform(0.08, 0.2),
        height: rng.draw_uniform(0.04, 0.12),
        speed: rng.draw_uniform(0.2, 0.9),
        grey,
    })
}

/// Adds lines of text that are too small to be read, as text is in a frame that was made smaller.
pub(crate) fn add_small_print(canvas: &mut Canvas, [x, y]: [f32; 2], rng: &mut Rng) {
    let scale = (canvas.height / 112).max(1);
    let (left, top) = ((x * canvas.width as f32) as usize, (y * canvas.height as f32) as usize);
    let bright = 60 + rng.draw_below(120);
    for line in 0..1 + rng.draw_below(5) {
        for column in 0..(5 + rng.draw_below(18)) * scale {
            for row in 0..2 * scale {
                if rng.draw_below(4) > 0 {
                    let grey = (bright / 2 + rng.draw_below(bright)).min(255) as u8;
                    canvas.add_pixel(top + line * 4 * scale + row, left + column, grey);
                }
            }
        }
    }
}

//! Pages of a report: text, tables and graphs.

use crate::image::organic::marks::add_small_print;
use crate::image::overlay::Canvas;
use crate::rng::Rng;
use ndarray::Array2;

/// Draws a page.
pub(crate) fn draw_report(size: [usize; 2], rng: &mut Rng) -> Array2<u8> {
    let [height, width] = size;
    let mut canvas = Canvas { width, height, pixels: Vec::new() };
    let is_dark = rng.draw_below(2) == 0;
    let paper = if is_dark { rng.draw_below(50) } else { 190 + rng.draw_below(66) } as u8;
    if rng.draw_below(2) == 0 {
        canvas.add_block([0.0, 0.0, 1.0, 0.09], |_| 110);
        canvas.add_text([0.03, 0.02], 1, 14, 230, rng);
    }
    // The page has six fields.
    for field in 0..6 {
        let corner = [0.03 + 0.5 * (field % 2) as f32, 0.12 + 0.29 * (field / 2) as f32];
        match rng.draw_below(7) {
            0 => add_small_print(&mut canvas, corner, rng),
            1 => canvas.add_text(corner, 2 + rng.draw_below(3), 10, 150, rng),
            2 => add_table(&mut canvas, corner, rng),
            3 => add_curves(&mut canvas, corner, rng),
            4 => add_bars(&mut canvas, corner, rng),
            5 => add_target(&mut canvas, corner, rng),
            _ => {}
        }
    }
    let mut page = Array2::from_elem(size, paper);
    for mark in &canvas.pixels {
        let grey = if is_dark { mark.grey } else { 255 - mark.grey };
        page[[mark.row, mark.column]] = grey;
    }
    page
}

fn add_table(canvas: &mut Canvas, [x, y]: [f32; 2], rng: &mut Rng) {
    let (rows, columns) = (3 + rng.draw_below(4), 2 + rng.draw_below(3));
    for row in 0..=rows {
        let down = y + 0.25 * row as f32 / rows as f32;
        canvas.add_block([x, down, 0.44, 0.004], |_| 140);
        for column in 0..columns {
            let right = x + 0.01 + 0.44 * column as f32 / columns as f32;
            let length = rng.draw_uniform(0.02, 0.36 / columns as f32);
            let grey = 100 + rng.draw_below(120) as u8;
            canvas.add_block([right, down + 0.015, length, 0.015], |_| grey);
        }
    }
    for column in 0..=columns {
        canvas.add_block([x + 0.44 * column as f32 / columns as f32, y, 0.004, 0.25], |_| 140);
    }
}

fn add_curves(canvas: &mut Canvas, [x, y]: [f32; 2], rng: &mut Rng) {
    canvas.add_block([x, y, 0.004, 0.25], |_| 180);
    canvas.add_block([x, y + 0.25, 0.44, 0.004], |_| 180);
    for _ in 0..1 + rng.draw_below(6) {
        let (depth, shift) = (rng.draw_uniform(0.04, 0.2), rng.draw_uniform(-0.1, 0.1));
        let grey = 110 + rng.draw_below(140) as u8;
        for step in 0..100 {
            let t = step as f32 / 100.0;
            let value = depth * (std::f32::consts::PI * (t + shift * t)).sin().powi(2);
            canvas.add_block([x + 0.44 * t, y + 0.02 + value, 0.004, 0.008], |_| grey);
        }
    }
}

fn add_bars(canvas: &mut Canvas, [x, y]: [f32; 2], rng: &mut Rng) {
    let count = 3 + rng.draw_below(8);
    for bar in 0..count {
        let height = rng.draw_uniform(0.02, 0.24);
        let grey = 90 + rng.draw_below(160) as u8;
        let width = 0.44 / count as f32;
        let place = [x + width * bar as f32, y + 0.25 - height, 0.7 * width, height];
        canvas.add_block(place, |_| grey);
    }
}

/// Adds the map of the left ventricle's segments that strain reports show.
fn add_target(canvas: &mut Canvas, [x, y]: [f32; 2], rng: &mut Rng) {
    let (width, height) = (canvas.width as f32, canvas.height as f32);
    let middle = [x + 0.22, y + 0.13];
    let radius = 0.12 * height;
    let shades: Vec<u8> = (0..18).map(|_| 40 + rng.draw_below(200) as u8).collect();
    for row in 0..canvas.height {
        for column in 0..canvas.width {
            let (right, down) =
                (column as f32 - middle[0] * width, row as f32 - middle[1] * height);
            let r = right.hypot(down) / radius;
            if r < 1.0 {
                let sector = ((down.atan2(right) / std::f32::consts::TAU + 0.5) * 5.99) as usize;
                let ring = (r * 2.99) as usize;
                canvas.add_pixel(row, column, shades[ring * 6 + sector]);
            }
        }
    }
}

//! `atlas FILE` writes an SVG file that shows every view except `OTHER` twice: as a map of its
//! anatomy and as an image from the bench scanner.

use ndarray::Array2;
use std::fmt::Write as _;
use tteview_phantom::{Heart, Settings, Structure, View, map_anatomy, render};

/// Side of a picture in pixels.
const SIDE: usize = 180;
const COLUMNS: usize = 3;
/// Height of a title in pixels.
const TITLE: usize = 22;
/// Distance between the cells in pixels.
const GAP: usize = 12;
const SEED: u64 = 1;
/// The time that is shown, in seconds after end-diastole. It lies in mid-diastole, when the valves
/// between the atria and the ventricles are open.
const SECONDS: f32 = 0.62;
/// Minimum result of `measure_width` at which a structure is labelled.
const NARROWEST: usize = 4;

fn main() -> std::io::Result<()> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "atlas.svg".into());
    let views: Vec<View> = View::ALL.iter().copied().filter(|&view| view != View::Other).collect();
    let (cell_w, cell_h) = (2 * SIDE + GAP, SIDE + TITLE + GAP);
    let (w, h) = (COLUMNS * cell_w, views.len().div_ceil(COLUMNS) * cell_h);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {h}\" width=\"{w}\" height=\"{h}\" \
         font-family=\"sans-serif\">\n<rect width=\"{w}\" height=\"{h}\" fill=\"#fff\"/>\n"
    );
    for (cell, &view) in views.iter().enumerate() {
        let (x, y) = (cell % COLUMNS * cell_w, cell / COLUMNS * cell_h);
        _ = writeln!(svg, "<g transform=\"translate({x} {y})\">");
        _ = writeln!(
            svg,
            "<text x=\"4\" y=\"16\" font-size=\"14\" font-weight=\"bold\">{}</text>",
            view.code()
        );
        let map = map_anatomy(&Heart::draw(SEED), view, SECONDS, SIDE);
        let rgb: Vec<u8> =
            map.iter().flat_map(|structure| structure.map_or([0; 3], choose_colour)).collect();
        write_image(&mut svg, 0, &encode_png(&rgb, png::ColorType::Rgb));
        let settings = Settings {
            width: SIDE,
            height: SIDE,
            frames: 1,
            burn_in: false,
            ..Settings::default()
        };
        let cine = render(view, SEED, &settings);
        write_image(&mut svg, SIDE, &encode_png(&cine.frames[0], png::ColorType::Grayscale));
        write_names(&mut svg, &map);
        svg += "</g>\n";
    }
    svg += "</svg>\n";
    std::fs::write(path, svg)
}

/// Returns the colour of a structure. Oxygenated blood is red, and deoxygenated blood is blue.
fn choose_colour(structure: Structure) -> [u8; 3] {
    use Structure::*;
    match structure {
        LeftVentricle | LeftAtrium | PulmonaryVein => [214, 94, 88],
        Aorta | DescendingAorta | ArchBranch => [232, 128, 116],
        RightVentricle | RightAtrium | Outflow => [92, 132, 196],
        PulmonaryArtery | RightPulmonaryArtery | LeftPulmonaryArtery => [124, 162, 214],
        InferiorVenaCava | SuperiorVenaCava | HepaticVein => [110, 120, 190],
        Muscle => [178, 122, 100],
        ThinWall | VesselWall => [206, 160, 136],
        Valve => [250, 250, 240],
        Pericardium => [240, 224, 190],
        Liver => [150, 92, 72],
        Body => [226, 216, 206],
    }
}

/// Writes the abbreviation of each structure where the structure is widest.
fn write_names(svg: &mut String, map: &Array2<Option<Structure>>) {
    let mut widest: Vec<(Structure, usize, [usize; 2])> = Vec::new();
    for ((row, column), structure) in map.indexed_iter() {
        let Some(structure) = structure.filter(|s| !s.abbreviation().is_empty()) else { continue };
        let width = measure_width(map, [row, column], structure);
        match widest.iter_mut().find(|(s, ..)| *s == structure) {
            Some(best) if best.1 >= width => {}
            Some(best) => *best = (structure, width, [row, column]),
            None => widest.push((structure, width, [row, column])),
        }
    }
    for (structure, width, [row, column]) in widest {
        if width >= NARROWEST {
            _ = writeln!(
                svg,
                "<text x=\"{column}\" y=\"{}\" font-size=\"11\" text-anchor=\"middle\" stroke=\"#fff\" \
                 stroke-width=\"2.5\" paint-order=\"stroke\">{}</text>",
                row + TITLE + 4,
                structure.abbreviation()
            );
        }
    }
}

/// Returns the distance in pixels from a pixel to the nearest edge of the structure, measured in
/// eight directions.
fn measure_width(
    map: &Array2<Option<Structure>>,
    [row, column]: [usize; 2],
    structure: Structure,
) -> usize {
    let is_inside = |down: isize, right: isize| {
        let at = row.checked_add_signed(down).zip(column.checked_add_signed(right));
        at.and_then(|at| map.get(at)) == Some(&Some(structure))
    };
    (1..SIDE as isize)
        .take_while(|&r| {
            let s = (r * 7 + 5) / 10;
            [(0, r), (0, -r), (r, 0), (-r, 0), (s, s), (s, -s), (-s, s), (-s, -s)]
                .into_iter()
                .all(|(down, right)| is_inside(down, right))
        })
        .count()
}

fn encode_png(pixels: &[u8], colour: png::ColorType) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, SIDE as u32, SIDE as u32);
    encoder.set_color(colour);
    encoder.set_compression(png::Compression::High);
    let mut writer = encoder.write_header().expect("writing to memory cannot fail");
    writer.write_image_data(pixels).expect("writing to memory cannot fail");
    drop(writer);
    file
}

fn write_image(svg: &mut String, x: usize, png: &[u8]) {
    _ = writeln!(
        svg,
        "<image x=\"{x}\" y=\"{TITLE}\" width=\"{SIDE}\" height=\"{SIDE}\" \
         href=\"data:image/png;base64,{}\"/>",
        encode_base64(png)
    );
}

fn encode_base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let value =
            three.iter().fold(0u32, |v, &b| v << 8 | u32::from(b)) << (8 * (3 - three.len()));
        for digit in 0..4 {
            let index = value >> (18 - 6 * digit) & 63;
            text.push(if digit <= three.len() { DIGITS[index as usize] as char } else { '=' });
        }
    }
    text
}

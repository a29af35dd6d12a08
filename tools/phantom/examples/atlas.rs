//! `atlas FILE`: an SVG with every view twice, as a drawing of its anatomy and as the bench scanner shows it.
use std::fmt::Write as _;
use tteview_phantom::{Heart, Settings, Structure, View, anatomy, render};

/// Pixels of a picture's side, in the file and on the screen.
const SIDE: usize = 180;
const COLUMNS: usize = 3;
const TITLE: usize = 22;
const GAP: usize = 12;
const SEED: u64 = 1;
/// In mid-diastole: the valves to the ventricles are open.
const SECONDS: f32 = 0.62;

fn main() -> std::io::Result<()> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "atlas.svg".into());
    let views: Vec<View> = View::ALL.iter().copied().filter(|&view| view != View::Other).collect();
    let (cell_w, cell_h) = (2 * SIDE + GAP, SIDE + TITLE + GAP);
    let (w, h) = (COLUMNS * cell_w, views.len().div_ceil(COLUMNS) * cell_h);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {h}\" width=\"{w}\" height=\"{h}\" \
         font-family=\"sans-serif\">\n<rect width=\"{w}\" height=\"{h}\" fill=\"#fff\"/>\n"
    );
    for (place, &view) in views.iter().enumerate() {
        let (x, y) = (place % COLUMNS * cell_w, place / COLUMNS * cell_h);
        _ = writeln!(svg, "<g transform=\"translate({x} {y})\">");
        _ = writeln!(
            svg,
            "<text x=\"4\" y=\"16\" font-size=\"14\" font-weight=\"bold\">{}</text>",
            view.code()
        );
        let structures = anatomy(&Heart::draw(SEED), view, SECONDS, SIDE);
        let rgb: Vec<u8> = structures.iter().flat_map(|s| s.map_or([0; 3], colour)).collect();
        image(&mut svg, 0, &png(&rgb, png::ColorType::Rgb));
        let settings =
            Settings { width: SIDE, height: SIDE, frames: 1, burn_in: false, ..Settings::default() };
        let cine = render(view, SEED, &settings);
        image(&mut svg, SIDE, &png(&cine.frames[0], png::ColorType::Grayscale));
        names(&mut svg, &structures);
        svg += "</g>\n";
    }
    svg += "</svg>\n";
    std::fs::write(path, svg)
}

/// Blood that has been to the lungs is red, blood that has not blue.
fn colour(structure: Structure) -> [u8; 3] {
    use Structure::*;
    match structure {
        LeftVentricle | LeftAtrium => [214, 94, 88],
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

/// Writes the name of each structure where it is widest.
fn names(svg: &mut String, structures: &[Option<Structure>]) {
    let mut widest: Vec<(Structure, usize, usize)> = Vec::new();
    for (at, structure) in structures.iter().enumerate() {
        let Some(structure) = structure.filter(|s| !s.short_name().is_empty()) else { continue };
        let room = room(structures, at, structure);
        match widest.iter_mut().find(|(s, ..)| *s == structure) {
            Some(best) if best.1 >= room => {}
            Some(best) => *best = (structure, room, at),
            None => widest.push((structure, room, at)),
        }
    }
    for (structure, room, at) in widest {
        if room >= 4 {
            _ = writeln!(
                svg,
                "<text x=\"{}\" y=\"{}\" font-size=\"11\" text-anchor=\"middle\" stroke=\"#fff\" \
                 stroke-width=\"2.5\" paint-order=\"stroke\">{}</text>",
                at % SIDE,
                at / SIDE + TITLE + 4,
                structure.short_name()
            );
        }
    }
}

/// How far the structure reaches from a pixel in the four directions and the four between, at least.
fn room(structures: &[Option<Structure>], at: usize, structure: Structure) -> usize {
    let (x, y) = ((at % SIDE) as isize, (at / SIDE) as isize);
    let inside = |x: isize, y: isize| {
        let frame = 0..SIDE as isize;
        frame.contains(&x)
            && frame.contains(&y)
            && structures[y as usize * SIDE + x as usize] == Some(structure)
    };
    (1..SIDE as isize)
        .take_while(|&r| {
            let s = (r * 7 + 5) / 10;
            [(r, 0), (-r, 0), (0, r), (0, -r), (s, s), (-s, s), (s, -s), (-s, -s)]
                .into_iter()
                .all(|(dx, dy)| inside(x + dx, y + dy))
        })
        .count()
}

fn png(pixels: &[u8], colour: png::ColorType) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, SIDE as u32, SIDE as u32);
    encoder.set_color(colour);
    encoder.set_compression(png::Compression::High);
    let mut writer = encoder.write_header().expect("writing to memory");
    writer.write_image_data(pixels).expect("writing to memory");
    drop(writer);
    file
}

fn image(svg: &mut String, x: usize, png: &[u8]) {
    _ = writeln!(
        svg,
        "<image x=\"{x}\" y=\"{TITLE}\" width=\"{SIDE}\" height=\"{SIDE}\" \
         href=\"data:image/png;base64,{}\"/>",
        base64(png)
    );
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let value = three.iter().fold(0u32, |v, &b| v << 8 | u32::from(b)) << (8 * (3 - three.len()));
        for digit in 0..4 {
            let index = value >> (18 - 6 * digit) & 63;
            text.push(if digit <= three.len() { DIGITS[index as usize] as char } else { '=' });
        }
    }
    text
}

//! `contact_sheet FILE [SEED] [FRAME] [SCANNER] [other]` writes a picture with one frame of every
//! view, in the order of the labels and with seven frames per row. With `other`, it shows every
//! kind of content of OTHER instead, which only organic scanners have.

use tteview_phantom::{OtherKind, Scanner, Set, Settings, View, render, write_contact_sheet};

fn main() -> std::io::Result<()> {
    let mut args = std::env::args().skip(1);
    let path = args.next().unwrap_or_else(|| "contact.png".into());
    let seed = args.next().and_then(|s| s.parse().ok()).unwrap_or(1);
    let frame = args.next().and_then(|s| s.parse::<usize>().ok()).unwrap_or(0);
    let name = args.next().unwrap_or_default();
    let scanner = Scanner::ALL.into_iter().find(|scanner| scanner.name() == name);
    let scanner = scanner.unwrap_or_default();
    // Noise makes the pictures of organic scanners large files.
    let side = if scanner.is_organic() { 160 } else { 224 };
    let settings =
        Settings { width: side, height: side, frames: 24, scanner, ..Settings::default() };
    let mut cines: Vec<_> = if args.next().as_deref() == Some("other") && scanner.is_organic() {
        let render_kind = |(seed, &kind)| {
            let settings = Settings { other_kinds: vec![kind], ..settings.clone() };
            render(View::Other, seed, &settings)
        };
        (seed..).zip(OtherKind::ALL).map(render_kind).collect()
    } else {
        let views = View::ALL.to_vec();
        let set = Set { views, patients: 1, seed, settings, ..Set::default() };
        set.views.iter().map(|&view| set.render_cine(view, 0)).collect()
    };
    for cine in &mut cines {
        // The sheet shows the first frame of each cine, so the chosen frame is swapped to the
        // front.
        let frame = frame.min(cine.frames.len() - 1);
        cine.frames.swap(0, frame);
    }
    write_contact_sheet(path.as_ref(), &cines, 7)
}

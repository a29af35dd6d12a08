//! `contact_sheet FILE [SEED] [FRAME] [SCANNER]` writes a picture with one frame of every view, in
//! the order of the labels and with seven frames per row.

use tteview_phantom::{Scanner, Set, Settings, View, write_contact_sheet};

fn main() -> std::io::Result<()> {
    let mut args = std::env::args().skip(1);
    let path = args.next().unwrap_or_else(|| "contact.png".into());
    let seed = args.next().and_then(|s| s.parse().ok()).unwrap_or(1);
    let frame = args.next().and_then(|s| s.parse::<usize>().ok()).unwrap_or(0);
    let name = args.next().unwrap_or_default();
    let scanner = Scanner::ALL.into_iter().find(|scanner| scanner.name() == name);
    let scanner = scanner.unwrap_or_default();
    let settings = Settings { width: 224, height: 224, frames: 24, scanner, ..Settings::default() };
    let set =
        Set { views: View::ALL.to_vec(), patients: 1, seed, settings, seconds: None, split: None };
    let mut cines: Vec<_> = set.views.iter().map(|&view| set.render_cine(view, 0)).collect();
    for cine in &mut cines {
        // The sheet shows the first frame of each cine, so the chosen frame is swapped to the
        // front.
        let frame = frame.min(cine.frames.len() - 1);
        cine.frames.swap(0, frame);
    }
    write_contact_sheet(path.as_ref(), &cines, 7)
}

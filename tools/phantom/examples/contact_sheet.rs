//! `contact_sheet FILE [SEED] [FRAME]`: every view in label order, seven to a row.
use tteview_phantom::{Settings, View, render, write_contact_sheet};

fn main() -> std::io::Result<()> {
    let mut args = std::env::args().skip(1);
    let path = args.next().unwrap_or_else(|| "contact.png".into());
    let seed = args.next().and_then(|s| s.parse().ok()).unwrap_or(1);
    let s = Settings { width: 224, height: 224, frames: 24, ..Settings::default() };
    let mut cines: Vec<_> = View::ALL.iter().map(|&v| render(v, seed, &s)).collect();
    // Another instant of the beat from the same cines: `FRAME` is the third argument.
    let frame = args.next().and_then(|s| s.parse::<usize>().ok()).unwrap_or(0).min(s.frames - 1);
    cines.iter_mut().for_each(|c| c.frames.swap(0, frame));
    write_contact_sheet(path.as_ref(), &cines, 7)
}

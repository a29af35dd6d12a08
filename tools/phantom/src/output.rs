//! Files: PNG folders with a manifest, DICOM multi-frame, contact sheets.

use crate::heart::Heart;
use crate::image::{Cine, Settings, render};
use crate::look::Scanner;
use crate::rng::Rng;
use crate::view::View;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Writes one 8-bit PNG, grey or RGB by the number of bytes.
///
/// # Errors
/// Any error of the file system or the encoder.
pub fn write_png(path: &Path, pixels: &[u8], width: usize, height: usize) -> io::Result<()> {
    // Speckle hardly packs: more effort would cost time and save little.
    encode(path, pixels, [width, height], png::Compression::Fast)
}

fn encode(
    path: &Path,
    pixels: &[u8],
    [width, height]: [usize; 2],
    effort: png::Compression,
) -> io::Result<()> {
    let file = io::BufWriter::new(std::fs::File::create(path)?);
    let mut e = png::Encoder::new(file, width as u32, height as u32);
    let colour = pixels.len() == 3 * width * height;
    e.set_color(if colour { png::ColorType::Rgb } else { png::ColorType::Grayscale });
    e.set_depth(png::BitDepth::Eight);
    e.set_compression(effort);
    let mut out = e.write_header().map_err(io::Error::other)?;
    out.write_image_data(pixels).map_err(io::Error::other)
}

/// A labelled set of cines.
#[derive(Clone, Debug)]
pub struct Set {
    /// Views of every heart.
    pub views: Vec<View>,
    /// Hearts: a patient is one heart in every view.
    pub patients: usize,
    /// Seed of the first heart; the next has the next.
    pub seed: u64,
    /// Size, machine and marks. Machines other than the bench draw frame rate and colour Doppler for each cine.
    pub settings: Settings,
    /// Length of a cine in seconds; if not given, the number of frames is that of `settings`.
    pub seconds: Option<f32>,
    /// Split of every patient; if not given, of ten patients eight train, one validates and one tests.
    pub split: Option<String>,
}

/// Part of the cines with colour Doppler, away from the bench.
const COLOUR: f32 = 0.12;

/// A colour frame takes longer to acquire: several shots on each line.
const COLOUR_PERIOD: f64 = 1.5;

/// Columns of the manifest: those that a trainer needs, then what a cine was made with.
const COLUMNS: &str = "path,label,patient,split,colour,frame_period_ns,scanner,frame_rate,gain_db,range_db,depth_mm,\
angle_deg,habitus,grain,burn_in,rhythm";

impl Set {
    /// Writes `VIEW_NNNNN/NNNN.png` frames, `manifest.csv`, and of the first patient a `VIEW_00000.dcm` for each
    /// view and `contact.png`. The set depends on its description alone; two threads share the work.
    ///
    /// # Errors
    /// Any error of the file system or the encoder.
    pub fn write(&self, out: &Path) -> io::Result<()> {
        std::fs::create_dir_all(out)?;
        let total = self.patients * self.views.len();
        let (next, rows) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(total)));
        let work = || -> io::Result<()> {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= total {
                    return Ok(());
                }
                let row = self.write_cine(out, index)?;
                if let Ok(mut rows) = rows.lock() {
                    rows.push((index, row));
                }
            }
        };
        std::thread::scope(|scope| {
            let other = scope.spawn(work);
            work()
                .and(other.join().unwrap_or_else(|_| Err(io::Error::other("a thread of the phantom failed"))))
        })?;
        let mut rows = rows.into_inner().map_err(|_| io::Error::other("a thread of the phantom failed"))?;
        rows.sort_unstable();
        let mut manifest = io::BufWriter::new(std::fs::File::create(out.join("manifest.csv"))?);
        writeln!(manifest, "{COLUMNS}")?;
        for (_, row) in &rows {
            writeln!(manifest, "{row}")?;
        }
        manifest.flush()?;
        let first: Vec<Cine> =
            self.views.iter().filter(|_| self.patients > 0).map(|&view| self.cine(view, 0)).collect();
        for cine in &first {
            write_dicom(&out.join(format!("{}_00000.dcm", cine.view.code())), cine)?;
        }
        if first.is_empty() { Ok(()) } else { write_contact_sheet(&out.join("contact.png"), &first, 7) }
    }

    /// Renders patient `n` in one view.
    pub fn cine(&self, view: View, n: usize) -> Cine {
        let seed = self.seed.wrapping_add(n as u64);
        let mut settings = self.settings.clone();
        if settings.scanner != Scanner::Bench {
            let mut rng = Rng::new(seed.wrapping_mul(0xD6E8_FEB8).wrapping_add(view as u64 + 1));
            settings.frame_period_ns = settings.scanner.frame_period_ns(rng.bits());
            settings.colour = view != View::Other && rng.range(0.0, 1.0) < COLOUR;
            if settings.colour {
                settings.frame_period_ns = (settings.frame_period_ns as f64 * COLOUR_PERIOD) as u64;
            }
        }
        if let Some(seconds) = self.seconds {
            let frames = f64::from(seconds) * 1e9 / settings.frame_period_ns as f64;
            settings.frames = (frames.ceil() as usize).max(1);
        }
        render(view, seed, &settings)
    }

    /// Writes one cine's frames and returns its row of the manifest.
    fn write_cine(&self, out: &Path, index: usize) -> io::Result<String> {
        let (n, view) = (index / self.views.len(), self.views[index % self.views.len()]);
        let cine = self.cine(view, n);
        let name = format!("{}_{n:05}", view.code());
        let folder = out.join(&name);
        std::fs::create_dir_all(&folder)?;
        for (i, frame) in cine.frames.iter().enumerate() {
            write_png(&folder.join(format!("{i:04}.png")), frame, cine.width, cine.height)?;
        }
        let drawn = ["train", "val", "test"][(n % 10).saturating_sub(7)];
        let split = self.split.as_deref().unwrap_or(drawn);
        let look = &cine.look;
        let rate = 1e9 / cine.frame_period_ns as f64;
        let marks = look.layout.map_or_else(|| "none".to_owned(), |layout| format!("layout{layout}"));
        Ok(format!(
            "{name},{},p{:08},{split},{},{},{},{rate:.1},{:.1},{:.1},{:.0},{:.0},{:.2},{:.2},{marks},{}",
            view.code(),
            cine.seed,
            u8::from(cine.channels == 3),
            cine.frame_period_ns,
            self.settings.scanner.name(),
            look.gain_db,
            look.range_db,
            cine.depth_mm,
            cine.angle_deg,
            look.habitus,
            look.grain,
            Heart::draw(cine.seed).rhythm().name(),
        ))
    }
}

/// Writes the first frame of each cine as one picture, `columns` wide, in order. All cines share a size.
///
/// # Errors
/// Any error of the file system or the encoder; `InvalidInput` when sizes differ or there is nothing to draw.
pub fn write_contact_sheet(path: &Path, cines: &[Cine], columns: usize) -> io::Result<()> {
    let bad = |m| io::Error::new(io::ErrorKind::InvalidInput, m);
    let first = cines.first().ok_or_else(|| bad("no cine for the contact sheet"))?;
    let (w, h, columns) = (first.width, first.height, columns.max(1));
    if cines.iter().any(|c| (c.width, c.height) != (w, h) || c.frames.is_empty()) {
        return Err(bad("cines of a contact sheet must have one size and a frame"));
    }
    // RGB as soon as one cine is in colour.
    let channels = cines.iter().map(|cine| cine.channels).max().unwrap_or(1);
    let total = columns * w;
    let rows = h * cines.len().div_ceil(columns);
    let mut px = vec![0u8; total * rows * channels];
    for (i, c) in cines.iter().enumerate() {
        for y in 0..h {
            let at = (i / columns * h + y) * total + i % columns * w;
            let row = &c.frames[0][y * w * c.channels..(y + 1) * w * c.channels];
            let target = px[at * channels..].chunks_exact_mut(channels);
            for (to, from) in target.zip(row.chunks_exact(c.channels)) {
                if from.len() == channels { to.copy_from_slice(from) } else { to.fill(from[0]) }
            }
        }
    }
    encode(path, &px, [total, rows], png::Compression::High)
}

/// Writes a multi-frame ultrasound DICOM file (explicit VR little endian, MONOCHROME2 or RGB, PS3.5 and PS3.10).
///
/// # Errors
/// Any error of the file system.
pub fn write_dicom(path: &Path, cine: &Cine) -> io::Result<()> {
    fn put(out: &mut Vec<u8>, group: u16, element: u16, vr: &str, value: &[u8]) {
        out.extend(group.to_le_bytes());
        out.extend(element.to_le_bytes());
        out.extend(vr.as_bytes());
        let len = value.len() + value.len() % 2;
        if matches!(vr, "OB" | "OW" | "UN") {
            out.extend([0, 0]);
            out.extend((len as u32).to_le_bytes());
        } else {
            out.extend((len as u16).to_le_bytes());
        }
        out.extend(value);
        if value.len() % 2 == 1 {
            out.push(if vr == "UI" || vr == "OB" { 0 } else { b' ' });
        }
    }
    let class = b"1.2.840.10008.5.1.4.1.1.3.1";
    let root = format!("2.25.{}{:02}", cine.seed, cine.view as u8);
    let us = |v: usize| (v as u16).to_le_bytes();
    let mut meta = Vec::new();
    put(&mut meta, 2, 1, "OB", &[0, 1]);
    put(&mut meta, 2, 2, "UI", class);
    put(&mut meta, 2, 3, "UI", root.as_bytes());
    put(&mut meta, 2, 0x10, "UI", b"1.2.840.10008.1.2.1");
    put(&mut meta, 2, 0x12, "UI", b"2.25.7883");
    let mut d = vec![0u8; 128];
    d.extend(b"DICM");
    put(&mut d, 2, 0, "UL", &(meta.len() as u32).to_le_bytes());
    d.extend(meta);
    put(&mut d, 8, 0x16, "UI", class);
    put(&mut d, 8, 0x18, "UI", root.as_bytes());
    put(&mut d, 8, 0x60, "CS", b"US");
    put(&mut d, 8, 0x103E, "LO", cine.view.code().as_bytes());
    put(&mut d, 0x10, 0x10, "PN", b"PHANTOM");
    put(&mut d, 0x10, 0x20, "LO", cine.seed.to_string().as_bytes());
    put(&mut d, 0x18, 0x1063, "DS", format!("{:.4}", cine.frame_period_ns as f64 * 1e-6).as_bytes());
    put(&mut d, 0x20, 0xD, "UI", format!("{root}1").as_bytes());
    put(&mut d, 0x20, 0xE, "UI", format!("{root}2").as_bytes());
    put(&mut d, 0x28, 2, "US", &us(cine.channels));
    put(&mut d, 0x28, 4, "CS", if cine.channels == 3 { b"RGB" } else { b"MONOCHROME2" });
    if cine.channels == 3 {
        // Planar Configuration: colour by pixel.
        put(&mut d, 0x28, 6, "US", &us(0));
    }
    put(&mut d, 0x28, 8, "IS", cine.frames.len().to_string().as_bytes());
    // Frame Increment Pointer: Frame Time.
    put(&mut d, 0x28, 9, "AT", &[0x18, 0, 0x63, 0x10]);
    put(&mut d, 0x28, 0x10, "US", &us(cine.height));
    put(&mut d, 0x28, 0x11, "US", &us(cine.width));
    for (e, v) in [(0x100, 8), (0x101, 8), (0x102, 7), (0x103, 0)] {
        put(&mut d, 0x28, e, "US", &us(v));
    }
    put(&mut d, 0x7FE0, 0x10, "OB", &cine.frames.concat());
    std::fs::write(path, d)
}

//! Files: PNG folders with a manifest, DICOM multi-frame, contact sheets.

use crate::image::{Cine, Settings, render};
use crate::view::View;
use std::io::{self, Write};
use std::path::Path;

/// Writes one 8-bit grey PNG.
///
/// # Errors
/// Any error of the file system or the encoder.
pub fn write_png(path: &Path, pixels: &[u8], width: usize, height: usize) -> io::Result<()> {
    let file = io::BufWriter::new(std::fs::File::create(path)?);
    let mut e = png::Encoder::new(file, width as u32, height as u32);
    e.set_color(png::ColorType::Grayscale);
    e.set_depth(png::BitDepth::Eight);
    let mut out = e.write_header().map_err(io::Error::other)?;
    out.write_image_data(pixels).map_err(io::Error::other)
}

/// Writes `count` cines of each view as folders of PNG frames, `manifest.csv`
/// (`path,label,patient,split,colour`, paths relative to `out`), a `contact.png` and one DICOM file a view.
///
/// Patient `n` is one heart (seed `seed + n`) seen in every view; of ten patients eight train, one validates
/// and one tests, so that no heart is in two splits.
///
/// # Errors
/// Any error of the file system or the encoder.
pub fn write_set(out: &Path, views: &[View], count: usize, seed: u64, settings: &Settings) -> io::Result<()> {
    std::fs::create_dir_all(out)?;
    let mut manifest = io::BufWriter::new(std::fs::File::create(out.join("manifest.csv"))?);
    writeln!(manifest, "path,label,patient,split,colour")?;
    let mut sheet = Vec::new();
    for n in 0..count {
        let split = ["train", "val", "test"][(n % 10).saturating_sub(7)];
        for &view in views {
            let cine = render(view, seed.wrapping_add(n as u64), settings);
            let name = format!("{}_{n:05}", view.code());
            std::fs::create_dir_all(out.join(&name))?;
            for (i, f) in cine.frames.iter().enumerate() {
                write_png(&out.join(&name).join(format!("{i:04}.png")), f, cine.width, cine.height)?;
            }
            writeln!(manifest, "{name},{},p{:08},{split},0", view.code(), seed.wrapping_add(n as u64))?;
            if n == 0 {
                write_dicom(&out.join(format!("{name}.dcm")), &cine)?;
                sheet.push(cine);
            }
        }
    }
    manifest.flush()?;
    if sheet.is_empty() { Ok(()) } else { write_contact_sheet(&out.join("contact.png"), &sheet, 7) }
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
    let total = columns * w;
    let mut px = vec![0u8; total * h * cines.len().div_ceil(columns)];
    for (i, c) in cines.iter().enumerate() {
        for y in 0..h {
            let at = (i / columns * h + y) * total + i % columns * w;
            px[at..at + w].copy_from_slice(&c.frames[0][y * w..(y + 1) * w]);
        }
    }
    write_png(path, &px, total, px.len() / total)
}

/// Writes a multi-frame ultrasound DICOM file (explicit VR little endian, MONOCHROME2, PS3.5 and PS3.10).
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
    put(&mut d, 0x28, 2, "US", &us(1));
    put(&mut d, 0x28, 4, "CS", b"MONOCHROME2");
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

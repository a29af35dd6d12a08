//! Rendering of one cine of an organic heart.

use crate::body::organic::organ::OrganicHeart;
use crate::body::organic::shape::Family;
use crate::cine::{Cine, HEART, Settings};
use crate::image::colour_doppler::ColourBox;
use crate::image::conditions::ImagingConditions;
use crate::image::organic::look::Look;
use crate::image::organic::marks::draw_marks;
use crate::image::organic::probe::place_probe;
use crate::image::organic::scan::{Scan, Subject};
use crate::image::organic::screen::{Area, Colour, Film, Screen, SectorPane, Turn};
use crate::image::other::kind::OtherKind;
use crate::image::other::m_mode::draw_m_mode;
use crate::image::other::pattern::{draw_blank, draw_test_pattern};
use crate::image::other::planes::{choose_pair, choose_plane, choose_view};
use crate::image::other::rendering::Rendering;
use crate::image::other::report::draw_report;
use crate::image::other::section::Section;
use crate::image::other::spectrum::draw_spectrum;
use crate::image::other::strip::{Strip, Timeline};
use crate::image::other_content::OtherContent;
use crate::image::plane::Plane;
use crate::image::scan_conversion::{Placement, compute_mm_per_px};
use crate::image::view::View;
use crate::rng::Rng;

/// Renders one cine from `Scanner::Wild` or `Scanner::Unlike`.
pub(crate) fn render_organic(view: View, seed: u64, settings: &Settings, family: Family) -> Cine {
    let mut organ = OrganicHeart::draw(seed, family);
    if let Some(fraction) = settings.ejection_fraction {
        organ.heart.ejection_fraction = fraction.clamp(0.05, 0.85);
    }
    let mut rng = Rng::new(seed.wrapping_mul(0x9E37_79B9).wrapping_add(view as u64) ^ 0x0B5E_55ED);
    let (mut look, mut conditions) =
        Look::draw(settings.scanner, family, settings.burn_in, &mut rng);
    let kind = (view == View::Other).then(|| draw_kind(&settings.other_kinds, &mut rng));
    // A still frame of a sweep could show a view.
    look.is_still &= kind != Some(OtherKind::Sweep);
    let start = kind.map_or(view, |kind| choose_view(kind, &mut rng));
    let plane = place_probe(start, &conditions, &mut rng);
    let plane = kind.map_or(plane, |kind| choose_plane(kind, plane, &mut rng));
    let is_colour =
        settings.colour || matches!(kind, Some(OtherKind::TissueDoppler | OtherKind::Rendering));
    let shape = [settings.height, settings.width, if is_colour { 3 } else { 1 }];
    let film = Film {
        shape,
        frames: settings.frames,
        period_s: settings.frame_period_ns as f32 * 1e-9,
        phase: rng.draw_uniform(0.0, 100.0),
    };
    let mut director = Director { organ: &organ, look: &look, conditions: &conditions, film, rng };
    let mut screen = match kind {
        None => director.build_view(plane, settings.colour),
        Some(kind) => director.build_other(kind, plane),
    };
    let mut rng = director.rng;
    if settings.burn_in {
        let middle = conditions.placement.middle;
        screen.overlay =
            Some(draw_marks(family, middle, [settings.height, settings.width], &mut rng));
    }
    let mut noise = Rng::new(rng.draw_bits());
    let frames = screen.render(film, &look, &organ.heart, &mut noise);
    let levels = screen.panes.first().map(|pane| pane.scan.find_levels());
    let mm_per_px = compute_mm_per_px(&plane, conditions.placement, settings.height);
    drop(screen);
    if let Some(levels) = levels {
        (conditions.gain_db, conditions.dynamic_range_db) = levels;
    }
    conditions.layout = None;
    Cine {
        frames,
        width: settings.width,
        height: settings.height,
        channels: shape[2],
        frame_period_ns: settings.frame_period_ns,
        um_per_px: (mm_per_px * 1000.0) as u32,
        view,
        content: kind.map_or(HEART, OtherKind::name),
        seed,
        depth_mm: plane.depth_mm,
        angle_deg: 2.0 * plane.half_angle_rad.to_degrees(),
        conditions,
    }
}

fn draw_kind(kinds: &[OtherKind], rng: &mut Rng) -> OtherKind {
    let kinds = if kinds.is_empty() { OtherKind::ALL } else { kinds };
    kinds[rng.draw_below(kinds.len())]
}

/// Everything that is needed to build the screen of one cine.
struct Director<'a> {
    organ: &'a OrganicHeart,
    look: &'a Look,
    conditions: &'a ImagingConditions,
    film: Film,
    rng: Rng,
}

impl<'a> Director<'a> {
    fn whole(&self) -> Area {
        let [height, width, _] = self.film.shape;
        Area { top: 0, left: 0, height, width }
    }

    fn build_view(&mut self, plane: Plane, is_coloured: bool) -> Screen<'a> {
        let mut pane = self.build_pane(
            Subject::Heart(self.organ),
            plane,
            self.conditions.placement,
            self.whole(),
            Turn::Upright,
        );
        if is_coloured {
            let grid = pane.scan.grey.dim().into();
            pane.colour = Colour::Blood(ColourBox::draw(grid, &mut self.rng));
        }
        Screen { panes: vec![pane], ..Screen::default() }
    }

    fn build_other(&mut self, kind: OtherKind, plane: Plane) -> Screen<'a> {
        let whole = self.whole();
        let size = [whole.height, whole.width];
        let heart = Subject::Heart(self.organ);
        let placement = self.conditions.placement;
        let mut screen = Screen::default();
        match kind {
            OtherKind::Air
            | OtherKind::Gel
            | OtherKind::Layers
            | OtherKind::Liver
            | OtherKind::Kidney
            | OtherKind::Lung
            | OtherKind::Vessel
            | OtherKind::Fluid => {
                let section = Subject::Section(Section::draw(kind, plane.depth_mm, &mut self.rng));
                screen.panes =
                    vec![self.build_pane(section, plane, placement, whole, Turn::Upright)];
            }
            OtherKind::OffPlane | OtherKind::Transoesophageal | OtherKind::Sweep => {
                let mut pane = self.build_pane(heart, plane, placement, whole, Turn::Upright);
                if kind == OtherKind::Sweep {
                    let motion = OtherContent::Sweep {
                        across: self.rng.draw_uniform(0.3, 1.0),
                        reach_mm: self.rng.draw_uniform(45.0, 80.0),
                        speed: self.rng.draw_uniform(1.2, 3.0),
                    };
                    pane.sweep(plane, motion);
                }
                screen.panes = vec![pane];
            }
            OtherKind::Mirrored | OtherKind::UpsideDown => {
                let turn =
                    if kind == OtherKind::Mirrored { Turn::Mirrored } else { Turn::UpsideDown };
                screen.panes = vec![self.build_pane(heart, plane, placement, whole, turn)];
            }
            OtherKind::TissueDoppler => {
                let mut pane = self.build_pane(heart, plane, placement, whole, Turn::Upright);
                pane.colour = Colour::Tissue;
                screen.panes = vec![pane];
            }
            OtherKind::Biplane | OtherKind::Dual => {
                screen.panes = self.build_pair(kind);
            }
            OtherKind::DuplexDoppler | OtherKind::DuplexMMode => {
                let part = self.rng.draw_uniform(0.3, 0.55);
                let height = (part * size[0] as f32) as usize;
                let above = Area { height, ..whole };
                let below = Area { top: height, height: size[0] - height, ..whole };
                let placement =
                    Placement { middle: self.rng.draw_uniform(0.3, 0.7), ..Placement::FULL };
                screen.panes = vec![self.build_pane(heart, plane, placement, above, Turn::Upright)];
                screen.strips = vec![(self.build_strip(kind, plane, below), below)];
            }
            OtherKind::MMode | OtherKind::PwDoppler | OtherKind::CwDoppler => {
                let margin = |rng: &mut Rng, side: usize| {
                    (rng.draw_uniform(-0.1, 0.14).max(0.0) * side as f32) as usize
                };
                let (top, left) = (margin(&mut self.rng, size[0]), margin(&mut self.rng, size[1]));
                let height = size[0] - top - margin(&mut self.rng, size[0]);
                let width = size[1] - left - margin(&mut self.rng, size[1]);
                let area = Area { top, left, height, width };
                screen.strips = vec![(self.build_strip(kind, plane, area), area)];
            }
            OtherKind::Rendering => {
                screen.rendering = Some((Rendering::draw(&mut self.rng), self.organ));
            }
            OtherKind::Report => screen.picture = Some(draw_report(size, &mut self.rng)),
            OtherKind::TestPattern => {
                screen.picture = Some(draw_test_pattern(size, &mut self.rng));
            }
            OtherKind::Blank => screen.picture = Some(draw_blank(size, &mut self.rng)),
        }
        screen
    }

    fn build_pane(
        &mut self,
        subject: Subject<'a>,
        plane: Plane,
        placement: Placement,
        area: Area,
        turn: Turn,
    ) -> SectorPane<'a> {
        let grid = if self.film.shape[1] > 200 { [128, 300] } else { [84, 112] };
        let (look, conditions) = (self.look, self.conditions);
        let scan = Scan::new(subject, plane, conditions, look, grid, &mut self.rng);
        SectorPane::new(scan, &plane, placement, look.footprint_mm, area, turn)
    }

    /// Builds two panes side by side.
    fn build_pair(&mut self, kind: OtherKind) -> Vec<SectorPane<'a>> {
        let whole = self.whole();
        let half = whole.width / 2;
        let views = choose_pair(&mut self.rng);
        let areas = [
            Area { width: half, ..whole },
            Area { left: half, width: whole.width - half, ..whole },
        ];
        // A pane is narrower than it is high, so its sector is smaller than that of a whole screen.
        let scale = self.rng.draw_uniform(0.5, 0.75);
        let top = self.rng.draw_uniform(0.0, 1.0 - scale);
        let placement = Placement { scale, top, ..Placement::FULL };
        let first = place_probe(views[0], self.conditions, &mut self.rng);
        let second = if kind == OtherKind::Biplane {
            // The second plane is perpendicular to the first one.
            Plane { right: first.normal(), ..first }
        } else {
            place_probe(views[1], self.conditions, &mut self.rng)
        };
        let heart = Subject::Heart(self.organ);
        let panes = [first, second].into_iter().zip(areas);
        let mut panes: Vec<_> = panes
            .map(|(plane, area)| self.build_pane(heart, plane, placement, area, Turn::Upright))
            .collect();
        // A dual screen often compares an image with its colour Doppler.
        if let (OtherKind::Dual, 3, Some(pane)) = (kind, self.film.shape[2], panes.last_mut()) {
            let grid = pane.scan.grey.dim().into();
            pane.colour = Colour::Blood(ColourBox::draw(grid, &mut self.rng));
        }
        panes
    }

    fn build_strip(&mut self, kind: OtherKind, plane: Plane, area: Area) -> Strip {
        let seconds = self.film.frames as f32 * self.film.period_s;
        let timeline = Timeline::draw([area.height, area.width], seconds, &mut self.rng);
        let phase = self.film.phase;
        match kind {
            OtherKind::MMode | OtherKind::DuplexMMode => {
                draw_m_mode(self.organ, &plane, self.look, phase, timeline, &mut self.rng)
            }
            _ => {
                let is_continuous = match kind {
                    OtherKind::CwDoppler => true,
                    OtherKind::PwDoppler => false,
                    _ => self.rng.draw_below(2) == 0,
                };
                draw_spectrum(is_continuous, &self.organ.heart, phase, timeline, &mut self.rng)
            }
        }
    }
}

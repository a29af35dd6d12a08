//! Anatomical maps of scan planes. A map contains the structure at each pixel.

use crate::body::anatomy::find_structure;
use crate::body::heart::{Heart, Snapshot};
use crate::body::structure::Structure;
use crate::image::plane::Plane;
use crate::image::scan_conversion::{Placement, PlanePoint, locate_pixel};
use crate::image::view::View;
use crate::vector::{Vec3, add_scaled};
use ndarray::Array2;

/// Maps the structures in the exact plane of a view, `seconds` after end-diastole.
///
/// The map is a square with a side of `side` pixels. The sector fills almost the whole height of
/// the map. Pixels outside the sector are `None`.
pub fn map_anatomy(
    heart: &Heart,
    view: View,
    seconds: f32,
    side: usize,
) -> Array2<Option<Structure>> {
    let beat = heart.beat(seconds);
    let snapshot = Snapshot { heart, beat, vessels: &heart.vessels };
    map_plane(&view.plane(), Placement::FULL, side, |p| {
        find_structure(heart.undo_descent(p, beat), snapshot)
    })
}

/// Maps the plane with a function that returns the structure at a point.
fn map_plane(
    plane: &Plane,
    placement: Placement,
    side: usize,
    find: impl Fn(Vec3) -> Structure,
) -> Array2<Option<Structure>> {
    Array2::from_shape_fn([side, side], |(row, column)| {
        let PlanePoint { across, along } =
            locate_pixel(plane, placement, [side, side], [row, column])?;
        Some(find(add_scaled(add_scaled(plane.probe, plane.axis, along), plane.right, across)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::organic::organ::OrganicHeart;
    use crate::body::organic::shape::Family;
    use crate::body::organic::structures::find_place;
    use crate::image::organic::look::Look;
    use crate::image::organic::probe::place_probe;
    use crate::image::scanner::Scanner;
    use crate::rng::Rng;
    use std::cell::Cell;

    /// Lists the structures that the maps of the views lack or wrongly have. The expected
    /// structures come from textbook descriptions of each view.
    fn list_errors(name: &str, map: impl Fn(View) -> Array2<Option<Structure>>) -> Vec<String> {
        use Structure::{
            Aorta as Ao, DescendingAorta as DAo, InferiorVenaCava as Ivc, LeftAtrium as La,
            LeftVentricle as Lv, Liver, Outflow as Rvot, PulmonaryArtery as Pa, RightAtrium as Ra,
            RightPulmonaryArtery as Rpa, RightVentricle as Rv,
        };
        let views: [(View, &[Structure], &[Structure]); 18] = [
            (View::Plax, &[Lv, La, Ao, Rvot], &[Ra]),
            (View::PlaxRvif, &[Rv, Ra], &[Lv, La, Ao]),
            (View::PlaxRvof, &[Rvot, Pa], &[La, Ra]),
            (View::PlaxZav, &[Ao, La], &[Ra]),
            (View::PlaxZmv, &[Lv, La], &[Ra]),
            (View::PsaxAv, &[Ao, La, Ra], &[Lv]),
            (View::PsaxPa, &[Ao, Pa, Rpa], &[Lv, Rv, La]),
            (View::PsaxPm, &[Lv, Rv], &[La, Ra, Pa]),
            (View::PsaxAp, &[Lv], &[La, Ra, Ao, Pa]),
            (View::A4c, &[Lv, Rv, La, Ra], &[Ao]),
            (View::A4cRv, &[Lv, Rv, Ra], &[Ao]),
            (View::A5c, &[Lv, Rv, Ao], &[]),
            (View::A2c, &[Lv, La], &[Rv, Ra]),
            (View::A3c, &[Lv, La, Ao], &[Ra]),
            (View::Sc4c, &[Lv, Rv, La, Ra, Liver], &[]),
            (View::ScSax, &[Lv, Rv, Liver], &[La, Ra]),
            (View::ScIvc, &[Ivc, Ra, Liver], &[Lv, La]),
            (View::SsnAo, &[Ao, DAo, Rpa], &[Lv, Rv]),
        ];
        let mut errors = Vec::new();
        for (view, present, absent) in views {
            let map = map(view);
            let shows =
                |structure: Structure| map.iter().filter(|&&s| s == Some(structure)).count() > 40;
            let code = view.code();
            let lacks = present.iter().filter(|&&structure| !shows(structure));
            errors.extend(lacks.map(|structure| format!("{code} of {name} lacks {structure:?}")));
            let has = absent.iter().filter(|&&structure| shows(structure));
            errors.extend(has.map(|structure| format!("{code} of {name} has {structure:?}")));
        }
        errors
    }

    #[test]
    fn every_view_shows_the_structures_that_define_it() {
        for seed in 0..12 {
            let heart = Heart::draw(seed);
            let map = |view| map_anatomy(&heart, view, 0.6, 112);
            let errors = list_errors(&format!("heart {seed}"), map);
            assert!(errors.is_empty(), "{errors:?}");
        }
    }

    #[test]
    fn organic_hearts_show_the_structures_of_each_view() {
        let mut errors = Vec::new();
        for (seed, family) in (0..12).flat_map(|s| [(s, Family::Wild), (s, Family::Unlike)]) {
            let organ = OrganicHeart::draw(seed, family);
            let moment = organ.at(0.6, &organ.heart.vessels);
            errors.extend(list_errors(&format!("{family:?} heart {seed}"), |view| {
                let plane = view.plane();
                map_plane(&plane, Placement::FULL, 112, |p| {
                    let p = organ.deformation.undo_in_plane(p, plane.normal());
                    find_place(organ.heart.undo_descent(p, moment.beat), &moment).structure
                })
            }));
        }
        assert!(errors.is_empty(), "{errors:#?}");
    }

    /// The probe of an organic scanner is farther from the exact plane than those of the other
    /// scanners, so a few cines lack a structure.
    #[test]
    fn organic_probes_show_the_structures_of_each_view() {
        let mut errors = Vec::new();
        let count = Cell::new(0);
        for (seed, scanner) in (0..20).flat_map(|s| [(s, Scanner::Wild), (s, Scanner::Unlike)]) {
            let family = scanner.family().unwrap();
            let organ = OrganicHeart::draw(seed, family);
            let moment = organ.at(0.6, &organ.heart.vessels);
            let found = list_errors(&format!("{} heart {seed}", scanner.name()), |view| {
                let mut rng = Rng::new(seed ^ (view as u64) << 20);
                let (_, conditions) = Look::draw(scanner, family, false, &mut rng);
                let plane = place_probe(view, &conditions, &mut rng);
                count.set(count.get() + 1);
                map_plane(&plane, conditions.placement, 112, |p| {
                    let p = organ.deformation.undo_in_plane(p, plane.normal());
                    find_place(organ.heart.undo_descent(p, moment.beat), &moment).structure
                })
            });
            errors.extend(found.into_iter().filter(|error| error.contains("lacks")));
        }
        let share = errors.len() as f32 / count.get() as f32;
        assert!(share < 0.02, "{share}: {errors:#?}");
    }
}

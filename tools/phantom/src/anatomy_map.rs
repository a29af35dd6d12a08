//! Anatomical maps of scan planes. A map contains the structure at each pixel.

use crate::body::anatomy::find_structure;
use crate::body::heart::{Heart, Snapshot};
use crate::body::structure::Structure;
use crate::image::scan_conversion::{Placement, PlanePoint, locate_pixel};
use crate::image::view::View;
use crate::vector::add_scaled;
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
    let plane = view.plane();
    let beat = heart.beat(seconds);
    let snapshot = Snapshot { heart, beat, vessels: &heart.vessels };
    Array2::from_shape_fn([side, side], |(row, column)| {
        let PlanePoint { across, along } =
            locate_pixel(&plane, Placement::FULL, [side, side], [row, column])?;
        let p = add_scaled(add_scaled(plane.probe, plane.axis, along), plane.right, across);
        Some(find_structure(heart.undo_descent(p, beat), snapshot))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected structures come from textbook descriptions of each view.
    #[test]
    fn every_view_shows_the_structures_that_define_it() {
        let shown = |view: View, seed| {
            let map = map_anatomy(&Heart::draw(seed), view, 0.6, 112);
            move |structure: Structure| map.iter().filter(|&&s| s == Some(structure)).count() > 40
        };
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
        for seed in 0..12 {
            for (view, present, absent) in views {
                let shows = shown(view, seed);
                for &structure in present {
                    assert!(
                        shows(structure),
                        "{} of heart {seed} lacks {structure:?}",
                        view.code()
                    );
                }
                for &structure in absent {
                    assert!(!shows(structure), "{} of heart {seed} has {structure:?}", view.code());
                }
            }
        }
    }
}

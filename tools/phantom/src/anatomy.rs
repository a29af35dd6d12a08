//! The anatomy of a cut without the echo: what a drawing beside the image shows.

use crate::heart::{Heart, along};
use crate::look::Placement;
use crate::screen::point;
use crate::view::View;

/// What a point of the body belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Structure {
    LeftVentricle,
    RightVentricle,
    LeftAtrium,
    RightAtrium,
    Outflow,
    Aorta,
    DescendingAorta,
    ArchBranch,
    PulmonaryArtery,
    RightPulmonaryArtery,
    LeftPulmonaryArtery,
    InferiorVenaCava,
    SuperiorVenaCava,
    HepaticVein,
    Muscle,
    /// Walls of the right ventricle and of the atria.
    ThinWall,
    VesselWall,
    Valve,
    Pericardium,
    Liver,
    Body,
}

impl Structure {
    /// Abbreviation of echocardiography; empty for what needs no name.
    pub fn short_name(self) -> &'static str {
        match self {
            Self::LeftVentricle => "LV",
            Self::RightVentricle => "RV",
            Self::LeftAtrium => "LA",
            Self::RightAtrium => "RA",
            Self::Outflow => "RVOT",
            Self::Aorta => "Ao",
            Self::DescendingAorta => "DAo",
            Self::PulmonaryArtery => "PA",
            Self::RightPulmonaryArtery => "RPA",
            Self::LeftPulmonaryArtery => "LPA",
            Self::InferiorVenaCava => "IVC",
            Self::SuperiorVenaCava => "SVC",
            Self::HepaticVein => "HV",
            Self::Liver => "liver",
            Self::ArchBranch
            | Self::Muscle
            | Self::ThinWall
            | Self::VesselWall
            | Self::Valve
            | Self::Pericardium
            | Self::Body => "",
        }
    }
}

/// What each pixel of a square of `side` pixels shows, row-major, where a steady hand holds the plane of the view
/// `seconds` after an end-diastole; `None` outside the sector.
pub fn anatomy(heart: &Heart, view: View, seconds: f32, side: usize) -> Vec<Option<Structure>> {
    let (plane, beat) = (view.plane(), heart.beat(seconds));
    let structure = |at: usize| {
        let [across, deep] = point(&plane, Placement::FULL, [side; 2], [at % side, at / side])?;
        let p = along(along(plane.probe, plane.axis, deep), plane.right, across);
        Some(heart.structure(heart.material(p, beat), beat, &heart.tubes))
    };
    (0..side * side).map(structure).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the textbooks name in each view, for the heart of any patient.
    #[test]
    fn every_view_shows_what_it_is_defined_by() {
        let shown = |view: View, seed| {
            let cut = anatomy(&Heart::draw(seed), view, 0.6, 112);
            move |structure: Structure| cut.iter().filter(|&&s| s == Some(structure)).count() > 40
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
            for (view, there, absent) in views {
                let shows = shown(view, seed);
                for &structure in there {
                    assert!(shows(structure), "{} of heart {seed} lacks {structure:?}", view.code());
                }
                for &structure in absent {
                    assert!(!shows(structure), "{} of heart {seed} has {structure:?}", view.code());
                }
            }
        }
    }
}

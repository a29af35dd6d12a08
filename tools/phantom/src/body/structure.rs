//! The anatomical structures of the phantom.

/// An anatomical structure to which a point of the body can belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Structure {
    LeftVentricle,
    RightVentricle,
    LeftAtrium,
    RightAtrium,
    /// The right ventricular outflow tract.
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
    PulmonaryVein,
    /// The wall of the left ventricle, the papillary muscles and the moderator band.
    Muscle,
    /// The walls of the right ventricle and of the atria.
    ThinWall,
    VesselWall,
    Valve,
    Pericardium,
    Liver,
    /// The tissue around the heart.
    Body,
}

impl Structure {
    /// Returns the abbreviation used in echocardiography, or an empty string if the structure has
    /// none.
    pub fn abbreviation(self) -> &'static str {
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
            Self::PulmonaryVein => "PV",
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

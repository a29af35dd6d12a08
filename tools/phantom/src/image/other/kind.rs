//! The kinds of content of cines labelled `OTHER`.

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident $code:literal),* $(,)?) => {
        /// The content of a cine labelled `OTHER` from an organic scanner.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum OtherKind { $($(#[$doc])* $name),* }
        impl OtherKind {
            /// Every kind.
            pub const ALL: &'static [OtherKind] = &[$(OtherKind::$name),*];
            /// Returns the name that is used in the manifest and on the command line.
            pub fn name(self) -> &'static str {
                match self { $(OtherKind::$name => $code),* }
            }
        }
    };
}
kinds! {
    /// A probe in the air.
    Air "air",
    /// A probe in gel or water.
    Gel "gel",
    /// Skin, fat and muscle.
    Layers "layers",
    /// The liver with its vessels.
    Liver "liver",
    /// A kidney below the liver or the spleen.
    Kidney "kidney",
    /// The pleura and its reverberations.
    Lung "lung",
    /// A vessel of the neck or of a limb.
    Vessel "vessel",
    /// A bladder, a cyst or an effusion.
    Fluid "fluid",
    /// The heart in a plane far from every view.
    OffPlane "off-plane",
    /// The heart under a moving probe.
    Sweep "sweep",
    /// The heart seen from the oesophagus.
    Transoesophageal "transoesophageal",
    /// A view with the tip of the sector at the bottom.
    UpsideDown "upside-down",
    /// A view whose left and right sides are exchanged.
    Mirrored "mirrored",
    /// A small sector above a spectral Doppler trace.
    DuplexDoppler "duplex-doppler",
    /// A small sector above an M-mode trace.
    DuplexMMode "duplex-m-mode",
    /// An M-mode trace that fills the screen.
    MMode "m-mode",
    /// A pulsed-wave Doppler trace that fills the screen.
    PwDoppler "pw-doppler",
    /// A continuous-wave Doppler trace that fills the screen.
    CwDoppler "cw-doppler",
    /// Two perpendicular planes side by side.
    Biplane "biplane",
    /// Two cines side by side.
    Dual "dual",
    /// The velocity of the tissue in colour.
    TissueDoppler "tissue-doppler",
    /// A shaded surface of the heart.
    Rendering "rendering-3d",
    /// A page with text, tables and graphs.
    Report "report",
    /// A test pattern.
    TestPattern "test-pattern",
    /// A black or grey screen, noise or an empty sector.
    Blank "blank",
}

impl OtherKind {
    /// Returns the kind with this name, or `None` if there is no such kind.
    pub fn from_name(name: &str) -> Option<OtherKind> {
        OtherKind::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

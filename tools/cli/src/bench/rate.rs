//! The frame rate.

use std::fmt;
use std::str::FromStr;

/// The rate at which a scanner pushes frames.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Rate {
    /// The frames are pushed in real time, at this number of frames per second.
    Hertz(f64),
    /// The frames are pushed as fast as the stream accepts them, with times one sample interval
    /// apart.
    Max,
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse::<f64>()) {
            ("max", _) => Ok(Self::Max),
            (_, Ok(hertz)) if (1.0..=1000.0).contains(&hertz) => Ok(Self::Hertz(hertz)),
            _ => Err("the rate must be 1 to 1000 frames per second, or max".into()),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hertz(hertz) => write!(f, "{hertz} Hz"),
            Self::Max => write!(f, "max"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_or_max() {
        assert_eq!("60".parse(), Ok(Rate::Hertz(60.0)));
        assert_eq!("max".parse(), Ok(Rate::Max));
        for wrong in ["", "0", "-3", "nan", "fast"] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
        }
    }
}

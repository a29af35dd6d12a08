//! Transparent pixels, which are shown over black.

/// Removes the last of the `N` components of each pixel, which is its opacity.
pub(super) fn over_black<const N: usize>(pixels: &[u8]) -> Vec<u8> {
    let blend = |value: u8, opacity: u8| -> u8 {
        ((u16::from(value) * u16::from(opacity) + 127) / 255) as u8
    };
    pixels
        .as_chunks::<N>()
        .0
        .iter()
        .flat_map(|pixel| pixel[..N - 1].iter().map(|&value| blend(value, pixel[N - 1])))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transparent_white_is_black() {
        assert_eq!(over_black::<2>(&[255, 0, 255, 255, 100, 128]), [0, 255, 50]);
    }
}

//! The aspect ratio of pixels, computed with integers.
//!
//! The acquisition thread reads the pixel size of each frame in the host's floating-point
//! environment. A floating-point division there could raise an exception that the host traps, even
//! for a frame without a pixel size: compilers may divide before they check for zero. It would also
//! depend on the host's rounding mode and on its treatment of subnormal numbers.

/// Allowed ratio of a pixel's height to its width.
const PIXEL_ASPECT: [f32; 2] = [0.1, 10.0];

/// Number of bits after the leading bit of a significand.
const FRACTION_BITS: u32 = f32::MANTISSA_DIGITS - 1;

/// Pattern of the bits of infinity. The bits of all finite numbers without a sign are less.
const INFINITY_BITS: u32 = f32::INFINITY.to_bits();

/// Returns the bits of the size of a pixel, without the sign of a zero, or `None` if the size is
/// negative or not finite.
pub(super) fn size_bits(size: f32) -> Option<u32> {
    let bits = size.to_bits();
    let bits = if bits == (-0.0f32).to_bits() { 0 } else { bits };
    (bits < INFINITY_BITS).then_some(bits)
}

/// Returns the quotient of two positive sizes, given by their bits, rounded to the nearest number,
/// or `None` if the quotient is outside 0.1 to 10.
pub(super) fn divide_sizes(height_bits: u32, width_bits: u32) -> Option<f32> {
    let ((height, height_exponent), (width, width_exponent)) =
        (split(height_bits), split(width_bits));
    // The quotient of the significands is between 0.5 and 2, so no other difference of exponents
    // can give a quotient of sizes between 0.1 and 10.
    let exponent = height_exponent - width_exponent;
    if !(-4..=4).contains(&exponent) {
        return None;
    }
    let (height, exponent) =
        if height < width { (2 * height, exponent - 1) } else { (height, exponent) };
    let scaled = height << FRACTION_BITS;
    let (quotient, rest) = (scaled / width, scaled % width);
    let rounds_up = 2 * rest > width || (2 * rest == width && quotient % 2 == 1);
    // The leading bit of the quotient adds 1 to the exponent. If rounding carries to the next power
    // of two, it adds 2, which is right, too.
    let biased = u64::try_from(exponent + 126).ok()?;
    let bits = u32::try_from((biased << FRACTION_BITS) + quotient + u64::from(rounds_up)).ok()?;
    let [least, most] = PIXEL_ASPECT.map(f32::to_bits);
    (least..=most).contains(&bits).then(|| f32::from_bits(bits))
}

/// Returns the significand of a positive number, shifted so that its leading bit is bit 23, and the
/// exponent that belongs to it.
fn split(bits: u32) -> (u64, i32) {
    let (fraction, biased) = (bits & ((1 << FRACTION_BITS) - 1), bits >> FRACTION_BITS);
    if biased > 0 {
        return ((fraction | 1 << FRACTION_BITS).into(), biased.cast_signed());
    }
    // The number is subnormal, and it is not zero.
    let shift = fraction.leading_zeros() - (31 - FRACTION_BITS);
    ((fraction << shift).into(), 1 - shift.cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn divide(height: f32, width: f32) -> Option<f32> {
        divide_sizes(size_bits(height).unwrap(), size_bits(width).unwrap())
    }

    fn divide_directly(height: f32, width: f32) -> Option<f32> {
        let quotient = height / width;
        (PIXEL_ASPECT[0]..=PIXEL_ASPECT[1]).contains(&quotient).then_some(quotient)
    }

    /// Generates positive finite numbers, subnormal ones included.
    fn size() -> impl Strategy<Value = f32> {
        (1..INFINITY_BITS).prop_map(f32::from_bits)
    }

    proptest! {
        #[test]
        fn quotients_are_those_of_a_division(
            width in size(),
            factor in 0.05f32..20.0,
            any in size(),
        ) {
            prop_assert_eq!(divide(any, width), divide_directly(any, width));
            let near = width * factor;
            prop_assume!(near > 0.0 && near.is_finite());
            prop_assert_eq!(divide(near, width), divide_directly(near, width));
        }
    }

    #[test]
    fn limits_and_subnormal_sizes_are_exact() {
        let smallest = f32::from_bits(1);
        for (height, width) in [
            (0.1, 1.0),
            (10.0, 1.0),
            (10.000_001, 1.0),
            (0.099_999_99, 1.0),
            (smallest, smallest),
            (f32::from_bits(10), smallest),
            (f32::from_bits(11), smallest),
            (f32::MAX, f32::MAX),
            (f32::MAX, smallest),
            (f32::MIN_POSITIVE, f32::from_bits((1 << 23) - 1)),
        ] {
            assert_eq!(divide(height, width), divide_directly(height, width), "{height} / {width}");
        }
    }

    #[test]
    fn sizes_that_are_negative_or_not_finite_have_no_bits() {
        for size in [-1.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -f32::NAN] {
            assert_eq!(size_bits(size), None, "{size}");
        }
        // The bits of a signalling NaN, which raises an exception in every comparison of floats.
        assert_eq!(size_bits(f32::from_bits(0x7f80_0001)), None);
        assert_eq!((size_bits(0.0), size_bits(-0.0)), (Some(0), Some(0)));
    }
}

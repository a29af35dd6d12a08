//! A macro for enumerations whose numbers are part of the C ABI.
//!
//! Each enumeration is defined once, in Rust, next to the code that uses it. `cargo xtask header`
//! generates the constants of `tteview.h` from the definitions.

/// Defines an enumeration with fixed numbers, and functions that convert its values to and from
/// these numbers.
macro_rules! abi_enum {
    ($(#[$attribute:meta])* $visibility:vis enum $name:ident: $repr:ident {
        $($(#[$variant_attribute:meta])* $variant:ident = $code:literal,)+
    }) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr($repr)]
        $visibility enum $name {
            $($(#[$variant_attribute])* $variant = $code,)+
        }

        impl $name {
            /// All values, in the order of their definition.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Returns the number of this value in the C ABI.
            #[must_use]
            pub const fn code(self) -> $repr {
                self as $repr
            }

            /// Returns the value with this number in the C ABI, or `None` if no value has it.
            #[must_use]
            pub const fn from_code(code: $repr) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

pub(crate) use abi_enum;

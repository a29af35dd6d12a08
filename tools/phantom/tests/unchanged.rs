//! The cines of the scanners `bench`, `training`, `field` and `broad` never change, because models
//! and measurements refer to them.

use tteview_phantom::{Scanner, Set, Settings, View};

/// Returns the FNV-1a hash of the frames of three patients in all views, OTHER included.
fn hash_cines(scanner: Scanner) -> u64 {
    let set = Set {
        views: View::ALL.to_vec(),
        patients: 3,
        seed: 41,
        settings: Settings { frames: 2, scanner, ..Settings::default() },
        ..Set::default()
    };
    let cines = (0..set.patients)
        .flat_map(|patient| set.views.iter().map(move |&view| (view, patient)))
        .map(|(view, patient)| set.render_cine(view, patient));
    let mut hash = 0xCBF2_9CE4_8422_2325u64;
    for cine in cines {
        let times = cine.frame_period_ns.to_le_bytes();
        for byte in cine.frames.iter().flatten().chain(&times) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
        }
    }
    hash
}

/// The hashes hold for the mathematical functions of glibc on x86-64, which round a few values
/// differently from those of other systems.
#[test]
#[cfg(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu"))]
fn the_first_four_scanners_keep_their_cines() {
    let expected = [
        (Scanner::Bench, 0xA515_FEF5_350C_C850),
        (Scanner::Training, 0xB927_DAB2_EEF4_41F8),
        (Scanner::Field, 0xFB58_F344_CA2E_D942),
        (Scanner::Broad, 0xE2BF_DDB9_4310_AA0A),
    ];
    let hashes = expected.map(|(scanner, _)| (scanner, hash_cines(scanner)));
    assert_eq!(hashes, expected);
}

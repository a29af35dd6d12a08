//! What the operating system says of itself: distribution, memory, Jetson board, NVIDIA driver.

use super::{Finding, State};
use std::path::Path;

/// Memory that a scanner's process should find free: the library with a network of full size takes a tenth of it, and
/// building an engine of TensorRT takes the rest.
const ROOM_MIB: u64 = 2048;

pub(super) fn findings(root: &Path) -> Vec<Finding> {
    let mut found = vec![distribution(root), memory(root)];
    found.extend(board(root));
    found.extend(jetpack(root));
    found.push(driver(root));
    found
}

fn text(root: &Path, file: &str) -> Option<String> {
    let bytes = std::fs::read(root.join(file)).ok()?;
    // Files of the device tree end with a zero.
    Some(String::from_utf8_lossy(&bytes).trim_matches(['\0', '\n', ' ']).to_owned())
}

fn distribution(root: &Path) -> Finding {
    let release = text(root, "etc/os-release").unwrap_or_default();
    let pretty = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let name = pretty.map_or("a Linux that does not name itself", |name| name.trim_matches('"'));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Finding::new("system", State::Fine, format!("{name}, {} with {cores} cores", std::env::consts::ARCH))
}

fn memory(root: &Path) -> Finding {
    let table = text(root, "proc/meminfo").unwrap_or_default();
    let mib = |key: &str| -> Option<u64> {
        let line = table.lines().find_map(|line| line.strip_prefix(key))?;
        Some(line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? / 1024)
    };
    let (Some(total), Some(free)) = (mib("MemTotal:"), mib("MemAvailable:")) else {
        return Finding::new("memory", State::Unknown, "the system does not tell".into());
    };
    let what = format!("{free} of {total} MiB available");
    if free >= ROOM_MIB {
        return Finding::new("memory", State::Fine, what);
    }
    let advice =
        "stop what else holds memory before the first start with TensorRT: building an engine needs it";
    Finding::new("memory", State::Problem, what).advise(advice.into())
}

fn board(root: &Path) -> Option<Finding> {
    let model = text(root, "proc/device-tree/model").filter(|model| model.contains("NVIDIA"))?;
    Some(Finding::new("board", State::Fine, model))
}

/// The JetPack of an L4T release, from NVIDIA's archive of Jetson Linux. Later ones go by their major number.
fn jetpack_of(major: u32, revision: &str) -> &'static str {
    match (major, revision) {
        (35, _) => "5",
        (36, "2") => "6.0 developer preview",
        (36, "3.0" | "3") => "6.0",
        (36, "4.0" | "4") => "6.1",
        (36, "4.3") => "6.2",
        (36, _) => "6",
        (38, _) => "7",
        _ => "unknown",
    }
}

fn jetpack(root: &Path) -> Option<Finding> {
    // As in "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, ...".
    let line = text(root, "etc/nv_tegra_release")?;
    let major: u32 = line.split("# R").nth(1)?.split(' ').next()?.parse().ok()?;
    let revision = line.split("REVISION: ").nth(1)?.split(',').next()?.trim();
    let what = format!("L4T {major}.{revision}, JetPack {}", jetpack_of(major, revision));
    if major < 36 {
        let advice = "this library is built for glibc 2.35 and CUDA 12: flash JetPack 6.1 or later";
        return Some(Finding::new("jetpack", State::Problem, what).advise(advice.into()));
    }
    Some(Finding::new("jetpack", State::Fine, what))
}

/// The kernel's side of the driver: NVIDIA's module of a PC, or the one of a Jetson.
fn driver(root: &Path) -> Finding {
    if let Some(version) = text(root, "proc/driver/nvidia/version") {
        let first = version.lines().next().unwrap_or_default();
        let words = first.split("Kernel Module").nth(1).unwrap_or(first).split_whitespace();
        let number = words.into_iter().find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
        return Finding::new(
            "driver",
            State::Fine,
            format!("NVIDIA {}", number.unwrap_or("of unknown version")),
        );
    }
    if root.join("sys/module/nvgpu").exists() {
        let node = ["dev/nvhost-gpu", "dev/nvgpu/igpu0/as"].iter().any(|node| root.join(node).exists());
        return if node {
            Finding::new("driver", State::Fine, "nvgpu of the Jetson".into())
        } else {
            let advice =
                "run as a user in the groups video and render, or pass /dev/nvhost* into the container";
            Finding::new("driver", State::Problem, "nvgpu is loaded and no device of it is here".into())
                .advise(advice.into())
        };
    }
    Finding::new("driver", State::Absent, "no NVIDIA driver: the network runs on the processor".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(name: &str, files: &[(&str, &str)]) -> std::path::PathBuf {
        let root = std::env::temp_dir().join(format!("tteview-doctor-{}-{name}", std::process::id()));
        for (file, content) in files {
            let path = root.join(file);
            if let Some(folder) = path.parent() {
                let _ = std::fs::create_dir_all(folder);
            }
            let _ = std::fs::write(path, content);
        }
        root
    }

    #[test]
    fn an_orin_nano_is_told_by_board_release_and_driver() {
        let root = root(
            "orin",
            &[
                (
                    "proc/device-tree/model",
                    "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super\0",
                ),
                (
                    "etc/nv_tegra_release",
                    "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64\n",
                ),
                ("proc/meminfo", "MemTotal:        7802584 kB\nMemFree: 1 kB\nMemAvailable:    1024000 kB\n"),
                ("etc/os-release", "NAME=\"Ubuntu\"\nPRETTY_NAME=\"Ubuntu 22.04.5 LTS\"\n"),
                ("sys/module/nvgpu/version", ""),
                ("dev/nvhost-gpu", ""),
            ],
        );
        let found = findings(&root);
        let _ = std::fs::remove_dir_all(&root);
        let of = |name: &str| found.iter().find(|finding| finding.name == name);
        assert!(of("board").is_some_and(|f| f.text.ends_with("Developer Kit Super")));
        assert!(of("jetpack").is_some_and(|f| f.text == "L4T 36.4.3, JetPack 6.2"));
        assert!(of("driver").is_some_and(|f| f.state == State::Fine));
        assert!(of("system").is_some_and(|f| f.text.starts_with("Ubuntu 22.04.5 LTS, ")));
        let memory = of("memory");
        assert!(memory.is_some_and(|f| f.state == State::Problem && f.text == "1000 of 7619 MiB available"));
        assert!(memory.is_some_and(|f| f.advice.as_ref().is_some_and(|advice| advice.contains("engine"))));
    }

    #[test]
    fn an_old_jetpack_and_a_driver_without_device_come_with_what_to_do() {
        let root = root(
            "old",
            &[
                ("etc/nv_tegra_release", "# R35 (release), REVISION: 4.1, GCID: 33958178, BOARD: t186ref\n"),
                ("sys/module/nvgpu/version", ""),
            ],
        );
        let found = findings(&root);
        let _ = std::fs::remove_dir_all(&root);
        for name in ["jetpack", "driver"] {
            let finding = found.iter().find(|finding| finding.name == name);
            assert!(finding.is_some_and(|f| f.state == State::Problem && f.advice.is_some()), "{name}");
        }
    }

    #[test]
    fn a_machine_without_nvidia_has_no_driver_and_no_board() {
        let found = findings(Path::new("/nowhere"));
        assert!(found.iter().any(|f| f.name == "driver" && f.state == State::Absent));
        assert!(found.iter().all(|f| f.name != "board" && f.name != "jetpack"));
    }

    #[test]
    fn the_driver_of_a_pc_tells_its_version() {
        let line =
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\n";
        let root = root("pc", &[("proc/driver/nvidia/version", line)]);
        let found = driver(&root);
        let _ = std::fs::remove_dir_all(&root);
        assert_eq!(found.text, "NVIDIA 550.54.15");
    }
}

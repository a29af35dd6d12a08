//! The check of the distribution, the memory, the Jetson board and the NVIDIA driver.

use super::finding::{Finding, State};
use std::path::Path;

/// Memory in MiB that should be available. To run a full-size network, the library needs a tenth of
/// this memory. TensorRT needs the rest while it builds an engine.
const NEEDED_MIB: u64 = 2048;

/// Checks the system whose files are below `root`.
pub(super) fn check_system(root: &Path) -> Vec<Finding> {
    let mut findings = vec![check_distribution(root), check_memory(root)];
    findings.extend(check_board(root));
    findings.extend(check_jetpack(root));
    findings.push(check_driver(root));
    findings
}

fn read_text(root: &Path, file: &str) -> Option<String> {
    let bytes = std::fs::read(root.join(file)).ok()?;
    // Files in the device tree end with a zero byte.
    Some(String::from_utf8_lossy(&bytes).trim_matches(['\0', '\n', ' ']).to_owned())
}

fn check_distribution(root: &Path) -> Finding {
    let release = read_text(root, "etc/os-release").unwrap_or_default();
    let pretty = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let name = pretty.map_or("an unknown Linux distribution", |name| name.trim_matches('"'));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Finding::new(
        "system",
        State::Fine,
        format!("{name}, {} with {cores} cores", std::env::consts::ARCH),
    )
}

fn check_memory(root: &Path) -> Finding {
    let table = read_text(root, "proc/meminfo").unwrap_or_default();
    let mib = |key: &str| -> Option<u64> {
        let line = table.lines().find_map(|line| line.strip_prefix(key))?;
        Some(line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? / 1024)
    };
    let (Some(total), Some(available)) = (mib("MemTotal:"), mib("MemAvailable:")) else {
        return Finding::new("memory", State::Unknown, "the system does not report its memory");
    };
    let text = format!("{available} of {total} MiB available");
    if available >= NEEDED_MIB {
        return Finding::new("memory", State::Fine, text);
    }
    let advice = "stop other programs before the first start with TensorRT, because building an engine needs memory";
    Finding::new("memory", State::Problem, text).with_advice(advice)
}

fn check_board(root: &Path) -> Option<Finding> {
    let model =
        read_text(root, "proc/device-tree/model").filter(|model| model.contains("NVIDIA"))?;
    Some(Finding::new("board", State::Fine, model))
}

/// Returns the JetPack version of an L4T release, according to NVIDIA's Jetson Linux archive. For a
/// revision that is not listed below, returns only the major version.
fn jetpack_version(major: u32, revision: &str) -> &'static str {
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

fn check_jetpack(root: &Path) -> Option<Finding> {
    // Example of this line: "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, ...".
    let line = read_text(root, "etc/nv_tegra_release")?;
    let major: u32 = line.split("# R").nth(1)?.split(' ').next()?.parse().ok()?;
    let revision = line.split("REVISION: ").nth(1)?.split(',').next()?.trim();
    let text = format!("L4T {major}.{revision}, JetPack {}", jetpack_version(major, revision));
    if major < 36 {
        let advice =
            "the library is built for glibc 2.35 and CUDA 12; install JetPack 6.1 or later";
        return Some(Finding::new("jetpack", State::Problem, text).with_advice(advice));
    }
    Some(Finding::new("jetpack", State::Fine, text))
}

/// Checks the kernel module of the NVIDIA driver, which differs between a PC and a Jetson.
fn check_driver(root: &Path) -> Finding {
    if let Some(version) = read_text(root, "proc/driver/nvidia/version") {
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
        let has_device =
            ["dev/nvhost-gpu", "dev/nvgpu/igpu0/as"].iter().any(|file| root.join(file).exists());
        if has_device {
            return Finding::new("driver", State::Fine, "nvgpu, the driver of the Jetson");
        }
        let advice =
            "add this user to the groups video and render, or pass /dev/nvhost* into the container";
        return Finding::new(
            "driver",
            State::Problem,
            "nvgpu is loaded, but its devices do not exist",
        )
        .with_advice(advice);
    }
    Finding::new("driver", State::Absent, "no NVIDIA driver is loaded; the network runs on the CPU")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Creates the files of a system below a temporary folder.
    fn create_root(name: &str, files: &[(&str, &str)]) -> std::path::PathBuf {
        let root =
            std::env::temp_dir().join(format!("tteview-doctor-{}-{name}", std::process::id()));
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
    fn an_orin_nano_is_described_by_board_and_release() {
        let root = create_root(
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
                (
                    "proc/meminfo",
                    "MemTotal:        7802584 kB\nMemFree: 1 kB\nMemAvailable:    1024000 kB\n",
                ),
                ("etc/os-release", "NAME=\"Ubuntu\"\nPRETTY_NAME=\"Ubuntu 22.04.5 LTS\"\n"),
                ("sys/module/nvgpu/version", ""),
                ("dev/nvhost-gpu", ""),
            ],
        );
        let found = check_system(&root);
        let _ = std::fs::remove_dir_all(&root);
        let of = |name: &str| found.iter().find(|finding| finding.name == name);
        assert!(of("board").is_some_and(|f| f.text.ends_with("Developer Kit Super")));
        assert!(of("jetpack").is_some_and(|f| f.text == "L4T 36.4.3, JetPack 6.2"));
        assert!(of("driver").is_some_and(|f| f.state == State::Fine));
        assert!(of("system").is_some_and(|f| f.text.starts_with("Ubuntu 22.04.5 LTS, ")));
        let memory = of("memory");
        assert!(
            memory.is_some_and(
                |f| f.state == State::Problem && f.text == "1000 of 7619 MiB available"
            )
        );
        assert!(
            memory
                .is_some_and(|f| f.advice.as_ref().is_some_and(|advice| advice.contains("engine")))
        );
    }

    #[test]
    fn an_old_jetpack_and_a_missing_device_have_advice() {
        let root = create_root(
            "old",
            &[
                (
                    "etc/nv_tegra_release",
                    "# R35 (release), REVISION: 4.1, GCID: 33958178, BOARD: t186ref\n",
                ),
                ("sys/module/nvgpu/version", ""),
            ],
        );
        let found = check_system(&root);
        let _ = std::fs::remove_dir_all(&root);
        for name in ["jetpack", "driver"] {
            let finding = found.iter().find(|finding| finding.name == name);
            assert!(
                finding.is_some_and(|f| f.state == State::Problem && f.advice.is_some()),
                "{name}"
            );
        }
    }

    #[test]
    fn a_machine_without_nvidia_has_no_driver_and_no_board() {
        let found = check_system(Path::new("/nowhere"));
        assert!(found.iter().any(|f| f.name == "driver" && f.state == State::Absent));
        assert!(found.iter().all(|f| f.name != "board" && f.name != "jetpack"));
    }

    #[test]
    fn the_driver_of_a_pc_has_a_version() {
        let line = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\n";
        let root = create_root("pc", &[("proc/driver/nvidia/version", line)]);
        let found = check_driver(&root);
        let _ = std::fs::remove_dir_all(&root);
        assert_eq!(found.text, "NVIDIA 550.54.15");
    }
}

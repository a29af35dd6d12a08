//! The machine's power mode, clocks and temperatures. Latencies depend on them.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The state of the machine at one moment. Values that the system does not report are left out.
pub(crate) struct Machine {
    /// NVIDIA power mode of a Jetson.
    power_mode: Option<String>,
    /// Clock frequency of each CPU core in kHz.
    cpu_khz: Vec<u64>,
    /// Clock frequency in Hz of each device that scales its frequency separately. On a Jetson, the
    /// GPU is such a device.
    device_hz: BTreeMap<String, u64>,
    /// Temperature of each thermal zone in degrees Celsius.
    temperature_celsius: BTreeMap<String, f64>,
}

impl Machine {
    /// Reads the state of this machine.
    pub(crate) fn read() -> Self {
        Self { power_mode: read_power_mode(), ..Self::read_from(Path::new("/sys")) }
    }

    /// Reads clocks and temperatures from the kernel's files below `sys`.
    fn read_from(sys: &Path) -> Self {
        let cpus = list_folders(&sys.join("devices/system/cpu"));
        let cpu_khz = cpus
            .iter()
            .filter_map(|cpu| read_text(&cpu.join("cpufreq/scaling_cur_freq"))?.parse().ok())
            .collect();
        let device = |folder: &PathBuf| {
            Some((file_name(folder), read_text(&folder.join("cur_freq"))?.parse().ok()?))
        };
        let zone = |folder: &PathBuf| {
            let millidegrees: f64 = read_text(&folder.join("temp"))?.parse().ok()?;
            Some((read_text(&folder.join("type"))?, millidegrees / 1000.0))
        };
        Self {
            power_mode: None,
            cpu_khz,
            device_hz: list_folders(&sys.join("class/devfreq")).iter().filter_map(device).collect(),
            temperature_celsius: list_folders(&sys.join("class/thermal"))
                .iter()
                .filter_map(zone)
                .collect(),
        }
    }

    /// Returns the state as a JSON object.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "power_mode": self.power_mode,
            "cpu_khz": self.cpu_khz,
            "device_hz": self.device_hz,
            "temperature_celsius": self.temperature_celsius,
        })
    }

    /// Returns the state as one human-readable line.
    pub(crate) fn to_line(&self) -> String {
        let mut parts = Vec::new();
        parts.extend(self.power_mode.as_ref().map(|mode| format!("power mode {mode}")));
        if let (Some(low), Some(high)) = (self.cpu_khz.iter().min(), self.cpu_khz.iter().max()) {
            parts.push(format!("cores {} to {} MHz", low / 1000, high / 1000));
        }
        parts.extend(
            self.device_hz.iter().map(|(name, hz)| format!("{name} {} MHz", hz / 1_000_000)),
        );
        let hottest = self.temperature_celsius.iter().max_by(|a, b| a.1.total_cmp(b.1));
        parts.extend(hottest.map(|(zone, degrees)| format!("{degrees:.0} C ({zone})")));
        if parts.is_empty() {
            "the system reports no clocks or temperatures".into()
        } else {
            parts.join(", ")
        }
    }
}

/// Reads the power mode from the output of `nvpmodel`, NVIDIA's tool for Jetson boards.
fn read_power_mode() -> Option<String> {
    let output = Command::new("nvpmodel").arg("-q").output().ok()?;
    parse_power_mode(&String::from_utf8_lossy(&output.stdout))
}

fn parse_power_mode(printed: &str) -> Option<String> {
    printed
        .lines()
        .find_map(|line| line.strip_prefix("NV Power Mode:"))
        .map(|mode| mode.trim().to_owned())
}

fn list_folders(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).into_iter().flatten();
    let mut found: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    found.sort();
    found
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn read_text(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn clocks_and_temperatures_of_a_jetson_are_read() -> std::io::Result<()> {
        let sys = std::env::temp_dir().join(format!("tteview-machine-{}", std::process::id()));
        for (file, value) in [
            ("devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "1510400\n"),
            ("devices/system/cpu/cpu1/cpufreq/scaling_cur_freq", "729600\n"),
            ("class/devfreq/17000000.gpu/cur_freq", "624750000\n"),
            ("class/thermal/thermal_zone0/type", "cpu-thermal\n"),
            ("class/thermal/thermal_zone0/temp", "48281\n"),
            ("class/thermal/thermal_zone1/type", "gpu-thermal\n"),
            ("class/thermal/thermal_zone1/temp", "51500\n"),
            // A zone that is switched off has no temperature.
            ("class/thermal/thermal_zone2/type", "cv0-thermal\n"),
        ] {
            let path = sys.join(file);
            fs::create_dir_all(path.parent().unwrap_or(&sys))?;
            fs::write(path, value)?;
        }
        let machine = Machine::read_from(&sys);
        fs::remove_dir_all(&sys)?;
        assert_eq!(
            machine.to_line(),
            "cores 729 to 1510 MHz, 17000000.gpu 624 MHz, 52 C (gpu-thermal)"
        );
        assert_eq!(machine.to_json()["temperature_celsius"]["cpu-thermal"], 48.281);
        Ok(())
    }

    #[test]
    fn the_power_mode_is_parsed_from_the_output_of_the_tool() {
        assert_eq!(
            parse_power_mode("NV Power Mode: MAXN_SUPER\n2\n").as_deref(),
            Some("MAXN_SUPER")
        );
        assert_eq!(parse_power_mode("error\n"), None);
    }

    #[test]
    fn a_machine_without_sensors_is_described() {
        assert!(Machine::read_from(Path::new("/nowhere")).to_line().contains("reports no"));
    }
}

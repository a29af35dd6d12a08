//! Power mode, clocks and temperatures, which say what a latency on an embedded board is worth.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// What the machine says of itself at one moment. What it does not say is left out.
pub(crate) struct Machine {
    /// NVIDIA's power mode, of a Jetson.
    power_mode: Option<String>,
    /// Clock of each processor in kHz.
    cpu_khz: Vec<u64>,
    /// Clock of each device that scales its own (on a Jetson the GPU is one), in Hz.
    device_hz: BTreeMap<String, u64>,
    /// Temperature of each zone in degrees Celsius.
    temperature: BTreeMap<String, f64>,
}

impl Machine {
    pub(crate) fn now() -> Self {
        Self { power_mode: power_mode(), ..Self::of(Path::new("/sys")) }
    }

    /// Clocks and temperatures from the kernel's files below `sys`.
    fn of(sys: &Path) -> Self {
        let cpus = folders(&sys.join("devices/system/cpu"));
        let cpu_khz =
            cpus.iter().filter_map(|cpu| text(&cpu.join("cpufreq/scaling_cur_freq"))?.parse().ok()).collect();
        let device =
            |folder: &std::path::PathBuf| Some((name(folder), text(&folder.join("cur_freq"))?.parse().ok()?));
        let zone = |folder: &std::path::PathBuf| {
            let millidegrees: f64 = text(&folder.join("temp"))?.parse().ok()?;
            Some((text(&folder.join("type"))?, millidegrees / 1000.0))
        };
        Self {
            power_mode: None,
            cpu_khz,
            device_hz: folders(&sys.join("class/devfreq")).iter().filter_map(device).collect(),
            temperature: folders(&sys.join("class/thermal")).iter().filter_map(zone).collect(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "power_mode": self.power_mode,
            "cpu_khz": self.cpu_khz,
            "device_hz": self.device_hz,
            "temperature_celsius": self.temperature,
        })
    }

    /// One line for people.
    pub(crate) fn line(&self) -> String {
        let mut parts = Vec::new();
        parts.extend(self.power_mode.as_ref().map(|mode| format!("power mode {mode}")));
        if let (Some(low), Some(high)) = (self.cpu_khz.iter().min(), self.cpu_khz.iter().max()) {
            parts.push(format!("cores {} to {} MHz", low / 1000, high / 1000));
        }
        parts.extend(self.device_hz.iter().map(|(name, hz)| format!("{name} {} MHz", hz / 1_000_000)));
        let hottest = self.temperature.iter().max_by(|a, b| a.1.total_cmp(b.1));
        parts.extend(hottest.map(|(zone, degrees)| format!("{degrees:.0} C ({zone})")));
        if parts.is_empty() { "the system tells no clocks or temperatures".into() } else { parts.join(", ") }
    }
}

/// The mode that NVIDIA's tool of the Jetson boards prints, without its number.
fn power_mode() -> Option<String> {
    let output = Command::new("nvpmodel").arg("-q").output().ok()?;
    mode_in(&String::from_utf8_lossy(&output.stdout))
}

fn mode_in(printed: &str) -> Option<String> {
    printed.lines().find_map(|line| line.strip_prefix("NV Power Mode:")).map(|mode| mode.trim().to_owned())
}

fn folders(path: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(path).into_iter().flatten();
    let mut found: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    found.sort();
    found
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn text(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn clocks_and_temperatures_are_read_where_a_jetson_has_them() -> std::io::Result<()> {
        let sys = std::env::temp_dir().join(format!("tteview-machine-{}", std::process::id()));
        for (file, value) in [
            ("devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "1510400\n"),
            ("devices/system/cpu/cpu1/cpufreq/scaling_cur_freq", "729600\n"),
            ("class/devfreq/17000000.gpu/cur_freq", "624750000\n"),
            ("class/thermal/thermal_zone0/type", "cpu-thermal\n"),
            ("class/thermal/thermal_zone0/temp", "48281\n"),
            ("class/thermal/thermal_zone1/type", "gpu-thermal\n"),
            ("class/thermal/thermal_zone1/temp", "51500\n"),
            // A zone that is switched off says nothing.
            ("class/thermal/thermal_zone2/type", "cv0-thermal\n"),
        ] {
            let path = sys.join(file);
            fs::create_dir_all(path.parent().unwrap_or(&sys))?;
            fs::write(path, value)?;
        }
        let machine = Machine::of(&sys);
        fs::remove_dir_all(&sys)?;
        assert_eq!(machine.line(), "cores 729 to 1510 MHz, 17000000.gpu 624 MHz, 52 C (gpu-thermal)");
        assert_eq!(machine.json()["temperature_celsius"]["cpu-thermal"], 48.281);
        Ok(())
    }

    #[test]
    fn the_power_mode_is_what_the_tool_prints() {
        assert_eq!(mode_in("NV Power Mode: MAXN_SUPER\n2\n").as_deref(), Some("MAXN_SUPER"));
        assert_eq!(mode_in("error\n"), None);
    }

    #[test]
    fn a_machine_that_tells_nothing_is_said_so() {
        assert!(Machine::of(Path::new("/nowhere")).line().contains("tells no"));
    }
}

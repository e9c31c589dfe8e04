//! Performance counters under the names Azure gives those of Linux machines.
//!
//! # Source
//! "Collect performance counters with Log Analytics agent", table of Linux counters: object, counter and instance names.

use sysinfo::{Disks, Networks, System};

const MEBIBYTE: f64 = 1_048_576.0;

/// One counter of one instance.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample {
    pub object: &'static str,
    pub counter: &'static str,
    pub instance: String,
    pub value: f64,
}

/// What counters are taken from.
pub(super) struct Counters {
    system: Option<System>,
    disks: Option<Disks>,
    networks: Option<Networks>,
}

impl Counters {
    /// Opens what this machine has; what cannot be opened gives no samples.
    pub(super) fn new() -> Self {
        let system = System::new().ok().map(|mut system| {
            // Usage is the difference between two readings: this is the first.
            system.refresh_cpu_usage();
            system
        });
        Self { system, disks: Disks::new().ok(), networks: Networks::new().ok() }
    }

    /// One sample of every counter.
    pub(super) fn sample(&mut self) -> Vec<Sample> {
        let mut samples = Vec::new();
        self.system_samples(&mut samples);
        self.disk_samples(&mut samples);
        self.network_samples(&mut samples);
        samples
    }

    fn system_samples(&mut self, samples: &mut Vec<Sample>) {
        let Some(system) = &mut self.system else { return };
        system.refresh_cpu_usage();
        system.refresh_memory();
        let usage = f64::from(system.global_cpu_usage());
        samples.push(sample("Processor", "% Processor Time", "_Total", usage));
        samples.push(sample("Processor", "% Idle Time", "_Total", (100.0 - usage).max(0.0)));
        let (total, available) = (system.total_memory() as f64, system.available_memory() as f64);
        if total > 0.0 {
            let used = 100.0 * (total - available) / total;
            samples.push(sample("Memory", "% Used Memory", "Memory", used));
            samples.push(sample("Memory", "% Available Memory", "Memory", 100.0 - used));
            samples.push(sample("Memory", "Available MBytes Memory", "Memory", available / MEBIBYTE));
            samples.push(sample("Memory", "Used Memory MBytes", "Memory", (total - available) / MEBIBYTE));
        }
        let swap = system.total_swap() as f64;
        if swap > 0.0 {
            samples.push(sample("Memory", "% Used Swap Space", "Memory", 100.0 * system.used_swap() as f64 / swap));
        }
    }

    fn disk_samples(&mut self, samples: &mut Vec<Sample>) {
        let Some(disks) = &mut self.disks else { return };
        disks.refresh(true);
        for disk in disks.iter() {
            let (total, free) = (disk.total_space() as f64, disk.available_space() as f64);
            if total > 0.0 {
                let mount = disk.mount_point().to_string_lossy();
                samples.push(sample("Logical Disk", "% Used Space", &mount, 100.0 * (total - free) / total));
                samples.push(sample("Logical Disk", "% Free Space", &mount, 100.0 * free / total));
                samples.push(sample("Logical Disk", "Free Megabytes", &mount, free / MEBIBYTE));
            }
        }
    }

    fn network_samples(&mut self, samples: &mut Vec<Sample>) {
        let Some(networks) = &mut self.networks else { return };
        networks.refresh(true);
        for (name, data) in networks.iter() {
            let name = &name.to_string_lossy();
            let (received, sent) = (data.total_received() as f64, data.total_transmitted() as f64);
            samples.push(sample("Network", "Total Bytes Received", name, received));
            samples.push(sample("Network", "Total Bytes Transmitted", name, sent));
            samples.push(sample("Network", "Total Bytes", name, received + sent));
        }
    }
}

fn sample(object: &'static str, counter: &'static str, instance: &str, value: f64) -> Sample {
    Sample { object, counter, instance: instance.to_owned(), value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_processor_and_memory() {
        let samples = Counters::new().sample();
        let value = |counter: &str| samples.iter().find(|sample| sample.counter == counter).map(|sample| sample.value);
        assert!(value("% Processor Time").is_some_and(|percent| (0.0..=100.0).contains(&percent)));
        assert!(value("% Used Memory").is_some_and(|percent| (0.0..=100.0).contains(&percent)));
        assert!(samples.iter().all(|sample| sample.value.is_finite() && !sample.instance.is_empty()));
    }
}

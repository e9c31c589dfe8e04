//! Counters of Windows as perfmon, typeperf and relog write them, as rows of `Perf`: one per counter and sample.
//!
//! Layout: the first cell is `(PDH-CSV 4.0)` or `(PDH-TSV 4.0)`, with the zone and its minutes west of UTC where the
//! tool knows them; the others name counters, `\\HOST\Object(instance)\Counter`, in the language of the host. Records
//! begin with `MM/DD/YYYY HH:MM:SS.mmm` in local time. A blank cell is a sample that was missed: there is no row for it.

use moneta_base::{TableName, Timestamp};
use moneta_event::{RecordClass, Value};

use super::values;
use crate::clock_text;
use crate::output::{Output, Refusal};

/// Decodes the records below one header.
pub(super) struct Counters {
    pub separator: char,
    /// Seconds east of UTC, where the header says so.
    zone: Option<i32>,
    counters: Vec<Counter>,
}

#[derive(Debug, PartialEq, Eq)]
struct Counter {
    path: String,
    computer: String,
    object: String,
    instance: String,
    counter: String,
}

/// Whether a line is a header of counters.
pub(crate) fn is_counters(line: &str) -> bool {
    let line = line.trim_start_matches(['\u{feff}', '"']);
    line.starts_with("(PDH-CSV 4.0)") || line.starts_with("(PDH-TSV 4.0)")
}

impl Counters {
    pub fn read(line: &str) -> Option<Self> {
        if !is_counters(line) {
            return None;
        }
        let separator = if line.contains("(PDH-TSV") { '\t' } else { ',' };
        let cells = values(line.trim_start_matches('\u{feff}'), separator);
        let (first, rest) = cells.split_first()?;
        let minutes = first.rsplit_once('(').and_then(|(_, minutes)| minutes.trim_end_matches(')').parse::<i32>().ok());
        let zone = minutes.filter(|minutes| minutes.abs() <= 14 * 60).map(|minutes| -60 * minutes);
        Some(Self { separator, zone, counters: rest.iter().map(|path| Counter::read(path)).collect() })
    }

    pub fn write(&self, cells: &[String], output: &mut Output) -> Result<(), Refusal> {
        let (first, samples) = cells.split_first().ok_or_else(|| Refusal::new("no_record", "an empty record"))?;
        let zone = self.zone.unwrap_or(output.options.zone_offset_seconds);
        let time = clock_text::parse_any(first, zone);
        let time = time.ok_or_else(|| Refusal::new("no_record", "no time: a message of the tool, not a sample"))?;
        output.check_time(time)?;
        if samples.len() > self.counters.len() {
            let reason = format!("{} samples for {} counters", samples.len(), self.counters.len());
            return Err(Refusal::new("too_many_fields", reason));
        }
        let present = samples.iter().filter(|sample| !sample.trim().is_empty()).count();
        if present == 0 {
            return Err(Refusal::new("no_samples", "every sample of this time is missing"));
        }
        output.reserve(present.min(moneta_base::limits::BLOCK_ROWS_MAX));
        for (counter, sample) in self.counters.iter().zip(samples).filter(|(_, sample)| !sample.trim().is_empty()) {
            output.reserve(1);
            counter.write(time, first, sample, output);
        }
        Ok(())
    }
}

impl Counter {
    /// `\\HOST\Object(instance)\Counter`; an instance may hold parentheses, a counter backslashes.
    fn read(path: &str) -> Self {
        let (computer, rest) = match path.strip_prefix("\\\\").and_then(|rest| rest.split_once('\\')) {
            Some((computer, rest)) => (computer, rest),
            None => ("", path.trim_start_matches('\\')),
        };
        let (object, instance, counter) = match rest.find(")\\") {
            Some(end) if rest[..end].contains('(') => {
                let start = rest.find('(').unwrap_or(0);
                (&rest[..start], &rest[start + 1..end], &rest[end + 2..])
            }
            _ => rest.split_once('\\').map_or((rest, "", ""), |(object, counter)| (object, "", counter)),
        };
        Self {
            path: path.to_owned(),
            computer: computer.to_owned(),
            object: object.to_owned(),
            instance: instance.to_owned(),
            counter: counter.to_owned(),
        }
    }

    fn write(&self, time: Timestamp, stamp: &str, sample: &str, output: &mut Output) {
        let own = || TableName::new("Perf").expect("the names of built-in tables are valid");
        let table = output.table(&output.options.table.clone().unwrap_or_else(own));
        for (name, text) in [
            ("Computer", &self.computer),
            ("ObjectName", &self.object),
            ("InstanceName", &self.instance),
            ("CounterName", &self.counter),
            ("CounterPath", &self.path),
        ] {
            output.set_field(table, name, Value::Text(text));
        }
        // Some languages write a comma where others write a point.
        let number = sample.trim().replace(',', ".").parse::<f64>();
        output.set_field(table, "CounterValue", number.map_or(Value::Text(sample), Value::Real));
        output.finish_row(table, RecordClass::Data, time, &format!("\"{stamp}\",\"{sample}\""));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expected: [&str; 4]) {
        let counter = Counter::read(path);
        assert_eq!([&*counter.computer, &*counter.object, &*counter.instance, &*counter.counter], expected, "{path}");
    }

    #[test]
    fn counter_paths_are_taken_apart() {
        check("\\\\H\\Processor(_Total)\\% Processor Time", ["H", "Processor", "_Total", "% Processor Time"]);
        check("\\\\H\\Memory\\Available Bytes", ["H", "Memory", "", "Available Bytes"]);
        check("\\\\H\\Netz(Intel(R) X)\\Bytes/s", ["H", "Netz", "Intel(R) X", "Bytes/s"]);
        check("Memory\\Pages", ["", "Memory", "", "Pages"]);
    }

    #[test]
    fn the_zone_of_the_header_counts_westwards() {
        let header = "\"(PDH-CSV 4.0) (W. Europe Standard Time)(-60)\",\"\\\\H\\Memory\\Pages\"";
        let counters = Counters::read(header).unwrap();
        assert_eq!((counters.zone, counters.counters.len()), (Some(3600), 1));
        assert_eq!(Counters::read("\"(PDH-CSV 4.0)\"").unwrap().zone, None);
    }
}

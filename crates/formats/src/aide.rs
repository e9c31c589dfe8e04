//! Reports of AIDE about files that changed, as rows of `HostIntrusion_CL`: one row per file.
//!
//! Layout: `Start timestamp: TIME (AIDE VERSION)`, counts, then sections `Added entries:`, `Removed entries:` and `Changed
//! entries:` with a line `FLAGS: PATH` per file (older versions: `added: PATH`), then `Detailed information about
//! changes:` with blocks of `File: PATH` and lines `ATTRIBUTE : OLD | NEW`, whose long values go on in further lines,
//! then `End timestamp: TIME`. Sections stand between lines of dashes. Reports may follow one another.
//!
//! Rows are written at the end of a report, because the details stand behind the lists. Lines outside reports and
//! lines that belong to no section are quarantined; the counts and the list of databases say nothing of their own.

use moneta_base::{TableName, Timestamp};
use moneta_event::{RecordClass, Value};
use serde_json::{Map, Value as Json};

use crate::clock_text;
use crate::decoder::LineFormat;
use crate::mapping::Slots;
use crate::output::{Output, Refusal};

/// Files of one report that are held back; further ones are written at once, without details.
const FILES_HELD_MAX: usize = 20_000;
/// Attributes of one file at most; more stay in its original text.
const ATTRIBUTES_MAX: usize = 64;
/// Bytes of the original text of one file at most.
const RAW_BYTES_MAX: usize = 64 << 10;

/// Decodes reports of AIDE.
#[derive(Default)]
pub(crate) struct AideReport {
    report: Option<Report>,
    slots: Slots,
}

struct Report {
    offset: u64,
    time: Option<Timestamp>,
    version: String,
    section: Section,
    files: Vec<Changed>,
    /// The file whose details are read.
    current: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Section {
    Head,
    List(&'static str),
    Details,
    /// Attributes of the databases, and what else says nothing about files.
    Other,
}

struct Changed {
    action: &'static str,
    path: String,
    flags: String,
    details: Map<String, Json>,
    /// The attribute of the last line: its value may go on.
    attribute: String,
    raw: String,
}

/// Whether a line begins a report.
pub(crate) fn is_record(line: &str) -> bool {
    line.starts_with("Start timestamp: ") || line.starts_with("AIDE found ") || line.starts_with("AIDE 0.")
}

impl LineFormat for AideReport {
    fn line(&mut self, bytes: &[u8], offset: u64, output: &mut Output) {
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => return output.quarantine(Refusal::invalid_utf8(error), None, offset, bytes),
        };
        if let Some(rest) = text.strip_prefix("Start timestamp: ") {
            self.end_report(output);
            self.report = Some(Report::new(offset, rest, output));
            return;
        }
        if text.starts_with("End timestamp: ") {
            return self.end_report(output);
        }
        if self.report.is_none() && is_record(text) {
            self.report = Some(Report::new(offset, "", output));
        }
        let Some(report) = &mut self.report else {
            let refusal = Refusal::new("no_record", "a line outside of a report: none began with Start timestamp");
            return output.quarantine(refusal, output.options.table.clone(), offset, bytes);
        };
        if let Err(refusal) = report.line(text) {
            output.quarantine(refusal, output.options.table.clone(), offset, bytes);
        }
        if report.files.len() >= FILES_HELD_MAX && report.section != Section::Details {
            report.write(&mut self.slots, output);
        }
    }

    fn finish(&mut self, output: &mut Output) {
        self.end_report(output);
    }

    fn pending_offset(&self) -> Option<u64> {
        self.report.as_ref().map(|report| report.offset)
    }
}

impl AideReport {
    fn end_report(&mut self, output: &mut Output) {
        if let Some(mut report) = self.report.take() {
            report.write(&mut self.slots, output);
        }
    }
}

impl Report {
    fn new(offset: u64, head: &str, output: &Output) -> Self {
        let (stamp, version) = head.split_once(" (AIDE ").unwrap_or((head, ""));
        Self {
            offset,
            time: clock_text::parse_any(stamp, output.options.zone_offset_seconds),
            version: version.trim_end_matches(')').to_owned(),
            section: Section::Head,
            files: Vec::new(),
            current: None,
        }
    }

    fn line(&mut self, line: &str) -> Result<(), Refusal> {
        if line.bytes().all(|b| b == b'-' || b == b' ') {
            return Ok(());
        }
        if let Some(section) = section(line) {
            self.section = section;
            return Ok(());
        }
        let named = [("added: ", "added"), ("removed: ", "removed"), ("changed: ", "changed")];
        if let Some((path, action)) = named.iter().find_map(|(mark, action)| Some((line.strip_prefix(mark)?, *action)))
        {
            self.files.push(Changed::new(action, path, "", line));
            return Ok(());
        }
        match self.section {
            Section::Head | Section::Other => Ok(()),
            Section::List(action) => {
                // The flags hold blanks; the path begins behind the first colon.
                let (flags, path) = line
                    .split_once(": ")
                    .filter(|(_, path)| path.starts_with('/'))
                    .ok_or_else(|| Refusal::new("no_record", "a line of a list of files without flags and path"))?;
                self.files.push(Changed::new(action, path, flags.trim(), line));
                Ok(())
            }
            Section::Details => self.detail(line),
        }
    }

    fn detail(&mut self, line: &str) -> Result<(), Refusal> {
        let kinds = [
            "File: ",
            "Directory: ",
            "Link: ",
            "FIFO: ",
            "Socket: ",
            "Device: ",
            "Block device: ",
            "Character device: ",
        ];
        if let Some(path) = kinds.iter().find_map(|kind| line.strip_prefix(kind)) {
            self.current = self.files.iter().position(|file| file.path == path.trim());
            if let (Some(kind), Some(file)) =
                (line.split(':').next(), self.current.and_then(|at| self.files.get_mut(at)))
            {
                file.details.insert("Kind".to_owned(), kind.into());
                file.add_raw(line);
            }
            return Ok(());
        }
        let file = self.current.and_then(|at| self.files.get_mut(at));
        let file = file.ok_or_else(|| Refusal::new("no_record", "details of a file that no list names"))?;
        file.add_raw(line);
        file.add_attribute(line);
        Ok(())
    }

    fn write(&mut self, slots: &mut Slots, output: &mut Output) {
        let time = self.time.unwrap_or(output.origin.received);
        for file in std::mem::take(&mut self.files) {
            match output.check_time(time) {
                Ok(()) => file.write(time, &self.version, slots, output),
                Err(refusal) => {
                    output.quarantine(refusal, output.options.table.clone(), self.offset, file.raw.as_bytes());
                }
            }
        }
        self.current = None;
    }
}

fn section(line: &str) -> Option<Section> {
    Some(match line.trim_end() {
        "Added entries:" | "Added files:" => Section::List("added"),
        "Removed entries:" | "Removed files:" => Section::List("removed"),
        "Changed entries:" | "Changed files:" => Section::List("changed"),
        "Detailed information about changes:" => Section::Details,
        "The attributes of the (uncompressed) database(s):" => Section::Other,
        _ => return None,
    })
}

impl Changed {
    fn new(action: &'static str, path: &str, flags: &str, raw: &str) -> Self {
        Self {
            action,
            path: path.trim().to_owned(),
            flags: flags.to_owned(),
            details: Map::new(),
            attribute: String::new(),
            raw: raw.to_owned(),
        }
    }

    fn add_raw(&mut self, line: &str) {
        if self.raw.len() + line.len() < RAW_BYTES_MAX {
            self.raw.push('\n');
            self.raw.push_str(line);
        }
    }

    /// `Mtime    : OLD | NEW`, or the rest of a long value.
    fn add_attribute(&mut self, line: &str) {
        let (names, values) = match line.split_once(" : ") {
            Some((name, values)) if !name.trim().is_empty() && !name.contains('|') => (Some(name.trim()), values),
            _ => (None, line.trim_start().trim_start_matches(": ")),
        };
        let (old, new) = values.split_once('|').unwrap_or((values, ""));
        let (old, new) = (old.trim(), new.trim());
        match names {
            Some(name) if self.details.len() < ATTRIBUTES_MAX => {
                name.clone_into(&mut self.attribute);
                self.details.insert(name.to_owned(), serde_json::json!({"Old": old, "New": new}));
            }
            Some(_) => self.attribute.clear(),
            None => {
                if let Some(Json::Object(value)) = self.details.get_mut(&self.attribute) {
                    for (side, more) in [("Old", old), ("New", new)] {
                        if let Some(Json::String(text)) = value.get_mut(side) {
                            text.push_str(more);
                        }
                    }
                }
            }
        }
    }

    fn write(&self, time: Timestamp, version: &str, slots: &mut Slots, output: &mut Output) {
        let own = || TableName::new("HostIntrusion_CL").expect("the names of built-in tables are valid");
        let table = output.table(&output.options.table.clone().unwrap_or_else(own));
        slots.text(table, "Product", "AIDE", output);
        slots.text(table, "Action", self.action, output);
        slots.text(table, "FilePath", &self.path, output);
        slots.text(table, "RuleName", &format!("file {}", self.action), output);
        slots.text(table, "Message", &self.flags, output);
        slots.text(table, "ProductVersion", version, output);
        if !self.details.is_empty() {
            slots.set(table, "Details", Value::Json(&Json::Object(self.details.clone()).to_string()), output);
        }
        output.finish_row(table, RecordClass::Processed, time, &self.raw);
    }
}

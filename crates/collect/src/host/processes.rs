//! New processes, found by looking at the process list again and again.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use moneta_base::Timestamp;
use moneta_event::{BatchBuilder, Value};
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System, UpdateKind};

/// Bytes of a command line that are kept.
const COMMAND_LINE_BYTES_MAX: usize = 32 << 10;

/// What is known of one process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Process {
    pid: u32,
    file_name: String,
    folder: String,
    command_line: String,
    account: String,
    started: Timestamp,
}

/// A process that was not there before, and the one that started it.
#[derive(Debug, Clone)]
pub(super) struct Created {
    process: Process,
    parent: Option<Process>,
    grandparent: Option<(u32, String)>,
}

/// The processes seen before.
pub(super) struct Processes {
    system: Option<System>,
    /// Process id and start time: ids come again.
    seen: HashSet<(Pid, u64)>,
    /// New processes that were not yet what they will be: they are looked at once more.
    held: HashSet<(Pid, u64)>,
    first_look_done: bool,
    accounts: HashMap<u32, String>,
}

impl Processes {
    pub(super) fn new() -> Self {
        Self {
            system: System::new().ok(),
            seen: HashSet::new(),
            held: HashSet::new(),
            first_look_done: false,
            accounts: HashMap::new(),
        }
    }

    /// The processes that came since the last look. The first look only learns what is there.
    pub(super) fn look(&mut self) -> Vec<Created> {
        let Some(mut system) = self.system.take() else { return Vec::new() };
        system.refresh_processes_specifics(ProcessesToUpdate::All, true, details(UpdateKind::OnlyIfNotSet));
        let mut now: HashSet<(Pid, u64)> =
            system.processes().iter().map(|(pid, process)| (*pid, process.start_time())).collect();
        let mut new: Vec<(Pid, u64)> = now.difference(&self.seen).copied().collect();
        new.sort_by_key(|(pid, started)| (*started, *pid));
        let is_first = !std::mem::replace(&mut self.first_look_done, true);
        let mut found = Vec::new();
        if !is_first && !new.is_empty() {
            let pids: Vec<Pid> = new.iter().map(|(pid, _)| *pid).collect();
            system.refresh_processes_specifics(ProcessesToUpdate::Some(&pids), false, details(UpdateKind::Always));
            self.accounts = accounts();
            let held_before = std::mem::take(&mut self.held);
            for process in new {
                if is_still_its_parent(&system, process.0) && !held_before.contains(&process) {
                    self.held.insert(process);
                    now.remove(&process);
                } else {
                    found.extend(self.created(&system, process.0));
                }
            }
        }
        self.seen = now;
        self.system = Some(system);
        found
    }

    fn created(&self, system: &System, pid: Pid) -> Option<Created> {
        let process = system.process(pid)?;
        let parent = process.parent().and_then(|pid| system.process(pid));
        let grandparent = parent.and_then(|parent| system.process(parent.parent()?));
        Some(Created {
            process: self.describe(process),
            parent: parent.map(|parent| self.describe(parent)),
            grandparent: grandparent.map(|old| (old.pid().as_u32(), old.name().to_string_lossy().into_owned())),
        })
    }

    fn describe(&self, process: &sysinfo::Process) -> Process {
        let path = process.exe().map_or_else(PathBuf::new, PathBuf::from);
        let file_name =
            path.file_name().map_or_else(|| process.name().to_string_lossy(), |name| name.to_string_lossy());
        let arguments: Vec<_> = process.cmd().iter().map(|argument| argument.to_string_lossy()).collect();
        let user = process.user_id().map(|id| **id);
        let account = user.map(|id| self.accounts.get(&id).cloned().unwrap_or_else(|| id.to_string()));
        Process {
            pid: process.pid().as_u32(),
            file_name: file_name.into_owned(),
            folder: path.to_string_lossy().into_owned(),
            command_line: cut(arguments.join(" ")),
            account: account.unwrap_or_default(),
            started: Timestamp::from_seconds(i64::try_from(process.start_time()).unwrap_or(0)),
        }
    }
}

/// What is asked of the system about each process.
fn details(update: UpdateKind) -> ProcessRefreshKind {
    ProcessRefreshKind::nothing().with_cmd(update).with_exe(update).with_user(UpdateKind::OnlyIfNotSet).without_tasks()
}

/// Whether a process runs the program of its parent with the same arguments: between `fork` and `exec`, most likely.
fn is_still_its_parent(system: &System, pid: Pid) -> bool {
    let process = system.process(pid);
    let parent = process.and_then(|process| system.process(process.parent()?));
    process.zip(parent).is_some_and(|(process, parent)| process.exe() == parent.exe() && process.cmd() == parent.cmd())
}

impl Created {
    pub(super) fn set_fields(&self, builder: &mut BatchBuilder) {
        let process = &self.process;
        builder.set_field("ActionType", Value::Text("ProcessCreated"));
        builder.set_field("ProcessId", Value::Long(i64::from(process.pid)));
        builder.set_field("FileName", Value::Text(&process.file_name));
        builder.set_field("FolderPath", Value::Text(&process.folder));
        builder.set_field("ProcessCommandLine", Value::Text(&process.command_line));
        builder.set_field("ProcessCreationTime", Value::Time(process.started));
        builder.set_field("AccountName", Value::Text(&process.account));
        if let Some(parent) = &self.parent {
            builder.set_field("InitiatingProcessId", Value::Long(i64::from(parent.pid)));
            builder.set_field("InitiatingProcessFileName", Value::Text(&parent.file_name));
            builder.set_field("InitiatingProcessFolderPath", Value::Text(&parent.folder));
            builder.set_field("InitiatingProcessCommandLine", Value::Text(&parent.command_line));
            builder.set_field("InitiatingProcessCreationTime", Value::Time(parent.started));
            builder.set_field("InitiatingProcessAccountName", Value::Text(&parent.account));
        }
        if let Some((pid, name)) = &self.grandparent {
            builder.set_field("InitiatingProcessParentId", Value::Long(i64::from(*pid)));
            builder.set_field("InitiatingProcessParentFileName", Value::Text(name));
        }
    }
}

fn cut(mut text: String) -> String {
    if text.len() > COMMAND_LINE_BYTES_MAX {
        let end = (0..=COMMAND_LINE_BYTES_MAX).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
    }
    text
}

/// Account names by user id, from the account file; network accounts keep their number.
fn accounts() -> HashMap<u32, String> {
    parse_accounts(&std::fs::read_to_string("/etc/passwd").unwrap_or_default())
}

fn parse_accounts(text: &str) -> HashMap<u32, String> {
    let account = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        Some((fields.nth(1)?.parse().ok()?, name))
    };
    text.lines().filter_map(account).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_read_by_number() {
        let accounts = parse_accounts("root:x:0:0:root:/root:/bin/sh\nbroken\nbin:x:2:2::/bin:/bin/false\n");
        assert_eq!(accounts[&0], "root");
        assert_eq!(accounts[&2], "bin");
        assert_eq!(accounts.len(), 2);
    }

    #[test]
    fn a_process_started_between_two_looks_is_found_with_its_parent() {
        let mut processes = Processes::new();
        assert!(processes.look().is_empty());
        let mut child = std::process::Command::new("sleep").arg("30.125").spawn().unwrap();
        // The first of two looks may come between `fork` and `exec`.
        let found = [processes.look(), processes.look()].concat();
        child.kill().unwrap();
        child.wait().unwrap();
        let created = found.iter().find(|created| created.process.pid == child.id()).unwrap();
        assert_eq!(created.parent.as_ref().unwrap().pid, std::process::id());
        assert!(created.process.folder.starts_with('/') || created.process.command_line.contains("30.125"));
        assert!(processes.look().iter().all(|created| created.process.pid != child.id()));
    }
}

//! Columns of `SecurityEvent` that Azure derives from an event's fields.

use moneta_event::{RecordClass, Value};

use super::{WindowsEvent, activity};
use crate::output::{Output, TableId};

/// Events whose `Account` is the account that signs in or is asked about, not the one that logged the event.
const TARGET_IS_ACCOUNT: [&str; 14] =
    ["4624", "4625", "4626", "4627", "4634", "4647", "4768", "4769", "4770", "4771", "4772", "4776", "4778", "4779"];

/// The fields that columns derive from; empty where the event has none.
#[derive(Debug, Default)]
pub(super) struct Derived<'a> {
    event_id: &'a str,
    subject_name: &'a str,
    subject_domain: &'a str,
    subject_logon_id: &'a str,
    target_name: &'a str,
    target_domain: &'a str,
    target_logon_id: &'a str,
    new_process: &'a str,
    process: &'a str,
    logon_type: &'a str,
}

impl<'a> Derived<'a> {
    /// Collects the fields.
    pub fn of(event: &'a WindowsEvent<'_>) -> Self {
        let mut derived = Self { event_id: event.event_id, ..Self::default() };
        for (name, text) in &event.data {
            let slot = match *name {
                "SubjectUserName" => &mut derived.subject_name,
                "SubjectDomainName" => &mut derived.subject_domain,
                "SubjectLogonId" => &mut derived.subject_logon_id,
                "TargetUserName" => &mut derived.target_name,
                "TargetDomainName" => &mut derived.target_domain,
                "TargetLogonId" => &mut derived.target_logon_id,
                "NewProcessName" => &mut derived.new_process,
                "ProcessName" => &mut derived.process,
                "LogonType" => &mut derived.logon_type,
                _ => continue,
            };
            *slot = text;
        }
        derived
    }

    /// Sets the derived columns.
    pub fn write(&self, table: TableId, output: &mut Output) {
        let mut set = |name: &str, text: &str| output.set_field(table, name, Value::Text(text));
        let subject = account(self.subject_domain, self.subject_name);
        let target = account(self.target_domain, self.target_name);
        let target_first = TARGET_IS_ACCOUNT.contains(&self.event_id) || subject.is_empty();
        let (whole, name, logon_id) = if target_first && !target.is_empty() {
            (&target, self.target_name, self.target_logon_id)
        } else {
            (&subject, self.subject_name, self.subject_logon_id)
        };
        set("SubjectAccount", &subject);
        set("TargetAccount", &target);
        set("Account", whole);
        if !whole.is_empty() {
            set("AccountType", if name.ends_with('$') { "Machine" } else { "User" });
        }
        set("LogonID", logon_id);
        let process = if self.new_process.is_empty() { self.process } else { self.new_process };
        set("Process", process.rsplit('\\').next().unwrap_or(process));
        if let Some(name) = logon_type_name(self.logon_type) {
            set("LogonTypeName", &format!("{} - {name}", self.logon_type));
        }
        if let Some(title) = activity::title(self.event_id) {
            set("Activity", &format!("{} - {title}", self.event_id));
        }
    }

    /// The class of the event.
    pub fn class(&self) -> RecordClass {
        class_of(self.event_id)
    }
}

/// The class of an event of the security log by its number: sign-ins, accounts, rights, policies and the log itself are
/// control; processes, objects and packets are data.
pub(crate) fn class_of(event_id: &str) -> RecordClass {
    match event_id.parse::<u32>() {
        Ok(1100..=1108 | 517 | 4608..=4655 | 4672..=4675 | 4703..=4799 | 4817..=4985) => RecordClass::Control,
        _ => RecordClass::Data,
    }
}

fn account(domain: &str, name: &str) -> String {
    match (domain, name) {
        ("", "") => String::new(),
        ("", name) => name.to_owned(),
        (domain, name) => format!("{domain}\\{name}"),
    }
}

/// # Source
/// The LogonType field of event 4624, Windows security auditing documentation.
fn logon_type_name(number: &str) -> Option<&'static str> {
    Some(match number {
        "0" => "System",
        "2" => "Interactive",
        "3" => "Network",
        "4" => "Batch",
        "5" => "Service",
        "7" => "Unlock",
        "8" => "NetworkCleartext",
        "9" => "NewCredentials",
        "10" => "RemoteInteractive",
        "11" => "CachedInteractive",
        "12" => "CachedRemoteInteractive",
        "13" => "CachedUnlock",
        _ => return None,
    })
}

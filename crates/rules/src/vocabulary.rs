//! Fields and columns by which events name who and what they are about: hosts, accounts, addresses, processes, files.
//!
//! Says what a name means, in any case; makes nothing of the values. Names that mean another thing in another table are
//! not here.
//!
//! # Source
//! Azure Monitor's table reference for the columns, Sigma's taxonomy for the fields.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type};

/// Characters kept of one value.
const VALUE_CHARS_MAX: usize = 1_000;

/// What a field says of an entity. Those with the same second word say it of the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The name of a host.
    Host,
    /// The name of an account, with its domain or without.
    Account(Whose),
    /// The domain of an account.
    Domain(Whose),
    /// An IP address.
    Ip,
    /// A digest of a file, or several with their algorithms before them.
    Hash,
    /// The address of a mailbox.
    Mailbox,
    /// An address of the web, or a name alone.
    Url,
    /// A name that was asked for.
    Dns,
    /// The path of a process's program, or its name.
    Image(Which),
    /// The number of a process.
    ProcessId(Which),
    /// The command line of a process.
    CommandLine(Which),
    /// The path of a file.
    File,
    /// A key of the registry, of Sysmon with the name of the value at its end.
    RegistryKey,
    /// The name of a value in the registry.
    RegistryName,
    /// The value there.
    RegistryData,
    /// A resource in Azure.
    Resource,
}

/// Which of an event's accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The only one.
    Own,
    /// The one that acts.
    Subject,
    /// The one that is acted upon.
    Target,
    /// That of the process that acts.
    Initiating,
    /// Each by itself.
    Any,
}

/// Which of an event's processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The one that the event is about.
    Own,
    /// The one that began it.
    Parent,
    /// The one that acts: in events about processes the parent.
    Initiating,
}

const NAMES: [(&str, Part); 90] = [
    ("computer", Part::Host),
    ("computername", Part::Host),
    ("devicename", Part::Host),
    ("hostname", Part::Host),
    ("workstation", Part::Host),
    ("workstationname", Part::Host),
    ("destinationhostname", Part::Host),
    ("account", Part::Account(Whose::Any)),
    ("accountname", Part::Account(Whose::Own)),
    ("accountdomain", Part::Domain(Whose::Own)),
    ("accountupn", Part::Account(Whose::Any)),
    ("targetaccount", Part::Account(Whose::Any)),
    ("targetusername", Part::Account(Whose::Target)),
    ("targetdomainname", Part::Domain(Whose::Target)),
    ("subjectaccount", Part::Account(Whose::Any)),
    ("subjectusername", Part::Account(Whose::Subject)),
    ("subjectdomainname", Part::Domain(Whose::Subject)),
    ("samaccountname", Part::Account(Whose::Any)),
    ("user", Part::Account(Whose::Any)),
    ("username", Part::Account(Whose::Any)),
    ("userid", Part::Account(Whose::Any)),
    ("userprincipalname", Part::Account(Whose::Any)),
    ("caller", Part::Account(Whose::Any)),
    ("initiatingprocessaccountname", Part::Account(Whose::Initiating)),
    ("initiatingprocessaccountdomain", Part::Domain(Whose::Initiating)),
    ("initiatingprocessaccountupn", Part::Account(Whose::Any)),
    ("sourceusername", Part::Account(Whose::Any)),
    ("destinationusername", Part::Account(Whose::Any)),
    ("ipaddress", Part::Ip),
    ("calleripaddress", Part::Ip),
    ("clientip", Part::Ip),
    ("clientipaddress", Part::Ip),
    ("c-ip", Part::Ip),
    ("cip", Part::Ip),
    ("remoteip", Part::Ip),
    ("hostip", Part::Ip),
    ("sourceip", Part::Ip),
    ("sourceipaddress", Part::Ip),
    ("srcip", Part::Ip),
    ("src_ip", Part::Ip),
    ("destinationip", Part::Ip),
    ("dstip", Part::Ip),
    ("dest_ip", Part::Ip),
    ("md5", Part::Hash),
    ("sha1", Part::Hash),
    ("sha256", Part::Hash),
    ("filehash", Part::Hash),
    ("hashes", Part::Hash),
    ("recipientaddress", Part::Mailbox),
    ("recipientemailaddress", Part::Mailbox),
    ("mailboxownerupn", Part::Mailbox),
    ("url", Part::Url),
    ("requesturl", Part::Url),
    ("remoteurl", Part::Url),
    ("c-uri", Part::Url),
    ("queryname", Part::Dns),
    ("dnsquery", Part::Dns),
    ("image", Part::Image(Which::Own)),
    ("newprocessname", Part::Image(Which::Own)),
    ("processname", Part::Image(Which::Own)),
    ("processpath", Part::Image(Which::Own)),
    ("folderpath", Part::File),
    ("processid", Part::ProcessId(Which::Own)),
    ("newprocessid", Part::ProcessId(Which::Own)),
    ("commandline", Part::CommandLine(Which::Own)),
    ("processcommandline", Part::CommandLine(Which::Own)),
    ("parentimage", Part::Image(Which::Parent)),
    ("parentprocessname", Part::Image(Which::Parent)),
    ("parentprocessid", Part::ProcessId(Which::Parent)),
    ("parentcommandline", Part::CommandLine(Which::Parent)),
    ("initiatingprocessfolderpath", Part::Image(Which::Initiating)),
    ("initiatingprocessfilename", Part::Image(Which::Initiating)),
    ("initiatingprocessid", Part::ProcessId(Which::Initiating)),
    ("initiatingprocesscommandline", Part::CommandLine(Which::Initiating)),
    ("targetfilename", Part::File),
    ("filepath", Part::File),
    ("fullfilepath", Part::File),
    ("imageloaded", Part::File),
    ("targetobject", Part::RegistryKey),
    ("registrykey", Part::RegistryKey),
    ("registryvaluename", Part::RegistryName),
    ("registryvaluedata", Part::RegistryData),
    ("details", Part::RegistryData),
    ("_resourceid", Part::Resource),
    ("resourceid", Part::Resource),
    ("srcipaddr", Part::Ip),
    ("dstipaddr", Part::Ip),
    ("srchostname", Part::Host),
    ("dsthostname", Part::Host),
    ("actorusername", Part::Account(Whose::Any)),
];

/// What a field or column says of an entity, in any case; `None` when it names nothing.
#[must_use]
pub fn part_of(name: &str) -> Option<Part> {
    NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, part)| *part)
}

impl Part {
    /// Whether it says who or where, or what links events of different processes: what a correlation keeps of each event.
    #[must_use]
    pub const fn is_lasting(self) -> bool {
        matches!(
            self,
            Self::Host
                | Self::Account(_)
                | Self::Domain(_)
                | Self::Ip
                | Self::Hash
                | Self::Mailbox
                | Self::Url
                | Self::Dns
                | Self::Resource
        )
    }
}

/// Whether a value says nothing.
#[must_use]
pub fn is_blank(value: &str) -> bool {
    matches!(value.trim(), "" | "-" | "::" | "0.0.0.0" | "(null)")
}

/// The machine that an event came from, by what its names and values say: the first of its hosts.
#[must_use]
pub fn computer_of(pairs: &[(String, String)]) -> String {
    let named = |name: &str| pairs.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    // Events name other hosts too: that of the event itself first.
    let own = ["Computer", "DeviceName", "HostName"].into_iter().find_map(named);
    let host = own.or_else(|| pairs.iter().find(|(name, _)| part_of(name) == Some(Part::Host)));
    host.map(|(_, value)| value.clone()).unwrap_or_default()
}

/// The columns of a batch that name entities.
#[derive(Debug)]
pub struct NamingColumns<'a>(Vec<(&'a str, &'a dyn Array)>);

impl<'a> NamingColumns<'a> {
    /// Those whose part is wanted.
    #[must_use]
    pub fn of(rows: &'a RecordBatch, wanted: impl Fn(Part) -> bool) -> Self {
        let columns = rows.schema_ref().fields().iter().zip(rows.columns());
        let named = columns.filter(|(field, _)| part_of(field.name()).is_some_and(&wanted));
        Self(named.map(|(field, column)| (field.name().as_str(), column.as_ref())).collect())
    }

    /// Names and values of a row, those left out that say nothing.
    #[must_use]
    pub fn pairs(&self, row: usize) -> Vec<(String, String)> {
        let pair = |(name, column): &(&str, &dyn Array)| {
            let value = text(*column, row).filter(|value| !is_blank(value))?;
            Some(((*name).to_owned(), value))
        };
        self.0.iter().filter_map(pair).collect()
    }
}

fn text(column: &dyn Array, row: usize) -> Option<String> {
    if column.is_null(row) {
        return None;
    }
    if let Some(texts) = column.as_string_opt::<i32>() {
        return Some(texts.value(row).chars().take(VALUE_CHARS_MAX).collect());
    }
    let long = column.as_primitive_opt::<Int64Type>().map(|numbers| numbers.value(row).to_string());
    long.or_else(|| column.as_primitive_opt::<Int32Type>().map(|numbers| numbers.value(row).to_string()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_is_there_once() {
        let names: BTreeSet<_> = NAMES.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), NAMES.len());
        assert!(NAMES.iter().all(|(name, _)| *name == name.to_lowercase()));
        assert_eq!(part_of("TargetUserName"), Some(Part::Account(Whose::Target)));
        assert_eq!(part_of("Message"), None);
    }
}

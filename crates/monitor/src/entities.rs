//! Entities: the hosts, accounts, addresses, processes and files that an alert speaks of, in the form in which Sentinel
//! writes them (V3), and what two alerts must share to be about the same thing.
//!
//! Different domains are never taken for one another:
//!
//! - `CORP\ann` and `ann@corp.example` are one account where the same event names a host in `corp.example`, or below it: it
//!   says which domain `CORP` is. `ann` alone is an account of its own, but for an event that also names her with a domain.
//! - `web01` and `web01.corp.example` are one host as long as no `web01` of another domain is among what is compared.
//!
//! # Source
//! Microsoft Sentinel, "Entity types reference", version 3: types and identifiers.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::RecordBatch;
use moneta_rules::vocabulary::{NamingColumns, Part, Which, Whose, is_blank, part_of};
use serde_json::{Map, Value, json};

/// Entities of one alert at most.
pub(crate) const ENTITIES_MAX: usize = 500;

/// Accounts that are on every machine: two alerts that share one need not be about the same thing.
const EVERYWHERE: [&str; 7] =
    ["system", "local service", "network service", "anonymous logon", "root", "localsystem", "unknown"];
/// Domains of accounts that are on every machine.
const EVERYWHERE_DOMAINS: [&str; 4] = ["nt authority", "nt service", "window manager", "font driver host"];
/// Short names of the registry's hives.
const HIVES: [(&str, &str); 4] = [
    ("HKLM", "HKEY_LOCAL_MACHINE"),
    ("HKU", "HKEY_USERS"),
    ("HKCU", "HKEY_CURRENT_USER"),
    ("HKCR", "HKEY_CLASSES_ROOT"),
];

/// Gathers entities, each once.
#[derive(Default)]
pub(crate) struct Entities(Vec<Value>);

impl Entities {
    /// Adds what the columns of a row name, and the fields that a rule read there, by its names for them.
    pub(crate) fn add_row(&mut self, columns: &NamingColumns<'_>, row: usize, fields: &[(String, String)]) {
        let mut pairs = columns.pairs(row);
        pairs.extend_from_slice(fields);
        self.add_event(&pairs);
    }

    /// Adds what names and values of one event say.
    pub(crate) fn add_event(&mut self, pairs: &[(String, String)]) {
        EventParts::of(pairs).entities().into_iter().for_each(|entity| self.add(entity));
    }

    /// Adds an entity in Sentinel's form.
    pub(crate) fn add(&mut self, entity: Value) {
        if self.0.len() < ENTITIES_MAX && !self.0.contains(&entity) {
            self.0.push(entity);
        }
    }

    /// All of them, in the order in which they came.
    pub(crate) fn into_values(self) -> Vec<Value> {
        self.0
    }
}

/// The columns of a batch that name entities.
pub(crate) fn naming_columns(rows: &RecordBatch) -> NamingColumns<'_> {
    NamingColumns::of(rows, |_| true)
}

/// What one event says, by what its names mean.
struct EventParts<'a> {
    parts: Vec<(&'a str, Part, &'a str)>,
}

impl<'a> EventParts<'a> {
    fn of(pairs: &'a [(String, String)]) -> Self {
        let part = |(name, value): &'a (String, String)| Some((name.as_str(), part_of(name)?, value.trim()));
        let parts: Vec<_> = pairs.iter().filter_map(part).filter(|(.., value)| !is_blank(value)).collect();
        // Where both are, the plain one is the number of the process that began the new one.
        let has_new = parts.iter().any(|(name, ..)| name.eq_ignore_ascii_case("NewProcessId"));
        // A table of processes has the path of the program where one of files has that of the file.
        let has_process = parts.iter().any(|(name, ..)| name.eq_ignore_ascii_case("ProcessCommandLine"));
        let moved = parts.into_iter().map(|(name, part, value)| match part {
            Part::ProcessId(Which::Own) if has_new && name.eq_ignore_ascii_case("ProcessId") => {
                (name, Part::ProcessId(Which::Parent), value)
            }
            Part::File if has_process && name.eq_ignore_ascii_case("FolderPath") => {
                (name, Part::Image(Which::Own), value)
            }
            _ => (name, part, value),
        });
        Self { parts: moved.collect() }
    }

    fn first(&self, wanted: Part) -> Option<&'a str> {
        self.parts.iter().find(|(_, part, _)| *part == wanted).map(|(.., value)| *value)
    }

    fn entities(&self) -> Vec<Value> {
        let hosts: Vec<Value> = self.values(Part::Host).filter_map(host).collect();
        let mut entities = hosts.clone();
        entities.extend(self.accounts(&hosts));
        entities.extend(self.parts.iter().flat_map(|(name, part, value)| single(name, *part, value)));
        entities.extend(self.process());
        entities.extend(self.registry());
        entities
    }

    fn values(&self, wanted: Part) -> impl Iterator<Item = &'a str> {
        self.parts.iter().filter(move |(_, part, _)| *part == wanted).map(|(.., value)| *value)
    }

    /// The accounts; one without a domain is left out where another of its name has one.
    fn accounts(&self, hosts: &[Value]) -> Vec<Value> {
        let of_part = |(_, part, value): &(&str, Part, &str)| match part {
            Part::Account(whose) => {
                let domain = (*whose != Whose::Any).then(|| self.first(Part::Domain(*whose))).flatten();
                account(value, domain)
            }
            _ => None,
        };
        let mut accounts: Vec<Value> = self.parts.iter().filter_map(of_part).collect();
        accounts.iter_mut().for_each(|account| tell_domain(account, hosts));
        let is_bare =
            |account: &Value| account["Name"].is_string() && account.as_object().is_some_and(|it| it.len() == 2);
        let same_name = |a: &Value, b: &Value| lower(&a["Name"]) == lower(&b["Name"]);
        let told: Vec<Value> = accounts.iter().filter(|account| !is_bare(account)).cloned().collect();
        accounts.retain(|account| !is_bare(account) || !told.iter().any(|other| same_name(account, other)));
        accounts
    }

    /// The process, with the one that began it.
    fn process(&self) -> Option<Value> {
        let own = self.process_of(Which::Own);
        let parent = self.process_of(Which::Parent);
        let acting = self.process_of(Which::Initiating);
        let (mut process, parent) = match (own, parent.or_else(|| acting.clone())) {
            (None, parent) => (acting.or(parent)?, None),
            (Some(own), parent) => (own, parent),
        };
        if let Some(parent) = parent {
            process["ParentProcess"] = parent;
        }
        Some(process)
    }

    fn process_of(&self, which: Which) -> Option<Value> {
        let mut process = Map::from_iter([("Type".to_owned(), json!("process"))]);
        let texts = [("ProcessId", Part::ProcessId(which)), ("CommandLine", Part::CommandLine(which))];
        let known = texts.into_iter().filter_map(|(name, part)| Some((name.to_owned(), json!(self.first(part)?))));
        process.extend(known);
        if let Some(image) = self.first(Part::Image(which)) {
            process.insert("ImageFile".to_owned(), file(image));
        }
        (process.len() > 1).then_some(Value::Object(process))
    }

    fn registry(&self) -> Option<Value> {
        let path = self.first(Part::RegistryKey)?;
        let data = self.first(Part::RegistryData);
        let named = self.first(Part::RegistryName);
        let is_sysmon = |(name, ..): &(&str, Part, &str)| name.eq_ignore_ascii_case("TargetObject");
        let (key, name) = match (named, data) {
            (Some(name), _) => (path, name),
            // Of a value that was set, Sysmon writes its name behind the key.
            (None, Some(_)) if self.parts.iter().any(is_sysmon) => path.rsplit_once('\\')?,
            (None, _) => return Some(registry_key(path)),
        };
        let mut value = json!({ "Type": "registry-value", "Name": name, "Key": registry_key(key) });
        if let Some(data) = data {
            value["Value"] = data.into();
        }
        Some(value)
    }
}

/// Entities that one field alone names.
fn single(name: &str, part: Part, value: &str) -> Vec<Value> {
    match part {
        Part::Ip => vec![json!({ "Type": "ip", "Address": value })],
        Part::Hash => hashes(name, value),
        Part::Mailbox => vec![json!({ "Type": "mailbox", "MailboxPrimaryAddress": value })],
        Part::Url if value.contains("://") => vec![json!({ "Type": "url", "Url": value })],
        Part::Url | Part::Dns if is_domain_name(value) => vec![json!({ "Type": "dns", "DomainName": value })],
        Part::File => vec![file(value)],
        Part::Resource => vec![json!({ "Type": "azure-resource", "ResourceId": value })],
        _ => Vec::new(),
    }
}

fn is_domain_name(value: &str) -> bool {
    let is_letter = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    value.contains('.') && value.chars().all(is_letter) && value.parse::<std::net::IpAddr>().is_err()
}

/// Digests: one, named by its column or known by its length, or several as Sysmon writes them (`SHA1=…,MD5=…`).
fn hashes(name: &str, value: &str) -> Vec<Value> {
    let algorithm = |digest: &str| match (name.to_ascii_uppercase().as_str(), digest.len()) {
        ("MD5", _) | (_, 32) => "MD5",
        ("SHA1", _) | (_, 40) => "SHA1",
        ("SHA256", _) | (_, 64) => "SHA256",
        _ => "Unknown",
    };
    let one = |text: &str| {
        let (algorithm, digest) = match text.trim().split_once('=') {
            Some((algorithm, digest)) => (algorithm.to_ascii_uppercase(), digest),
            None => (algorithm(text.trim()).to_owned(), text.trim()),
        };
        let is_digest = !digest.is_empty() && digest.chars().all(|c| c.is_ascii_hexdigit());
        // The digest of a program's imports is shared by many files.
        (is_digest && algorithm != "IMPHASH")
            .then(|| json!({ "Type": "filehash", "Algorithm": algorithm, "Value": digest }))
    };
    value.split(',').filter_map(one).collect()
}

fn file(path: &str) -> Value {
    match path.rfind(['\\', '/']) {
        Some(at) if at + 1 < path.len() => {
            let directory = if at == 0 { &path[..1] } else { &path[..at] };
            json!({ "Type": "file", "Directory": directory, "Name": &path[at + 1..] })
        }
        _ => json!({ "Type": "file", "Name": path }),
    }
}

fn registry_key(path: &str) -> Value {
    let path = path.trim_start_matches("\\REGISTRY\\").trim_start_matches('\\');
    let (hive, key) = path.split_once('\\').unwrap_or((path, ""));
    let long = HIVES.iter().find(|(short, _)| short.eq_ignore_ascii_case(hive)).map_or(hive, |(_, long)| long);
    json!({ "Type": "registry-key", "Hive": long, "Key": key })
}

/// A host by its name, which may have a domain.
fn host(name: &str) -> Option<Value> {
    let name = name.trim_start_matches('\\').trim_end_matches('.');
    if is_blank(name) {
        return None;
    }
    Some(match name.split_once('.').filter(|_| name.parse::<std::net::IpAddr>().is_err()) {
        Some((short, domain)) => json!({ "Type": "host", "HostName": short, "DnsDomain": domain }),
        None => json!({ "Type": "host", "HostName": name }),
    })
}

/// An account by its name, which may have a domain, and by its domain, where that is written apart.
fn account(name: &str, domain: Option<&str>) -> Option<Value> {
    if is_blank(name) {
        return None;
    }
    let is_guid = |text: &str| {
        text.len() == 36 && text.chars().all(|c| c.is_ascii_hexdigit() || c == '-') && text.matches('-').count() == 4
    };
    let qualified = |name: &str, domain: &str| match domain.contains('.') {
        true => json!({ "Type": "account", "Name": name, "DnsDomain": domain }),
        false => json!({ "Type": "account", "Name": name, "NTDomain": domain }),
    };
    Some(match (name.split_once('\\'), name.rsplit_once('@')) {
        (Some((domain, name)), _) if !is_blank(domain) && domain != "." && !is_blank(name) => qualified(name, domain),
        (Some((_, name)), _) => json!({ "Type": "account", "Name": name }),
        (None, Some((name, suffix))) if !name.is_empty() && !suffix.is_empty() => {
            json!({ "Type": "account", "Name": name, "UPNSuffix": suffix })
        }
        _ if name.starts_with("S-1-") => json!({ "Type": "account", "Sid": name }),
        _ if is_guid(name) => json!({ "Type": "account", "AadUserId": name }),
        _ => match domain.filter(|domain| !is_blank(domain)) {
            Some(domain) => qualified(name, domain),
            None => json!({ "Type": "account", "Name": name }),
        },
    })
}

/// Says which domain an account's short one is, where a host of the same event is in it or below it.
fn tell_domain(account: &mut Value, hosts: &[Value]) {
    let Some(short) = account["NTDomain"].as_str().map(str::to_lowercase) else { return };
    let told = hosts.iter().filter_map(|host| host["DnsDomain"].as_str()).find_map(|domain| {
        let starts = std::iter::once(0).chain(domain.match_indices('.').map(|(at, _)| at + 1));
        let mut above = starts.map(|at| &domain[at..]);
        above.find(|domain| domain.to_lowercase().strip_prefix(&short).is_some_and(|rest| rest.starts_with('.')))
    });
    if let Some(domain) = told.map(str::to_owned) {
        account["DnsDomain"] = domain.into();
    }
}

/// An entity as a rule's mapping or a result states it, in Sentinel's form: types by their names there, whole names of
/// accounts and hosts taken apart.
pub(crate) fn stated(kind: &str, mut members: Map<String, Value>) -> Value {
    let kind = match kind.to_lowercase().as_str() {
        "azureresource" => "azure-resource".to_owned(),
        "cloudapplication" => "cloud-application".to_owned(),
        "registrykey" => "registry-key".to_owned(),
        "registryvalue" => "registry-value".to_owned(),
        "securitygroup" => "security-group".to_owned(),
        "mailcluster" => "mail-cluster".to_owned(),
        "mailmessage" => "mail-message".to_owned(),
        "submissionmail" => "submission-mail".to_owned(),
        kind => kind.to_owned(),
    };
    let whole = |members: &Map<String, Value>, name: &str| members.get(name).and_then(Value::as_str).map(str::to_owned);
    let parts = match kind.as_str() {
        "account" => {
            let name = whole(&members, "FullName").map(|name| ("FullName", name));
            let name = name.or_else(|| whole(&members, "Name").map(|name| ("Name", name)));
            name.and_then(|(member, name)| Some((member, account(&name, None)?)))
        }
        "host" => {
            let name = whole(&members, "FullName").map(|name| ("FullName", name));
            let name = name.or_else(|| whole(&members, "HostName").map(|name| ("HostName", name)));
            name.and_then(|(member, name)| Some((member, host(&name)?)))
        }
        _ => None,
    };
    if let Some((member, Value::Object(parts))) = parts {
        members.remove(member);
        for (name, value) in parts {
            members.entry(name).or_insert(value);
        }
    }
    members.insert("Type".to_owned(), json!(kind));
    Value::Object(members)
}

fn lower(value: &Value) -> String {
    value.as_str().unwrap_or_default().trim().to_lowercase()
}

/// The names by which people know the hosts or accounts among entities, each once: `web01.corp.example`, `CORP\ann`.
/// Accounts of people before those of machines and those that are on every machine.
pub(crate) fn spoken(entities: &[Value], kind: &str) -> Vec<String> {
    let of_kind = entities.iter().filter(|entity| lower(&entity["Type"]) == kind);
    let named = of_kind.filter_map(|entity| Some((is_everywhere(entity), name_of(entity, kind)?)));
    let mut named: Vec<(bool, String)> = named.map(|(last, name)| (last || name.ends_with('$'), name)).collect();
    named.sort_by_key(|(is_last, _)| *is_last);
    let mut names: Vec<String> = Vec::new();
    for (_, name) in named {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn name_of(entity: &Value, kind: &str) -> Option<String> {
    let text = |member: &str| entity[member].as_str().map(str::trim).filter(|text| !text.is_empty());
    let first = |members: &[&str]| members.iter().find_map(|member| text(member)).map(str::to_owned);
    if kind == "host" {
        let name = first(&["HostName", "NetBiosName", "FullName", "AzureID", "ResourceId"])?;
        return Some(joined(&name, text("DnsDomain")));
    }
    let Some(name) = text("Name") else {
        return first(&["FullName", "DisplayName", "Sid", "AadUserId", "ObjectGuid"]);
    };
    Some(match (text("NTDomain"), text("UPNSuffix").or_else(|| text("DnsDomain"))) {
        (Some(domain), _) => format!("{domain}\\{name}"),
        (None, Some(domain)) => format!("{name}@{domain}"),
        (None, None) => name.to_owned(),
    })
}

/// Whether an account is on every machine.
fn is_everywhere(account: &Value) -> bool {
    let name = lower(&account["Name"]);
    let name = if name.is_empty() { lower(&account["FullName"]) } else { name };
    let domain = lower(&account["NTDomain"]);
    let sid = lower(&account["Sid"]);
    // S-1-5-7 and S-1-5-18 to 20 have no domain in them.
    let well_known = sid.starts_with("s-1-5-") && sid.matches('-').count() == 3;
    EVERYWHERE.contains(&name.as_str()) || EVERYWHERE_DOMAINS.contains(&domain.as_str()) || well_known
}

/// Texts by which entities are compared: the same text is the same thing.
pub(crate) fn keys(entities: &[Value]) -> BTreeSet<String> {
    entities.iter().filter(|entity| entity.is_object()).flat_map(keys_of).collect()
}

/// The keys of the entities that say who and where, of all of them where there are none: processes, files and names that
/// were asked for differ from event to event of one matter.
pub(crate) fn matter_keys(entities: &[Value]) -> BTreeSet<String> {
    let lasts = |entity: &&Value| {
        matches!(lower(&entity["Type"]).as_str(), "host" | "account" | "ip" | "mailbox" | "azure-resource")
    };
    let lasting: Vec<Value> = entities.iter().filter(lasts).cloned().collect();
    keys(if lasting.is_empty() { entities } else { &lasting })
}

fn keys_of(entity: &Value) -> Vec<String> {
    let kind = Some(lower(&entity["Type"])).filter(|kind| !kind.is_empty()).unwrap_or_else(|| "unknown".to_owned());
    let names = match kind.as_str() {
        "account" => account_keys(entity),
        "host" => host_key(entity).map(|(name, domain)| joined(&name, domain.as_deref())).into_iter().collect(),
        "filehash" => vec![lower(&entity["Value"])],
        _ => Vec::new(),
    };
    let mut names: Vec<String> = names.into_iter().filter(|name| !name.is_empty()).collect();
    if names.is_empty() {
        texts(entity, &mut names);
    }
    names.into_iter().map(|name| format!("{kind}:{name}")).collect()
}

/// `corp\ann` by the short domain, `ann@corp.example` by the long one; `ann` where there is neither.
fn account_keys(entity: &Value) -> Vec<String> {
    let name = lower(&entity["Name"]);
    let member = |member: &str| Some(lower(&entity[member])).filter(|text| !text.is_empty());
    let mut keys: Vec<String> = Vec::new();
    if !name.is_empty() {
        keys.extend(member("NTDomain").map(|domain| format!("{domain}\\{name}")));
        keys.extend(member("DnsDomain").map(|domain| format!("{name}@{domain}")));
        keys.extend(member("UPNSuffix").map(|domain| format!("{name}@{domain}")));
        if keys.is_empty() {
            keys.push(name);
        }
    }
    keys.extend(["Sid", "AadUserId", "ObjectGuid", "PUID"].iter().filter_map(|id| member(id)));
    keys.sort();
    keys.dedup();
    keys
}

/// Short name and domain of a host.
fn host_key(entity: &Value) -> Option<(String, Option<String>)> {
    let member = |member: &str| Some(lower(&entity[member])).filter(|text| !text.is_empty());
    let name = member("HostName").or_else(|| member("NetBiosName")).or_else(|| member("FullName"))?;
    let is_address = name.parse::<std::net::IpAddr>().is_ok();
    match name.split_once('.').filter(|_| !is_address) {
        Some((short, domain)) => Some((short.to_owned(), Some(domain.to_owned()))),
        None => Some((name, member("DnsDomain"))),
    }
}

fn joined(name: &str, domain: Option<&str>) -> String {
    domain.map_or_else(|| name.to_owned(), |domain| format!("{name}.{domain}"))
}

/// All texts of an entity but its type.
fn texts(entity: &Value, into: &mut Vec<String>) {
    let Some(members) = entity.as_object() else { return };
    for (name, value) in members.iter().filter(|(name, _)| *name != "Type") {
        match value {
            Value::String(text) if name != "$id" && !text.trim().is_empty() => into.push(text.trim().to_lowercase()),
            Value::Object(_) => texts(value, into),
            _ => {}
        }
    }
}

/// Those keys that say that two alerts are about the same thing: not what is on every machine. Hosts go by their short
/// names: [`is_of_others`] tells those of other domains apart.
pub(crate) fn linking_keys(entities: &[Value]) -> BTreeSet<String> {
    linking(entities).into_iter().map(|(key, _)| key).collect()
}

/// The linking keys, and of hosts the domain, where it is known.
pub(crate) fn linking(entities: &[Value]) -> BTreeSet<(String, Option<String>)> {
    let mut found = BTreeSet::new();
    for entity in entities.iter().filter(|entity| entity.is_object()) {
        match lower(&entity["Type"]).as_str() {
            "host" => found.extend(host_key(entity).map(|(name, domain)| (format!("host:{name}"), domain))),
            "account" if is_everywhere(entity) => {}
            "ip" if !is_elsewhere(&lower(&entity["Address"])) => {}
            "account" | "ip" | "filehash" | "mailbox" | "url" | "dns" | "azureresource" | "azure-resource"
            | "malware" => {
                found.extend(keys_of(entity).into_iter().map(|key| (key, None)));
            }
            _ => {}
        }
    }
    found
}

fn is_elsewhere(address: &str) -> bool {
    address.parse::<std::net::IpAddr>().is_ok_and(|ip| {
        let ip = ip.to_canonical();
        !ip.is_loopback() && !ip.is_unspecified()
    })
}

/// Whether all that two lists share are short names of hosts that are of different domains.
pub(crate) fn is_of_others(entities: &[Value], known: &[Value]) -> bool {
    let (some, others) = (domains(entities), domains(known));
    let mut shared = some.iter().filter_map(|(key, domains)| Some((domains, others.get(key)?))).peekable();
    let is_apart = |(domains, others): (&BTreeSet<String>, &BTreeSet<String>)| {
        domains.is_disjoint(others) && domains.union(others).count() > 1
    };
    shared.peek().is_some() && shared.all(is_apart)
}

/// Linking keys with the domains that are known of each.
pub(crate) fn domains(entities: &[Value]) -> BTreeMap<String, BTreeSet<String>> {
    let mut domains: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (key, domain) in linking(entities) {
        domains.entry(key).or_default().extend(domain);
    }
    domains
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};

    use super::*;

    fn of_event(pairs: &[(&str, &str)]) -> Vec<Value> {
        let pairs: Vec<(String, String)> =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut entities = Entities::default();
        entities.add_event(&pairs);
        entities.into_values()
    }

    fn linked(entities: &[Value]) -> Vec<String> {
        linking_keys(entities).into_iter().collect()
    }

    #[test]
    fn fields_of_rules_and_columns_name_the_same_entities() {
        let found = of_event(&[
            ("Computer", "WEB01"),
            ("computerName", "WEB01"),
            ("TargetUserName", "-"),
            ("src_ip", "192.0.2.7"),
            ("CommandLine", "whoami"),
        ]);
        let mut gathered = Entities::default();
        found.iter().chain(&found).for_each(|entity| gathered.add(entity.clone()));
        let (host, ip) = (json!({"Type": "host", "HostName": "WEB01"}), json!({"Type": "ip", "Address": "192.0.2.7"}));
        let process = json!({"Type": "process", "CommandLine": "whoami"});
        assert_eq!(gathered.into_values(), [host, ip, process]);
        assert_eq!(linked(&found), ["host:web01", "ip:192.0.2.7"]);
    }

    #[test]
    fn an_event_of_a_process_names_host_account_process_file_and_digests() {
        let found = of_event(&[
            ("Computer", "WEB01.corp.example"),
            ("SubjectUserName", "ann"),
            ("SubjectDomainName", "CORP"),
            ("User", "ann"),
            ("NewProcessName", "C:\\Windows\\cmd.exe"),
            ("NewProcessId", "0x1a4"),
            ("ProcessId", "0x10"),
            ("CommandLine", "cmd /c x"),
            ("ParentProcessName", "C:\\a\\w3wp.exe"),
            ("Hashes", "SHA1=ab12,IMPHASH=cd34"),
        ]);
        let cmd = json!({"Type": "file", "Directory": "C:\\Windows", "Name": "cmd.exe"});
        let w3wp = json!({"Type": "file", "Directory": "C:\\a", "Name": "w3wp.exe"});
        assert_eq!(
            found,
            [
                json!({"Type": "host", "HostName": "WEB01", "DnsDomain": "corp.example"}),
                json!({"Type": "account", "Name": "ann", "NTDomain": "CORP", "DnsDomain": "corp.example"}),
                json!({"Type": "filehash", "Algorithm": "SHA1", "Value": "ab12"}),
                json!({"Type": "process", "ProcessId": "0x1a4", "CommandLine": "cmd /c x", "ImageFile": cmd,
                       "ParentProcess": {"Type": "process", "ProcessId": "0x10", "ImageFile": w3wp}}),
            ]
        );
        assert_eq!(spoken(&found, "host"), ["WEB01.corp.example"]);
        assert_eq!(spoken(&found, "account"), ["CORP\\ann"]);
    }

    #[test]
    fn names_that_were_asked_for_addresses_of_the_web_and_the_registry_are_entities() {
        let set = [("TargetObject", "HKLM\\SOFTWARE\\Run\\x"), ("Details", "evil.exe")];
        let key = json!({"Type": "registry-key", "Hive": "HKEY_LOCAL_MACHINE", "Key": "SOFTWARE\\Run"});
        let value = json!({"Type": "registry-value", "Name": "x", "Value": "evil.exe", "Key": key});
        assert_eq!(of_event(&set), [value]);
        assert_eq!(of_event(&[("RegistryKey", "HKEY_LOCAL_MACHINE\\SOFTWARE\\Run")]), [key]);
        let dns = json!({"Type": "dns", "DomainName": "evil.example"});
        assert_eq!(of_event(&[("QueryName", "evil.example"), ("Details", "x")]), std::slice::from_ref(&dns));
        assert_eq!(of_event(&[("RemoteUrl", "evil.example")]), [dns]);
        assert_eq!(of_event(&[("Url", "http://a.example/x")]), [json!({"Type": "url", "Url": "http://a.example/x"})]);
        let parts = json!({"Type": "file", "Directory": "/tmp", "Name": "x"});
        assert_eq!(of_event(&[("TargetFilename", "/tmp/x")]), [parts]);
    }

    #[test]
    fn rows_name_entities_row_by_row_up_to_the_limit() {
        let column = |values: Vec<Option<String>>| Arc::new(StringArray::from(values)) as ArrayRef;
        let count = ENTITIES_MAX + 10;
        let hosts = (0..count).map(|n| (n != 1).then(|| format!("h{n}"))).collect();
        let users = (0..count).map(|_| Some("ada".to_owned())).collect();
        let numbers = Arc::new(Int64Array::from(vec![7; count])) as ArrayRef;
        let columns = [
            ("Computer", column(hosts)),
            ("Message", column(vec![None; count])),
            ("ProcessId", numbers),
            ("User", column(users)),
        ];
        let rows =
            RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap();
        let columns = naming_columns(&rows);
        let of = |wanted: Vec<usize>| {
            let mut entities = Entities::default();
            wanted.into_iter().for_each(|row| entities.add_row(&columns, row, &[]));
            entities.into_values()
        };
        let host = |name: &str| json!({"Type": "host", "HostName": name});
        let user = json!({"Type": "account", "Name": "ada"});
        let process = json!({"Type": "process", "ProcessId": "7"});
        assert_eq!(of(vec![2, 1, 0]), [host("h2"), user, process, host("h0")]);
        assert_eq!(of((0..count).collect()).len(), ENTITIES_MAX);
    }

    #[test]
    fn an_account_is_one_under_its_short_and_its_long_domain_where_an_event_says_so() {
        let principal = of_event(&[("UserPrincipalName", "Ann@corp.example")]);
        let told = of_event(&[("Account", "CORP\\ann"), ("Computer", "dc1.eu.corp.example")]);
        let untold = of_event(&[("Account", "CORP\\ann"), ("Computer", "dc1")]);
        let other = of_event(&[("UserPrincipalName", "ann@corp.other")]);
        let bare = of_event(&[("UserName", "ann")]);
        let share = |a: &[Value], b: &[Value]| {
            let accounts = |entities: &[Value]| -> BTreeSet<String> {
                linking_keys(entities).into_iter().filter(|key| key.starts_with("account:")).collect()
            };
            !accounts(a).is_disjoint(&accounts(b))
        };
        assert!(share(&told, &principal) && share(&told, &untold));
        for (a, b) in [(&told, &other), (&untold, &other), (&principal, &other), (&untold, &principal), (&bare, &told)]
        {
            assert!(!share(a, b), "{a:?} {b:?}");
        }
        let suffix = [json!({"Type": "account", "Name": "bob", "UPNSuffix": "corp.example"})];
        assert!(!share(&suffix, &principal), "a suffix is nobody");
    }

    #[test]
    fn a_host_is_one_with_and_without_its_domain_but_not_with_another() {
        let named = |name| of_event(&[("Computer", name)]);
        let (short, here, there) = (named("web01"), named("WEB01.corp.example"), named("web01.corp.other"));
        assert_eq!(linked(&short), linked(&here));
        assert!(!is_of_others(&short, &here) && !is_of_others(&here, &short));
        assert!(is_of_others(&here, &there));
        let all = [here.clone(), there.clone()].concat();
        assert!(!is_of_others(&here, &all), "a machine of one of the domains is known there");
        let both = [short, there].concat();
        assert!(is_of_others(&here, &both));
        let shared = |mut entities: Vec<Value>| {
            entities.push(json!({"Type": "ip", "Address": "192.0.2.1"}));
            entities
        };
        assert!(!is_of_others(&shared(here), &shared(both)), "they share more than the name");
        assert_eq!(linked(&named("192.0.2.9")), ["host:192.0.2.9"]);
    }

    #[test]
    fn mappings_are_written_as_sentinel_writes_them() {
        let members = |name: &str, value: &str| Map::from_iter([(name.to_owned(), json!(value))]);
        let account = json!({"Type": "account", "Name": "ann", "NTDomain": "CORP"});
        assert_eq!(stated("Account", members("FullName", "CORP\\ann")), account);
        assert_eq!(stated("Account", members("Name", "CORP\\ann")), account);
        let host = json!({"Type": "host", "HostName": "a", "DnsDomain": "b.c"});
        assert_eq!(stated("Host", members("FullName", "a.b.c")), host);
        assert_eq!(stated("RegistryKey", members("Key", "x")), json!({"Type": "registry-key", "Key": "x"}));
    }

    #[test]
    fn what_is_on_every_machine_links_nothing() {
        let entities = [
            json!({"Type": "account", "Name": "SYSTEM"}),
            json!({"Type": "account", "Name": "x", "NTDomain": "NT AUTHORITY"}),
            json!({"Type": "account", "Sid": "S-1-5-18"}),
            json!({"Type": "ip", "Address": "::ffff:127.0.0.1"}),
            json!({"Type": "process", "ProcessId": "4"}),
            json!({"Type": "Account", "Name": "ada"}),
        ];
        assert_eq!(linked(&entities), ["account:ada"]);
        assert_eq!(spoken(&entities, "account"), ["ada", "SYSTEM", "NT AUTHORITY\\x", "S-1-5-18"]);
        assert_eq!(matter_keys(&entities[4..]).len(), 1, "a process is another each time");
    }
}

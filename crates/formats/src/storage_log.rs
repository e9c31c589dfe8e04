//! Azure Storage Analytics logs, versions 1.0 and 2.0, as rows of `StorageBlobLogs` and its kin by service.
//!
//! Layout: fields apart by `;`, in a fixed order; texts that may hold one are quoted and written with HTML entities
//! (`&amp;`, `&quot;`), whose own `;` separates nothing. Version 1.0 has 30 fields, version 2.0 eight more about who
//! asked. Times are UTC.

use std::borrow::Cow;

use moneta_base::TableName;
use moneta_event::{RecordClass, Value};

use crate::clock_text;
use crate::decoder::LineFormat;
use crate::mapping::Slots;
use crate::output::{Output, Refusal};

/// Columns in the order of fields; "" is a field that says what another column says.
const COLUMNS: [&str; 38] = [
    "SchemaVersion",
    "",
    "OperationName",
    "StatusText",
    "StatusCode",
    "DurationMs",
    "ServerLatencyMs",
    "AuthenticationType",
    "RequesterAccountName",
    "AccountName",
    "ServiceType",
    "Uri",
    "ObjectKey",
    "CorrelationId",
    "OperationCount",
    "CallerIpAddress",
    "OperationVersion",
    "RequestHeaderSize",
    "RequestBodySize",
    "ResponseHeaderSize",
    "ResponseBodySize",
    "ContentLengthHeader",
    "RequestMd5",
    "ResponseMd5",
    "Etag",
    "LastModifiedTime",
    "ConditionsUsed",
    "UserAgentHeader",
    "ReferrerHeader",
    "ClientRequestId",
    "RequesterObjectId",
    "RequesterTenantId",
    "RequesterAppId",
    "RequesterAudience",
    "RequesterTokenIssuer",
    "RequesterUpn",
    "",
    "AuthorizationDetails",
];
const FIELDS_MIN: usize = 30;
const TIME: usize = 1;
const OPERATION: usize = 2;
const SERVICE: usize = 10;

/// Decodes Storage Analytics logs.
#[derive(Default)]
pub(crate) struct StorageLog {
    slots: Slots,
}

/// Whether a line begins as a record of Storage Analytics does.
pub(crate) fn is_record(line: &str) -> bool {
    let mut fields = Fields(Some(line));
    let version = fields.next().unwrap_or_default();
    ["1.0", "2.0"].contains(&version) && fields.next().is_some_and(|time| clock_text::parse_iso(time, 0).is_some())
}

impl LineFormat for StorageLog {
    fn line(&mut self, bytes: &[u8], offset: u64, output: &mut Output) {
        let result = std::str::from_utf8(bytes).map_err(Refusal::invalid_utf8).and_then(|text| self.map(text, output));
        if let Err(refusal) = result {
            output.quarantine(refusal, output.options.table.clone(), offset, bytes);
        }
    }
}

impl StorageLog {
    fn map(&mut self, line: &str, output: &mut Output) -> Result<(), Refusal> {
        // What stands behind the last known field is kept as one.
        let fields: Vec<&str> = Fields(Some(line)).take(COLUMNS.len() + 64).collect();
        if fields.len() < FIELDS_MIN {
            let reason = format!("{} fields, where version 1.0 has {FIELDS_MIN}", fields.len());
            return Err(Refusal::new("too_few_fields", reason));
        }
        let time = clock_text::parse_iso(fields[TIME], 0);
        let time = time.ok_or_else(|| Refusal::new("invalid_time", "the request's time cannot be read"))?;
        output.check_time(time)?;
        let name = match fields[SERVICE] {
            "blob" => "StorageBlobLogs",
            "file" => "StorageFileLogs",
            "queue" => "StorageQueueLogs",
            "table" => "StorageTableLogs",
            other => return Err(Refusal::new("unknown_service", format!("unknown service {other:?}"))),
        };
        let own = || TableName::new(name).expect("the names of built-in tables are valid");
        let table = output.table(&output.options.table.clone().unwrap_or_else(own));
        for (index, field) in fields.iter().enumerate().filter(|(_, field)| !field.is_empty()) {
            match COLUMNS.get(index) {
                Some(&"") if index == TIME => {}
                Some(&"") | None => {
                    let name = format!("Field{}", index + 1);
                    self.slots.text(table, &name, &plain(field), output);
                }
                Some(name) => self.slots.text(table, name, &plain(field), output),
            }
        }
        self.slots.set(table, "Category", Value::Text(category(fields[OPERATION])), output);
        output.finish_row(table, RecordClass::Data, time, line);
        Ok(())
    }
}

/// The category that the resource logs of the same service have.
fn category(operation: &str) -> &'static str {
    let begins = |words: &[&str]| words.iter().any(|word| operation.starts_with(word));
    if begins(&["Get", "List", "Peek", "Query", "BlobPreflight", "FilePreflight", "QueuePreflight", "TablePreflight"]) {
        "StorageRead"
    } else if begins(&["Delete", "Clear"]) {
        "StorageDelete"
    } else {
        "StorageWrite"
    }
}

/// The fields of a record, quotes and entities as they stand.
struct Fields<'a>(Option<&'a str>);

impl<'a> Iterator for Fields<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.0?;
        let bytes = rest.as_bytes();
        let quoted = rest.strip_prefix('"').and_then(|inner| inner.find("\";").map(|at| at + 2));
        let mut end = quoted.unwrap_or(0);
        while let Some(found) = memchr::memchr(b';', &bytes[end..]) {
            end += found;
            if quoted.is_some() || !ends_entity(&rest[..end]) {
                self.0 = Some(&rest[end + 1..]);
                return Some(&rest[..end]);
            }
            end += 1;
        }
        self.0 = None;
        Some(rest)
    }
}

/// Whether a `;` behind this text ends an HTML entity.
fn ends_entity(text: &str) -> bool {
    let Some(at) = text.bytes().rev().take(10).position(|b| b == b'&') else { return false };
    let name = &text[text.len() - at..];
    ["amp", "quot", "lt", "gt", "apos"].contains(&name)
        || name.strip_prefix('#').is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// A field without its quotes, entities resolved.
fn plain(field: &str) -> Cow<'_, str> {
    let inner = field.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(field);
    if !inner.contains('&') {
        return Cow::Borrowed(inner);
    }
    let text = inner.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&apos;", "'");
    Cow::Owned(text.replace("&#39;", "'").replace("&amp;", "&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_and_quotes_separate_nothing() {
        let fields: Vec<&str> = Fields(Some("2.0;a&amp;b;\"x;y\";;\"&quot;0x8&quot;\"")).collect();
        assert_eq!(fields, ["2.0", "a&amp;b", "\"x;y\"", "", "\"&quot;0x8&quot;\""]);
        assert_eq!(plain(fields[4]), "\"0x8\"");
        assert_eq!(plain(fields[1]), "a&b");
    }
}

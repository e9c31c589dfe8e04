//! What AppLocker decided: columns that follow from the number of an event and from its fields.
//!
//! Layout: the fields stand in `UserData/RuleAndFileData` (`PolicyName`, `RuleName`, `FilePath`, `FileHash`, `Fqbn`,
//! ...; packaged apps, 8020 to 8025, have `Package`). `Fqbn` is `publisher\product\file\version`, or `-` for a file without signature.

use moneta_event::Value;

use super::WindowsEvent;
use crate::output::{Output, TableId};

const PROVIDER: &str = "Microsoft-Windows-AppLocker";

/// Whether an event is a decision of AppLocker: a row of `SecurityEvent`, as the agents of Azure collect them.
pub(super) fn is_decision(event: &WindowsEvent<'_>) -> bool {
    let number = event.event_id.parse::<u32>().unwrap_or_default();
    event.provider == PROVIDER && matches!(number, 8001..=8007 | 8020..=8025)
}

/// Sets the columns of an event of AppLocker; does nothing for others.
pub(super) fn write(event: &WindowsEvent<'_>, table: TableId, output: &mut Output) {
    if event.provider != PROVIDER {
        return;
    }
    output.set_field(table, "AppLockerVerdict", Value::Text(verdict(event.event_id)));
    let signer = event.data.iter().find(|(name, _)| *name == "Fqbn").map_or("", |(_, text)| text);
    let publisher = signer.split('\\').next().filter(|publisher| *publisher != "-").unwrap_or_default();
    output.set_field(table, "Publisher", Value::Text(publisher));
}

/// The verdict that an event's number tells: whether the file ran, and whether it would have under enforcement.
fn verdict(event_id: &str) -> &'static str {
    match event_id {
        "8002" | "8005" | "8020" | "8023" => "allow",
        "8003" | "8006" | "8021" | "8024" => "would-block",
        "8004" | "8007" | "8022" | "8025" => "block",
        _ => "",
    }
}

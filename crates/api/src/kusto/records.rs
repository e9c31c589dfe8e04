//! The management commands whose answer is a query over Moneta's own tables: what was refused, and what was changed.

/// The query that answers a command; `None` when it is another one.
///
/// # Source
/// Kusto documentation, ".show ingestion failures" and ".show commands": the columns and how far back they look.
pub(super) fn query_of(command: &str) -> Option<&'static str> {
    let words: Vec<String> = command.split_whitespace().map(str::to_ascii_lowercase).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        [".show", "ingestion", "failures"] => Some(INGESTION_FAILURES),
        [".show", "commands"] => Some(COMMANDS),
        _ => None,
    }
}

/// A record that could not be read is kept in quarantine: that is what failing means here.
const INGESTION_FAILURES: &str = "Quarantine\n\
    | where TimeGenerated > ago(14d)\n\
    | project OperationId = toguid(QuarantineId), Database = 'Moneta', Table = TargetTable, FailedOn = TimeGenerated, \
    IngestionSourcePath = _Source, Details = Reason, FailureKind = 'Permanent', RootActivityId = guid(null), \
    OperationKind = 'DataIngestPush', OriginatesFromUpdatePolicy = false, ErrorCode = ReasonCode, Principal = _Source, \
    ShouldRetry = false, User = '', IngestionProperties = strcat('[Format=', Format, ']')\n\
    | order by FailedOn desc";

/// Commands that change something are audited; those that show are not.
const COMMANDS: &str = "MonetaAudit\n\
    | where TimeGenerated > ago(30d)\n\
    | where ObjectKind in ('function', 'materialized view', 'table', 'ingestion mapping')\n\
    | project ClientActivityId = tostring(split(CorrelationId, ';')[1]), CommandType = Action, \
    Text = strcat(Action, ' ', ObjectName, ' ', QueryText), Database = 'Moneta', StartedOn = TimeGenerated, \
    LastUpdatedOn = TimeGenerated, Duration = totimespan(coalesce(DurationMs, 0) * 10000), \
    State = iff(Outcome == 'success', 'Completed', 'Failed'), RootActivityId = toguid(split(CorrelationId, ';')[0]), \
    User = ActorName, FailureReason = Reason, Application = '', Principal = ActorName\n\
    | order by StartedOn desc";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queries_parse_and_belong_to_their_commands() {
        for (command, table) in [(".show ingestion failures", "Quarantine"), (" .SHOW  commands", "MonetaAudit")] {
            let text = query_of(command).unwrap();
            let parsed = moneta_kql::parse(text);
            assert!(text.starts_with(table) && parsed.diagnostics.is_empty(), "{:?}", parsed.diagnostics);
        }
        assert!(query_of(".show queries").is_none());
    }
}

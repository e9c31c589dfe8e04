// What the server's own routes answer: the same names as there. Sizes are bytes, ages seconds.

export interface Session {
  name: string | null;
  kind?: string;
  scopes: ("ingest" | "query" | "respond" | "admin")[];
  expires?: string | null;
}

export interface TableStatus {
  name: string;
  num_rows: number;
  num_segments: number;
  num_hot_blocks: number;
  segment_bytes: number;
  retention_days: number | null;
  oldest_day: string | null;
  held_days: number;
  bytes_per_day: number;
  forecast_bytes: number;
}

export interface WitnessStatus {
  name: string;
  state: "waiting" | "cosigned" | "away" | "rolled-back" | "split-view";
  reason: string;
  since: string;
}

export interface CollectorStatus {
  name: string;
  state: "running" | "waiting" | "stopped" | "failed";
  num_records: number;
  reason: string;
  since: string;
}

export interface Status {
  version: string;
  tenant: string;
  uptime_seconds: number;
  events_per_second: number;
  disk: { total_bytes: number; available_bytes: number; days_until_full: number | null };
  journal: { size_bytes: number; oldest_age_seconds: number; last_fsync_ms: number };
  checkpoint: {
    tree_size: number;
    age_seconds: number;
    cosigned_size: number | null;
    cosigned_age_seconds: number | null;
    witnesses: WitnessStatus[];
  };
  tables: TableStatus[];
  rules_loaded: number;
  collectors: CollectorStatus[];
}

export interface PartState {
  part: string;
  ready: boolean;
  reason: string;
  since: string;
}

export interface VerifyReport {
  num_blocks: number;
  num_records: number;
  num_segments: number;
  num_root_entries: number;
  findings: { file: string; table: string; block: number | null; record: number | null; problem: string }[];
  elapsed_ms: number;
}

export interface RuleSummary {
  rule_id: string;
  title: string;
  level: string;
  author: string;
  log_source: string;
  /** The tables it looks at; empty where that is not known before it runs. */
  tables: string[];
  enabled: boolean;
  /** Why it does not run though it is enabled. */
  problem?: string | null;
  judgement: Judgement;
}

/** What people made of the incidents with alerts of a rule. Counts are of incidents, but for `alerts`. */
export interface Judgement {
  alerts: number;
  open: number;
  true_positive: number;
  benign_positive: number;
  false_positive: number;
  undetermined: number;
  precision: number | null;
  median_seconds_to_detect: number | null;
}

/** Alerts by what people made of their incidents. */
export type VerdictCounts = Pick<Judgement, "open" | "true_positive" | "benign_positive" | "false_positive" | "undetermined">;

/** Exceptions that the verdicts about a rule's alerts suggest, each with the replayed alerts that it would take away. */
export interface RuleTuning {
  replayed: VerdictCounts;
  not_replayed: VerdictCounts;
  hints: { conditions: { field: string; test: string; values: string[] }[]; removes: VerdictCounts }[];
}

export interface RuleDetails {
  /** Absent for a rule that is stored and cannot run. */
  rule: Omit<RuleSummary, "judgement"> | null;
  source: { file: string; text: string; added_by: string; added_at: string; pack?: { name: string; version: number; signer: string } };
  judgement: Judgement;
}

export interface BackfillMatch {
  rule_id: string;
  rule_title: string;
  rule_author: string;
  level: string;
  table: string;
  seqs: (number | string)[];
  time: string;
  computer: string;
  fields: [string, string][];
}

export interface BackfillReport {
  num_rows: number;
  num_matches: number;
  num_forgotten: number;
  /** Ids of rules over windows of time that were not run, because nothing said from when on. */
  left_out?: string[];
  matches: BackfillMatch[];
}

export interface Hold {
  name: string;
  table: string | null;
  from: string | null;
  to: string | null;
  reason: string;
  placed_by: string;
  placed_at: string;
}

/** What comes from one machine through one source into one table. */
export interface SourceStatus {
  source: string;
  computer: string;
  table: string;
  /** `learning`, `ok`, or what is wrong, joined by `+`. */
  state: string;
  trouble_since: string | null;
  num_records: number;
  records_per_minute: number;
  expected_per_minute: number | null;
  first_seen: string | null;
  last_seen: string | null;
  silent_seconds: number | null;
  lag_seconds: number | null;
  lateness_seconds: number | null;
  clock_ahead_seconds: number | null;
  num_missing: number;
  num_quarantined: number;
  num_dropped: number;
  last_dropped: string | null;
}

/** Which share of a source's records says what an audit record must say, from 0 to 1. */
export interface SourceQuality {
  source: string;
  computer: string;
  table: string;
  num_records: number;
  who: number;
  what: number;
  when: number;
  where: number;
  source_of_event: number;
  outcome: number;
}

export interface RuleSetReport {
  loaded: number;
  unchanged: number;
  not_loaded: { file: string; rule_id: string; title: string; problem: string | null }[];
  num_tests: number;
  failed_tests: { rule_id: string; title: string; test: string; expected: boolean }[];
  warnings: { file: string; line: number; rule_id: string; title: string; code: string; message: string }[];
}

export interface SavedQuery {
  name: string;
  text: string;
  language: "kql" | "sql";
  folder: string;
  doc_string: string;
  /** Who saved it last: they may replace and remove it, and administrators. */
  changed_by: string;
}

export interface StoredFunction {
  name: string;
  parameters: string;
  body: string;
  folder: string;
  doc_string: string;
}

export interface Credential {
  id: string;
  name: string;
  scopes: string[];
  created_by: string;
  created: string;
  expires: string;
  last_used: string | null;
  revoked: string | null;
}

export interface Account {
  name: string;
  scopes: string[];
  created: string;
  disabled: string | null;
}

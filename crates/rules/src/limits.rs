//! Bounds on what a rule may ask for, each with its reason. A rule above one is refused with the bound's name.

/// Bytes in one rule file at most. The largest public rule has 295 kB: a list of some 4,400 driver hashes.
pub const RULE_FILE_BYTES_MAX: usize = 512 << 10;

/// Documents in one rule file at most.
pub const RULE_DOCUMENTS_MAX: usize = 1_000;

/// Nesting of a rule file at most: detections need four levels.
pub const RULE_DEPTH_MAX: usize = 32;

/// Tests in one rule at most, after modifiers have multiplied its values. The largest public rule has some 4,400.
pub const RULE_TESTS_MAX: usize = 8_000;

/// Ways of writing one value with other dashes at most (`windash`): five dashes that begin options, each as one of five.
pub const DASH_VARIANTS_MAX: usize = 3_125;

/// Values of one placeholder at most, and patterns that one value with placeholders may become.
pub const PLACEHOLDER_VALUES_MAX: usize = 10_000;

/// Rules that one correlation refers to at most: which of them an event met is a bit of a word.
pub const CORRELATION_RULES_MAX: usize = 64;

/// Correlations of correlations, one above the other, at most.
pub const CORRELATION_DEPTH_MAX: usize = 16;

/// Fields by which one correlation groups, or whose values it counts, at most.
pub const CORRELATION_FIELDS_MAX: usize = 32;

/// Events or values that a correlation may count to at most. A group keeps twice as many: windows that events come late
/// for lie behind the newest one.
pub const CORRELATION_EVENTS_MAX: usize = 100_000;

/// Days that a correlation may look back at most.
pub const TIMESPAN_DAYS_MAX: i64 = 366;

/// Events of one test beside a rule at most.
pub const TEST_EVENTS_MAX: usize = 1_000;

/// Nesting of a condition at most: the parser recurses.
pub const CONDITION_DEPTH_MAX: usize = 64;

/// Bytes in one condition at most.
pub const CONDITION_BYTES_MAX: usize = 64 << 10;

/// Bytes a compiled regular expression may take: nested counted repetitions grow fast. Public rules need up to 2 MiB
/// (`\w{1,64}`, where a word character is any of Unicode's).
pub const REGEX_BYTES_MAX: usize = 4 << 20;

/// Alternatives of one regular expression at most: a list of values is searched faster, and by all rules together.
pub const REGEX_ALTERNATIVES_MAX: usize = 1_000;

/// Nesting of a regular expression at most.
pub const REGEX_DEPTH_MAX: u32 = 50;

/// Values of one field of one event (elements of a JSON array) that are compared with another field of the event at most:
/// each is compared with each. Tests of one field look at all, which the size of a record bounds.
pub const FIELDREF_VALUES_MAX: usize = 256;

/// Nesting of JSON that a dotted field name is followed into at most.
pub const JSON_DEPTH_MAX: usize = 16;

/// Bytes of a rule pack at most: what the HTTP interface takes of rules at once.
pub const PACK_BYTES_MAX: usize = 64 << 20;

/// Files in a rule pack at most. The manifest, a signed note of at most 1 MiB, may bound them sooner.
pub const PACK_FILES_MAX: usize = 8_000;

/// Bytes of a name, an author or a path in a rule pack at most.
pub const PACK_TEXT_BYTES_MAX: usize = 256;

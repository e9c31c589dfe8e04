//! Entries of the root log: what the installation promises to have happened, in order, for ever.
//!
//! The root log is never pruned, so an entry holds no personal data and no unsalted hash of any: people appear as
//! account ids, audit rows as hashes over rows that carry a random id.
//!
//! # Layout, version 1
//! One JSON object in UTF-8 without blanks, keys in exactly this order, at most 65,535 bytes. Hashes are standard
//! base64 of 32 bytes, times `yyyy-MM-ddTHH:mm:ss.fffffffZ`, shards `Table/yyyy-MM-dd`. Any other spelling of the same
//! object is refused, so that one entry has one hash.
//! ```text
//! {"v":1,"at":<time>,"type":"tick","shards":[[<shard>,<size>,<root>],…]}
//! {"v":1,"at":<time>,"type":"shard-opened","shard":<shard>}
//! {"v":1,"at":<time>,"type":"shard-sealed","shard":<shard>,"size":<n>,"root":<hash>}
//! {"v":1,"at":<time>,"type":"segment-sealed","shard":<shard>,"start":<n>,"end":<n>,"blocks":<hash>,"object":[<path>,<bytes>,<hash>]}
//! {"v":1,"at":<time>,"type":"segment-reencoded","shard":<shard>,"start":<n>,"end":<n>,"blocks":<hash>,"old":[[<path>,<bytes>,<hash>],…],"new":[<path>,<bytes>,<hash>]}
//! {"v":1,"at":<time>,"type":"retention-drop","shard":<shard>,"size":<n>,"root":<hash>,"policy":<text>,"by":<text>}
//! {"v":1,"at":<time>,"type":"key-created","purpose":<text>,"version":<n>,"id":<hash>}
//! {"v":1,"at":<time>,"type":"key-destroyed","purpose":<text>,"version":<n>,"id":<hash>}
//! {"v":1,"at":<time>,"type":"change","what":<text>,"name":<text>,"by":<text>,"before":<hash or null>,"after":<hash or null>}
//! {"v":1,"at":<time>,"type":"audit","action":<text>,"by":<text>,"row":<hash>}
//! {"v":1,"at":<time>,"type":"build","version":<text>,"digest":<hash>}
//! ```
//! `start` and `end` are `_Seq`, `[start, end)`; `blocks` is the RFC 6962 root over the block headers the segment holds,
//! so that a re-encoding with the same `blocks` provably moved no row.

use moneta_base::{Seq, Timestamp};
use moneta_merkle::Hash;
use serde_json::{Map, Value};

use crate::ShardId;

/// Version of the layout.
pub const VERSION: u64 = 1;

/// Longest entry: what a bundle's length prefix can say.
pub const ENTRY_BYTES_MAX: usize = moneta_merkle::bundle::ENTRY_BYTES_MAX;

/// Most shards in one tick: 256 of the longest names and sizes stay below 64 KiB.
pub const TICK_SHARDS_MAX: usize = 256;

/// One entry of the root log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootEntry {
    /// When it happened, by the server's clock.
    pub at: Timestamp,
    /// What happened.
    pub event: RootEvent,
}

/// What an entry records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootEvent {
    /// Shards grew to these sizes and roots. A block is under a root checkpoint through the tick after it.
    Tick {
        /// The shards that grew, by name.
        shards: Vec<ShardGrowth>,
    },
    /// A shard's first block is under the tick that follows.
    ShardOpened {
        /// The shard.
        shard: ShardId,
    },
    /// A shard grows no more.
    ShardSealed {
        /// The shard at its final size and root.
        growth: ShardGrowth,
    },
    /// A segment file holds these rows.
    SegmentSealed {
        /// Which rows.
        rows: SegmentRows,
        /// Where they are.
        object: ObjectRef,
    },
    /// The same rows moved into another file.
    SegmentReencoded {
        /// Which rows.
        rows: SegmentRows,
        /// Files they were in.
        old: Vec<ObjectRef>,
        /// File they are in.
        new: ObjectRef,
    },
    /// A shard was dropped by policy. Its directory may be deleted once this entry is under a checkpoint.
    RetentionDrop {
        /// The shard at its final size and root.
        growth: ShardGrowth,
        /// The retention rule that called for it.
        policy: String,
        /// Account id or component that carried it out.
        by: String,
    },
    /// A key came into use.
    KeyCreated(KeyRef),
    /// A key was destroyed, and with it what only it could open.
    KeyDestroyed(KeyRef),
    /// A rule, policy, role, pipeline or setting changed.
    Change {
        /// Kind of thing, such as `rule` or `retention`.
        what: String,
        /// Which one.
        name: String,
        /// Account id or component.
        by: String,
        /// Hash of the stored form before; none if it was created.
        before: Option<Hash>,
        /// Hash of the stored form after; none if it was removed.
        after: Option<Hash>,
    },
    /// A row of the audit table.
    Audit {
        /// The action's name.
        action: String,
        /// Account id or component.
        by: String,
        /// Hash of the row, which carries a random id.
        row: Hash,
    },
    /// The software that runs from here on.
    Build {
        /// Version text.
        version: String,
        /// SHA-256 of the executable.
        digest: Hash,
    },
}

/// A shard at one size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardGrowth {
    /// The shard.
    pub shard: ShardId,
    /// Blocks in it.
    pub size: u64,
    /// Root over them.
    pub root: Hash,
}

/// Rows of one shard, as a segment holds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentRows {
    /// The shard.
    pub shard: ShardId,
    /// `_Seq` of the first row.
    pub start: Seq,
    /// `_Seq` after the last row.
    pub end: Seq,
    /// Root over the block headers.
    pub blocks: Hash,
}

/// A stored file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectRef {
    /// Path below the store.
    pub path: String,
    /// Its length.
    pub size_bytes: u64,
    /// SHA-256 of its bytes.
    pub hash: Hash,
}

/// A key, never the key itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRef {
    /// What it is for, such as `token` or `ledger`.
    pub purpose: String,
    /// Its version.
    pub version: u64,
    /// An identifier that reveals nothing of the key.
    pub id: Hash,
}

/// Why bytes are not a root entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RootEntryError {
    /// Not the JSON of the layout, or not in its only spelling.
    #[error("not a root log entry: {0}")]
    Malformed(&'static str),
    /// A newer Moneta wrote it.
    #[error("root log entry version {0} is not known; use a newer Moneta")]
    Version(u64),
    /// A newer Moneta wrote it: the type is not one of the layout.
    #[error("root log entry type {0:?} is not known; use a newer Moneta")]
    Type(String),
    /// It would not fit a log entry.
    #[error("a root log entry of {0} bytes is longer than 65535")]
    TooLong(usize),
}

impl RootEntry {
    /// Returns the entry's bytes.
    ///
    /// # Errors
    /// [`RootEntryError::TooLong`] past 65,535 bytes.
    pub fn encode(&self) -> Result<Vec<u8>, RootEntryError> {
        let bytes = Value::Object(self.to_json()).to_string().into_bytes();
        if bytes.len() > ENTRY_BYTES_MAX { Err(RootEntryError::TooLong(bytes.len())) } else { Ok(bytes) }
    }

    /// Reads an entry's bytes.
    ///
    /// # Errors
    /// [`RootEntryError`] saying what is wrong, or that a newer version is needed.
    pub fn decode(bytes: &[u8]) -> Result<RootEntry, RootEntryError> {
        let malformed = RootEntryError::Malformed;
        let json: Value = serde_json::from_slice(bytes).map_err(|_| malformed("it is not JSON"))?;
        let fields = Fields(json.as_object().ok_or(malformed("it is not an object"))?);
        match fields.number("v")? {
            VERSION => {}
            version => return Err(RootEntryError::Version(version)),
        }
        let at = Timestamp::parse(fields.text("at")?).ok_or(malformed("its time is not one"))?;
        let entry = RootEntry { at, event: fields.event()? };
        if entry.encode()? != bytes {
            return Err(malformed("it is not in its only spelling"));
        }
        Ok(entry)
    }

    /// Lists shards that grew in as few ticks as fit, at least one per [`TICK_SHARDS_MAX`] shards.
    #[must_use]
    pub fn ticks(at: Timestamp, shards: &[ShardGrowth]) -> Vec<RootEntry> {
        let tick = |chunk: &[ShardGrowth]| RootEntry { at, event: RootEvent::Tick { shards: chunk.to_vec() } };
        shards.chunks(TICK_SHARDS_MAX).map(tick).collect()
    }

    /// Returns what a tick says of a shard; none for other entries and shards.
    #[must_use]
    pub fn tick_of(&self, shard: &ShardId) -> Option<&ShardGrowth> {
        match &self.event {
            RootEvent::Tick { shards } => shards.iter().find(|growth| growth.shard == *shard),
            _ => None,
        }
    }

    fn to_json(&self) -> Map<String, Value> {
        let mut object = Map::new();
        let mut put = |key: &str, value: Value| {
            object.insert(key.to_owned(), value);
        };
        put("v", VERSION.into());
        put("at", self.at.to_string().into());
        put("type", self.event.type_name().into());
        match &self.event {
            RootEvent::Tick { shards } => put("shards", shards.iter().map(growth_json).collect()),
            RootEvent::ShardOpened { shard } => put("shard", shard.to_string().into()),
            RootEvent::ShardSealed { growth } => put_growth(&mut put, growth),
            RootEvent::SegmentSealed { rows, object } => {
                put_rows(&mut put, rows);
                put("object", object_json(object));
            }
            RootEvent::SegmentReencoded { rows, old, new } => {
                put_rows(&mut put, rows);
                put("old", old.iter().map(object_json).collect());
                put("new", object_json(new));
            }
            RootEvent::RetentionDrop { growth, policy, by } => {
                put_growth(&mut put, growth);
                put("policy", policy.as_str().into());
                put("by", by.as_str().into());
            }
            RootEvent::KeyCreated(key) | RootEvent::KeyDestroyed(key) => {
                put("purpose", key.purpose.as_str().into());
                put("version", key.version.into());
                put("id", key.id.to_base64().into());
            }
            RootEvent::Change { what, name, by, before, after } => {
                put("what", what.as_str().into());
                put("name", name.as_str().into());
                put("by", by.as_str().into());
                put("before", before.map(|hash| hash.to_base64()).into());
                put("after", after.map(|hash| hash.to_base64()).into());
            }
            RootEvent::Audit { action, by, row } => {
                put("action", action.as_str().into());
                put("by", by.as_str().into());
                put("row", row.to_base64().into());
            }
            RootEvent::Build { version, digest } => {
                put("version", version.as_str().into());
                put("digest", digest.to_base64().into());
            }
        }
        object
    }
}

impl RootEvent {
    /// Returns the value of `type`.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            RootEvent::Tick { .. } => "tick",
            RootEvent::ShardOpened { .. } => "shard-opened",
            RootEvent::ShardSealed { .. } => "shard-sealed",
            RootEvent::SegmentSealed { .. } => "segment-sealed",
            RootEvent::SegmentReencoded { .. } => "segment-reencoded",
            RootEvent::RetentionDrop { .. } => "retention-drop",
            RootEvent::KeyCreated(_) => "key-created",
            RootEvent::KeyDestroyed(_) => "key-destroyed",
            RootEvent::Change { .. } => "change",
            RootEvent::Audit { .. } => "audit",
            RootEvent::Build { .. } => "build",
        }
    }
}

fn growth_json(growth: &ShardGrowth) -> Value {
    vec![Value::from(growth.shard.to_string()), growth.size.into(), growth.root.to_base64().into()].into()
}

fn object_json(object: &ObjectRef) -> Value {
    vec![Value::from(object.path.as_str()), object.size_bytes.into(), object.hash.to_base64().into()].into()
}

fn put_growth(put: &mut impl FnMut(&str, Value), growth: &ShardGrowth) {
    put("shard", growth.shard.to_string().into());
    put("size", growth.size.into());
    put("root", growth.root.to_base64().into());
}

fn put_rows(put: &mut impl FnMut(&str, Value), rows: &SegmentRows) {
    put("shard", rows.shard.to_string().into());
    put("start", rows.start.into());
    put("end", rows.end.into());
    put("blocks", rows.blocks.to_base64().into());
}

/// Reads the fields of an entry's object by name; order and extra keys are caught by writing it again.
struct Fields<'json>(&'json Map<String, Value>);

impl<'json> Fields<'json> {
    fn event(&self) -> Result<RootEvent, RootEntryError> {
        Ok(match self.text("type")? {
            "tick" => RootEvent::Tick { shards: list(self.get("shards")?, growth_of)? },
            "shard-opened" => RootEvent::ShardOpened { shard: shard_of(self.get("shard")?)? },
            "shard-sealed" => RootEvent::ShardSealed { growth: self.growth()? },
            "segment-sealed" => {
                RootEvent::SegmentSealed { rows: self.rows()?, object: object_of(self.get("object")?)? }
            }
            "segment-reencoded" => RootEvent::SegmentReencoded {
                rows: self.rows()?,
                old: list(self.get("old")?, object_of)?,
                new: object_of(self.get("new")?)?,
            },
            "retention-drop" => RootEvent::RetentionDrop {
                growth: self.growth()?,
                policy: self.text("policy")?.to_owned(),
                by: self.text("by")?.to_owned(),
            },
            "key-created" => RootEvent::KeyCreated(self.key()?),
            "key-destroyed" => RootEvent::KeyDestroyed(self.key()?),
            "change" => RootEvent::Change {
                what: self.text("what")?.to_owned(),
                name: self.text("name")?.to_owned(),
                by: self.text("by")?.to_owned(),
                before: self.hash_or_null("before")?,
                after: self.hash_or_null("after")?,
            },
            "audit" => RootEvent::Audit {
                action: self.text("action")?.to_owned(),
                by: self.text("by")?.to_owned(),
                row: hash_of(self.get("row")?)?,
            },
            "build" => {
                RootEvent::Build { version: self.text("version")?.to_owned(), digest: hash_of(self.get("digest")?)? }
            }
            other => return Err(RootEntryError::Type(other.to_owned())),
        })
    }

    fn get(&self, key: &str) -> Result<&'json Value, RootEntryError> {
        self.0.get(key).ok_or(RootEntryError::Malformed("a field is missing"))
    }

    fn text(&self, key: &str) -> Result<&'json str, RootEntryError> {
        self.get(key)?.as_str().ok_or(RootEntryError::Malformed("a text is not one"))
    }

    fn number(&self, key: &str) -> Result<u64, RootEntryError> {
        number_of(self.get(key)?)
    }

    fn hash_or_null(&self, key: &str) -> Result<Option<Hash>, RootEntryError> {
        match self.get(key)? {
            Value::Null => Ok(None),
            value => hash_of(value).map(Some),
        }
    }

    fn growth(&self) -> Result<ShardGrowth, RootEntryError> {
        Ok(ShardGrowth {
            shard: shard_of(self.get("shard")?)?,
            size: self.number("size")?,
            root: hash_of(self.get("root")?)?,
        })
    }

    fn rows(&self) -> Result<SegmentRows, RootEntryError> {
        Ok(SegmentRows {
            shard: shard_of(self.get("shard")?)?,
            start: self.number("start")?,
            end: self.number("end")?,
            blocks: hash_of(self.get("blocks")?)?,
        })
    }

    fn key(&self) -> Result<KeyRef, RootEntryError> {
        Ok(KeyRef {
            purpose: self.text("purpose")?.to_owned(),
            version: self.number("version")?,
            id: hash_of(self.get("id")?)?,
        })
    }
}

fn list<T>(value: &Value, item: impl Fn(&Value) -> Result<T, RootEntryError>) -> Result<Vec<T>, RootEntryError> {
    value.as_array().ok_or(RootEntryError::Malformed("a list is not one"))?.iter().map(item).collect()
}

fn triple(value: &Value) -> Result<(&str, u64, Hash), RootEntryError> {
    let malformed = RootEntryError::Malformed("a list item is malformed");
    match value.as_array().map(Vec::as_slice) {
        Some([name, number, hash]) => Ok((name.as_str().ok_or(malformed)?, number_of(number)?, hash_of(hash)?)),
        _ => Err(malformed),
    }
}

fn growth_of(value: &Value) -> Result<ShardGrowth, RootEntryError> {
    let (shard, size, root) = triple(value)?;
    let shard = ShardId::parse(shard).ok_or(RootEntryError::Malformed("a shard is not one"))?;
    Ok(ShardGrowth { shard, size, root })
}

fn object_of(value: &Value) -> Result<ObjectRef, RootEntryError> {
    let (path, size_bytes, hash) = triple(value)?;
    Ok(ObjectRef { path: path.to_owned(), size_bytes, hash })
}

fn shard_of(value: &Value) -> Result<ShardId, RootEntryError> {
    value.as_str().and_then(ShardId::parse).ok_or(RootEntryError::Malformed("a shard is not one"))
}

fn number_of(value: &Value) -> Result<u64, RootEntryError> {
    value.as_u64().ok_or(RootEntryError::Malformed("a number is not one"))
}

fn hash_of(value: &Value) -> Result<Hash, RootEntryError> {
    let text = value.as_str().ok_or(RootEntryError::Malformed("a hash is not one"))?;
    Hash::from_base64(text).map_err(|_| RootEntryError::Malformed("a hash is not one"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use moneta_merkle::sha256;

    const AT: &str = r#"{"v":1,"at":"2026-01-02T03:04:05.0000001Z","type":"#;
    const HASH: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

    fn entry(event: RootEvent) -> RootEntry {
        RootEntry { at: Timestamp::parse("2026-01-02T03:04:05.0000001Z").unwrap(), event }
    }

    fn check(event: RootEvent, rest: &str) {
        let entry = entry(event);
        let text = format!("{AT}{}", rest.replace('#', &format!("\"{HASH}\"")));
        assert_eq!(String::from_utf8(entry.encode().unwrap()).unwrap(), text);
        assert_eq!(RootEntry::decode(text.as_bytes()).unwrap(), entry);
    }

    fn growth() -> ShardGrowth {
        ShardGrowth { shard: ShardId::parse("Syslog/2026-01-02").unwrap(), size: 7, root: sha256(b"") }
    }

    fn rows() -> SegmentRows {
        SegmentRows { shard: growth().shard, start: 5, end: 9, blocks: sha256(b"") }
    }

    fn object(path: &str) -> ObjectRef {
        ObjectRef { path: path.to_owned(), size_bytes: 3, hash: sha256(b"") }
    }

    fn key() -> KeyRef {
        KeyRef { purpose: "token".to_owned(), version: 2, id: sha256(b"") }
    }

    #[test]
    fn every_type_has_its_documented_bytes() {
        let shard = growth().shard;
        let text = str::to_owned;
        check(RootEvent::Tick { shards: vec![growth()] }, r##""tick","shards":[["Syslog/2026-01-02",7,#]]}"##);
        check(RootEvent::ShardOpened { shard }, r#""shard-opened","shard":"Syslog/2026-01-02"}"#);
        check(
            RootEvent::ShardSealed { growth: growth() },
            r##""shard-sealed","shard":"Syslog/2026-01-02","size":7,"root":#}"##,
        );
        check(
            RootEvent::SegmentSealed { rows: rows(), object: object("a") },
            r##""segment-sealed","shard":"Syslog/2026-01-02","start":5,"end":9,"blocks":#,"object":["a",3,#]}"##,
        );
        check(
            RootEvent::SegmentReencoded { rows: rows(), old: vec![object("a"), object("b")], new: object("c") },
            concat!(
                r##""segment-reencoded","shard":"Syslog/2026-01-02","start":5,"end":9,"blocks":#,"##,
                r##""old":[["a",3,#],["b",3,#]],"new":["c",3,#]}"##
            ),
        );
        check(
            RootEvent::RetentionDrop { growth: growth(), policy: text("90 d"), by: text("retention") },
            r##""retention-drop","shard":"Syslog/2026-01-02","size":7,"root":#,"policy":"90 d","by":"retention"}"##,
        );
        check(RootEvent::KeyCreated(key()), r##""key-created","purpose":"token","version":2,"id":#}"##);
        check(RootEvent::KeyDestroyed(key()), r##""key-destroyed","purpose":"token","version":2,"id":#}"##);
        check(
            RootEvent::Change {
                what: text("rule"),
                name: text("a \"b\""),
                by: text("7"),
                before: None,
                after: Some(sha256(b"")),
            },
            r##""change","what":"rule","name":"a \"b\"","by":"7","before":null,"after":#}"##,
        );
        check(
            RootEvent::Audit { action: text("sign-in"), by: text("7"), row: sha256(b"") },
            r##""audit","action":"sign-in","by":"7","row":#}"##,
        );
        check(
            RootEvent::Build { version: text("0.1.0"), digest: sha256(b"") },
            r##""build","version":"0.1.0","digest":#}"##,
        );
    }

    #[test]
    fn rejects_every_other_spelling() {
        let good = format!("{AT}\"shard-opened\",\"shard\":\"Syslog/2026-01-02\"}}");
        assert!(RootEntry::decode(good.as_bytes()).is_ok());
        for bad in [
            good.replace(",\"type\"", ", \"type\""),
            good.replace("0000001Z", "0000001+00:00"),
            good.replace("{\"v\":1,", "{\"v\":1,\"x\":0,"),
            good.replace("Syslog", "Sys\\u006cog"),
            good.replace("\"v\":1,\"at\"", "\"at\"").replace("\"type\"", "\"v\":1,\"type\""),
            good.replace("01-02\"}", "1-02\"}"),
            format!("{good} "),
            String::new(),
            "[]".to_owned(),
        ] {
            assert!(matches!(RootEntry::decode(bad.as_bytes()), Err(RootEntryError::Malformed(_))), "{bad}");
        }
    }

    #[test]
    fn newer_versions_and_types_ask_for_a_newer_moneta() {
        let good = format!("{AT}\"shard-opened\",\"shard\":\"Syslog/2026-01-02\"}}");
        let newer = good.replace("\"v\":1", "\"v\":2");
        assert_eq!(RootEntry::decode(newer.as_bytes()), Err(RootEntryError::Version(2)));
        let newer = good.replace("shard-opened", "moon-landing");
        assert_eq!(RootEntry::decode(newer.as_bytes()), Err(RootEntryError::Type("moon-landing".to_owned())));
    }

    #[test]
    fn the_largest_tick_fits_an_entry() {
        let shard = ShardId::parse(&format!("{}/2026-01-02", "T".repeat(128))).unwrap();
        let shards = vec![ShardGrowth { shard, size: u64::MAX, root: sha256(b"") }; 2 * TICK_SHARDS_MAX + 1];
        let ticks = RootEntry::ticks(Timestamp::from_seconds(0), &shards);
        assert_eq!(ticks.len(), 3);
        for tick in ticks {
            assert_eq!(RootEntry::decode(&tick.encode().unwrap()).unwrap(), tick);
        }
    }

    #[test]
    fn refuses_an_entry_that_no_bundle_can_carry() {
        let audit = RootEvent::Audit { action: "x".repeat(ENTRY_BYTES_MAX), by: String::new(), row: sha256(b"") };
        assert!(matches!(entry(audit).encode(), Err(RootEntryError::TooLong(_))));
    }
}

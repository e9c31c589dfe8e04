//! The section `[objects]`: a bucket of S3-compatible storage that old segments are moved to.

use std::path::PathBuf;

use moneta_s3::Place;
use serde::{Deserialize, Serialize};

/// `[objects]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ObjectsConfig {
    /// The bucket that segments are moved to; absent: none are.
    pub bucket: Option<String>,
    /// The server of the bucket; absent: Amazon's of the region.
    pub endpoint: Option<String>,
    /// The region that requests are signed for.
    pub region: String,
    /// Whether the bucket stands in the path of addresses rather than in the host; absent: with an endpoint of one's own.
    pub bucket_in_path: Option<bool>,
    /// What the keys of all objects begin with.
    pub prefix: String,
    /// A file with credentials in the form of AWS's tools; absent: they are taken from the environment.
    pub credentials_file: Option<PathBuf>,
    /// The section of that file.
    pub profile: String,
    /// Days that segments stay on the local disk, the day of their arrival included; 0: they go once they are sealed.
    pub local_days: u32,
    /// Bytes of objects kept on the local disk for queries.
    pub cache_bytes: u64,
    /// How objects are locked until their retention ends.
    pub lock: LockMode,
}

/// `objects.lock`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LockMode {
    /// Not at all.
    #[default]
    None,
    /// Until somebody with a right to ends it.
    Governance,
    /// Until retention ends: nobody can end it early.
    Compliance,
}

impl Default for ObjectsConfig {
    fn default() -> Self {
        Self {
            bucket: None,
            endpoint: None,
            region: "us-east-1".to_owned(),
            bucket_in_path: None,
            prefix: "moneta".to_owned(),
            credentials_file: None,
            profile: "default".to_owned(),
            local_days: 7,
            cache_bytes: 4 << 30,
            lock: LockMode::None,
        }
    }
}

impl ObjectsConfig {
    /// Whether everything can be as it says.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.place().map_err(|message| format!("objects.{message}"))?;
        let is_part = |part: &str| {
            let is_known = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            !part.is_empty() && part != "." && part != ".." && part.chars().all(is_known)
        };
        if !self.prefix.split('/').all(is_part) || self.prefix.len() > 200 {
            return Err(format!(
                "objects.prefix = {:?}: letters, digits, `-`, `_` and `.`, with single slashes between them",
                self.prefix
            ));
        }
        if self.bucket.is_none() && *self != (Self { bucket: None, ..Self::default() }) {
            return Err(
                "objects.bucket: it is missing, and the other keys of [objects] say nothing without it".to_owned()
            );
        }
        Ok(())
    }

    /// The bucket, if there is one.
    pub(crate) fn place(&self) -> Result<Option<Place>, String> {
        let Some(bucket) = &self.bucket else { return Ok(None) };
        let in_path = self.bucket_in_path.unwrap_or(self.endpoint.is_some());
        let place = Place::new(self.endpoint.as_deref(), &self.region, bucket, in_path);
        let place = place.map_err(|error| error.to_string())?;
        let host = place.host().rsplit_once(':').map_or(place.host(), |(host, _)| host);
        let is_here = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
        if !place.is_encrypted() && !is_here {
            return Err(format!("endpoint: {host} is another machine, so it must begin with https://"));
        }
        Ok(Some(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(), String> {
        toml::from_str::<ObjectsConfig>(text).unwrap().check()
    }

    #[test]
    fn what_cannot_work_is_refused_with_the_key_to_change() {
        check("").unwrap();
        check("bucket = \"logs\"\nprefix = \"a/b-1\"\nlock = \"compliance\"").unwrap();
        check("bucket = \"logs\"\nendpoint = \"http://localhost:9000\"").unwrap();
        let refused = |text: &str, word: &str| {
            let message = check(text).unwrap_err();
            assert!(message.contains(word), "{text}: {message}");
        };
        refused("local_days = 3", "objects.bucket");
        refused("bucket = \"LOGS\"", "bucket");
        refused("bucket = \"logs\"\nendpoint = \"http://minio.example:9000\"", "https://");
        refused("bucket = \"logs\"\nprefix = \"a//b\"", "objects.prefix");
        refused("bucket = \"logs\"\nprefix = \"../a\"", "objects.prefix");
        assert!(toml::from_str::<ObjectsConfig>("lock = \"legal\"").unwrap_err().to_string().contains("governance"));
    }
}

//! `[[buckets.sources]]`: buckets of S3-compatible storage whose objects are read, as the configuration names them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use moneta_base::{Clock, Entropy};
use moneta_collect::BucketOptions;
use serde::{Deserialize, Serialize};

use crate::objects::connect;
use crate::objects_config::ObjectsConfig;
use crate::source_config;

/// Seconds between two lists of a bucket.
const POLL_SECONDS: std::ops::RangeInclusive<u64> = 1..=86_400;
/// Bytes of a key at most, as S3 has it.
const KEY_BYTES_MAX: usize = 1_024;

/// `[buckets]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BucketsConfig {
    /// Buckets, and where in them objects are put.
    pub sources: Vec<BucketSource>,
}

/// `[[buckets.sources]]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BucketSource {
    /// Its name, unique; progress is remembered under it.
    pub name: String,
    /// The bucket.
    pub bucket: String,
    /// What the keys of the objects begin with; every object is read when absent.
    pub prefix: String,
    /// The server of the bucket; absent: Amazon's of the region.
    pub endpoint: Option<String>,
    /// The region that requests are signed for; `us-east-1` when absent.
    pub region: Option<String>,
    /// Whether the bucket stands in the path of addresses rather than in the host; absent: with an endpoint of one's own.
    pub bucket_in_path: Option<bool>,
    /// A file with credentials in the form of AWS's tools; absent: they are taken from the environment.
    pub credentials_file: Option<PathBuf>,
    /// The section of that file; `default` when absent.
    pub profile: Option<String>,
    /// Seconds between two lists; 60 when absent.
    pub poll_seconds: Option<u64>,
}

impl BucketsConfig {
    /// What to read. Nothing is sent yet.
    pub(crate) fn build(
        &self,
        clock: &Arc<dyn Clock>,
        entropy: &Arc<dyn Entropy>,
    ) -> Result<Vec<BucketOptions>, String> {
        let build = |source: &BucketSource| source.build(clock, entropy);
        source_config::build_all(&self.sources, |source| &source.name, build)
    }
}

impl BucketSource {
    fn build(&self, clock: &Arc<dyn Clock>, entropy: &Arc<dyn Entropy>) -> Result<BucketOptions, String> {
        if self.prefix.starts_with('/') || self.prefix.len() > KEY_BYTES_MAX {
            return Err(format!("prefix {:?}: keys do not begin with a slash", self.prefix));
        }
        let poll = self.poll_seconds.unwrap_or(60);
        if !POLL_SECONDS.contains(&poll) {
            return Err(format!("poll_seconds is from {} to {}", POLL_SECONDS.start(), POLL_SECONDS.end()));
        }
        let own = ObjectsConfig::default();
        let place = ObjectsConfig {
            bucket: Some(self.bucket.clone()),
            endpoint: self.endpoint.clone(),
            region: self.region.clone().unwrap_or(own.region),
            bucket_in_path: self.bucket_in_path,
            credentials_file: self.credentials_file.clone(),
            profile: self.profile.clone().unwrap_or(own.profile),
            ..ObjectsConfig::default()
        };
        let objects = connect(&place, clock.clone(), entropy.clone())?.ok_or("bucket is missing")?;
        let options = BucketOptions::new(self.name.clone(), objects, self.prefix.clone());
        Ok(BucketOptions { poll: Duration::from_secs(poll), ..options })
    }
}

#[cfg(test)]
mod tests {
    use moneta_host::{SystemClock, SystemEntropy};

    use super::*;

    #[test]
    fn what_cannot_work_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[default]\naws_access_key_id = K\naws_secret_access_key = s\n").unwrap();
        let trail = format!("name = \"trail\"\nbucket = \"logs\"\ncredentials_file = {:?}\n", file.path());
        let (clock, entropy): (Arc<dyn Clock>, Arc<dyn Entropy>) =
            (Arc::new(SystemClock::new()), Arc::new(SystemEntropy::new()));
        let build = |text: &str| {
            let sources = vec![toml::from_str::<BucketSource>(text).unwrap()];
            BucketsConfig { sources }.build(&clock, &entropy).map(|mut sources| sources.remove(0))
        };
        let options = build(&format!("{trail}prefix = \"AWSLogs/1/CloudTrail/\"")).unwrap();
        assert_eq!((options.prefix.as_str(), options.poll), ("AWSLogs/1/CloudTrail/", Duration::from_secs(60)));
        for (text, part) in [
            (format!("{trail}endpoint = \"http://127.0.0.1:9000\""), ""),
            (format!("{trail}endpoint = \"http://minio.example:9000\""), "must begin with https://"),
            (format!("{trail}prefix = \"/AWSLogs\""), "do not begin with a slash"),
            (format!("{trail}poll_seconds = 0"), "poll_seconds is from 1"),
            (format!("{trail}profile = \"other\""), "other"),
            (trail.replace("\"logs\"", "\"LOGS\""), "bucket"),
            (trail.replace("\"trail\"", "\"a b\""), "a name is a word"),
            (trail.replace("credentials_file = ", "credentials_file = \"/no/such\" #"), "/no/such"),
        ] {
            let found = build(&text).err().unwrap_or_default();
            assert!(if part.is_empty() { found.is_empty() } else { found.contains(part) }, "{text}: {found}");
        }
    }
}

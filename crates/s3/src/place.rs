//! Where a bucket is, and how keys become addresses.

use moneta_base::percent;

/// A bucket on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// `http://` or `https://`.
    pub(crate) scheme: &'static str,
    /// Host and, where it is not the scheme's own, port.
    pub(crate) host: String,
    /// What comes before keys in a path: nothing, or a slash and the bucket.
    pub(crate) path: String,
    pub(crate) bucket: String,
    pub(crate) region: String,
}

/// Why there is no such place: a sentence that says what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PlaceError(pub String);

impl Place {
    /// A bucket. Without an endpoint it is Amazon's of the region. The bucket stands in the path when `in_path`, else in
    /// the name of the host.
    ///
    /// # Errors
    /// When the endpoint is no address of a server, or bucket or region cannot be names.
    pub fn new(endpoint: Option<&str>, region: &str, bucket: &str, in_path: bool) -> Result<Self, PlaceError> {
        let is_name = |text: &str, more: &str| {
            text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || more.contains(c))
        };
        if !(3..=63).contains(&bucket.len()) || !is_name(bucket, ".-") {
            return Err(PlaceError(format!(
                "bucket {bucket:?}: a name has 3 to 63 small letters, digits, dots and hyphens"
            )));
        }
        if region.is_empty() || !is_name(region, "-") {
            return Err(PlaceError(format!("region {region:?}: name one such as us-east-1")));
        }
        let own = format!("https://s3.{region}.amazonaws.com");
        let endpoint = endpoint.unwrap_or(&own).trim_end_matches('/');
        let (scheme, host) = match (endpoint.strip_prefix("https://"), endpoint.strip_prefix("http://")) {
            (Some(host), _) => ("https://", host.strip_suffix(":443").unwrap_or(host)),
            (_, Some(host)) => ("http://", host.strip_suffix(":80").unwrap_or(host)),
            _ => return Err(PlaceError(format!("endpoint {endpoint:?}: it must begin with https:// or http://"))),
        };
        let host = host.to_ascii_lowercase();
        if host.is_empty() || host.contains(['/', '@', '?', '#', ' ']) {
            return Err(PlaceError(format!("endpoint {endpoint:?}: give the scheme, the host and the port only")));
        }
        let (host, path) = match in_path {
            true => (host, format!("/{bucket}")),
            false => (format!("{bucket}.{host}"), String::new()),
        };
        Ok(Self { scheme, host, path, bucket: bucket.to_owned(), region: region.to_owned() })
    }

    /// Host and port of the server.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether requests are encrypted.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.scheme == "https://"
    }

    /// The path of a key, encoded; of the bucket itself when the key is empty.
    pub(crate) fn path_of(&self, key: &str) -> String {
        format!("{}/{}", self.path, percent::encode_path(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_stands_in_the_path_or_in_the_host() {
        let own = Place::new(None, "eu-central-1", "logs", false).unwrap();
        assert_eq!((own.host(), own.path_of("a b/c")), ("logs.s3.eu-central-1.amazonaws.com", "/a%20b/c".to_owned()));
        let other = Place::new(Some("http://127.0.0.1:9000/"), "us-east-1", "logs", true).unwrap();
        assert_eq!((other.host(), other.path_of("")), ("127.0.0.1:9000", "/logs/".to_owned()));
        assert!(!other.is_encrypted());
        // The port that a scheme has anyway is not sent, so it must not be signed.
        assert_eq!(Place::new(Some("https://H:443"), "us-east-1", "logs", true).unwrap().host(), "h");
    }

    #[test]
    fn what_cannot_be_is_named() {
        let refused = |endpoint, region, bucket| Place::new(Some(endpoint), region, bucket, true).unwrap_err().0;
        assert!(refused("ftp://h", "us-east-1", "logs").contains("https://"));
        assert!(refused("https://h/path", "us-east-1", "logs").contains("host"));
        assert!(refused("https://h", "", "logs").contains("region"));
        assert!(refused("https://h", "us-east-1", "Logs").contains("small letters"));
    }
}

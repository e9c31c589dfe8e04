//! What queries may read that is not in the store: files and web addresses the operator allowed, and a database of the
//! locations of addresses.
//!
//! Nothing is allowed unless the configuration names it. A file must lie below a named directory after all links are
//! followed. A web address must begin with a named one; its host is resolved once, the connection goes to an address
//! that was checked, no redirect is followed, and an address of an inner network is refused unless the configuration
//! names that very address. What a server answers other than success is never shown.

use std::io::Read as _;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use moneta_base::address::is_public;
use moneta_kql_plan::ExternalSource;
use moneta_kql_plan::functions::location::{IpLocator, MaxMind};
use reqwest::redirect::Policy;
use url::{Host, Url};

/// How long one web address may take to answer.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Why the configuration of what is outside was refused: a sentence that says what to change.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct OutsideError(String);

/// What queries may read beside the store.
#[derive(Debug, Clone, Default)]
pub struct Outside {
    allowed: Arc<[Allowed]>,
    locator: Option<Arc<dyn IpLocator>>,
}

/// A place `externaldata` may read from.
#[derive(Debug)]
enum Allowed {
    /// Files below this directory, which has no links in it.
    Directory(PathBuf),
    /// Addresses that begin with this one.
    Web(Url),
}

impl Outside {
    /// What a configuration allows: directories and beginnings of web addresses for `externaldata`, and a file in
    /// MaxMind's format for `geo_info_from_ip_address`.
    ///
    /// # Errors
    /// When a directory or the file cannot be read, or an address is none that may be allowed.
    pub fn new(external_locations: &[String], geoip_database: Option<&Path>) -> Result<Self, OutsideError> {
        let allowed = external_locations.iter().map(|text| Allowed::parse(text)).collect::<Result<Vec<_>, _>>()?;
        let locator = geoip_database.map(open_locations).transpose()?;
        Ok(Self { allowed: allowed.into(), locator })
    }

    /// The database of locations, if there is one.
    pub(crate) fn locator(&self) -> Option<Arc<dyn IpLocator>> {
        self.locator.clone()
    }

    /// Whether a query may name a location.
    ///
    /// # Errors
    /// A sentence that says why not.
    pub(crate) fn allows(&self, location: &str) -> Result<(), String> {
        self.place(location).map(|_| ())
    }

    fn place(&self, location: &str) -> Result<Place, String> {
        let refused = || {
            format!(
                "externaldata may not read `{location}`; the operator can allow it by `external_locations` in the \
                 section [query] of the configuration"
            )
        };
        let place = Place::parse(location)?;
        let is_allowed = self.allowed.iter().any(|allowed| allowed.covers(&place));
        if is_allowed { Ok(place) } else { Err(refused()) }
    }
}

fn open_locations(path: &Path) -> Result<Arc<dyn IpLocator>, OutsideError> {
    let bytes = std::fs::read(path)
        .map_err(|error| OutsideError(format!("query.geoip_database: cannot read {}: {error}", path.display())))?;
    let database = MaxMind::from_bytes(bytes)
        .map_err(|reason| OutsideError(format!("query.geoip_database: {}: {reason}", path.display())))?;
    Ok(Arc::new(database))
}

/// What a query names.
#[derive(Debug)]
enum Place {
    File(PathBuf),
    Web(Url),
}

impl Place {
    /// A path, a `file:` address or a web address. What follows a `;` is a way to sign in at Azure's storage, and is
    /// left out: locations are read without signing in.
    fn parse(location: &str) -> Result<Self, String> {
        let text = location.split(';').next().unwrap_or_default().trim();
        if text.starts_with('/') {
            return Ok(Self::File(PathBuf::from(text)));
        }
        let url = Url::parse(text)
            .map_err(|error| format!("`{location}` is no location: {error}; name an absolute path or a web address"))?;
        match url.scheme() {
            "file" => {
                url.to_file_path().map(Self::File).map_err(|()| format!("`{location}` is no path of this machine"))
            }
            "https" | "http" if url.username().is_empty() && url.password().is_none() => Ok(Self::Web(url)),
            "https" | "http" => Err("a location must not carry a name or a password".to_owned()),
            other => Err(format!("externaldata reads files and web addresses, not `{other}:`")),
        }
    }
}

impl Allowed {
    fn parse(text: &str) -> Result<Self, OutsideError> {
        let wrong = |reason: String| OutsideError(format!("query.external_locations: {reason}"));
        match Place::parse(text).map_err(wrong)? {
            Place::File(path) => {
                let real = path.canonicalize().map_err(|error| wrong(format!("{}: {error}", path.display())))?;
                if !real.is_dir() {
                    return Err(wrong(format!("{} is no directory", path.display())));
                }
                Ok(Self::Directory(real))
            }
            Place::Web(url) if url.scheme() == "http" && !literal_address(&url).is_some_and(|ip| ip.is_loopback()) => {
                Err(wrong(format!("`{url}` is not encrypted; use https")))
            }
            Place::Web(url) => Ok(Self::Web(url)),
        }
    }

    fn covers(&self, place: &Place) -> bool {
        match (self, place) {
            (Self::Directory(directory), Place::File(path)) => {
                path.canonicalize().is_ok_and(|real| real.starts_with(directory))
            }
            (Self::Web(allowed), Place::Web(url)) => {
                let same_server = allowed.scheme() == url.scheme()
                    && allowed.host() == url.host()
                    && allowed.port_or_known_default() == url.port_or_known_default();
                same_server && is_below(allowed.path(), url.path())
            }
            _ => false,
        }
    }
}

/// Whether a path of the web is another or lies below it: `/a` covers `/a` and `/a/b`, and not `/ab`.
fn is_below(allowed: &str, path: &str) -> bool {
    let rest = path.strip_prefix(allowed.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The address that stands in the place of a host's name.
fn literal_address(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
        Host::Domain(_) => None,
    }
}

impl ExternalSource for Outside {
    fn read(&self, location: &str, bytes_max: usize) -> Result<Vec<u8>, String> {
        let (bytes, name) = match self.place(location)? {
            Place::File(path) => (read_file(&path, bytes_max)?, path.to_string_lossy().into_owned()),
            Place::Web(url) => {
                // This runs on a thread for work that blocks.
                let handle = tokio::runtime::Handle::try_current().map_err(|error| error.to_string())?;
                (handle.block_on(fetch(&url, bytes_max))?, url.path().to_owned())
            }
        };
        let zipped = Path::new(&name).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
        if zipped { unzipped(&bytes, bytes_max).map_err(|reason| format!("{location}: {reason}")) } else { Ok(bytes) }
    }
}

fn too_large(bytes_max: usize) -> String {
    format!("it has more than {bytes_max} bytes, the most that externaldata reads of one location")
}

fn read_file(path: &Path, bytes_max: usize) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let file = std::fs::File::open(path).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(format!("{} is no file", path.display()));
    }
    limited(file, bytes_max).map_err(|reason| format!("cannot read {}: {reason}", path.display()))
}

fn unzipped(bytes: &[u8], bytes_max: usize) -> Result<Vec<u8>, String> {
    limited(flate2::read::MultiGzDecoder::new(bytes), bytes_max)
}

/// All that a reader gives, which must not be more than a number of bytes.
fn limited(reader: impl std::io::Read, bytes_max: usize) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let more = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    reader.take(more).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() > bytes_max { Err(too_large(bytes_max)) } else { Ok(bytes) }
}

async fn fetch(url: &Url, bytes_max: usize) -> Result<Vec<u8>, String> {
    let failed = |error: reqwest::Error| format!("cannot read {url}: {}", error.without_url());
    let client = reqwest::Client::builder()
        .resolve_to_addrs(url.host_str().unwrap_or_default(), &resolved(url).await?)
        .redirect(Policy::none())
        .no_proxy()
        .timeout(TIMEOUT)
        .user_agent(concat!("moneta/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(failed)?;
    let response = client.get(url.clone()).send().await.map_err(failed)?;
    if !response.status().is_success() {
        return Err(format!("cannot read {url}: the server answered {}", response.status()));
    }
    let mut bytes = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        bytes.extend_from_slice(&chunk.map_err(failed)?);
        if bytes.len() > bytes_max {
            return Err(format!("cannot read {url}: {}", too_large(bytes_max)));
        }
    }
    Ok(bytes)
}

/// The addresses of a host, all of them checked. An inner one is reached only if the address itself was allowed.
async fn resolved(url: &Url) -> Result<Vec<SocketAddr>, String> {
    let port = url.port_or_known_default().unwrap_or(443);
    if let Some(address) = literal_address(url) {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let host = url.host_str().unwrap_or_default();
    let found = tokio::net::lookup_host((host, port)).await;
    let addresses: Vec<SocketAddr> = found.map_err(|error| format!("cannot find {host}: {error}"))?.collect();
    match addresses.iter().find(|address| !is_public(address.ip())) {
        Some(address) => Err(format!("{host} has the address {} of an inner network, which is not read", address.ip())),
        None => Ok(addresses),
    }
}

#[cfg(test)]
mod tests {
    use moneta_testkit::TestDir;

    use super::*;

    fn web(allowed: &str) -> Outside {
        Outside::new(&[allowed.to_owned()], None).unwrap()
    }

    #[test]
    fn nothing_is_allowed_by_default() {
        let reason = Outside::default().allows("https://example.com/list.csv").unwrap_err();
        assert!(reason.contains("external_locations"), "{reason}");
    }

    #[test]
    fn addresses_below_an_allowed_one_are_read_and_no_others() {
        let outside = web("https://example.com/lists");
        for allowed in ["https://example.com/lists/a.csv", "https://example.com/lists;impersonate"] {
            assert_eq!(outside.allows(allowed), Ok(()), "{allowed}");
        }
        for refused in [
            "https://example.com/listsb/a.csv",
            "https://example.com/lists/../secret",
            "https://example.com:8443/lists/a.csv",
            "http://example.com/lists/a.csv",
            "https://example.com.evil.org/lists/a.csv",
            "https://me:word@example.com/lists/a.csv",
            "ftp://example.com/lists/a.csv",
            "/lists/a.csv",
        ] {
            assert!(outside.allows(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn links_do_not_lead_out_of_a_directory() {
        let directory = TestDir::new();
        let inside = directory.join("inside");
        std::fs::create_dir_all(&inside).unwrap();
        std::fs::write(inside.join("a.csv"), "1,2\n").unwrap();
        std::fs::write(directory.join("secret.csv"), "3\n").unwrap();
        std::os::unix::fs::symlink(directory.join("secret.csv"), inside.join("link.csv")).unwrap();
        let outside = Outside::new(&[inside.to_string_lossy().into_owned()], None).unwrap();
        let path = |name: &str| inside.join(name).to_string_lossy().into_owned();
        assert_eq!(outside.read(&path("a.csv"), 100).unwrap(), b"1,2\n");
        assert!(outside.read(&path("a.csv"), 2).unwrap_err().contains("more than 2 bytes"));
        assert!(outside.allows(&path("link.csv")).is_err());
        assert!(outside.allows(&path("../secret.csv")).is_err());
    }

    #[test]
    fn configurations_that_cannot_hold_are_refused_with_the_key() {
        for wrong in ["/no/such/directory", "http://example.com/", "lists", "s3://bucket/a"] {
            let error = Outside::new(&[wrong.to_owned()], None).unwrap_err().to_string();
            assert!(error.starts_with("query.external_locations: "), "{error}");
        }
        let error = Outside::new(&[], Some(Path::new("/no/such/file"))).unwrap_err().to_string();
        assert!(error.starts_with("query.geoip_database: "), "{error}");
    }
}

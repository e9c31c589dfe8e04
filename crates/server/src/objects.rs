//! The way to the bucket of `[objects]`, and to those that are read: sockets, time limits and credentials for `moneta-s3`,
//! and what reads moved segments when no server runs.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use moneta_base::objects::{ObjectName, Objects};
use moneta_base::{Clock, Entropy, TenantId};
use moneta_host::{SystemClock, SystemEntropy};
use moneta_s3::{Client, ClientParts, Credentials, CredentialsError, Method, Request, Response, Transport};
use moneta_store::BucketOptions;
use moneta_verify::{MovedObject, MovedSegments};
use tokio::runtime::Runtime;

use crate::config::Config;
use crate::error::ServerError;
use crate::objects_config::ObjectsConfig;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a request with its answer may take: some hundred megabytes over a slow line.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(300);
/// Threads that carry requests; whoever waits for an answer has a thread of its own.
const THREADS: usize = 2;
/// Bytes of a credentials file at most.
const CREDENTIALS_BYTES_MAX: u64 = 1 << 20;
/// Bytes read of an object at once.
const PIECE_BYTES: u64 = 16 << 20;
/// Directory of the cache and of what is known of the bucket, within the data directory.
pub(crate) const DIR: &str = "objects";

/// How the store uses the bucket; `None` without one.
pub(crate) fn bucket_options(
    config: &ObjectsConfig,
    data: &Path,
    tenant: TenantId,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> Result<Option<BucketOptions>, ServerError> {
    let Some(objects) = connect_own(config, clock, entropy.clone())? else { return Ok(None) };
    let mut bytes = [0; 16];
    entropy.fill(&mut bytes);
    Ok(Some(BucketOptions {
        objects,
        prefix: format!("{}/{tenant}", config.prefix),
        dir: data.join(DIR),
        cache_bytes: config.cache_bytes,
        new_instance: format!("{:032x}", u128::from_le_bytes(bytes)),
    }))
}

/// The bucket of `[objects]`, if it names one. Nothing is sent yet.
fn connect_own(
    config: &ObjectsConfig,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> Result<Option<Arc<dyn Objects>>, ServerError> {
    connect(config, clock, entropy).map_err(|message| ServerError::Setting { key: "objects", message })
}

/// The bucket of a configuration, if it names one. Nothing is sent yet.
///
/// # Errors
/// What is to be changed, beginning with the key.
pub(crate) fn connect(
    config: &ObjectsConfig,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> Result<Option<Arc<dyn Objects>>, String> {
    let Some(place) = config.place()? else { return Ok(None) };
    let transport = Http::new().map_err(|error| format!("no connection can be made: {error}"))?;
    let source = config.clone();
    read_credentials(&source).map_err(|error| error.to_string())?;
    let parts = ClientParts {
        transport: Arc::new(transport),
        credentials: Box::new(move || read_credentials(&source)),
        clock,
        entropy,
        pause: Box::new(pause),
    };
    Ok(Some(Arc::new(Client::new(place, parts))))
}

#[expect(clippy::disallowed_methods, reason = "a pause between two attempts waits for nothing but time")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// The credentials as they are now, from the file or from the environment.
fn read_credentials(config: &ObjectsConfig) -> Result<Credentials, CredentialsError> {
    let Some(path) = &config.credentials_file else {
        let value = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let token = value("AWS_SESSION_TOKEN");
        return match (value("AWS_ACCESS_KEY_ID"), value("AWS_SECRET_ACCESS_KEY")) {
            (Some(key_id), Some(secret)) => Ok(Credentials::new(&key_id, &secret, token.as_deref())),
            _ => Err(CredentialsError(
                "there are no credentials: name a credentials_file, or set AWS_ACCESS_KEY_ID and \
                 AWS_SECRET_ACCESS_KEY"
                    .to_owned(),
            )),
        };
    };
    let failed = |reason: String| CredentialsError(format!("credentials_file: {}: {reason}", path.display()));
    let size = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
    if size > CREDENTIALS_BYTES_MAX {
        return Err(failed("it is too large for a credentials file".to_owned()));
    }
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    Credentials::parse_file(&text, &config.profile).map_err(|error| failed(error.to_string()))
}

/// Carries requests over HTTP. Whoever sends one waits for its answer, so requests are carried by threads of their own:
/// a caller may be one of the threads of another runtime.
#[derive(Debug)]
struct Http {
    client: reqwest::Client,
    runtime: Option<Runtime>,
}

impl Http {
    fn new() -> io::Result<Self> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .user_agent(concat!("moneta/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(io::Error::other)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("objects")
            .enable_all()
            .build()?;
        Ok(Self { client, runtime: Some(runtime) })
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waiting for it here would be a panic where this is dropped within another runtime.
            runtime.shutdown_background();
        }
    }
}

impl Transport for Http {
    fn send(&self, request: &Request) -> Result<Response, String> {
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Head => reqwest::Method::HEAD,
            Method::Put => reqwest::Method::PUT,
            Method::Delete => reqwest::Method::DELETE,
        };
        let mut call = self.client.request(method, &request.url).body(request.body.clone());
        for (name, value) in &request.headers {
            call = call.header(*name, value);
        }
        let (answer_bytes_max, (answer, answered)) = (request.answer_bytes_max, mpsc::sync_channel(1));
        let Some(runtime) = &self.runtime else { return Err("the connection is closed".to_owned()) };
        runtime.spawn(async move {
            let _ = answer.send(carry(call, answer_bytes_max).await);
        });
        answered.recv().map_err(|_| "the request was cut off".to_owned())?
    }
}

/// Sends a request and reads its answer, up to a size.
async fn carry(call: reqwest::RequestBuilder, answer_bytes_max: usize) -> Result<Response, String> {
    // The address names the key, which the caller says better.
    let reason = |error: reqwest::Error| {
        let error = error.without_url();
        let source = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
        format!("{error}{source}")
    };
    let mut response = call.send().await.map_err(reason)?;
    let header = |(name, value): (&reqwest::header::HeaderName, &reqwest::header::HeaderValue)| {
        Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
    };
    let headers = response.headers().iter().filter_map(header).collect();
    let (status, mut body) = (response.status().as_u16(), Vec::new());
    while let Some(chunk) = response.chunk().await.map_err(reason)? {
        if body.len() + chunk.len() > answer_bytes_max {
            return Err(format!("the answer has more than {answer_bytes_max} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Response { status, headers, body })
}

/// Reads moved segments for a check of a directory that no server works on.
#[derive(Debug)]
struct FromBucket(Arc<dyn Objects>);

/// What reads the segments that were moved to the bucket of a configuration; `None` without one.
///
/// # Errors
/// When there are no credentials.
pub fn moved_segments(config: &Config) -> Result<Option<Box<dyn MovedSegments>>, ServerError> {
    let objects = connect_own(&config.objects, Arc::new(SystemClock::new()), Arc::new(SystemEntropy::new()))?;
    Ok(objects.map(|objects| Box::new(FromBucket(objects)) as Box<dyn MovedSegments>))
}

impl MovedSegments for FromBucket {
    fn read(&self, object: &MovedObject, size_bytes: u64) -> io::Result<Vec<u8>> {
        let key = self.0.key_of(&object.uri).ok_or_else(|| {
            io::Error::other("it lies in another bucket than the one that [objects] of the configuration names")
        })?;
        let (name, mut bytes) = (ObjectName { key, version: object.version.clone() }, Vec::new());
        while (bytes.len() as u64) < size_bytes {
            let len = PIECE_BYTES.min(size_bytes - bytes.len() as u64);
            let len = usize::try_from(len).expect("a piece fits in memory");
            bytes.extend_from_slice(&self.0.read_range(&name, bytes.len() as u64, len)?);
        }
        Ok(bytes)
    }
}

/// Reads moved segments by way of a running store.
#[derive(Debug)]
pub(crate) struct FromStore(pub(crate) Arc<moneta_store::Store>);

impl MovedSegments for FromStore {
    fn read(&self, object: &MovedObject, _: u64) -> io::Result<Vec<u8>> {
        let segment = self.0.moved_segment(|segment| {
            segment.moved.as_ref().is_some_and(|moved| moved.uri == object.uri && moved.version == object.version)
        });
        let segment = segment.ok_or(io::ErrorKind::NotFound)?;
        self.0.read_moved(&segment).map_err(|error| match error {
            moneta_store::Error::Io { source, .. } => source,
            other => io::Error::other(other.to_string()),
        })
    }
}

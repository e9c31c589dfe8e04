//! The certificate of the HTTP listener: the operator's own, or one by a private authority made at the first start.
//!
//! The authority's certificate and key lie in `tls/` of the data directory; clients are given the certificate. What the
//! listener shows is made anew at every start and every month, and its key is never written down. The authority signs
//! for this listener only and may sign no other authority.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use moneta_base::Clock;
use moneta_base::fs::{FileSystem, create_dir_durably, write_atomically};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig as TlsConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;

use crate::config::ServerConfig;
use crate::error::ServerError;

/// Where the authority lies below the data directory.
const DIRECTORY: &str = "tls";
/// Its certificate, which clients need.
const AUTHORITY_FILE: &str = "ca.pem";
/// Its key, readable by nobody else.
const AUTHORITY_KEY_FILE: &str = "ca.key";
/// Years the authority is good for.
const AUTHORITY_YEARS: i32 = 10;
/// Names the certificate always has: what programs on this machine call it.
const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// What the listener needs to speak TLS.
pub(crate) struct Tls {
    pub(crate) acceptor: TlsAcceptor,
    /// The authority's certificate, when it is ours.
    pub(crate) authority: Option<PathBuf>,
}

/// Reads the configured certificate, or opens the private authority, making it if there is none.
///
/// # Errors
/// When a file cannot be read or written, or holds no certificate or key.
pub(crate) fn open(
    config: &ServerConfig,
    data: &Path,
    fs: &dyn FileSystem,
    clock: &Arc<dyn Clock>,
) -> Result<Tls, ServerError> {
    let builder = TlsConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| setting("server.tls_certificate", &error))?
        .with_no_client_auth();
    let (mut tls, authority) = match (&config.tls_certificate, &config.tls_key) {
        (Some(certificate), Some(key)) => {
            let read = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            let chain = read.map_err(|error| setting("server.tls_certificate", &error))?;
            let key = PrivateKeyDer::from_pem_file(key).map_err(|error| setting("server.tls_key", &error))?;
            let tls =
                builder.with_single_cert(chain, key).map_err(|error| setting("server.tls_certificate", &error))?;
            (tls, None)
        }
        _ => {
            let dir = data.join(DIRECTORY);
            let authority = Authority::open(fs, &dir, &**clock)?;
            let private = Private { authority, names: names(config), clock: clock.clone(), shown: Mutex::default() };
            private.renew().map_err(|error| setting("server.tls_names", &error))?;
            (builder.with_cert_resolver(Arc::new(private)), Some(dir.join(AUTHORITY_FILE)))
        }
    };
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Tls { acceptor: TlsAcceptor::from(Arc::new(tls)), authority })
}

fn setting(key: &'static str, error: &dyn std::fmt::Display) -> ServerError {
    ServerError::Setting { key, message: error.to_string() }
}

/// What clients may call this server.
fn names(config: &ServerConfig) -> Vec<String> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let listen = config.listen.ip();
    let mut names: Vec<String> = LOCAL_NAMES.map(str::to_owned).to_vec();
    names.extend((!listen.is_unspecified()).then(|| listen.to_string()));
    // A machine's own name may be anything; only what is a name for clients too becomes part of the certificate.
    let host = host.trim();
    names.extend(is_host_name(host).then(|| host.to_owned()));
    names.extend(config.tls_names.iter().cloned());
    names.sort();
    names.dedup();
    names
}

fn is_host_name(text: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
    !text.is_empty() && text.len() <= 253 && text.bytes().all(is_plain)
}

/// A failed certificate.
type Failed = Box<dyn std::error::Error + Send + Sync>;

struct Authority {
    key: KeyPair,
}

impl Authority {
    fn open(fs: &dyn FileSystem, dir: &Path, clock: &dyn Clock) -> Result<Self, ServerError> {
        let (certificate, key) = (dir.join(AUTHORITY_FILE), dir.join(AUTHORITY_KEY_FILE));
        if !fs.exists(&certificate) {
            return Self::make(fs, dir, clock);
        }
        let failed = |source| ServerError::Data { action: "read", path: key.clone(), source };
        let text = String::from_utf8(fs.read(&key).map_err(failed)?).unwrap_or_default();
        let damaged = |error: rcgen::Error| failed(std::io::Error::new(std::io::ErrorKind::InvalidData, error));
        Ok(Self { key: KeyPair::from_pem(&text).map_err(damaged)? })
    }

    /// The certificate is written last: where it is, the key is too.
    fn make(fs: &dyn FileSystem, dir: &Path, clock: &dyn Clock) -> Result<Self, ServerError> {
        let failed = |error: rcgen::Error| ServerError::part("TLS authority", moneta_base::ErrorKind::Internal, error);
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = authority_params(clock).self_signed(&key).map_err(failed)?;
        let written = (|| {
            create_dir_durably(fs, dir)?;
            let path = dir.join(AUTHORITY_KEY_FILE);
            // Private before it has content.
            write_atomically(fs, &path, b"")?;
            fs.make_private(&path)?;
            let mut file = fs.open_at(&path, 0)?;
            file.append(key.serialize_pem().as_bytes())?;
            file.sync()?;
            write_atomically(fs, &dir.join(AUTHORITY_FILE), certificate.pem().as_bytes())
        })();
        written.map_err(|source| ServerError::Data { action: "write", path: dir.to_owned(), source })?;
        Ok(Self { key })
    }

    /// A key and a certificate for these names, good from the first of this month for a year.
    fn issue(&self, names: &[String], clock: &dyn Clock) -> Result<CertifiedKey, Failed> {
        let (year, month, ..) = year_and_month(clock);
        let mut params = CertificateParams::default();
        params.not_before = rcgen::date_time_ymd(year, month, 1);
        params.not_after = rcgen::date_time_ymd(year + 1, month, 28);
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "Moneta");
        for name in names {
            params.subject_alt_names.push(match name.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(name.as_str().try_into()?),
            });
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let issuer = Issuer::new(authority_params(clock), &self.key);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &issuer)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Ok(CertifiedKey::new(vec![certificate.into()], aws_lc_rs::sign::any_ecdsa_type(&key)?))
    }
}

/// The authority as its certificates name it; its dates matter only when it is made.
fn authority_params(clock: &dyn Clock) -> CertificateParams {
    let (year, month) = year_and_month(clock);
    let mut params = CertificateParams::default();
    params.not_before = rcgen::date_time_ymd(year, month, 1);
    params.not_after = rcgen::date_time_ymd(year + AUTHORITY_YEARS, month, 1);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Moneta private authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn year_and_month(clock: &dyn Clock) -> (i32, u8) {
    let (year, month, ..) = clock.now().civil();
    (i32::try_from(year).unwrap_or(i32::MAX), u8::try_from(month).unwrap_or(1))
}

/// The year and month a certificate was made in, and the certificate.
type Shown = ((i32, u8), Arc<CertifiedKey>);

/// Shows a certificate of the private authority, made anew when its month is over.
struct Private {
    authority: Authority,
    names: Vec<String>,
    clock: Arc<dyn Clock>,
    shown: Mutex<Option<Shown>>,
}

impl Private {
    fn renew(&self) -> Result<Arc<CertifiedKey>, Failed> {
        let month = year_and_month(&*self.clock);
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, key)) = &*shown
            && *of == month
        {
            return Ok(key.clone());
        }
        let key = Arc::new(self.authority.issue(&self.names, &*self.clock)?);
        *shown = Some((month, key.clone()));
        Ok(key)
    }
}

impl ResolvesServerCert for Private {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.renew().map_err(|error| tracing::error!(%error, "no certificate could be made for TLS")).ok()
    }
}

impl std::fmt::Debug for Private {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Private").field("names", &self.names).finish_non_exhaustive()
    }
}

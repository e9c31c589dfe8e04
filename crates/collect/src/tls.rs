//! Certificates and keys: of listeners, and for calls to servers.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::Error;

/// The files a TLS listener needs, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Its certificate, and those between it and its authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Certificates of the authorities that senders' certificates must come from; `None` lets anybody send.
    pub client_authority: Option<PathBuf>,
}

impl TlsFiles {
    /// Reads the files.
    pub(crate) fn acceptor(&self) -> Result<TlsAcceptor, Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&self.certificate, error))?;
        let builder = match &self.client_authority {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(path)? {
                    roots.add(certificate).map_err(|error| unusable(path, error))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().map_err(|error| unusable(path, error))?)
            }
        };
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|error| unusable(&self.key, error))?;
        let config = builder.with_single_cert(certificates(&self.certificate)?, key);
        let mut config = config.map_err(|error| unusable(&self.key, error))?;
        // Senders of syslog never read. A ticket would lie unread in rsyslog's socket for good: it would not see that this
        // side closed, and its own close would become a reset, which takes what is under way with it.
        config.send_tls13_tickets = 0;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// Whom to trust when a server is called, and who to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerTrust {
    /// Authorities of the server's certificate, in PEM; those of the system when absent.
    pub authority: Option<PathBuf>,
    /// The certificate to show and its private key, in PEM; none is shown when absent.
    pub own: Option<(PathBuf, PathBuf)>,
}

impl ServerTrust {
    /// Reads the files.
    pub(crate) fn connector(&self) -> Result<TlsConnector, Error> {
        let mut roots = RootCertStore::empty();
        match &self.authority {
            Some(path) => {
                for certificate in certificates(path)? {
                    roots.add(certificate).map_err(|error| unusable(path, error))?;
                }
            }
            None => {
                let system = rustls_native_certs::load_native_certs().certs;
                roots.add_parsable_certificates(system);
            }
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(Path::new("TLS"), error))?
            .with_root_certificates(roots);
        let config = match &self.own {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, error))?;
                let config = builder.with_client_auth_cert(certificates(certificate)?, private);
                config.map_err(|error| unusable(key, error))?
            }
        };
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

/// The certificates of the authorities of senders, in DER.
///
/// # Errors
/// [`Error::Tls`] when none are named, or the file cannot be used.
pub(crate) fn client_authorities(files: &TlsFiles) -> Result<Vec<Vec<u8>>, Error> {
    let path = files.client_authority.as_ref();
    let path =
        path.ok_or_else(|| unusable(&files.certificate, "the authority of the senders' certificates is missing"))?;
    Ok(certificates(path)?.into_iter().map(|certificate| certificate.to_vec()).collect())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let all = read.map_err(|error| unusable(path, error))?;
    if all.is_empty() { Err(unusable(path, "it holds no certificate in PEM")) } else { Ok(all) }
}

fn unusable(path: &Path, reason: impl ToString) -> Error {
    Error::Tls { path: path.to_owned(), reason: reason.to_string() }
}

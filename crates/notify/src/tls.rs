//! Connections to receivers that do not speak HTTP: to an address that was checked, with TLS where it is wanted.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::{Error, address};

/// A connection, encrypted or not.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A receiver by host and port, and what is allowed on the way there.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Host and port, `mail.example.org:587`.
    pub address: String,
    /// Hosts that may have private addresses, and loopback ones without encryption.
    pub allow_private_hosts: Vec<String>,
    /// Whether the connection may be unencrypted beyond this machine.
    pub allow_plaintext: bool,
    /// Authorities of the receiver's certificate, in PEM; those of the system when absent.
    pub authority: Option<PathBuf>,
}

impl Peer {
    /// The host and the port.
    pub(crate) fn parts(&self) -> Result<(&str, u16), Error> {
        let wrong =
            || Error::Setting(format!("{:?} is not a host and a port, such as mail.example.org:587", self.address));
        let (host, port) = self.address.rsplit_once(':').ok_or_else(wrong)?;
        match port.parse() {
            Ok(port) if port > 0 && !host.is_empty() && !host.contains(['/', '@', ' ']) => Ok((host, port)),
            _ => Err(wrong()),
        }
    }

    /// The checked addresses.
    pub(crate) async fn resolve(&self, encrypted: bool) -> Result<Vec<SocketAddr>, Error> {
        let (host, port) = self.parts()?;
        let allow_private = address::is_listed(host, &self.allow_private_hosts);
        let addresses = address::resolve(host, port, allow_private).await?;
        if !encrypted && !self.allow_plaintext && !address::is_here(&addresses) {
            return Err(Error::Plaintext(host.to_owned()));
        }
        Ok(addresses)
    }

    /// A TCP connection to one of the checked addresses. `encrypted`: whether TLS will be spoken on it before anything
    /// of an alert.
    pub(crate) async fn connect(&self, encrypted: bool) -> Result<TcpStream, Error> {
        let addresses = self.resolve(encrypted).await?;
        let connected = TcpStream::connect(addresses.as_slice()).await;
        connected.map_err(|source| Error::Connection { doing: "connecting", source })
    }

    /// Makes TLS of a connection; the certificate must be that of the host.
    pub(crate) async fn encrypt<S: Stream + 'static>(
        &self,
        connector: &TlsConnector,
        stream: S,
    ) -> Result<Box<dyn Stream>, Error> {
        let (host, _) = self.parts()?;
        let name = ServerName::try_from(address::bare(host))
            .map_err(|_| Error::Setting(format!("{host:?} is no name that a certificate can have")))?;
        let encrypted = connector.connect(name, stream).await;
        Ok(Box::new(encrypted.map_err(|source| Error::Connection { doing: "agreeing on TLS", source })?))
    }

    /// What makes TLS connections.
    pub(crate) fn connector(&self) -> Result<TlsConnector, Error> {
        let mut roots = RootCertStore::empty();
        match &self.authority {
            Some(path) => {
                let wrong = |error: &dyn std::fmt::Display| {
                    Error::Setting(format!("the authority {} cannot be read: {error}", path.display()))
                };
                let certificates: Result<Vec<_>, _> =
                    CertificateDer::pem_file_iter(path).map_err(|error| wrong(&error))?.collect();
                for certificate in certificates.map_err(|error| wrong(&error))? {
                    roots.add(certificate).map_err(|error| wrong(&error))?;
                }
            }
            None => {
                let _ = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        if roots.is_empty() {
            return Err(Error::Setting("there is no authority for certificates; name one with authority".to_owned()));
        }
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Setting(format!("TLS cannot be set up: {error}")))?;
        Ok(TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth())))
    }
}

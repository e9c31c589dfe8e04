//! Which addresses a webhook may reach: those of the public internet, unless the operator named the host.

use std::net::SocketAddr;

use moneta_base::address::is_public;
use url::Url;

use crate::Error;

/// Resolves the host of a URL once and returns its addresses, all of them checked: the connection goes to one of these
/// and to no other.
pub(crate) async fn resolve(url: &Url, allow_private: bool) -> Result<Vec<SocketAddr>, Error> {
    let host = url.host_str().ok_or_else(|| Error::NoHost)?;
    let port = url.port_or_known_default().unwrap_or(443);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let resolved = tokio::net::lookup_host((bare, port)).await;
    let addresses: Vec<SocketAddr> =
        resolved.map_err(|source| Error::Resolve { host: host.to_owned(), source })?.collect();
    if url.scheme() != "https" && !addresses.iter().all(|address| address.ip().to_canonical().is_loopback()) {
        return Err(Error::Scheme(host.to_owned()));
    }
    let hidden = addresses.iter().find(|address| !is_public(address.ip()));
    match hidden {
        Some(address) if !allow_private => Err(Error::Private { host: host.to_owned(), address: address.ip() }),
        _ => Ok(addresses),
    }
}

//! Which addresses a receiver may have: those of the public internet, unless the operator named the host.

use std::net::SocketAddr;

use moneta_base::address::is_public;

use crate::Error;

/// Resolves a host once and returns its addresses, all of them checked: the connection goes to one of these and to no
/// other.
pub(crate) async fn resolve(host: &str, port: u16, allow_private: bool) -> Result<Vec<SocketAddr>, Error> {
    let name = bare(host);
    let resolved = tokio::net::lookup_host((name.as_str(), port)).await;
    let addresses: Vec<SocketAddr> =
        resolved.map_err(|source| Error::Resolve { host: host.to_owned(), source })?.collect();
    let hidden = addresses.iter().find(|address| !is_public(address.ip()));
    match hidden {
        Some(address) if !allow_private => Err(Error::Private { host: host.to_owned(), address: address.ip() }),
        _ => Ok(addresses),
    }
}

/// Whether all addresses are of this machine: what goes there is read by nobody on the way.
pub(crate) fn is_here(addresses: &[SocketAddr]) -> bool {
    addresses.iter().all(|address| address.ip().to_canonical().is_loopback())
}

/// Whether a list of hosts has a host.
pub(crate) fn is_listed(host: &str, hosts: &[String]) -> bool {
    hosts.iter().any(|listed| bare(listed) == bare(host))
}

/// A host's name without the brackets of an IPv6 address, in lower case.
pub(crate) fn bare(host: &str) -> String {
    host.trim_matches(['[', ']']).to_ascii_lowercase()
}

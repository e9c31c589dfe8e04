//! How programs of the same user find a running server: its address and a credential, beside the data they belong to.
//!
//! Both files exist only while the server runs. The credential may ingest, query and administer; only the owner of the
//! data directory can read it, who could read and write everything there anyway.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use moneta_base::fs::{FileSystem, write_atomically};

/// File with the server's address.
const ADDRESS_FILE: &str = "server.json";
/// File with the credential, mode 0600.
const CREDENTIAL_FILE: &str = "cli.credential";

/// A running server on this machine.
#[derive(Clone, PartialEq, Eq)]
pub struct LocalServer {
    /// Where it listens.
    pub address: SocketAddr,
    /// What lets the holder in.
    pub credential: String,
}

/// Finds the server of a data directory, if one runs.
#[must_use]
pub fn find(data: &Path) -> Option<LocalServer> {
    let address = std::fs::read_to_string(data.join(ADDRESS_FILE)).ok()?;
    let address: serde_json::Value = serde_json::from_str(&address).ok()?;
    let credential = std::fs::read_to_string(data.join(CREDENTIAL_FILE)).ok()?;
    Some(LocalServer { address: address["address"].as_str()?.parse().ok()?, credential: credential.trim().to_owned() })
}

/// Tells programs of this user where the server is.
pub(crate) fn announce(fs: &dyn FileSystem, data: &Path, server: &LocalServer) -> std::io::Result<()> {
    let credential = data.join(CREDENTIAL_FILE);
    // Private before it has content.
    write_atomically(fs, &credential, b"")?;
    fs.make_private(&credential)?;
    let mut file = fs.open_at(&credential, 0)?;
    file.append(server.credential.as_bytes())?;
    file.sync()?;
    let address = serde_json::json!({ "address": server.address.to_string(), "pid": std::process::id() });
    write_atomically(fs, &data.join(ADDRESS_FILE), address.to_string().as_bytes())
}

/// Removes what [`announce`] wrote, also that of a server that was killed.
pub(crate) fn withdraw(fs: &dyn FileSystem, data: &Path) {
    for name in [ADDRESS_FILE, CREDENTIAL_FILE] {
        let path: PathBuf = data.join(name);
        if let Err(error) = fs.remove_file(&path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(path = %path.display(), error = %error, "cannot remove a file of the last run");
        }
    }
}

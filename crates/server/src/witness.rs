//! The role of a witness: cosigns the checkpoints of other installations, and does nothing else.
//!
//! Its directory holds a lock, the key (`witness.key`, `witness.vkey`) and `state/` with the last head of each log. The
//! directory must never be put back from a backup: a witness that forgets can be made to cosign a second history.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use moneta_base::{Clock, ErrorKind};
use moneta_host::{DirectoryLock, RealFs, SystemClock, SystemEntropy};
use moneta_ledger::{Witness, WitnessAnswer};
use moneta_merkle::{NoteSigner, VerifierKey};
use moneta_ports::{BoxFuture, CheckpointWitness, PortError, WitnessResponse};
use tokio::net::TcpListener;

use crate::error::ServerError;
use crate::serve::stop_signal;

/// The media type of the size that a witness knows.
const SIZE_TYPE: &str = "text/x.tlog.size";
/// The media type of everything else it says.
const TEXT_TYPE: &str = "text/plain; charset=utf-8";

/// What a witness needs to know.
#[derive(Debug, Clone)]
pub struct WitnessOptions {
    /// Its directory, which is no data directory of an installation.
    pub directory: PathBuf,
    /// The name of its key; it is made at the first start.
    pub name: String,
    /// Where it listens.
    pub listen: SocketAddr,
    /// The keys of the logs it cosigns, each named as the log's origin.
    pub logs: Vec<VerifierKey>,
}

/// What a person wants to know once the witness is up.
#[derive(Debug, Clone)]
pub struct WitnessReady {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its verifier key, for the configuration of the logs.
    pub key: String,
}

/// Cosigns until SIGTERM or SIGINT.
///
/// # Errors
/// When the directory is another process's or an installation's, the key or the state is damaged, or the address is
/// taken.
pub async fn serve_witness(options: WitnessOptions, on_ready: impl FnOnce(&WitnessReady)) -> Result<(), ServerError> {
    let told_to_stop = stop_signal();
    let (_lock, service, key) = open(&options)?;
    let address = options.listen;
    let failed = |source| ServerError::Listen { address, what: "witness", source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    on_ready(&WitnessReady { address: listener.local_addr().map_err(failed)?, key });
    let router = moneta_api::witness_router(Arc::new(service));
    axum::serve(listener, router).with_graceful_shutdown(told_to_stop).await.map_err(failed)
}

fn open(options: &WitnessOptions) -> Result<(DirectoryLock, Service, String), ServerError> {
    let dir = &options.directory;
    std::fs::create_dir_all(dir).map_err(|source| ServerError::Data { action: "create", path: dir.clone(), source })?;
    let lock = DirectoryLock::acquire(dir).map_err(ServerError::Locked)?;
    if dir.join("ledger").exists() || dir.join("tenant.id").exists() {
        let message =
            format!("{} is the data directory of an installation: a log must not witness itself", dir.display());
        return Err(ServerError::Setting { key: "--data-dir", message });
    }
    if options.logs.is_empty() {
        let message = "name the verifier key of at least one log to cosign".to_owned();
        return Err(ServerError::Setting { key: "--log", message });
    }
    let fs = Arc::new(RealFs);
    let opened = moneta_keys::open_witness_key(&*fs, dir, &SystemEntropy::new(), &options.name);
    let (signer, key) = opened.map_err(|error| ServerError::part("witness key", error.kind(), error))?;
    let signer: Arc<dyn NoteSigner> = signer;
    let witness = Witness::open(fs, &dir.join("state"), signer, options.logs.clone());
    let witness = witness.map_err(|error| ServerError::part("witness", error.kind(), error))?;
    let service = Service { witness: Arc::new(witness), clock: Arc::new(SystemClock::default()) };
    Ok((lock, service, key.to_string()))
}

/// The witness behind its listener.
struct Service {
    witness: Arc<Witness>,
    clock: Arc<dyn Clock>,
}

impl CheckpointWitness for Service {
    fn add_checkpoint(&self, body: Vec<u8>) -> BoxFuture<'_, Result<WitnessResponse, PortError>> {
        let witness = self.witness.clone();
        let now = self.clock.now().as_nanos() / moneta_base::time::NANOS_PER_SECOND;
        let seconds = u64::try_from(now).unwrap_or(0);
        Box::pin(async move {
            let answer = tokio::task::spawn_blocking(move || witness.add_checkpoint(&body, seconds)).await;
            let answer = answer
                .map_err(|error| PortError::caused_by(ErrorKind::Internal, "the witness was interrupted", error))?;
            let answer = answer
                .map_err(|error| PortError::caused_by(error.kind(), "the witness could not keep what it saw", error))?;
            let content_type = if matches!(answer, WitnessAnswer::Conflict { .. }) { SIZE_TYPE } else { TEXT_TYPE };
            tracing::info!(status = answer.status(), "answered an add-checkpoint request");
            Ok(WitnessResponse { status: answer.status(), content_type, body: answer.body() })
        })
    }
}

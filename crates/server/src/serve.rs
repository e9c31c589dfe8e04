//! Runs a node with its collectors and the HTTP interface until the process is told to stop.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::extract::{ConnectInfo, Request};
use axum::middleware::map_request;
use moneta_access::NewCredential;
use moneta_api::{ApiOptions, ApiState, LoopbackIdentity, router};
use moneta_base::Timestamp;
use moneta_ports::Scope;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::background::Background;
use crate::caretaker::Caretaker;
use crate::collectors::{Collectors, start_collectors};
use crate::config::{Config, ServerConfig};
use crate::error::ServerError;
use crate::listener::{Other, SecureListener};
use crate::local::{self, LocalServer};
use crate::node::{Node, own_context};
use crate::tls;
use crate::witnessing::Witnessing;

/// How long requests under way may take to finish when the server stops.
const DRAIN_MAX: Duration = Duration::from_secs(10);
/// Name of the credential for programs of the same user.
const LOCAL_CREDENTIAL: &str = "local-command-line";
/// Life of the credential for programs of the same user; a new one is made at every start.
const LOCAL_CREDENTIAL_LIFE: Duration = Duration::from_secs(365 * 86_400);

/// What a person wants to know once the server is up.
#[derive(Debug, Clone)]
pub struct Ready {
    /// Where it listens.
    pub address: SocketAddr,
    /// The one-time link to the first account, while there is none.
    pub admin_link: Option<String>,
    /// Listeners of protocols other than HTTP, such as `syslog udp 127.0.0.1:5514`.
    pub listeners: Vec<String>,
    /// The data directory.
    pub data: PathBuf,
    /// What is collected from this machine.
    pub collectors: Vec<String>,
    /// The certificate by which clients check this server; absent when the operator's own certificate is shown.
    pub tls_authority: Option<PathBuf>,
}

/// Serves until SIGTERM or SIGINT, then shuts down in order. So it does when the journal has stopped: only a start can tell
/// what is on the disk, and whoever watches over the process is to start it again.
///
/// # Errors
/// When a part cannot be opened, an address is taken, the journal stopped, or the shutdown cannot be finished.
pub async fn serve(config: Config, data: &Path, on_ready: impl FnOnce(&Ready)) -> Result<(), ServerError> {
    let node = Node::open(&config, data).await?;
    node.add_starter_rules(&config).await?;
    let listener = listen(config.server.listen).await?;
    let address = listener.local_addr().map_err(|source| ServerError::Listen {
        address: config.server.listen,
        what: "HTTP",
        source,
    })?;
    let tls = tls::open(&config.server, data, &*node.world.fs, &node.world.clock)?;
    let told_to_stop = stop_signal();
    let collectors = start_collectors(&config, &node).await?;
    announce(&node, data, address).await?;
    let ready = Ready {
        address,
        admin_link: admin_link(&node, address).await?,
        listeners: collectors.addresses(),
        data: data.to_owned(),
        collectors: collectors.names(),
        tls_authority: tls.authority.clone(),
    };
    let witnessing = node.start_witnessing(&config)?;
    let caretaker = node.start_caretaker(&config)?;
    let mover = node.start_mover(&config)?;
    let (stop, stopped) = watch::channel(false);
    let allow_plaintext = config.server.allow_plaintext;
    let listener = SecureListener::start(listener, tls.acceptor, allow_plaintext)
        .map_err(|source| ServerError::Listen { address, what: "HTTP", source })?;
    let http = start_http(&node, &config.server, listener, stopped);
    on_ready(&ready);
    let failed = tokio::select! {
        () = told_to_stop => Ok(()),
        error = node.journal_stopped() => Err(ServerError::part("journal", error.kind, error)),
    };
    let ended = shut_down(node, collectors, http, Watchers { witnessing, caretaker, mover }, &stop).await;
    failed.and(ended)
}

async fn listen(address: SocketAddr) -> Result<TcpListener, ServerError> {
    TcpListener::bind(address).await.map_err(|source| ServerError::Listen { address, what: "HTTP", source })
}

/// Makes the credential by which programs of this user reach the server.
async fn announce(node: &Node, data: &Path, address: SocketAddr) -> Result<(), ServerError> {
    let failed = |error: moneta_access::Error| ServerError::part("access service", error.kind(), error);
    let ctx = own_context();
    let earlier = node.access.credentials(&ctx).map_err(failed)?;
    for credential in
        earlier.iter().filter(|credential| credential.name == LOCAL_CREDENTIAL && credential.revoked.is_none())
    {
        node.access.revoke_credential(&ctx, &credential.id).await.map_err(failed)?;
    }
    let new = NewCredential {
        name: LOCAL_CREDENTIAL.to_owned(),
        scopes: Scope::ALL.to_vec(),
        life: Some(LOCAL_CREDENTIAL_LIFE),
    };
    let issued = node.access.create_credential(&ctx, new).await.map_err(failed)?;
    let server = LocalServer { address, credential: issued.text };
    local::announce(&*node.world.fs, data, &server).map_err(|source| ServerError::Data {
        action: "write",
        path: data.to_owned(),
        source,
    })
}

async fn admin_link(node: &Node, address: SocketAddr) -> Result<Option<String>, ServerError> {
    let failed = |error: moneta_access::Error| ServerError::part("access service", error.kind(), error);
    if !node.access.needs_first_account().map_err(failed)? {
        return Ok(None);
    }
    let link = node.access.make_first_link().await.map_err(failed)?;
    Ok(Some(format!("http://{address}/welcome?token={}", link.token)))
}

type HttpTask = tokio::task::JoinHandle<std::io::Result<()>>;

fn start_http(
    node: &Node,
    config: &ServerConfig,
    listener: SecureListener,
    mut stopped: watch::Receiver<bool>,
) -> HttpTask {
    let state = ApiState {
        access: node.access(),
        events: node.events(),
        queries: node.queries(),
        objects: node.objects(),
        rules: node.rules(),
        incidents: node.incidents(),
        channels: node.channels(),
        operations: node.operations(),
        metrics: node.world.metrics.clone(),
        catalog: node.catalog(),
        mappings: node.mappings(),
        clock: node.world.clock.clone(),
        entropy: node.world.entropy.clone(),
        options: ApiOptions {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            built: built(),
            loopback: loopback_identity(config),
        },
    };
    let service = router(state).layer(map_request(name_peer)).into_make_service_with_connect_info::<Other>();
    let stop = async move { drop(stopped.wait_for(|stop| *stop).await) };
    tokio::spawn(async move { axum::serve(listener, service).with_graceful_shutdown(stop).await })
}

/// When the program's file was written: packages keep the time of the build.
fn built() -> Option<Timestamp> {
    let written = std::fs::metadata(std::env::current_exe().ok()?).ok()?.modified().ok()?;
    let seconds = written.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs();
    Some(Timestamp::from_seconds(i64::try_from(seconds).ok()?))
}

/// Who programs of this machine are that present no credential, where the operator lets them in.
fn loopback_identity(config: &ServerConfig) -> Option<LoopbackIdentity> {
    let scopes: Vec<Scope> = config.loopback_scopes.iter().filter_map(|name| Scope::parse(name)).collect();
    if scopes.is_empty() {
        return None;
    }
    let name = config.loopback_name.clone();
    tracing::warn!(actor = %name, scopes = config.loopback_scopes.join(" "), "programs of this machine need no credential");
    Some(LoopbackIdentity { name, scopes })
}

/// Tells the interface who is at the other end, in its own words.
async fn name_peer(ConnectInfo(Other(peer)): ConnectInfo<Other>, mut request: Request) -> Request {
    request.extensions_mut().insert(ConnectInfo(peer));
    request
}

/// Resolves when the process is told to stop. Signals count from the call on, not from the first poll: one that comes
/// right after the server said it is ready must not end it unclean.
pub(crate) fn stop_signal() -> impl Future<Output = ()> {
    let terminate = signal(SignalKind::terminate());
    let interrupt = signal(SignalKind::interrupt());
    async move {
        match (terminate, interrupt) {
            (Ok(mut terminate), Ok(mut interrupt)) => {
                tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
            }
            _ => drop(tokio::signal::ctrl_c().await),
        }
    }
}

/// What works on stored data beside the services.
struct Watchers {
    witnessing: Option<Witnessing>,
    caretaker: Caretaker,
    mover: Option<Background>,
}

async fn shut_down(
    node: Node,
    collectors: Collectors,
    http: HttpTask,
    watchers: Watchers,
    stop: &watch::Sender<bool>,
) -> Result<(), ServerError> {
    let Watchers { witnessing, caretaker, mover } = watchers;
    tracing::info!("stopping: finishing what is under way");
    let _ = stop.send(true);
    collectors.stop().await;
    if tokio::time::timeout(DRAIN_MAX, http).await.is_err() {
        tracing::warn!("some requests were cut off");
    }
    if let Some(witnessing) = witnessing {
        witnessing.stop().await;
    }
    let stopped = tokio::task::spawn_blocking(|| {
        caretaker.stop();
        if let Some(mover) = mover {
            mover.stop();
        }
    });
    if let Err(error) = stopped.await {
        tracing::error!(%error, "the caretaker or the mover did not end in order");
    }
    node.shut_down().await
}

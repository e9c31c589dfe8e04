//! The service itself: its parts, and how it audits.

use std::sync::Arc;

use moneta_base::{Clock, Entropy};
use moneta_metastore::Metastore;
use moneta_ports::{Actor, ActorKind, AuditEvent, AuditSink, ClientClaims, Metric, Metrics, OpContext, Scope};

use crate::password::{HashCost, Hasher};
use crate::throttle::Throttle;
use crate::{Error, authenticate};

/// Characters of a name that was claimed and not proved, as the audit log keeps it.
const CLAIMED_NAME_CHARACTERS_MAX: usize = 64;

/// What [`Access`] works with.
#[derive(Clone)]
pub struct AccessParts {
    /// Where accounts and credentials stand.
    pub metastore: Arc<Metastore>,
    /// Where acts are recorded.
    pub audit: Arc<dyn AuditSink>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness for secrets.
    pub entropy: Arc<dyn Entropy>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// What hashing a password costs.
    pub hash_cost: HashCost,
}

/// Where a request comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientInfo {
    /// The address without a port.
    pub address: String,
    /// Ties the audit rows and logs of the request together.
    pub correlation_id: String,
    /// What the client says of itself.
    pub claims: ClientClaims,
}

/// Accounts, sign-in, sessions and credentials.
pub struct Access {
    pub(crate) parts: AccessParts,
    pub(crate) hasher: Hasher,
    pub(crate) throttle: Throttle,
}

impl Access {
    /// Starts the service.
    ///
    /// # Errors
    /// [`Error::Hash`] when the cost is out of the algorithm's range.
    pub fn new(parts: AccessParts) -> Result<Self, Error> {
        let hasher = Hasher::new(parts.hash_cost, &*parts.entropy)?;
        Ok(Self { parts, hasher, throttle: Throttle::default() })
    }

    pub(crate) fn metastore(&self) -> &Metastore {
        &self.parts.metastore
    }

    /// Records an act that changes nothing but who is let in.
    pub(crate) async fn record(&self, ctx: &OpContext, event: AuditEvent) -> Result<(), Error> {
        self.parts.audit.record(ctx, event).await.map_err(|source| Error::Audit { source })
    }

    /// Records a change before it is made.
    pub(crate) async fn record_change(&self, ctx: &OpContext, event: AuditEvent) -> Result<(), Error> {
        self.parts.audit.record_change(ctx, event).await.map_err(|source| Error::Audit { source })
    }

    /// Records a change, makes it, and records the failure when it could not be made after all.
    pub(crate) async fn change<T>(
        &self,
        ctx: &OpContext,
        event: AuditEvent,
        make: impl FnOnce(&Metastore) -> Result<T, moneta_metastore::Error>,
    ) -> Result<T, Error> {
        self.record_change(ctx, event.clone()).await?;
        match make(self.metastore()) {
            Ok(value) => Ok(value),
            Err(error) => {
                let failure =
                    AuditEvent { outcome: moneta_ports::Outcome::Failure, reason: error.to_string(), ..event };
                if let Err(audit) = self.record(ctx, failure).await {
                    tracing::error!(error = %audit, "a failed change is recorded as made");
                }
                Err(error.into())
            }
        }
    }

    pub(crate) fn count(&self, outcome: &'static str) {
        self.parts.metrics.add_labelled(Metric::AccessSignIns, outcome, 1);
    }
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").field("metastore", &self.parts.metastore.path()).finish_non_exhaustive()
    }
}

/// Refuses a principal that lacks a scope.
///
/// # Errors
/// When it does.
pub fn require(ctx: &OpContext, needed: Scope) -> Result<(), Error> {
    if ctx.may(needed) { Ok(()) } else { Err(Error::MissingScope { needed }) }
}

/// The context of someone who has not proved who they are.
pub(crate) fn unproved(client: &ClientInfo, kind: ActorKind, claimed: &str) -> OpContext {
    let name = claimed.chars().take(CLAIMED_NAME_CHARACTERS_MAX).collect();
    authenticate::context(client, Actor { kind, name }, Vec::new(), None)
}

/// Checks the name of an account or credential.
pub(crate) fn check_name(what: &'static str, name: &str) -> Result<(), Error> {
    let is_good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'@');
    if (1..=64).contains(&name.len()) && name.bytes().all(is_good) { Ok(()) } else { Err(Error::BadName { what }) }
}

/// The scopes whose names a stored row lists; names of scopes this version does not know grant nothing.
pub(crate) fn scopes_of(names: &[String]) -> Vec<Scope> {
    names.iter().filter_map(|name| Scope::parse(name)).collect()
}

/// The names to store for scopes, each once.
pub(crate) fn scope_names(scopes: &[Scope]) -> Vec<String> {
    Scope::ALL.iter().filter(|scope| scopes.contains(scope)).map(ToString::to_string).collect()
}

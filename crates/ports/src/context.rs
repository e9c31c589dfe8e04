//! Who acts, by what right, until when: the first argument of every data access.

use std::fmt;

use moneta_base::Timestamp;

/// What kind of principal acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActorKind {
    /// A person signed in with an account.
    Person,
    /// A program with an API credential.
    Credential,
    /// Moneta itself: a collector, the monitor, retention.
    Service,
    /// Whoever holds the data directory: the command line working on it directly.
    LocalOperator,
    /// A program of the server's own machine that presented nothing, where the operator lets such in.
    Loopback,
}

impl ActorKind {
    /// The text in the `ActorKind` column of the audit table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Credential => "credential",
            Self::Service => "service",
            Self::LocalOperator => "local-operator",
            Self::Loopback => "loopback",
        }
    }
}

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// What kind of principal.
    pub kind: ActorKind,
    /// Account name, credential name, or service name.
    pub name: String,
}

/// What a principal may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Send events.
    Ingest,
    /// Run queries, read alerts and status.
    Query,
    /// Work on incidents: take them, comment, judge and close them.
    Respond,
    /// Change rules, settings, accounts and credentials.
    Admin,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 4] = [Self::Ingest, Self::Query, Self::Respond, Self::Admin];

    /// The scope's name in commands and files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Query => "query",
            Self::Respond => "respond",
            Self::Admin => "admin",
        }
    }

    /// The scope of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a client says of itself. Nothing proves it, so nothing is allowed by it: it helps whoever reads the audit log.
///
/// # Source
/// Kusto's headers `x-ms-app`, `x-ms-user` and `x-ms-client-version`, and its request properties `request_app_name` and
/// `request_user`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientClaims {
    /// The program; empty when it does not say.
    pub application: String,
    /// Its version; empty when it does not say.
    pub version: String,
    /// The user it works for; empty when it does not say.
    pub user: String,
}

impl ClientClaims {
    /// What is said, by its name in the `Details` of audit rows.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [("application", &self.application), ("client_version", &self.version), ("claimed_user", &self.user)]
            .into_iter()
            .filter(|(_, text)| !text.is_empty())
            .map(|(name, text)| (name, text.as_str()))
    }
}

/// The right and the circumstances under which one operation runs. No context, no rows.
#[derive(Debug, Clone)]
pub struct OpContext {
    /// Who acts.
    pub actor: Actor,
    /// What they may do.
    pub scopes: Vec<Scope>,
    /// Where the request came from: an address, or `local`.
    pub client_address: String,
    /// Ties the audit rows, logs and answers of one request together.
    pub correlation_id: String,
    /// What the client says of itself.
    pub claims: ClientClaims,
    /// When the request's principal loses its right; `None` for services.
    pub expires: Option<Timestamp>,
}

impl OpContext {
    /// The context of a service of this process.
    #[must_use]
    pub fn service(name: &str) -> Self {
        Self {
            actor: Actor { kind: ActorKind::Service, name: name.to_owned() },
            scopes: Scope::ALL.to_vec(),
            client_address: "local".to_owned(),
            correlation_id: String::new(),
            claims: ClientClaims::default(),
            expires: None,
        }
    }

    /// The context of whoever works on the data directory directly.
    #[must_use]
    pub fn local_operator(user: &str) -> Self {
        Self { actor: Actor { kind: ActorKind::LocalOperator, name: user.to_owned() }, ..Self::service("") }
    }

    /// Whether the scope was granted. `Respond` includes `Query`, and `Admin` both; none includes `Ingest`: sending events
    /// needs its own right.
    #[must_use]
    pub fn may(&self, scope: Scope) -> bool {
        let has = |granted: Scope| self.scopes.contains(&granted);
        has(scope)
            || match scope {
                Scope::Query => has(Scope::Respond) || has(Scope::Admin),
                Scope::Respond => has(Scope::Admin),
                Scope::Ingest | Scope::Admin => false,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admin_may_query_but_not_ingest() {
        let ctx = OpContext { scopes: vec![Scope::Admin], ..OpContext::service("x") };
        assert!(ctx.may(Scope::Query) && ctx.may(Scope::Admin) && ctx.may(Scope::Respond) && !ctx.may(Scope::Ingest));
        let ctx = OpContext { scopes: vec![Scope::Respond], ..OpContext::service("x") };
        assert!(ctx.may(Scope::Query) && !ctx.may(Scope::Admin) && !ctx.may(Scope::Ingest));
    }
}

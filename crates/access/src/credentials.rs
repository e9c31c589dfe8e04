//! Credentials of programs: made, listed, revoked.

use std::time::Duration;

use moneta_base::Timestamp;
use moneta_metastore::Credential;
use moneta_ports::{AuditEvent, OpContext, Scope};

use crate::access::{check_name, require, scope_names, scopes_of};
use crate::{Access, Error, secret};

/// How long a credential lives when nothing else is asked for.
const LIFE_DEFAULT: Duration = Duration::from_secs(90 * 86_400);
/// How long a credential lives at most, in days.
const LIFE_DAYS_MAX: u64 = 366;
/// How long a credential lives at least.
const LIFE_MIN: Duration = Duration::from_secs(60);

/// A credential to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCredential {
    /// What people will call it.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// How long it lives; 90 days when absent.
    pub life: Option<Duration>,
}

/// A credential just made.
#[derive(Clone, PartialEq, Eq)]
pub struct IssuedCredential {
    /// Its public part.
    pub id: String,
    /// The whole text, to be shown once; never stored.
    pub text: String,
    /// The key by which it signs requests instead of showing itself; shown once too.
    pub shared_key: [u8; 32],
    /// From when on it is refused.
    pub expires: Timestamp,
}

/// A credential as administrators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialSummary {
    /// Its public part.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it is refused.
    pub expires: Timestamp,
    /// When it was last used, give or take an hour.
    pub last_used: Option<Timestamp>,
    /// Since when it is revoked.
    pub revoked: Option<Timestamp>,
}

impl Access {
    /// Makes a credential.
    ///
    /// # Errors
    /// [`Error::MissingScope`], [`Error::BadName`], [`Error::NoScope`], [`Error::BadLifetime`], [`Error::Audit`]; a
    /// taken name.
    pub async fn create_credential(&self, ctx: &OpContext, new: NewCredential) -> Result<IssuedCredential, Error> {
        require(ctx, Scope::Admin)?;
        check_name("the name of a credential", &new.name)?;
        if new.scopes.is_empty() {
            return Err(Error::NoScope);
        }
        let life = new.life.unwrap_or(LIFE_DEFAULT);
        if life < LIFE_MIN || life > Duration::from_secs(LIFE_DAYS_MAX * 86_400) {
            return Err(Error::BadLifetime { days_max: LIFE_DAYS_MAX });
        }
        let now = self.parts.clock.now();
        let (secret_text, secret_hash) = secret::new_secret(&*self.parts.entropy);
        let credential = Credential {
            id: secret::new_id(&*self.parts.entropy),
            name: new.name,
            secret_hash,
            scopes: scope_names(&new.scopes),
            created_by: ctx.actor.name.clone(),
            created: now,
            expires: now.saturating_add(life),
            last_used: None,
            revoked: None,
        };
        let mut event = AuditEvent::success("credential.create", "credential", &credential.name);
        event.details.insert("id".to_owned(), credential.id.clone().into());
        event.details.insert("scopes".to_owned(), credential.scopes.clone().into());
        event.details.insert("expires".to_owned(), credential.expires.to_string().into());
        self.change(ctx, event, |metastore| metastore.insert_credential(&credential)).await?;
        let text = secret::credential_text(&credential.id, &secret_text);
        let shared_key = secret::shared_key(&secret_hash);
        Ok(IssuedCredential { id: credential.id, text, shared_key, expires: credential.expires })
    }

    /// Revokes a credential at once and for good.
    ///
    /// # Errors
    /// [`Error::MissingScope`], [`Error::Audit`]; an unknown id.
    pub async fn revoke_credential(&self, ctx: &OpContext, id: &str) -> Result<(), Error> {
        require(ctx, Scope::Admin)?;
        let unknown = || moneta_metastore::Error::NotFound { what: "credential", name: id.to_owned() };
        let credential = self.metastore().credential(id)?.ok_or_else(unknown)?;
        let now = self.parts.clock.now();
        let mut event = AuditEvent::success("credential.revoke", "credential", &credential.name);
        event.details.insert("id".to_owned(), id.into());
        self.change(ctx, event, |metastore| metastore.revoke_credential(id, now)).await
    }

    /// All credentials, the newest first, revoked ones too.
    ///
    /// # Errors
    /// [`Error::MissingScope`]; the metastore's own.
    pub fn credentials(&self, ctx: &OpContext) -> Result<Vec<CredentialSummary>, Error> {
        require(ctx, Scope::Admin)?;
        let summary = |credential: Credential| CredentialSummary {
            id: credential.id,
            name: credential.name,
            scopes: scopes_of(&credential.scopes),
            created_by: credential.created_by,
            created: credential.created,
            expires: credential.expires,
            last_used: credential.last_used,
            revoked: credential.revoked,
        };
        Ok(self.metastore().credentials()?.into_iter().map(summary).collect())
    }
}

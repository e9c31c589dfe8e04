//! From what a request presents to the context it acts in.

use std::time::Duration;

use moneta_base::Timestamp;
use moneta_metastore::SecretHash;
use moneta_ports::{Actor, ActorKind, AuditEvent, OpContext, Scope};

use crate::access::{scopes_of, unproved};
use crate::accounts::SESSION_IDLE;
use crate::throttle::Subject;
use crate::{Access, ClientInfo, Error, secret};

/// How exact the last use of a session is: each note of it is a write.
const SESSION_TOUCH: Duration = Duration::from_secs(60);
/// How exact the last use of a credential is.
const CREDENTIAL_TOUCH: Duration = Duration::from_secs(3600);

/// What a request presents.
#[derive(Clone, Copy)]
pub enum Presented<'a> {
    /// Nothing.
    Nothing,
    /// A credential: as bearer token, or as the password of basic authentication.
    Credential(&'a str),
    /// The value of a session cookie.
    Session(&'a str),
    /// A message signed with a credential's shared key.
    Signed {
        /// The credential's public part.
        id: &'a str,
        /// What was signed.
        message: &'a [u8],
        /// Its HMAC-SHA-256.
        signature: &'a [u8],
    },
}

impl Access {
    /// Finds out who asks and what they may do. Quick: one or two indexed reads.
    ///
    /// # Errors
    /// [`Error::NotSignedIn`], [`Error::BadCredential`]; [`Error::Audit`] when a refusal cannot be recorded.
    pub async fn authenticate(&self, client: &ClientInfo, presented: Presented<'_>) -> Result<OpContext, Error> {
        match presented {
            Presented::Nothing => Err(Error::NotSignedIn),
            Presented::Session(cookie) => self.by_session(client, cookie),
            Presented::Credential(text) => match secret::split_credential(text) {
                // Not even the form of a credential: whatever it is (perhaps a password) is kept out of the audit log.
                None => self.refuse(client, "unknown", "not a credential of this server", self.parts.clock.now()).await,
                Some((id, secret_text)) => {
                    let hash = secret::hash_of(secret_text);
                    self.by_credential(client, id, |stored| secret::same(&hash, stored)).await
                }
            },
            Presented::Signed { id, message, signature } => {
                let is_signed = |stored: &_| secret::is_signed(&secret::shared_key(stored), message, signature);
                self.by_credential(client, id, is_signed).await
            }
        }
    }

    fn by_session(&self, client: &ClientInfo, cookie: &str) -> Result<OpContext, Error> {
        let now = self.parts.clock.now();
        let cookie_hash = secret::hash_of(cookie);
        let session = self.metastore().session(&cookie_hash)?.ok_or(Error::NotSignedIn)?;
        if now >= session.expires || now.since(session.last_used) >= SESSION_IDLE {
            self.metastore().delete_session(&cookie_hash)?;
            return Err(Error::NotSignedIn);
        }
        let account = self.metastore().account(&session.account)?.ok_or(Error::NotSignedIn)?;
        if account.disabled.is_some() {
            return Err(Error::NotSignedIn);
        }
        if now.since(session.last_used) >= SESSION_TOUCH {
            self.note_use(self.metastore().touch_session(&cookie_hash, now));
        }
        let actor = Actor { kind: ActorKind::Person, name: account.name };
        Ok(context(client, actor, scopes_of(&account.scopes), Some(session.expires)))
    }

    /// Lets a credential in whose holder proved to have its secret, of which `proves` is given the stored hash.
    async fn by_credential(
        &self,
        client: &ClientInfo,
        id: &str,
        proves: impl FnOnce(&SecretHash) -> bool,
    ) -> Result<OpContext, Error> {
        let now = self.parts.clock.now();
        let Some(credential) = self.metastore().credential(id)? else {
            return self.refuse(client, id, "no such credential", now).await;
        };
        let reason = if !proves(&credential.secret_hash) {
            Some("wrong secret")
        } else if credential.revoked.is_some() {
            Some("revoked")
        } else if now >= credential.expires {
            Some("expired")
        } else {
            None
        };
        if let Some(reason) = reason {
            return self.refuse(client, id, reason, now).await;
        }
        if credential.last_used.is_none_or(|last| now.since(last) >= CREDENTIAL_TOUCH) {
            self.note_use(self.metastore().touch_credential(id, now));
        }
        let actor = Actor { kind: ActorKind::Credential, name: credential.name };
        Ok(context(client, actor, scopes_of(&credential.scopes), Some(credential.expires)))
    }

    /// Records a refused credential. An agent with an old credential asks many times a second: of each address only
    /// the first few refusals of a quarter of an hour become rows; all are counted. Good credentials of the same
    /// address are never held up by it.
    async fn refuse(&self, client: &ClientInfo, id: &str, reason: &str, now: Timestamp) -> Result<OpContext, Error> {
        self.count("denied");
        if self.throttle.admit(Subject::Refusals(client.address.clone()), now).is_ok() {
            let ctx = unproved(client, ActorKind::Credential, id);
            self.record(&ctx, AuditEvent::denied("credential.use", "credential", id, reason)).await?;
        }
        Err(Error::BadCredential)
    }

    /// That a use could not be noted (a full disk) is no reason to lock people out.
    fn note_use(&self, result: Result<(), moneta_metastore::Error>) {
        if let Err(error) = result {
            tracing::warn!(%error, "the last use of a session or credential was not noted");
        }
    }
}

pub(crate) fn context(client: &ClientInfo, actor: Actor, scopes: Vec<Scope>, expires: Option<Timestamp>) -> OpContext {
    OpContext {
        actor,
        scopes,
        client_address: client.address.clone(),
        correlation_id: client.correlation_id.clone(),
        claims: client.claims.clone(),
        expires,
    }
}

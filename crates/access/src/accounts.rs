//! People: the first account, further ones, signing in and out.

use std::time::Duration;

use moneta_base::Timestamp;
use moneta_metastore::{Account, OneTimeLink, Session};
use moneta_ports::{ActorKind, AuditEvent, OpContext, Scope};

use crate::access::{check_name, require, scope_names, scopes_of, unproved};
use crate::throttle::Subject;
use crate::{Access, ClientInfo, Error, password, secret};

/// How long the link to the first account works.
const FIRST_LINK_LIFE: Duration = Duration::from_secs(24 * 3600);
/// The purpose of that link.
const FIRST_LINK_PURPOSE: &str = "first-account";
/// How long a session lasts at most.
pub(crate) const SESSION_LIFE: Duration = Duration::from_secs(24 * 3600);
/// How long a session lasts without being used.
pub(crate) const SESSION_IDLE: Duration = Duration::from_secs(8 * 3600);
/// Sessions one account may have at once; the oldest ends.
const SESSIONS_PER_ACCOUNT_MAX: u32 = 20;

/// The secret of a one-time link, to be shown once.
#[derive(Clone, PartialEq, Eq)]
pub struct OneTimeLinkText {
    /// The token.
    pub token: String,
    /// Until when it works.
    pub expires: Timestamp,
}

/// A session just begun.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// The value of the cookie; never stored.
    pub cookie: String,
    /// The account.
    pub account: String,
    /// Until when the session lasts at most.
    pub expires: Timestamp,
}

/// An account to be made.
#[derive(Clone)]
pub struct NewAccount {
    /// Its name.
    pub name: String,
    /// Its password.
    pub password: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
}

/// An account as administrators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountSummary {
    /// Its name.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created: Timestamp,
    /// Since when it is disabled.
    pub disabled: Option<Timestamp>,
}

impl Access {
    /// Whether nobody can sign in yet.
    ///
    /// # Errors
    /// When the metastore cannot be read.
    pub fn needs_first_account(&self) -> Result<bool, Error> {
        Ok(self.metastore().accounts()?.is_empty())
    }

    /// Makes the one-time link to the first account; earlier unused ones stop working.
    ///
    /// # Errors
    /// [`Error::Audit`]; the metastore's own.
    pub async fn make_first_link(&self) -> Result<OneTimeLinkText, Error> {
        let now = self.parts.clock.now();
        let (token, token_hash) = secret::new_secret(&*self.parts.entropy);
        let expires = now.saturating_add(FIRST_LINK_LIFE);
        let event = AuditEvent::success("link.create", "link", FIRST_LINK_PURPOSE);
        let link =
            OneTimeLink { token_hash, purpose: FIRST_LINK_PURPOSE.to_owned(), created: now, expires, used: None };
        self.change(&OpContext::service("access"), event, |metastore| {
            metastore.delete_unused_links(FIRST_LINK_PURPOSE)?;
            metastore.insert_link(&link)
        })
        .await?;
        Ok(OneTimeLinkText { token, expires })
    }

    /// Makes the first account, with the scopes `query` and `admin`, and signs it in.
    ///
    /// # Errors
    /// [`Error::LinkSpent`], [`Error::BadName`], [`Error::WeakPassword`], [`Error::Audit`].
    pub async fn create_first_account(
        &self,
        client: &ClientInfo,
        token: &str,
        name: &str,
        password: &str,
    ) -> Result<SignedIn, Error> {
        let link = secret::hash_of(token);
        let now = self.parts.clock.now();
        let ctx = unproved(client, ActorKind::Person, name);
        let subject = Subject::Refusals(client.address.clone());
        if !self.metastore().link_is_good(&link, now)? {
            if self.throttle.admit(subject, now).is_ok() {
                let event = AuditEvent::denied("account.create", "account", &ctx.actor.name, "the link is not good");
                self.record(&ctx, event).await?;
            }
            return Err(Error::LinkSpent);
        }
        let account = self.new_account(name, password, &[Scope::Query, Scope::Admin]).await?;
        let event = AuditEvent::success("account.create", "account", name);
        let made = self.change(&ctx, event, |metastore| metastore.insert_first_account(&account, &link, now)).await;
        match made {
            Err(Error::Metastore(moneta_metastore::Error::LinkSpent)) => Err(Error::LinkSpent),
            Err(error) => Err(error),
            Ok(()) => self.begin_session(&ctx, &account.name).await,
        }
    }

    /// Makes a further account.
    ///
    /// # Errors
    /// [`Error::MissingScope`], [`Error::BadName`], [`Error::WeakPassword`], [`Error::NoScope`], [`Error::Audit`]; a
    /// taken name.
    pub async fn create_account(&self, ctx: &OpContext, new: NewAccount) -> Result<(), Error> {
        require(ctx, Scope::Admin)?;
        if new.scopes.is_empty() {
            return Err(Error::NoScope);
        }
        let account = self.new_account(&new.name, &new.password, &new.scopes).await?;
        let mut event = AuditEvent::success("account.create", "account", &new.name);
        event.details.insert("scopes".to_owned(), account.scopes.clone().into());
        self.change(ctx, event, |metastore| metastore.insert_account(&account)).await
    }

    /// Disables an account and ends its sessions. Its credentials stay: they belong to programs.
    ///
    /// # Errors
    /// [`Error::MissingScope`], [`Error::Audit`]; an unknown name; the last administrator.
    pub async fn disable_account(&self, ctx: &OpContext, name: &str) -> Result<(), Error> {
        require(ctx, Scope::Admin)?;
        let now = self.parts.clock.now();
        let event = AuditEvent::success("account.disable", "account", name);
        let kept = Scope::Admin.name();
        self.change(ctx, event, |metastore| metastore.set_account_disabled(name, Some(now), kept)).await
    }

    /// Changes what an account may do, and ends its sessions. Its credentials keep what they were given.
    ///
    /// # Errors
    /// [`Error::MissingScope`], [`Error::NoScope`], [`Error::Audit`]; an unknown name; the last administrator.
    pub async fn set_account_scopes(&self, ctx: &OpContext, name: &str, scopes: &[Scope]) -> Result<(), Error> {
        require(ctx, Scope::Admin)?;
        if scopes.is_empty() {
            return Err(Error::NoScope);
        }
        let scopes = scope_names(scopes);
        let mut event = AuditEvent::success("account.scopes", "account", name);
        event.details.insert("scopes".to_owned(), scopes.clone().into());
        let kept = Scope::Admin.name();
        self.change(ctx, event, |metastore| metastore.set_account_scopes(name, &scopes, kept)).await
    }

    /// Changes a password and ends the account's sessions. A person changes their own by the one they have now, and is
    /// signed in anew; administrators give others a new one.
    ///
    /// # Errors
    /// [`Error::MissingScope`], [`Error::WrongOwnPassword`], [`Error::Throttled`], [`Error::WeakPassword`],
    /// [`Error::Busy`], [`Error::Audit`]; an unknown name.
    pub async fn set_password(
        &self,
        ctx: &OpContext,
        name: &str,
        now: Option<&str>,
        new: &str,
    ) -> Result<Option<SignedIn>, Error> {
        let is_own = ctx.actor.kind == ActorKind::Person && ctx.actor.name.eq_ignore_ascii_case(name);
        if is_own {
            self.prove_password(ctx, now.unwrap_or_default()).await?;
        } else {
            require(ctx, Scope::Admin)?;
        }
        password::check_rules(name, new)?;
        let hash = self.hasher.hash(new, &*self.parts.entropy).await?;
        let event = AuditEvent::success("account.password", "account", name);
        self.change(ctx, event, |metastore| metastore.set_password_hash(name, &hash)).await?;
        if is_own { self.begin_session(ctx, &ctx.actor.name).await.map(Some) } else { Ok(None) }
    }

    /// Has somebody who is signed in say their password: whoever found their browser open does not know it. Attempts count
    /// as those of signing in.
    async fn prove_password(&self, ctx: &OpContext, password: &str) -> Result<(), Error> {
        let denied = |reason| AuditEvent::denied("account.password", "account", &ctx.actor.name, reason);
        let subject = Subject::Account(ctx.actor.name.to_lowercase());
        if let Err(refusal) = self.throttle.admit(subject.clone(), self.parts.clock.now()) {
            if refusal.is_first {
                self.record(ctx, denied("too many attempts")).await?;
            }
            return Err(Error::Throttled { retry_after: refusal.retry_after });
        }
        let account = self.metastore().account(&ctx.actor.name)?;
        if self.hasher.verify(password, account.as_ref().map(|account| account.password_hash.as_str())).await? {
            self.throttle.forget(&subject);
            return Ok(());
        }
        self.record(ctx, denied("wrong password")).await?;
        Err(Error::WrongOwnPassword)
    }

    /// All accounts by name.
    ///
    /// # Errors
    /// [`Error::MissingScope`]; the metastore's own.
    pub fn accounts(&self, ctx: &OpContext) -> Result<Vec<AccountSummary>, Error> {
        require(ctx, Scope::Admin)?;
        let summary = |account: Account| AccountSummary {
            name: account.name,
            scopes: scopes_of(&account.scopes),
            created: account.created,
            disabled: account.disabled,
        };
        Ok(self.metastore().accounts()?.into_iter().map(summary).collect())
    }

    /// Signs a person in. Takes as long for a name nobody has as for one with another password.
    ///
    /// # Errors
    /// [`Error::BadPassword`], [`Error::Throttled`], [`Error::Busy`], [`Error::Audit`].
    pub async fn sign_in(&self, client: &ClientInfo, name: &str, password: &str) -> Result<SignedIn, Error> {
        let now = self.parts.clock.now();
        let ctx = unproved(client, ActorKind::Person, name);
        let by_account = Subject::Account(ctx.actor.name.to_lowercase());
        let by_address = Subject::Address(client.address.clone());
        for subject in [&by_address, &by_account] {
            if let Err(refusal) = self.throttle.admit(subject.clone(), now) {
                self.count("throttled");
                if refusal.is_first {
                    self.record(&ctx, denied_sign_in(&ctx, "too many attempts")).await?;
                }
                return Err(Error::Throttled { retry_after: refusal.retry_after });
            }
        }
        let account = self.metastore().account(name)?;
        let matches = self.hasher.verify(password, account.as_ref().map(|a| a.password_hash.as_str())).await?;
        let reason = match &account {
            None => "no such account",
            Some(_) if !matches => "wrong password",
            Some(account) if account.disabled.is_some() => "the account is disabled",
            Some(account) => {
                self.throttle.forget(&by_account);
                self.throttle.take_back(&by_address);
                return self.begin_session(&ctx, &account.name).await;
            }
        };
        self.count("denied");
        self.record(&ctx, denied_sign_in(&ctx, reason)).await?;
        Err(Error::BadPassword)
    }

    /// Ends the session of a cookie.
    ///
    /// # Errors
    /// [`Error::Audit`]; the metastore's own.
    pub async fn sign_out(&self, ctx: &OpContext, cookie: &str) -> Result<(), Error> {
        self.record(ctx, AuditEvent::success("account.sign-out", "account", &ctx.actor.name)).await?;
        Ok(self.metastore().delete_session(&secret::hash_of(cookie))?)
    }

    async fn new_account(&self, name: &str, password: &str, scopes: &[Scope]) -> Result<Account, Error> {
        check_name("the name of an account", name)?;
        password::check_rules(name, password)?;
        Ok(Account {
            name: name.to_owned(),
            password_hash: self.hasher.hash(password, &*self.parts.entropy).await?,
            scopes: scope_names(scopes),
            created: self.parts.clock.now(),
            disabled: None,
        })
    }

    /// Audits a sign-in and then begins its session.
    async fn begin_session(&self, ctx: &OpContext, account: &str) -> Result<SignedIn, Error> {
        self.record(ctx, AuditEvent::success("account.sign-in", "account", account)).await?;
        let now = self.parts.clock.now();
        let (cookie, cookie_hash) = secret::new_secret(&*self.parts.entropy);
        let expires = now.saturating_add(SESSION_LIFE);
        let session = Session { cookie_hash, account: account.to_owned(), created: now, last_used: now, expires };
        self.metastore().delete_expired_sessions(now)?;
        self.metastore().insert_session(&session, SESSIONS_PER_ACCOUNT_MAX)?;
        self.count("success");
        Ok(SignedIn { cookie, account: account.to_owned(), expires })
    }
}

fn denied_sign_in(ctx: &OpContext, reason: &str) -> AuditEvent {
    AuditEvent::denied("account.sign-in", "account", &ctx.actor.name, reason)
}

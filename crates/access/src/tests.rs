//! The service against a real metastore and an audit log that can be made to fail.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use moneta_base::{Clock, ErrorKind};
use moneta_metastore::Metastore;
use moneta_ports::{AuditEvent, AuditSink, BoxFuture, Metrics, OpContext, PortError, Scope};
use moneta_testkit::{FixedClock, SeededEntropy, TestDir};

use crate::{Access, AccessParts, ClientInfo, Error, HashCost, NewAccount, NewCredential, Presented};

const PASSWORD: &str = "correct horse battery";

#[derive(Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    broken: AtomicBool,
}

impl Log {
    fn write(&self, ctx: &OpContext, event: &AuditEvent, how: &str) -> Result<(), PortError> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(PortError::new(ErrorKind::OPERATOR, "disk full"));
        }
        let reason = if event.reason.is_empty() { String::new() } else { format!(" ({})", event.reason) };
        let line = format!(
            "{how} {} {} {} by {}{reason}",
            event.action,
            event.object_name,
            event.outcome.name(),
            ctx.actor.name
        );
        self.lines.lock().unwrap().push(line);
        Ok(())
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.lines.lock().unwrap())
    }
}

impl AuditSink for Log {
    fn record<'a>(&'a self, ctx: &'a OpContext, event: AuditEvent) -> BoxFuture<'a, Result<(), PortError>> {
        Box::pin(async move { self.write(ctx, &event, "act") })
    }

    fn record_change<'a>(&'a self, ctx: &'a OpContext, event: AuditEvent) -> BoxFuture<'a, Result<(), PortError>> {
        Box::pin(async move { self.write(ctx, &event, "change") })
    }
}

struct Fixture {
    access: Access,
    log: Arc<Log>,
    clock: Arc<FixedClock>,
    client: ClientInfo,
    _dir: TestDir,
}

impl Fixture {
    fn new() -> Self {
        let dir = TestDir::new();
        let (log, clock) = (Arc::new(Log::default()), Arc::new(FixedClock::default()));
        let parts = AccessParts {
            metastore: Arc::new(Metastore::open(&dir.join("meta.sqlite"), clock.now()).unwrap()),
            audit: log.clone(),
            clock: clock.clone(),
            entropy: Arc::new(SeededEntropy::new(7)),
            metrics: Arc::new(Metrics::new()),
            hash_cost: HashCost::LEAST,
        };
        let client = ClientInfo {
            address: "192.0.2.1".to_owned(),
            correlation_id: "c".to_owned(),
            claims: moneta_ports::ClientClaims::default(),
        };
        Self { access: Access::new(parts).unwrap(), log, clock, client, _dir: dir }
    }

    /// With an administrator `ada`; returns her context and cookie.
    async fn with_ada() -> (Self, OpContext, String) {
        let fixture = Self::new();
        let link = fixture.access.make_first_link().await.unwrap();
        let signed_in =
            fixture.access.create_first_account(&fixture.client, &link.token, "ada", PASSWORD).await.unwrap();
        let ctx = fixture.session(&signed_in.cookie).await.unwrap();
        fixture.log.take();
        (fixture, ctx, signed_in.cookie)
    }

    async fn session(&self, cookie: &str) -> Result<OpContext, Error> {
        self.access.authenticate(&self.client, Presented::Session(cookie)).await
    }

    async fn credential(&self, text: &str) -> Result<OpContext, Error> {
        self.access.authenticate(&self.client, Presented::Credential(text)).await
    }
}

fn new_credential(scopes: &[Scope], life: Option<Duration>) -> NewCredential {
    NewCredential { name: "shipper".to_owned(), scopes: scopes.to_vec(), life }
}

#[tokio::test]
async fn the_first_account_comes_through_the_newest_link_once() {
    let fixture = Fixture::new();
    let (access, client) = (&fixture.access, &fixture.client);
    assert!(access.needs_first_account().unwrap());
    let old = access.make_first_link().await.unwrap();
    let link = access.make_first_link().await.unwrap();
    let create = |token: String| async move {
        access.create_first_account(client, &token, "ada", PASSWORD).await.map(|signed_in| signed_in.account)
    };
    assert!(matches!(create(old.token).await, Err(Error::LinkSpent)));
    assert_eq!(create(link.token.clone()).await.unwrap(), "ada");
    assert!(!access.needs_first_account().unwrap());
    assert!(matches!(create(link.token).await, Err(Error::LinkSpent)));
    assert_eq!(
        fixture.log.take(),
        [
            "change link.create first-account success by access",
            "change link.create first-account success by access",
            "act account.create ada denied by ada (the link is not good)",
            "change account.create ada success by ada",
            "act account.sign-in ada success by ada",
            "act account.create ada denied by ada (the link is not good)",
        ]
    );
}

#[tokio::test]
async fn a_first_link_expires_after_a_day() {
    let fixture = Fixture::new();
    let link = fixture.access.make_first_link().await.unwrap();
    fixture.clock.advance(Duration::from_secs(24 * 3600));
    let result = fixture.access.create_first_account(&fixture.client, &link.token, "ada", PASSWORD).await;
    assert!(matches!(result, Err(Error::LinkSpent)));
}

#[tokio::test]
async fn a_weak_password_does_not_spend_the_link() {
    let fixture = Fixture::new();
    let link = fixture.access.make_first_link().await.unwrap();
    let create = |password| fixture.access.create_first_account(&fixture.client, &link.token, "ada", password);
    assert!(matches!(create("short").await, Err(Error::WeakPassword { .. })));
    assert!(create(PASSWORD).await.is_ok());
}

#[tokio::test]
async fn sign_in_tells_right_from_wrong_only_to_the_audit_log() {
    let (fixture, _, _) = Fixture::with_ada().await;
    let sign_in = |name, password| fixture.access.sign_in(&fixture.client, name, password);
    let signed_in = sign_in("Ada", PASSWORD).await.unwrap();
    let ctx = fixture.session(&signed_in.cookie).await.unwrap();
    assert_eq!((ctx.actor.name.as_str(), ctx.actor.kind.name()), ("ada", "person"));
    assert!(ctx.may(Scope::Admin) && ctx.may(Scope::Query) && !ctx.may(Scope::Ingest));
    let wrong = sign_in("ada", "wrong").await.err().unwrap().to_string();
    let nobody = sign_in("eve", PASSWORD).await.err().unwrap().to_string();
    assert_eq!(wrong, nobody);
    assert_eq!(
        fixture.log.take(),
        [
            "act account.sign-in ada success by Ada",
            "act account.sign-in ada denied by ada (wrong password)",
            "act account.sign-in eve denied by eve (no such account)",
        ]
    );
}

#[tokio::test]
async fn guessing_is_throttled_per_account_and_costs_few_audit_rows() {
    let (fixture, _, _) = Fixture::with_ada().await;
    let mut throttled = 0;
    for _ in 0..30 {
        match fixture.access.sign_in(&fixture.client, "ada", "guess").await {
            Err(Error::Throttled { retry_after }) => {
                assert!(retry_after <= Duration::from_secs(900));
                throttled += 1;
            }
            other => assert!(matches!(other, Err(Error::BadPassword))),
        }
    }
    assert_eq!(throttled, 20);
    assert_eq!(fixture.log.take().len(), 11);
    assert!(matches!(fixture.access.sign_in(&fixture.client, "ada", PASSWORD).await, Err(Error::Throttled { .. })));
    fixture.clock.advance(Duration::from_secs(900));
    assert!(fixture.access.sign_in(&fixture.client, "ada", PASSWORD).await.is_ok());
}

#[tokio::test]
async fn sessions_end_when_idle_when_old_and_at_sign_out() {
    let (fixture, ctx, cookie) = Fixture::with_ada().await;
    let hours = |hours: u64| fixture.clock.advance(Duration::from_secs(hours * 3600));
    hours(7);
    fixture.session(&cookie).await.unwrap();
    hours(7);
    fixture.session(&cookie).await.unwrap();
    hours(8);
    assert!(matches!(fixture.session(&cookie).await, Err(Error::NotSignedIn)));

    let cookie = fixture.access.sign_in(&fixture.client, "ada", PASSWORD).await.unwrap().cookie;
    for _ in 0..3 {
        hours(7);
        fixture.session(&cookie).await.unwrap();
    }
    hours(3);
    assert!(matches!(fixture.session(&cookie).await, Err(Error::NotSignedIn)));

    let cookie = fixture.access.sign_in(&fixture.client, "ada", PASSWORD).await.unwrap().cookie;
    fixture.access.sign_out(&ctx, &cookie).await.unwrap();
    assert!(matches!(fixture.session(&cookie).await, Err(Error::NotSignedIn)));
    assert!(matches!(fixture.session("").await, Err(Error::NotSignedIn)));
}

#[tokio::test]
async fn a_disabled_account_is_out_at_once() {
    let (fixture, ctx, _) = Fixture::with_ada().await;
    let new = NewAccount { name: "bob".into(), password: PASSWORD.into(), scopes: vec![Scope::Query] };
    fixture.access.create_account(&ctx, new).await.unwrap();
    let cookie = fixture.access.sign_in(&fixture.client, "bob", PASSWORD).await.unwrap().cookie;
    let bob = fixture.session(&cookie).await.unwrap();
    let refused = fixture.access.disable_account(&bob, "ada").await;
    assert!(matches!(refused, Err(Error::MissingScope { needed: Scope::Admin })));
    fixture.access.disable_account(&ctx, "bob").await.unwrap();
    assert!(matches!(fixture.session(&cookie).await, Err(Error::NotSignedIn)));
    let again = fixture.access.sign_in(&fixture.client, "bob", PASSWORD).await;
    assert!(matches!(again, Err(Error::BadPassword)));
    assert_eq!(fixture.access.accounts(&ctx).unwrap().len(), 2);
}

#[tokio::test]
async fn a_changed_password_ends_every_session() {
    const NEW: &str = "another horse battery";
    let (fixture, ada, cookie) = Fixture::with_ada().await;
    let access = &fixture.access;
    let bob = NewAccount { name: "bob".into(), password: PASSWORD.into(), scopes: vec![Scope::Query] };
    access.create_account(&ada, bob).await.unwrap();
    let bobs = access.sign_in(&fixture.client, "bob", PASSWORD).await.unwrap().cookie;
    let bob = fixture.session(&bobs).await.unwrap();
    fixture.log.take();

    for wrong in [None, Some("wrong")] {
        assert!(matches!(access.set_password(&ada, "ada", wrong, NEW).await, Err(Error::WrongOwnPassword)));
    }
    assert!(matches!(access.set_password(&ada, "ada", Some(PASSWORD), "short").await, Err(Error::WeakPassword { .. })));
    let refused = access.set_password(&bob, "ada", Some(PASSWORD), NEW).await;
    assert!(matches!(refused, Err(Error::MissingScope { needed: Scope::Admin })));
    fixture.session(&cookie).await.unwrap();
    let anew = access.set_password(&ada, "Ada", Some(PASSWORD), NEW).await.unwrap().unwrap();
    assert!(matches!(fixture.session(&cookie).await, Err(Error::NotSignedIn)));
    fixture.session(&anew.cookie).await.unwrap();
    assert!(matches!(access.sign_in(&fixture.client, "ada", PASSWORD).await, Err(Error::BadPassword)));

    assert!(access.set_password(&ada, "bob", None, NEW).await.unwrap().is_none());
    assert!(matches!(fixture.session(&bobs).await, Err(Error::NotSignedIn)));
    access.sign_in(&fixture.client, "bob", NEW).await.unwrap();
    let missing = access.set_password(&ada, "eve", None, NEW).await.map(drop).unwrap_err();
    assert!(missing.is_missing(), "{missing}");
    let lines = fixture.log.take();
    let denied = "act account.password ada denied by ada (wrong password)";
    assert_eq!(
        lines[..4],
        [denied, denied, "change account.password Ada success by ada", "act account.sign-in ada success by ada"]
    );
    assert!(lines.contains(&"change account.password bob success by ada".to_owned()), "{lines:?}");
    // As with signing in, attempts have an end.
    let mut last = Ok(None);
    for _ in 0..11 {
        last = access.set_password(&ada, "ada", None, NEW).await;
    }
    assert!(matches!(last, Err(Error::Throttled { .. })));
}

#[tokio::test]
async fn changed_scopes_hold_at_once_and_the_last_administrator_stays_one() {
    let (fixture, ada, cookie) = Fixture::with_ada().await;
    let access = &fixture.access;
    let bob = NewAccount { name: "bob".into(), password: PASSWORD.into(), scopes: vec![Scope::Query] };
    access.create_account(&ada, bob).await.unwrap();
    let bobs = access.sign_in(&fixture.client, "bob", PASSWORD).await.unwrap().cookie;
    let bob = fixture.session(&bobs).await.unwrap();
    let refused = access.set_account_scopes(&bob, "bob", &[Scope::Admin]).await;
    assert!(matches!(refused, Err(Error::MissingScope { needed: Scope::Admin })));
    assert!(matches!(access.set_account_scopes(&ada, "bob", &[]).await, Err(Error::NoScope)));
    for refused in
        [access.set_account_scopes(&ada, "ada", &[Scope::Query]).await, access.disable_account(&ada, "ada").await]
    {
        assert!(refused.unwrap_err().to_string().contains("nobody would have the scope `admin`"));
    }
    fixture.session(&cookie).await.unwrap();
    access.set_account_scopes(&ada, "bob", &[Scope::Query, Scope::Admin]).await.unwrap();
    assert!(matches!(fixture.session(&bobs).await, Err(Error::NotSignedIn)));
    access.set_account_scopes(&ada, "ada", &[Scope::Respond]).await.unwrap();
    let scopes: Vec<_> = access.accounts(&ada).unwrap().into_iter().map(|account| account.scopes).collect();
    assert_eq!(scopes, [vec![Scope::Respond], vec![Scope::Query, Scope::Admin]]);
}

#[tokio::test]
async fn a_credential_acts_within_its_scopes_until_it_expires_or_is_revoked() {
    let (fixture, ctx, _) = Fixture::with_ada().await;
    let create = |life| fixture.access.create_credential(&ctx, new_credential(&[Scope::Ingest], life));
    let first = create(None).await.unwrap();
    assert!(first.text.starts_with("mnt_"));
    let program = fixture.credential(&first.text).await.unwrap();
    assert_eq!((program.actor.name.as_str(), program.actor.kind.name()), ("shipper", "credential"));
    assert!(program.may(Scope::Ingest) && !program.may(Scope::Query));
    assert!(matches!(create(None).await, Err(Error::Metastore(_))));
    fixture.access.revoke_credential(&ctx, &first.id).await.unwrap();
    assert!(matches!(fixture.credential(&first.text).await, Err(Error::BadCredential)));

    let second = create(Some(Duration::from_secs(60))).await.unwrap();
    fixture.credential(&second.text).await.unwrap();
    fixture.clock.advance(Duration::from_secs(60));
    assert!(matches!(fixture.credential(&second.text).await, Err(Error::BadCredential)));
    for life in [Duration::from_secs(59), Duration::from_secs(400 * 86_400)] {
        assert!(matches!(create(Some(life)).await, Err(Error::BadLifetime { .. })));
    }
    let listed = fixture.access.credentials(&ctx).unwrap();
    assert_eq!(listed.len(), 2);
    assert!(listed.iter().all(|credential| credential.last_used.is_some()));
    let stored = std::fs::read(fixture.access.metastore().path().with_extension("sqlite-wal")).unwrap();
    let secret = first.text.rsplit('_').next().unwrap();
    assert!(!stored.windows(secret.len()).any(|window| window == secret.as_bytes()));
}

#[tokio::test]
async fn a_wrong_credential_fills_neither_the_audit_log_nor_the_way_of_good_ones() {
    let (fixture, ctx, _) = Fixture::with_ada().await;
    let good = fixture.access.create_credential(&ctx, new_credential(&[Scope::Query], None)).await.unwrap();
    fixture.log.take();
    let mut wrong = good.text.clone();
    wrong.replace_range(wrong.len() - 1.., if wrong.ends_with('0') { "1" } else { "0" });
    for _ in 0..100 {
        assert!(matches!(fixture.credential(&wrong).await, Err(Error::BadCredential)));
    }
    assert!(matches!(fixture.credential("hunter2").await, Err(Error::BadCredential)));
    fixture.credential(&good.text).await.unwrap();
    let lines = fixture.log.take();
    assert_eq!(lines.len(), 10);
    assert!(lines[0].contains("credential.use") && lines[0].contains("(wrong secret)"), "{}", lines[0]);
}

/// ACCESS-1: what cannot be audited does not happen.
#[tokio::test]
async fn nothing_happens_that_cannot_be_audited() {
    let (fixture, ctx, cookie) = Fixture::with_ada().await;
    let access = &fixture.access;
    let issued = access.create_credential(&ctx, new_credential(&[Scope::Query], None)).await.unwrap();
    fixture.log.broken.store(true, Ordering::SeqCst);
    let bob = NewAccount { name: "bob".into(), password: PASSWORD.into(), scopes: vec![Scope::Query] };
    let other = NewCredential { name: "other".into(), scopes: vec![Scope::Query], life: None };
    let results = [
        access.sign_in(&fixture.client, "ada", PASSWORD).await.map(drop),
        access.sign_in(&fixture.client, "ada", "wrong").await.map(drop),
        access.sign_out(&ctx, &cookie).await,
        access.create_account(&ctx, bob).await,
        access.disable_account(&ctx, "ada").await,
        access.set_account_scopes(&ctx, "ada", &[Scope::Admin]).await,
        access.set_password(&ctx, "ada", Some(PASSWORD), "another horse battery").await.map(drop),
        access.create_credential(&ctx, other).await.map(drop),
        access.revoke_credential(&ctx, &issued.id).await,
        access.make_first_link().await.map(drop),
        fixture.credential("mnt_0").await.map(drop),
    ];
    for (index, result) in results.into_iter().enumerate() {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Audit { .. }), "{index}: {error}");
        assert_eq!(error.kind(), ErrorKind::OPERATOR);
    }
    fixture.log.broken.store(false, Ordering::SeqCst);
    assert_eq!(access.accounts(&ctx).unwrap().len(), 1);
    assert_eq!(access.credentials(&ctx).unwrap().len(), 1);
    fixture.session(&cookie).await.unwrap();
    fixture.credential(&issued.text).await.unwrap();
}

#[tokio::test]
async fn a_change_that_fails_after_its_audit_is_recorded_as_failed() {
    let (fixture, ctx, _) = Fixture::with_ada().await;
    let ada = NewAccount { name: "ada".into(), password: PASSWORD.into(), scopes: vec![Scope::Query] };
    let error = fixture.access.create_account(&ctx, ada).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Caller);
    let lines = fixture.log.take();
    assert_eq!(lines[0], "change account.create ada success by ada");
    assert!(lines[1].starts_with("act account.create ada failure by ada (there is already"), "{}", lines[1]);
}

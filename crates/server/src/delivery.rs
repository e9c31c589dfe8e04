//! Where alerts go once they are stored: the channels of the configuration, or nowhere.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use futures::future::join_all;
use moneta_base::error::chain;
use moneta_base::{ErrorKind, RuleId, TableName, TenantId};
use moneta_event::Block;
use moneta_event::catalog::table;
use moneta_ingest::Ingest;
use moneta_keys::KeyRing;
use moneta_notify::{Channel, ChannelOptions, Channels, DeadLetter};
use moneta_ports::{
    Alarm, AlarmKind, AlarmSink, Alert, AlertChannels, AlertDelivery, AuditEvent, AuditSink, BoxFuture, ChannelStatus,
    ChannelTest, OpContext, PortError, QueryEngine, Resent, UndeliveredAlert,
};

use crate::analytics::{heads, marks};
use crate::channel_config::ChannelConfig;
use crate::config::Config;
use crate::error::ServerError;
use crate::handover::{Handover, MarkPlace};
use crate::letters::Letters;
use crate::node::World;

/// Channels at most.
const CHANNELS_MAX: usize = 100;
/// The name of the channel that `notify.webhook_url` makes.
const WEBHOOK: &str = "webhook";

/// Who hears of alerts that were given up, once it is known.
type Heard = Arc<OnceLock<Arc<dyn AlarmSink>>>;

/// The running channels, and what hands alerts to them.
pub(crate) struct Deliveries {
    channels: Channels,
    handover: Arc<Handover>,
    world: World,
    /// Who hears of alerts that were given up.
    alarms: Heard,
    audit: OnceLock<Arc<dyn AuditSink>>,
    resender: Arc<Resender>,
}

/// Sends dead letters again.
struct Resender {
    channels: Channels,
    letters: Arc<Letters>,
    /// One at a time: two that read the same list would send everything twice.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Resender {
    async fn send(&self, ctx: &OpContext, open: Vec<UndeliveredAlert>) -> Vec<Resent> {
        let mut resent = Vec::with_capacity(open.len());
        for one in open {
            let sent = self.send_one(ctx, &one).await;
            let mut reason = sent.as_ref().err().cloned().unwrap_or_default();
            if sent.is_ok()
                && let Err(error) = self.letters.settle(&one).await
            {
                reason = format!("it was taken, which could not be noted, so that it stays listed: {error}");
            }
            resent.push(Resent { channel: one.channel, alert_id: one.alert_id, delivered: sent.is_ok(), reason });
        }
        resent
    }

    async fn send_one(&self, ctx: &OpContext, one: &UndeliveredAlert) -> Result<(), String> {
        let channel = self.channels.0.iter().find(|channel| channel.options().name == one.channel);
        let channel = channel.ok_or("there is no such channel any more")?;
        let alert = self.letters.alert(ctx, &one.alert_id).await.map_err(|error| error.to_string())?;
        let alert = alert.ok_or("the alert is not stored any more")?;
        channel.test(&alert).await.map_err(|error| chain(&error))
    }
}

/// Starts what the configuration names, and hands over what the last process did not.
pub(crate) async fn start_delivery(
    config: &Config,
    keys: &KeyRing,
    world: &World,
    ingest: &Arc<Ingest>,
    tenant: TenantId,
    recovered: &[Arc<Block>],
) -> Result<Arc<Deliveries>, ServerError> {
    let alarms: Heard = Arc::default();
    let health = TableName::new(table::MONETA_HEALTH).expect("a built-in table");
    let schema = ingest.store().schema(&health).expect("a built-in table");
    let letters = Arc::new(Letters::new(ingest.clone(), world.clock.clone(), schema));
    let channels = start_channels(config, keys, world, (&alarms, &letters))?;
    let resender = Arc::new(Resender { channels: channels.clone(), letters, turn: Arc::default() });
    let place = MarkPlace { events: ingest.clone(), marks: marks(ingest), tenant };
    let table = TableName::new(table::SECURITY_ALERT).expect("a built-in table");
    let head = heads(ingest).get(&table).copied().unwrap_or(0);
    let handover = Handover::start(channels.clone(), place, recovered, head).await;
    let handover = handover.map_err(|error| ServerError::part("delivery", error.kind, error))?;
    ingest.subscribe(handover.clone());
    Ok(Arc::new(Deliveries { channels, handover, world: world.clone(), alarms, audit: OnceLock::new(), resender }))
}

fn start_channels(
    config: &Config,
    keys: &KeyRing,
    world: &World,
    (alarms, letters): (&Heard, &Arc<Letters>),
) -> Result<Channels, ServerError> {
    let setting = |key, message| ServerError::Setting { key, message };
    if let Some(wrong) = config.notify.web_url.as_ref().filter(|url| !is_web_address(url)) {
        return Err(setting(
            "notify.web_url",
            format!("{wrong:?} is not an address such as https://moneta.example.org"),
        ));
    }
    config.notify.proxy().map_err(|message| setting("notify.proxy", message))?;
    let webhook = config.notify.webhook_url.as_ref().map(|url| ChannelConfig {
        name: WEBHOOK.to_owned(),
        kind: WEBHOOK.to_owned(),
        url: Some(url.clone()),
        ..ChannelConfig::default()
    });
    let wanted: Vec<(&str, ChannelConfig)> = webhook
        .into_iter()
        .map(|channel| ("notify.webhook_url", channel))
        .chain(config.notify.channels.iter().map(|channel| ("notify.channels", channel.clone())))
        .collect();
    if wanted.len() > CHANNELS_MAX {
        return Err(setting("notify.channels", format!("there are more than {CHANNELS_MAX}")));
    }
    let mut channels: Vec<Arc<Channel>> = Vec::new();
    for (key, channel) in wanted {
        if channels.iter().any(|known| known.options().name == channel.name) {
            return Err(setting(key, format!("there are two channels named {:?}", channel.name)));
        }
        let built = channel.build(&config.notify, keys.webhook_secret().expose());
        let (options, carrier) = built.map_err(|message| setting(key, message))?;
        let (heard, letters) = (alarms.clone(), letters.clone());
        let on_dead = Arc::new(move |letter: DeadLetter| {
            if letter.is_final {
                letters.keep(&letter);
            }
            report(&heard, &letter);
        });
        let channel = Channel::start(options, carrier, world.clock.clone(), world.metrics.clone(), on_dead);
        channels.push(Arc::new(channel));
    }
    Ok(Channels(channels))
}

fn is_web_address(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        !rest.is_empty() && rest.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '"' | '<' | '>' | '?' | '#'))
    })
}

/// That a channel gives up alerts is itself an alert: to all channels, and once an hour while it goes on. Each of them is
/// a record.
fn report(alarms: &OnceLock<Arc<dyn AlarmSink>>, letter: &DeadLetter) {
    let DeadLetter { channel, alert_id, rule_title, attempts, reason, is_final: _ } = letter;
    let text = format!(
        "The channel {channel} did not take the alert {alert_id} ({rule_title}) in {attempts} attempts: {reason}. \
         `moneta alerts undelivered` lists all."
    );
    if let Some(alarms) = alarms.get() {
        alarms.raise(Alarm { kind: AlarmKind::DeliveryFailed, subject: channel.clone(), text });
    }
}

impl Deliveries {
    /// What the monitor hands alerts to.
    pub(crate) fn port(&self) -> Arc<dyn AlertDelivery> {
        self.handover.clone()
    }

    /// Tells whom to tell of alerts that were given up, and where tests are audited.
    pub(crate) fn attach(&self, alarms: Arc<dyn AlarmSink>, audit: Arc<dyn AuditSink>) {
        let _ = self.alarms.set(alarms);
        let _ = self.audit.set(audit);
    }

    /// Says what finds alerts that were given up.
    pub(crate) fn attach_engine(&self, queries: Arc<dyn QueryEngine>) {
        self.resender.letters.attach(queries);
    }

    /// Gives alerts under way a last chance, those of all channels at the same time.
    pub(crate) async fn stop(&self) {
        join_all(self.channels.0.iter().map(|channel| channel.stop())).await;
        self.handover.stop().await;
    }

    async fn test_one(&self, ctx: &OpContext, name: &str) -> Result<Option<ChannelTest>, PortError> {
        let Some(channel) = self.channels.0.iter().find(|channel| channel.options().name == name) else {
            return Ok(None);
        };
        if let Some(audit) = self.audit.get() {
            audit.record(ctx, AuditEvent::success("channel.test", "channel", name)).await?;
        }
        let begun = Instant::now();
        let sent = channel.test(&self.test_alert(ctx, channel.options())).await;
        Ok(Some(ChannelTest {
            name: name.to_owned(),
            delivered: sent.is_ok(),
            reason: sent.err().map(|error| chain(&error)).unwrap_or_default(),
            elapsed_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        }))
    }

    async fn resend_all(
        &self,
        ctx: &OpContext,
        channel: Option<&str>,
        ids: &[String],
    ) -> Result<Vec<Resent>, PortError> {
        let turn = self.resender.turn.clone().lock_owned().await;
        let mut open = self.resender.letters.open(ctx).await?;
        open.retain(|one| channel.is_none_or(|name| name == one.channel));
        open.retain(|one| ids.is_empty() || ids.contains(&one.alert_id));
        if let Some(audit) = self.audit.get() {
            let mut event = AuditEvent::success("alert.resend", "channel", channel.unwrap_or("all"));
            let ids = open.iter().map(|one| one.alert_id.clone().into()).collect();
            event.details.insert("alerts".to_owned(), serde_json::Value::Array(ids));
            audit.record(ctx, event).await?;
        }
        // To its end, also when nobody waits for the answer any more: what was taken must be noted.
        let (resender, ctx) = (self.resender.clone(), ctx.clone());
        let sending = tokio::spawn(async move {
            let _turn = turn;
            resender.send(&ctx, open).await
        });
        sending.await.map_err(|error| PortError::new(ErrorKind::Internal, error.to_string()))
    }

    /// An alert that says that it is a test, as bad as the channel asks for.
    fn test_alert(&self, ctx: &OpContext, options: &ChannelOptions) -> Alert {
        let now = self.world.clock.now();
        Alert {
            rule_title: format!("Test of the channel {}", options.name),
            rule_author: "Moneta".to_owned(),
            rule_description: format!("{} asked for this test. Nothing happened.", ctx.actor.name),
            level: options.level_min.name().to_owned(),
            ..Alert::new(format!("test-{}", now.as_nanos()), RuleId::new("moneta/test"), now)
        }
    }
}

impl AlertChannels for Deliveries {
    fn channels(&self) -> Vec<ChannelStatus> {
        let status = |channel: &Arc<Channel>| {
            let (options, counts) = (channel.options(), channel.counts());
            ChannelStatus {
                name: options.name.clone(),
                kind: options.kind.to_owned(),
                level_min: options.level_min.name().to_owned(),
                delivered: counts.delivered,
                retried: counts.retried,
                given_up: counts.given_up,
                last_error: counts.last_error,
                last_success: counts.last_success.map(|at| at.to_string()),
                last_failure: counts.last_failure.map(|at| at.to_string()),
                last_given_up: counts.last_given_up.map(|at| at.to_string()),
                failing_since: counts.failing_since.map(|at| at.to_string()),
            }
        };
        self.channels.0.iter().map(status).collect()
    }

    fn test<'a>(
        &'a self,
        ctx: &'a OpContext,
        channel: &'a str,
    ) -> BoxFuture<'a, Result<Option<ChannelTest>, PortError>> {
        Box::pin(self.test_one(ctx, channel))
    }

    fn undelivered<'a>(&'a self, ctx: &'a OpContext) -> BoxFuture<'a, Result<Vec<UndeliveredAlert>, PortError>> {
        Box::pin(self.resender.letters.open(ctx))
    }

    fn resend<'a>(
        &'a self,
        ctx: &'a OpContext,
        channel: Option<&'a str>,
        ids: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<Resent>, PortError>> {
        Box::pin(self.resend_all(ctx, channel, ids))
    }
}

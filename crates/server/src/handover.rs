//! Hands stored alerts to the channels, and after a restart those again that some channel was not done with.
//!
//! ```text
//! alert stored ─► its row waits ─► channels: delivered or given up ─► the row waits no longer ─► mark in the journal
//! start: what the journal recovered, from the mark on ─► channels
//! ```
//! An alert that is stored is told, also when the process is killed before or while it is sent (DELIVERY-1); a receiver
//! may see it twice, with the same id. Alarms come here too, stored or not. Nothing here decides which channel takes
//! what.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moneta_base::{Seq, TableName, TenantId};
use moneta_event::Block;
use moneta_event::catalog::table;
use moneta_monitor::{Marks, told_alerts, told_ids};
use moneta_notify::{Channels, Receipt};
use moneta_ports::{
    Alert, AlertDelivery, BlockSubscriber, BoxFuture, EventSink, IdempotencyKey, KeyLife, PortError, Submission,
};
use tokio::task::JoinHandle;

/// The producer whose mark says how far alerts are told. No table has such a name, so it is no rule cursor.
const PRODUCER: &str = "notify/#told";
/// Time between two writings of the mark: alerts told within it come a second time after a kill.
const MARK_INTERVAL: Duration = Duration::from_secs(1);
/// Alerts told before their rows were seen that are remembered at most: alarms that could not be stored at once.
const EARLY_MAX: usize = 1_024;

/// Where the mark is kept.
pub(crate) struct MarkPlace {
    pub(crate) events: Arc<dyn EventSink>,
    pub(crate) marks: Marks,
    /// Whose data it is: part of the identity of the mark.
    pub(crate) tenant: TenantId,
}

/// Hands alerts over. Share it in an `Arc`.
pub(crate) struct Handover {
    channels: Channels,
    told: Arc<Mutex<Told>>,
    place: Arc<MarkPlace>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// How far alerts are told.
#[derive(Default)]
struct Told {
    /// Stored alerts that some channel is not done with.
    waiting: BTreeSet<Seq>,
    by_id: HashMap<String, Seq>,
    /// Those that all channels were done with before their rows were seen, the oldest first.
    early: VecDeque<String>,
    /// The sequence after the last row of `SecurityAlert`.
    end: Seq,
    /// The mark in the journal.
    marked: Option<Seq>,
}

impl Told {
    fn wait_for(&mut self, seq: Seq, id: String) {
        if let Some(at) = self.early.iter().position(|early| *early == id) {
            self.early.remove(at);
            return;
        }
        self.waiting.insert(seq);
        // An id is stored once; were it stored twice, the later row would stand for both.
        if let Some(before) = self.by_id.insert(id, seq) {
            self.waiting.remove(&before);
        }
    }

    fn settle(&mut self, id: &str) {
        if let Some(seq) = self.by_id.remove(id) {
            self.waiting.remove(&seq);
            return;
        }
        if self.early.len() >= EARLY_MAX {
            self.early.pop_front();
        }
        self.early.push_back(id.to_owned());
    }

    /// The sequence before which all alerts are told.
    fn cursor(&self) -> Seq {
        self.waiting.first().copied().unwrap_or(self.end)
    }
}

impl Handover {
    /// Starts, and hands over again what the journal recovered from the mark on. `head`: the sequence after the last
    /// stored alert; without a mark, nothing before it is told.
    ///
    /// # Errors
    /// When the first mark cannot be stored.
    pub(crate) async fn start(
        channels: Channels,
        place: MarkPlace,
        recovered: &[Arc<Block>],
        head: Seq,
    ) -> Result<Arc<Self>, PortError> {
        let place = Arc::new(place);
        let marked = (place.marks)(PRODUCER.to_owned()).await;
        let from = match marked {
            Some(mark) => mark,
            None => {
                place.write(head).await?;
                head
            }
        };
        let told = Told { end: head.max(from), marked: Some(from), ..Told::default() };
        let told = Arc::new(Mutex::new(told));
        let again: Vec<(Seq, Alert)> = recovered.iter().flat_map(|block| told_alerts(block, from)).collect();
        let handover = Arc::new(Self { channels, told: told.clone(), place: place.clone(), writer: Mutex::default() });
        handover.hand_over_again(again);
        let writer = tokio::spawn(async move {
            loop {
                tokio::time::sleep(MARK_INTERVAL).await;
                place.write_if_moved(&told).await;
            }
        });
        *handover.writer.lock().unwrap_or_else(PoisonError::into_inner) = Some(writer);
        Ok(handover)
    }

    fn hand_over_again(&self, alerts: Vec<(Seq, Alert)>) {
        if alerts.is_empty() {
            return;
        }
        tracing::info!(alerts = alerts.len(), "alerts that were not told when the last process ended are sent now");
        {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            alerts.iter().for_each(|(seq, alert)| told.wait_for(*seq, alert.id.clone()));
        }
        for (_, alert) in alerts {
            if let Err(error) = self.hand_over(&alert) {
                tracing::error!(error = %error, alert = alert.id, "an alert is stored but could not be handed to delivery");
            }
        }
    }

    fn hand_over(&self, alert: &Alert) -> Result<(), PortError> {
        let (told, id) = (self.told.clone(), alert.id.clone());
        let receipt = Receipt::new(move || told.lock().unwrap_or_else(PoisonError::into_inner).settle(&id));
        self.channels.hand_over(alert, receipt)
    }

    /// Writes the last mark. Before, the channels have stopped; after, the journal does.
    pub(crate) async fn stop(&self) {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            writer.abort();
            // It ends at a point where it waits; what it was writing is written below.
            let _ = writer.await;
        }
        self.place.write_if_moved(&self.told).await;
    }
}

impl MarkPlace {
    async fn write_if_moved(&self, told: &Mutex<Told>) {
        let cursor = {
            let told = told.lock().unwrap_or_else(PoisonError::into_inner);
            Some(told.cursor()).filter(|cursor| told.marked != Some(*cursor))
        };
        let Some(cursor) = cursor else { return };
        match self.write(cursor).await {
            Ok(()) => told.lock().unwrap_or_else(PoisonError::into_inner).marked = Some(cursor),
            Err(error) => {
                tracing::warn!(error = %error, "how far alerts are told could not be stored; it is tried again");
            }
        }
    }

    async fn write(&self, cursor: Seq) -> Result<(), PortError> {
        let key = IdempotencyKey {
            producer: PRODUCER.to_owned(),
            epoch: u128::from_be_bytes(*self.tenant.as_bytes()),
            sequence: cursor,
            life: KeyLife::Producer,
        };
        self.events.submit(Submission { key: Some(key), ..Submission::default() }).await.map(drop)
    }
}

impl AlertDelivery for Handover {
    fn deliver(&self, alert: Alert) -> BoxFuture<'_, Result<(), PortError>> {
        let outcome = self.hand_over(&alert);
        Box::pin(async { outcome })
    }
}

impl BlockSubscriber for Handover {
    /// Notes the rows that will be handed over: who stored them does that.
    fn on_block(&self, block: &Arc<Block>) {
        if block.header.shard.table.as_str() != table::SECURITY_ALERT {
            return;
        }
        let ids = told_ids(block);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        ids.into_iter().for_each(|(seq, id)| told.wait_for(seq, id));
        told.end = told.end.max(block.header.end_seq());
    }

    /// None: the channels have bounds of their own, and nobody must wait for a receiver.
    fn backlog_rows(&self) -> u64 {
        0
    }

    fn needs_from(&self, table: &TableName) -> Seq {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if table.as_str() == table::SECURITY_ALERT { told.cursor() } else { Seq::MAX }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_stays_before_the_first_alert_that_waits() {
        let mut told = Told { end: 5, ..Told::default() };
        assert_eq!(told.cursor(), 5);
        told.wait_for(5, "a".to_owned());
        told.wait_for(7, "b".to_owned());
        told.end = 8;
        told.settle("b");
        assert_eq!(told.cursor(), 5);
        told.settle("a");
        assert_eq!(told.cursor(), 8);
        // An alarm that was told while the disk was full, and stored later.
        told.settle("c");
        told.wait_for(8, "c".to_owned());
        told.end = 9;
        assert_eq!((told.cursor(), told.early.len()), (9, 0));
    }

    #[test]
    fn what_was_told_and_never_stored_is_forgotten_in_the_end() {
        let mut told = Told::default();
        (0..EARLY_MAX + 9).for_each(|n| told.settle(&n.to_string()));
        assert_eq!(told.early.len(), EARLY_MAX);
        told.wait_for(0, "0".to_owned());
        assert_eq!(told.cursor(), 0);
    }
}

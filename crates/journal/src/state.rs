//! Where each table stands: the next sequence, the last header, the next position in its shard.

use std::collections::BTreeMap;

use moneta_base::{TableName, TenantId, Timestamp};
use moneta_event::block::BlockPosition;
use moneta_event::frame::TableState;
use moneta_event::{BlockHeader, ShardId};
use moneta_merkle::Hash;

/// The position of every table, and the time of the last commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Positions {
    pub(crate) ingest_time: Timestamp,
    pub(crate) tables: BTreeMap<TableName, TableState>,
}

impl Positions {
    /// The position the next block of a table takes.
    ///
    /// Ingest times never go back, so that days, shards and segments stay in order even when the clock does.
    pub(crate) fn next(&self, tenant: TenantId, table: &TableName, now: Timestamp, token_key: u32) -> BlockPosition {
        let ingest_time = self.ingest_time.max(now.truncated_to_ticks());
        let day = ingest_time.day();
        let state = self.tables.get(table);
        let shard_index = state.filter(|state| state.day == day).map_or(0, |state| state.next_index);
        BlockPosition {
            tenant,
            shard: ShardId { table: table.clone(), day },
            shard_index,
            first_seq: state.map_or(0, |state| state.next_seq),
            ingest_time,
            token_key,
            previous: state.map_or(Hash::default(), |state| state.last_header),
        }
    }

    /// Checks that a header takes the position it must (BLOCK-2).
    pub(crate) fn check(&self, header: &BlockHeader) -> Result<(), &'static str> {
        let due = self.next(header.tenant, &header.shard.table, header.ingest_time, header.token_key);
        match () {
            () if header.first_seq != due.first_seq => Err("BLOCK-2: a gap or overlap in the sequence of the table"),
            () if header.previous != due.previous => Err("BLOCK-2: the block does not follow the header before it"),
            () if header.ingest_time != due.ingest_time => Err("BLOCK-2: the ingest time goes back"),
            () if header.shard != due.shard => Err("BLOCK-2: the ingest day is not that of the ingest time"),
            () if header.shard_index != due.shard_index => Err("BLOCK-2: a gap in the positions of the shard"),
            () => Ok(()),
        }
    }

    /// Moves past a block.
    pub(crate) fn advance(&mut self, header: &BlockHeader) {
        debug_assert_eq!(self.check(header), Ok(()));
        self.ingest_time = header.ingest_time;
        let state = TableState {
            table: header.shard.table.clone(),
            next_seq: header.end_seq(),
            last_header: header.hash(),
            day: header.shard.day,
            next_index: header.shard_index + 1,
        };
        self.tables.insert(header.shard.table.clone(), state);
    }
}

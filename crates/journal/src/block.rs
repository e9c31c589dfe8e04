//! A block that is on disk.

use std::ops::Deref;
use std::sync::Arc;

use moneta_event::Block;

/// A block that was synced to disk, or read back from it and checked. Only the journal makes one: whoever holds it may
/// acknowledge its rows, show them and act on them.
#[derive(Debug, Clone)]
pub struct JournaledBlock {
    block: Arc<Block>,
}

impl JournaledBlock {
    /// To be called after the sync of the frame that holds the block, or after reading it back, and never before.
    pub(crate) fn after_sync(block: Block) -> Self {
        Self { block: Arc::new(block) }
    }

    /// The block, shared.
    #[must_use]
    pub fn into_inner(self) -> Arc<Block> {
        self.block
    }
}

impl Deref for JournaledBlock {
    type Target = Arc<Block>;

    fn deref(&self) -> &Arc<Block> {
        &self.block
    }
}

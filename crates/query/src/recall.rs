//! What a question that comes again makes of each piece of a table, kept for the next time.
//!
//! A rule that looks back over a day and runs every hour asks the same of 23 hours that it asked before. Blocks and row
//! groups never change, so what a scan makes of one (the rows that pass, or the first step of an aggregation over them)
//! is the same next time, as long as all its rows lie within the times asked for. Only pieces that are new or lie
//! across an end of the window are read. What is made of pieces is never taken for an answer: it goes through the rest
//! of the plan each time.
//!
//! A shape is kept from the second time on that it comes: one in which a time of this run stands, beside the bounds of
//! `TimeGenerated`, never comes again. What was not used for longest goes first.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use moneta_base::{Lru, Seq};
use moneta_event::ShardId;
use moneta_event::terms::TermCondition;
use moneta_store::{Prune, rows_bytes};

use crate::scan::expression::Expression;
use crate::scan::{Piece, ScanColumn};

/// Bytes kept for all questions.
pub(crate) const BYTES_MAX: usize = 256 << 20;
/// The part of them that one piece may take.
const PIECES_MIN: usize = 64;
/// What an entry takes beside its rows, and a batch beside its columns: keys, places in two maps, counters.
const ENTRY_BYTES: usize = 512;
/// Shapes remembered.
const SHAPES_MAX: usize = 4_096;

/// All that what a scan makes of a piece depends on, beside the piece. The bounds of time are no part of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shape {
    /// What is read.
    pub read: Vec<ScanColumn>,
    /// Which rows the index of words lets pass.
    pub terms: TermCondition,
    /// Which row groups may have a row that passes, but for its time.
    pub prunes: Vec<Prune>,
    /// Which rows pass, but for their times.
    pub filters: Vec<Expression>,
    /// What is computed.
    pub layers: Vec<Vec<Expression>>,
    /// What comes of it.
    pub output: SchemaRef,
    /// What is grouped by, and what is made of each group: names of functions and over what.
    pub grouped: Option<(Vec<Expression>, Vec<GroupedShape>)>,
}

/// All that the state of an aggregation function depends on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct GroupedShape {
    /// The function.
    pub function: Arc<datafusion::physical_expr::aggregate::AggregateFunctionExpr>,
    /// Whether it looks at distinct values, and whether it leaves out nulls: not compared by the above.
    pub options: (bool, bool),
    /// Over what.
    pub arguments: Vec<Expression>,
    /// Over which rows.
    pub filter: Option<Expression>,
}

/// A piece of a table, by a name that no other piece has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum PieceName {
    /// The block of a shard with this first row.
    Block(ShardId, Seq),
    /// A row group of a segment.
    Group(Arc<str>, usize),
}

/// What is kept for all questions that come again.
#[derive(Debug)]
pub(crate) struct Recall(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Shapes that came, the last one last, with their numbers.
    shapes: VecDeque<(u64, Shape)>,
    num_shapes: u64,
    kept: Lru<(u64, PieceName), Arc<[RecordBatch]>>,
}

impl Recall {
    /// Room for so many bytes.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self(Mutex::new(State { shapes: VecDeque::new(), num_shapes: 0, kept: Lru::new(bytes_max) }))
    }

    /// What is kept for a shape; `None` when it comes for the first time.
    pub(crate) fn of(self: &Arc<Self>, shape: Shape) -> Option<ShapeRecall> {
        let mut state = self.lock();
        if let Some(place) = state.shapes.iter().position(|(_, known)| *known == shape) {
            let known = state.shapes.remove(place)?;
            let number = known.0;
            state.shapes.push_back(known);
            return Some(ShapeRecall { recall: self.clone(), number });
        }
        let number = state.num_shapes;
        state.num_shapes += 1;
        state.shapes.push_back((number, shape));
        if state.shapes.len() > SHAPES_MAX {
            state.shapes.pop_front();
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is kept for one shape.
#[derive(Debug, Clone)]
pub(crate) struct ShapeRecall {
    recall: Arc<Recall>,
    number: u64,
}

/// What is kept for the shape of one plan, looked up once for all its partitions.
pub(crate) type PlanRecall = Arc<OnceLock<Option<ShapeRecall>>>;

impl ShapeRecall {
    /// Sends what the scan makes of a piece, as it was made before, or made now and kept; whether more is wanted. `None` is
    /// for a piece that it does not depend on alone, of which nothing was sent.
    pub(crate) fn pass(
        &self,
        piece: &mut Piece<'_>,
        send: &mut dyn FnMut(RecordBatch) -> bool,
        make: impl FnOnce(&mut Piece<'_>, &mut dyn FnMut(RecordBatch) -> bool) -> Result<bool>,
    ) -> Result<Option<bool>> {
        let Some(name) = piece.name() else { return Ok(None) };
        let key = (self.number, name);
        let (known, bytes_max) = {
            let kept = &mut self.recall.lock().kept;
            (kept.get(&key), kept.bytes_max() / PIECES_MIN)
        };
        if let Some(made) = known {
            piece.recalled();
            return Ok(Some(made.iter().all(|batch| send(batch.clone()))));
        }
        let (mut made, mut bytes) = (Some(Vec::new()), ENTRY_BYTES);
        let wants_more = make(piece, &mut |batch| {
            bytes += ENTRY_BYTES + rows_bytes(&batch);
            match &mut made {
                Some(made) if bytes <= bytes_max => made.push(batch.clone()),
                // More than a piece may take is not held while the rest of it is made.
                made => *made = None,
            }
            send(batch)
        })?;
        // What nobody wanted the end of is not whole.
        if wants_more && let Some(made) = made {
            self.recall.lock().kept.put(key, made.into(), bytes);
        }
        Ok(Some(wants_more))
    }
}

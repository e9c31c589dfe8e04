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
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use moneta_base::Seq;
use moneta_event::ShardId;
use moneta_event::terms::TermCondition;

use crate::lru::Lru;
use crate::scan::expression::Expression;
use crate::scan::{Piece, ScanColumn};

/// Bytes kept for all questions.
pub(crate) const BYTES_MAX: usize = 256 << 20;
/// The part of them that one piece may take.
const PIECES_MIN: usize = 64;
/// Shapes remembered.
const SHAPES_MAX: usize = 4_096;

/// All that what a scan makes of a piece depends on, beside the piece. The bounds of time are no part of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shape {
    /// What is read.
    pub read: Vec<ScanColumn>,
    /// Which rows the index of words lets pass.
    pub terms: TermCondition,
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

impl ShapeRecall {
    /// What the scan makes of a piece: as it was made before, or made now and kept. `None` is for a piece that it does
    /// not depend on alone.
    pub(crate) fn made(
        &self,
        piece: &mut Piece<'_>,
        make: impl FnOnce(&mut Piece<'_>) -> Result<Vec<RecordBatch>>,
    ) -> Result<Option<Arc<[RecordBatch]>>> {
        let Some(name) = piece.name() else { return Ok(None) };
        let key = (self.number, name);
        if let Some(made) = self.recall.lock().kept.get(&key) {
            piece.recalled();
            return Ok(Some(made));
        }
        let made: Arc<[RecordBatch]> = make(piece)?.into();
        let bytes = size_of_val(&key) + made.iter().map(RecordBatch::get_array_memory_size).sum::<usize>();
        let kept = &mut self.recall.lock().kept;
        if bytes <= kept.bytes_max() / PIECES_MIN {
            kept.put(key, made.clone(), bytes);
        }
        Ok(Some(made))
    }
}

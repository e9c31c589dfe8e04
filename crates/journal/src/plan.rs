//! From commits to blocks, before anything is written: a pure step.
//!
//! Small batches of one table that came in different commits of a group share blocks, so that a thousand senders of
//! single rows do not make a thousand blocks. The group is one frame and so one atomic write: sharing breaks no
//! commit's atomicity.

use std::collections::{BTreeMap, HashMap};

use arrow::array::{Array, RecordBatch};
use arrow::compute::concat_batches;
use moneta_base::{TableName, Timestamp, limits};
use moneta_event::frame::body::PRODUCER_BYTES_MAX;
use moneta_event::frame::{self, MarkKind, ProducerMark, Receipt, SeqRange, StoredMark};
use moneta_event::schema::standard;
use moneta_event::{Block, ColumnType, stored};
use moneta_merkle::Hash;
use moneta_scrub::ScrubbedBatch;

use crate::marks::{Marks, Seen};
use crate::state::Positions;
use crate::{Commit, CommitOutcome, Error, JournalOptions};

/// Bytes of rows in one block at most, unless a single row is larger: a block is decoded in memory as a whole.
const BLOCK_BYTES_MAX: usize = 16 << 20;

/// Bytes of a column's name at most: the record encoding has two bytes for its length, and Parquet no use for more.
const COLUMN_NAME_BYTES_MAX: usize = 1_024;

/// What a group of commits becomes.
#[derive(Debug)]
pub(crate) struct Plan {
    /// What to write; `None` when nothing needs to be.
    pub(crate) frame: Option<frame::Commit>,
    /// What to answer once it is written.
    pub(crate) outcomes: Vec<Result<CommitOutcome, Error>>,
    /// The positions after it is written.
    pub(crate) positions: Positions,
}

impl Plan {
    /// Plans the commits in their order.
    ///
    /// # Errors
    /// Only [`Error::Internal`]; what is wrong with one commit is its own outcome.
    pub(crate) fn new(
        positions: &Positions,
        marks: &Marks,
        options: &JournalOptions,
        commits: Vec<Commit>,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let mut planner = Planner {
            positions,
            marks,
            options,
            pieces: BTreeMap::new(),
            accepted: Vec::new(),
            first_of: HashMap::new(),
        };
        let answers: Vec<_> =
            commits.into_iter().enumerate().map(|(index, commit)| planner.take(index, commit)).collect();
        planner.finish(answers, now)
    }
}

/// What is to be answered for a commit, before it is known where its rows come to stand.
enum Answer {
    Stored,
    Known(CommitOutcome),
    /// The same as an earlier commit of this group.
    SameAs(usize),
}

/// Rows of one commit for one table, at most a block's worth.
struct Piece {
    commit: usize,
    rows: RecordBatch,
    token_key: u32,
}

struct Planner<'a> {
    positions: &'a Positions,
    marks: &'a Marks,
    options: &'a JournalOptions,
    pieces: BTreeMap<TableName, Vec<Piece>>,
    accepted: Vec<(usize, ProducerMark)>,
    /// The marks of this group, hash left out, and the commit that came first with each.
    first_of: HashMap<(MarkKind, String, u128, u64), (usize, Hash)>,
}

impl Planner<'_> {
    fn take(&mut self, index: usize, commit: Commit) -> Result<Answer, Error> {
        if let Some(mark) = &commit.mark
            && let Some(answer) = self.judge(mark, &commit)?
        {
            return Ok(answer);
        }
        let mut pieces = Vec::new();
        for batch in &commit.batches {
            self.check_table(batch.table())?;
            let rows = checked_rows(batch)?;
            split(&rows, &mut |rows| {
                pieces.push((batch.table().clone(), Piece { commit: index, rows, token_key: batch.token_key() }));
            });
        }
        for (table, piece) in pieces {
            self.pieces.entry(table).or_default().push(piece);
        }
        if let Some(mark) = commit.mark {
            self.first_of.insert(identity(&mark), (index, mark.hash));
            self.accepted.push((index, mark));
        }
        Ok(Answer::Stored)
    }

    /// What is known of a mark; `None` when the commit is new.
    fn judge(&self, mark: &ProducerMark, commit: &Commit) -> Result<Option<Answer>, Error> {
        if mark.producer.is_empty() || mark.producer.len() > PRODUCER_BYTES_MAX {
            return Err(Error::ProducerName { bytes: mark.producer.len() });
        }
        if let Some((first, hash)) = self.first_of.get(&identity(mark)) {
            return Ok(Some(match *hash == mark.hash {
                true => Answer::SameAs(*first),
                false => Answer::Known(CommitOutcome::Conflict { stored: Some(*hash) }),
            }));
        }
        match self.marks.seen(mark) {
            Seen::Duplicate(receipt) => Ok(Some(Answer::Known(CommitOutcome::Duplicate { receipt }))),
            Seen::Conflict(stored) => Ok(Some(Answer::Known(CommitOutcome::Conflict { stored }))),
            Seen::New if self.marks.has_room_for(mark, commit.batches.iter().map(ScrubbedBatch::table)) => Ok(None),
            Seen::New => Err(Error::TooManyProducers { bytes_max: self.options.producer_bytes_max }),
        }
    }

    fn check_table(&self, table: &TableName) -> Result<(), Error> {
        let tables_max = self.options.tables_max;
        let known = self.positions.tables.contains_key(table) || self.pieces.contains_key(table);
        match known || self.positions.tables.len() + self.pieces.len() < tables_max {
            true => Ok(()),
            false => Err(Error::TooManyTables { tables_max }),
        }
    }

    fn finish(self, answers: Vec<Result<Answer, Error>>, now: Timestamp) -> Result<Plan, Error> {
        let ingest_time = self.positions.ingest_time.max(now.truncated_to_ticks());
        let mut receipts = vec![Receipt { ingest_time, ranges: Vec::new() }; answers.len()];
        let mut positions = self.positions.clone();
        let mut blocks = Vec::new();
        for (table, pieces) in self.pieces {
            let next_seq = positions.tables.get(&table).map_or(0, |state| state.next_seq);
            note_ranges(&mut receipts, &table, next_seq, &pieces);
            for group in group_pieces(pieces) {
                let block = make_block(&positions, self.options, &table, group, now)?;
                positions.advance(&block.header);
                blocks.push(block);
            }
        }
        let marks: Vec<_> = self
            .accepted
            .into_iter()
            .map(|(index, mark)| StoredMark { mark, receipt: receipts[index].clone() })
            .collect();
        if !marks.is_empty() {
            positions.ingest_time = ingest_time;
        }
        let frame = (!blocks.is_empty() || !marks.is_empty()).then_some(frame::Commit { blocks, marks });
        let resolve = |(index, answer): (usize, Result<Answer, Error>)| {
            Ok(match answer? {
                Answer::Known(outcome) => outcome,
                Answer::Stored => CommitOutcome::Stored { receipt: receipts[index].clone() },
                Answer::SameAs(first) => CommitOutcome::Duplicate { receipt: receipts[first].clone() },
            })
        };
        Ok(Plan { frame, outcomes: answers.into_iter().enumerate().map(resolve).collect(), positions })
    }
}

/// What two sendings of one commit have in common.
fn identity(mark: &ProducerMark) -> (MarkKind, String, u128, u64) {
    (mark.kind, mark.producer.clone(), mark.epoch, mark.sequence)
}

/// The rows of a batch in their stored forms.
fn checked_rows(batch: &ScrubbedBatch) -> Result<RecordBatch, Error> {
    let error =
        |column: &str, why: String| Error::Column { table: batch.table().clone(), column: column.to_owned(), why };
    let rows = stored::canonical(batch.rows()).map_err(|source| error(&source.name, source.to_string()))?;
    let schema = rows.schema();
    let mut names = std::collections::HashSet::new();
    for field in schema.fields() {
        let name = field.name();
        let name_ok = !name.is_empty() && name.len() <= COLUMN_NAME_BYTES_MAX && !name.ends_with(stored::TICKS_SUFFIX);
        if !name_ok || !names.insert(name) {
            return Err(error(name, "its name is empty, too long, reserved, or there twice".to_owned()));
        }
    }
    if names.len() > limits::TABLE_COLUMNS_MAX {
        return Err(error("", format!("there are more than {} columns", limits::TABLE_COLUMNS_MAX)));
    }
    let times = rows.column_by_name(standard::TIME_GENERATED);
    match times.is_some_and(|times| times.data_type() == &ColumnType::DateTime.arrow() && times.null_count() == 0) {
        true => Ok(rows),
        false => Err(error(standard::TIME_GENERATED, "every row needs an event time".to_owned())),
    }
}

/// Cuts rows into parts that a block can hold; none for no rows.
fn split(rows: &RecordBatch, push: &mut impl FnMut(RecordBatch)) {
    let num_rows = rows.num_rows();
    if num_rows == 0 {
        return;
    }
    if num_rows == 1 || (num_rows <= limits::BLOCK_ROWS_MAX && size_bytes(rows) <= BLOCK_BYTES_MAX) {
        push(rows.clone());
        return;
    }
    // Whole blocks first, so that a large batch of small rows fills them; large rows are halved until they fit.
    let cut = if num_rows > limits::BLOCK_ROWS_MAX { limits::BLOCK_ROWS_MAX } else { num_rows / 2 };
    split(&rows.slice(0, cut), push);
    // A loop would save no memory: the depth is bounded by the number of blocks a commit can have.
    split(&rows.slice(cut, num_rows - cut), push);
}

fn size_bytes(rows: &RecordBatch) -> usize {
    let slices = rows.columns().iter().map(|column| column.to_data().get_slice_memory_size());
    slices.map(|size| size.unwrap_or(BLOCK_BYTES_MAX)).sum()
}

/// Notes which sequences the pieces of each commit take.
fn note_ranges(receipts: &mut [Receipt], table: &TableName, mut next_seq: u64, pieces: &[Piece]) {
    for piece in pieces {
        let end = next_seq + piece.rows.num_rows() as u64;
        match receipts[piece.commit].ranges.last_mut().filter(|range| range.table == *table) {
            // Pieces of one commit stand side by side: the commits are taken in order.
            Some(range) => range.end = end,
            None => {
                receipts[piece.commit].ranges.push(SeqRange { table: table.clone(), first: next_seq, end });
            }
        }
        next_seq = end;
    }
}

/// Puts pieces together that fit one block: few enough rows and bytes, one token key, columns that agree.
fn group_pieces(pieces: Vec<Piece>) -> Vec<Vec<Piece>> {
    let mut groups: Vec<Vec<Piece>> = Vec::new();
    let (mut rows, mut bytes) = (0, 0);
    let mut types: HashMap<String, ColumnType> = HashMap::new();
    for piece in pieces {
        let (piece_rows, piece_bytes) = (piece.rows.num_rows(), size_bytes(&piece.rows));
        let fits = groups.last().is_some_and(|group| group[0].token_key == piece.token_key)
            && rows + piece_rows <= limits::BLOCK_ROWS_MAX
            && bytes + piece_bytes <= BLOCK_BYTES_MAX
            && columns_agree(&types, &piece.rows);
        if !fits {
            groups.push(Vec::new());
            types.clear();
            (rows, bytes) = (0, 0);
        }
        rows += piece_rows;
        bytes += piece_bytes;
        let schema = piece.rows.schema();
        let typed = schema.fields().iter().filter_map(|f| ColumnType::of_field(f).map(|t| (f.name().clone(), t)));
        types.extend(typed);
        groups.last_mut().expect("just made if there was none").push(piece);
    }
    groups
}

fn columns_agree(types: &HashMap<String, ColumnType>, rows: &RecordBatch) -> bool {
    let schema = rows.schema();
    let mut added = 0;
    schema.fields().iter().all(|field| match types.get(field.name()) {
        Some(known) => ColumnType::of_field(field) == Some(*known),
        None => {
            added += 1;
            types.len() + added <= limits::TABLE_COLUMNS_MAX
        }
    })
}

fn make_block(
    positions: &Positions,
    options: &JournalOptions,
    table: &TableName,
    pieces: Vec<Piece>,
    now: Timestamp,
) -> Result<Block, Error> {
    let internal = |what: String| Error::Internal(format!("block of {table}: {what}"));
    let token_key = pieces[0].token_key;
    let rows = match &pieces[..] {
        [piece] => piece.rows.clone(),
        _ => {
            let columns = stored::union_columns(pieces.iter().map(|piece| &piece.rows))
                .ok_or_else(|| internal("columns do not agree".to_owned()))?;
            let aligned: Result<Vec<_>, _> = pieces.iter().map(|piece| stored::align(&piece.rows, &columns)).collect();
            let aligned = aligned.map_err(|error| internal(error.to_string()))?;
            concat_batches(&aligned[0].schema(), &aligned).map_err(|error| internal(error.to_string()))?
        }
    };
    let position = positions.next(options.tenant, table, now, token_key);
    Block::new(position, rows).map_err(|error| internal(error.to_string()))
}

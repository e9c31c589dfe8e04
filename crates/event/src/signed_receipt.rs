//! Signed receipts: what the log promises to whoever sent records, and the proof that it kept the promise.
//!
//! A checkpoint covers a record about a second after its acknowledgement. Who changes the files in between could make
//! the record vanish without a trace; the receipt is the trace, and the sender has it. It names the block headers that
//! the records are under, so that a proof of these leaves fulfils it, and a log that has other leaves in their places,
//! or none, is convicted by its own signature.
//!
//! # Layout, version 1
//! A receipt is a C2SP signed note with this text:
//! ```text
//! moneta-receipt@1
//! origin <origin of the root log>
//! stored <decimal>                when it was on disk, in nanoseconds since 1970 (UTC)
//! sender <epoch, 32 hexadecimal digits> <sequence> <producer>      only if the sender named what it sent
//! block <Table>/<yyyy-mm-dd> <index> <first _Seq> <rows> <from> <to> <base64 leaf>      one line a block
//! ```
//! `index` is the header's position in its shard log and `leaf` its RFC 6962 leaf hash there; `first _Seq` and `rows` are
//! the block's, `[from, to)` the sequences of the rows that were sent: a block may hold rows of several senders. In
//! `producer` everything below a space, the percent sign and DEL stand as `%` and two hexadecimal digits.
//!
//! The key is the log's own Ed25519 key under the name `<key name>/receipts`: whoever can check the log can check its
//! receipts, and there is no second key that could be disowned. No receipt can be taken for a checkpoint: the second line
//! of a checkpoint is a number.
//!
//! The proof is a file:
//! ```text
//! moneta-receipt-proof@1
//! leaf <base64 leaf>              one pair of lines a block, in the receipt's order
//! proof <decimal>                 length in bytes of what follows
//! <block proof: block_proof.rs>
//! ```
//! Its leaf is the one that the log has there, which may not be the one that it signed for.

use moneta_base::{Seq, Timestamp};
use moneta_merkle::note::{NoteSigner, SIGNATURE_BYTES, SignedNote, VerifierKey};
use moneta_merkle::text::{base64_decode, decimal, hex_array};
use moneta_merkle::{Hash, leaf_hash};

use crate::block_proof::BlockProofError;
use crate::{BlockHeader, BlockProof, ShardId};

/// First line of a receipt.
const RECEIPT_LINE: &str = "moneta-receipt@1";
/// First line of the proof of one.
const PROOF_LINE: &str = "moneta-receipt-proof@1";
/// What follows the log's name in the name of the key.
const KEY_SUFFIX: &str = "/receipts";
/// Most blocks a receipt names: a submission of half a gigabyte has fewer.
pub const RECEIPT_BLOCKS_MAX: usize = 4_096;

/// Who sent what, as the sender named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptSender {
    /// The producer.
    pub producer: String,
    /// Its life.
    pub epoch: u128,
    /// Position in that life.
    pub sequence: u64,
}

/// A block, or the part of it, that rows of a submission became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptBlock {
    /// The shard.
    pub shard: ShardId,
    /// Position of the block's header in the shard log.
    pub index: u64,
    /// `_Seq` of the first row of the block.
    pub first_seq: Seq,
    /// Rows of the block.
    pub num_rows: u32,
    /// `_Seq` of the first row that was sent.
    pub from: Seq,
    /// The `_Seq` after the last.
    pub to: Seq,
    /// Leaf hash of the header.
    pub leaf: Hash,
}

impl ReceiptBlock {
    /// The block of a header, for the rows of it that lie in `[start, end)`; `None` when none does.
    #[must_use]
    pub fn of(header: &BlockHeader, start: Seq, end: Seq) -> Option<Self> {
        let (from, to) = (start.max(header.first_seq), end.min(header.end_seq()));
        (from < to).then(|| Self {
            shard: header.shard.clone(),
            index: header.shard_index,
            first_seq: header.first_seq,
            num_rows: header.num_rows,
            from,
            to,
            leaf: leaf_hash(&header.encode()),
        })
    }
}

/// What a receipt says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedReceipt {
    /// Origin of the root log.
    pub origin: String,
    /// When the rows became durable.
    pub stored_at: Timestamp,
    /// How the sender named the submission, if it did.
    pub sender: Option<ReceiptSender>,
    /// The blocks. None for a submission without rows.
    pub blocks: Vec<ReceiptBlock>,
}

/// Why a text is not a receipt or not the proof of one.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// Not the text of the layout.
    #[error("not a receipt: {0}")]
    Malformed(&'static str),
    /// Not a note, or not signed by the log.
    #[error("the log did not sign the receipt")]
    Signature(#[source] moneta_merkle::Error),
    /// It cannot be signed.
    #[error("the receipt cannot be signed")]
    Signer(#[source] moneta_merkle::Error),
    /// Too many blocks.
    #[error("a receipt of {0} blocks would be too long")]
    TooLong(usize),
    /// A block proof in the proof does not hold.
    #[error("the proof of the block at index {index} of {shard} does not hold")]
    Proof {
        /// The shard.
        shard: ShardId,
        /// The position.
        index: u64,
        /// Why.
        source: BlockProofError,
    },
}

/// What a proof makes of a receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReceiptVerdict {
    /// Every block is under the checkpoint: so many entries of the root log.
    Kept {
        /// Size of the smallest root checkpoint that covers a block; none when there are no blocks.
        root_size: Option<u64>,
    },
    /// The log has another block in the place of one that it signed for.
    Broken {
        /// The shard.
        shard: ShardId,
        /// The position.
        index: u64,
    },
}

/// The key under which a log signs receipts.
///
/// # Panics
/// Never: a key name with a suffix of letters is a key name.
#[must_use]
pub fn receipt_key(log: &VerifierKey) -> VerifierKey {
    let name = format!("{}{KEY_SUFFIX}", log.name());
    VerifierKey::new(&name, *log.public_key()).expect("the name of a key, with letters behind it")
}

/// Signs with the log's key under the name for receipts.
struct ReceiptSigner<'a> {
    log: &'a dyn NoteSigner,
    name: String,
}

impl NoteSigner for ReceiptSigner<'_> {
    fn name(&self) -> &str {
        &self.name
    }

    fn public_key(&self) -> [u8; 32] {
        self.log.public_key()
    }

    fn sign(&self, message: &[u8]) -> moneta_merkle::Result<[u8; SIGNATURE_BYTES]> {
        self.log.sign(message)
    }
}

impl SignedReceipt {
    /// Signs the receipt with the key of the log; returns the note.
    ///
    /// # Errors
    /// [`ReceiptError::TooLong`]; [`ReceiptError::Signer`].
    pub fn sign(&self, log: &dyn NoteSigner) -> Result<String, ReceiptError> {
        if self.blocks.len() > RECEIPT_BLOCKS_MAX {
            return Err(ReceiptError::TooLong(self.blocks.len()));
        }
        let signer = ReceiptSigner { log, name: format!("{}{KEY_SUFFIX}", log.name()) };
        let note = SignedNote::sign(&self.text(), &signer).map_err(ReceiptError::Signer)?;
        Ok(note.encode())
    }

    /// Reads a receipt and checks that the log with this key signed it.
    ///
    /// # Errors
    /// [`ReceiptError::Signature`] for what the log did not sign; [`ReceiptError::Malformed`] for another text.
    pub fn open(note: &[u8], log: &VerifierKey) -> Result<Self, ReceiptError> {
        let note = SignedNote::parse(note).map_err(ReceiptError::Signature)?;
        note.verify(&[receipt_key(log)]).map_err(ReceiptError::Signature)?;
        Self::parse(note.text())
    }

    fn text(&self) -> String {
        let mut out = format!("{RECEIPT_LINE}\norigin {}\nstored {}\n", self.origin, self.stored_at.as_nanos());
        if let Some(sender) = &self.sender {
            let producer = escaped(&sender.producer);
            out.push_str(&format!("sender {:032x} {} {producer}\n", sender.epoch, sender.sequence));
        }
        for block in &self.blocks {
            let ReceiptBlock { shard, index, first_seq, num_rows, from, to, leaf } = block;
            let leaf = leaf.to_base64();
            out.push_str(&format!("block {shard} {index} {first_seq} {num_rows} {from} {to} {leaf}\n"));
        }
        out
    }

    fn parse(text: &str) -> Result<Self, ReceiptError> {
        let mut lines = text.split_terminator('\n').peekable();
        if lines.next() != Some(RECEIPT_LINE) {
            return Err(ReceiptError::Malformed("the first line is another"));
        }
        let origin = field(lines.next(), "origin ")?.to_owned();
        let stored = number(field(lines.next(), "stored ")?)?;
        let stored_at = i64::try_from(stored).map_err(|_| ReceiptError::Malformed("a time beyond all years"))?;
        let sender = lines.next_if(|line| line.starts_with("sender ")).map(parse_sender).transpose()?;
        let blocks = lines.map(parse_block).collect::<Result<Vec<_>, _>>()?;
        let receipt = Self { origin, stored_at: Timestamp::from_nanos(stored_at), sender, blocks };
        // One spelling only: what is signed twice must be the same bytes.
        match receipt.text() == text {
            true => Ok(receipt),
            false => Err(ReceiptError::Malformed("it is not written in the one form it has")),
        }
    }

    /// Checks the proof: every block of the receipt is in its place, under a root checkpoint that `log` signed.
    ///
    /// # Errors
    /// [`ReceiptError::Proof`] for a block proof that does not hold; [`ReceiptError::Malformed`] when it proves other
    /// blocks than those of the receipt.
    pub fn check(&self, proof: &ReceiptProof, log: &VerifierKey) -> Result<ReceiptVerdict, ReceiptError> {
        if proof.blocks.len() != self.blocks.len() {
            return Err(ReceiptError::Malformed("the proof is of another receipt: it has another number of blocks"));
        }
        let mut root_size = None;
        for (block, (leaf, proof)) in self.blocks.iter().zip(&proof.blocks) {
            let ReceiptBlock { shard, index, .. } = block;
            if (&proof.shard, proof.index) != (shard, *index) {
                return Err(ReceiptError::Malformed("the proof is of another receipt: it proves another block"));
            }
            let proven = proof
                .verify_leaf(leaf, &self.origin, std::slice::from_ref(log))
                .map_err(|source| ReceiptError::Proof { shard: shard.clone(), index: *index, source })?;
            if *leaf != block.leaf {
                return Ok(ReceiptVerdict::Broken { shard: shard.clone(), index: *index });
            }
            let size = proven.checkpoint.size;
            root_size = Some(root_size.map_or(size, |smallest: u64| smallest.min(size)));
        }
        Ok(ReceiptVerdict::Kept { root_size })
    }
}

/// The leaves that a log has in the places which a receipt names, each with its proof.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReceiptProof {
    /// In the receipt's order.
    pub blocks: Vec<(Hash, BlockProof)>,
}

impl ReceiptProof {
    /// Writes the proof file.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = format!("{PROOF_LINE}\n");
        for (leaf, block) in &self.blocks {
            let proof = block.encode();
            out.push_str(&format!("leaf {}\nproof {}\n{proof}", leaf.to_base64(), proof.len()));
        }
        out
    }

    /// Reads a proof file.
    ///
    /// # Errors
    /// [`ReceiptError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, ReceiptError> {
        let mut rest = text
            .strip_prefix(PROOF_LINE)
            .and_then(|rest| rest.strip_prefix('\n'))
            .ok_or(ReceiptError::Malformed("the first line of the proof is another"))?;
        let mut proof = Self::default();
        while !rest.is_empty() {
            if proof.blocks.len() == RECEIPT_BLOCKS_MAX {
                return Err(ReceiptError::Malformed("the proof has too many blocks"));
            }
            let leaf = parse_leaf(field(take_line(&mut rest), "leaf ")?)?;
            let length = number(field(take_line(&mut rest), "proof ")?)?;
            let (block, after) = usize::try_from(length)
                .ok()
                .and_then(|length| rest.split_at_checked(length))
                .ok_or(ReceiptError::Malformed("a block proof is shorter than it says"))?;
            let block = BlockProof::parse(block).map_err(|_| ReceiptError::Malformed("it holds no block proof"))?;
            proof.blocks.push((leaf, block));
            rest = after;
        }
        Ok(proof)
    }
}

fn parse_sender(line: &str) -> Result<ReceiptSender, ReceiptError> {
    let malformed = ReceiptError::Malformed("the line of the sender");
    let mut parts = field(Some(line), "sender ")?.splitn(3, ' ');
    let (Some(epoch), Some(sequence), Some(producer)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(malformed);
    };
    let epoch = u128::from_be_bytes(hex_array(epoch).ok_or(malformed)?);
    Ok(ReceiptSender { producer: unescaped(producer)?, epoch, sequence: number(sequence)? })
}

fn parse_block(line: &str) -> Result<ReceiptBlock, ReceiptError> {
    let parts: Vec<&str> = field(Some(line), "block ")?.split(' ').collect();
    let [shard, index, first_seq, num_rows, from, to, leaf] = parts[..] else {
        return Err(ReceiptError::Malformed("the line of a block has not seven parts"));
    };
    let block = ReceiptBlock {
        shard: ShardId::parse(shard).ok_or(ReceiptError::Malformed("the line of a block names no shard"))?,
        index: number(index)?,
        first_seq: number(first_seq)?,
        num_rows: number(num_rows)?.try_into().map_err(|_| ReceiptError::Malformed("a block has too many rows"))?,
        from: number(from)?,
        to: number(to)?,
        leaf: parse_leaf(leaf)?,
    };
    let end = block.first_seq.checked_add(u64::from(block.num_rows));
    match block.first_seq <= block.from && block.from < block.to && end.is_some_and(|end| block.to <= end) {
        true => Ok(block),
        false => Err(ReceiptError::Malformed("the rows of a block lie outside it")),
    }
}

fn parse_leaf(text: &str) -> Result<Hash, ReceiptError> {
    base64_decode(text).and_then(|bytes| Hash::from_slice(&bytes)).ok_or(ReceiptError::Malformed("a leaf is no hash"))
}

fn number(text: &str) -> Result<u64, ReceiptError> {
    decimal(text).ok_or(ReceiptError::Malformed("a number is not one"))
}

fn field<'text>(line: Option<&'text str>, name: &str) -> Result<&'text str, ReceiptError> {
    line.and_then(|line| line.strip_prefix(name))
        .ok_or(ReceiptError::Malformed("a line has another name or is missing"))
}

fn take_line<'text>(rest: &mut &'text str) -> Option<&'text str> {
    let (line, after) = rest.split_once('\n')?;
    *rest = after;
    Some(line)
}

/// A note takes no control characters.
fn escaped(producer: &str) -> String {
    let mut out = String::with_capacity(producer.len());
    for character in producer.chars() {
        match character {
            '\0'..='\x1f' | '%' | '\x7f' => out.push_str(&format!("%{:02x}", u32::from(character))),
            other => out.push(other),
        }
    }
    out
}

fn unescaped(text: &str) -> Result<String, ReceiptError> {
    let malformed = ReceiptError::Malformed("the name of the producer");
    let mut parts = text.split('%');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let Some((digits, rest)) = part.split_at_checked(2) else { return Err(malformed) };
        let Some([byte]) = hex_array::<1>(digits) else { return Err(malformed) };
        out.push(char::from(byte));
        out.push_str(rest);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt() -> SignedReceipt {
        let block = |index: u64, from, to| ReceiptBlock {
            shard: ShardId::parse("Syslog/2026-01-02").unwrap(),
            index,
            first_seq: 40 * index,
            num_rows: 40,
            from,
            to,
            leaf: leaf_hash(&index.to_be_bytes()),
        };
        SignedReceipt {
            origin: "moneta.internal/1".to_owned(),
            stored_at: Timestamp::from_nanos(1_767_323_045_000_000_100),
            sender: Some(ReceiptSender { producer: "api/key/a 100%\nb".to_owned(), epoch: 7, sequence: 3 }),
            blocks: vec![block(2, 110, 120), block(3, 120, 123)],
        }
    }

    #[test]
    fn a_receipt_survives_its_text_whatever_the_producer_is_called() {
        let whole = receipt();
        assert_eq!(SignedReceipt::parse(&whole.text()).unwrap(), whole);
        assert!(whole.text().contains("sender 00000000000000000000000000000007 3 api/key/a 100%25%0ab\n"));
        let bare = SignedReceipt { sender: None, blocks: Vec::new(), ..whole };
        assert_eq!(SignedReceipt::parse(&bare.text()).unwrap(), bare);
    }

    #[test]
    fn a_receipt_has_one_spelling() {
        let text = receipt().text();
        for (from, to) in [
            ("receipt@1", "receipt@2"),
            ("stored 1", "stored 01"),
            ("%0ab", "%0Ab"),
            ("%25", "%"),
            ("100%25", "%3100%25"),
            ("0007 3", "0007  3"),
            ("block ", "blocks "),
            (" 110 120 ", " 120 110 "),
            (" 110 120 ", " 110 121 "),
            (" 110 120 ", " 79 120 "),
        ] {
            let changed = text.replace(from, to);
            assert!(changed != text && SignedReceipt::parse(&changed).is_err(), "{from:?} to {to:?}");
        }
        assert!(SignedReceipt::parse(&format!("{text}\n")).is_err() && SignedReceipt::parse(text.trim_end()).is_err());
    }

    #[test]
    fn only_the_rows_that_were_sent_are_named() {
        let block = &receipt().blocks[0];
        let header = BlockHeader {
            tenant: moneta_base::TenantId::from_random([7; 16]),
            shard: block.shard.clone(),
            shard_index: 2,
            first_seq: 80,
            num_rows: 40,
            ingest_time: Timestamp::from_seconds(1_767_323_045),
            event_time_min: Timestamp::default(),
            event_time_max: Timestamp::default(),
            record_root: Hash([1; 32]),
            schema_id: Hash([2; 32]),
            token_key: 1,
            delivery: [40, 0, 0],
            previous: Hash([3; 32]),
        };
        let of = |start, end| ReceiptBlock::of(&header, start, end).map(|block| (block.from, block.to));
        assert_eq!(of(110, 130), Some((110, 120)));
        assert_eq!(of(0, 81), Some((80, 81)));
        assert_eq!((of(0, 80), of(120, 130)), (None, None));
    }
}

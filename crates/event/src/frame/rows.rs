//! The rows of a block as bytes: an Arrow IPC stream (a schema and one batch), compressed as a whole.
//!
//! ```text
//! plain_len   u32  length of the Arrow IPC stream, at most 256 MiB
//! stored_len  u32
//! checksum    u32  CRC32C of plain_len (4 bytes) and of the stored bytes
//! stored      stored_len bytes: one zstd frame that decompresses to plain_len bytes
//! ```
//! One zstd frame over the stream rather than Arrow's compression per buffer: the columns of a row and its original
//! text repeat each other, which only compression across buffers sees.

use std::io::Cursor;

use arrow::array::RecordBatch;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;

use super::FrameError;
use super::wire::Reader;

/// Bytes of one block's Arrow form at most: what is decompressed from a file must be bounded.
const PLAIN_BYTES_MAX: usize = 256 << 20;

/// zstd's fastest ordinary level: the journal is read once after a crash at most, and deleted after sealing.
const ZSTD_LEVEL: i32 = 1;

/// Appends the rows.
///
/// # Errors
/// [`FrameError::TooLarge`] when they are larger than a block may be.
pub(super) fn encode(rows: &RecordBatch, out: &mut Vec<u8>) -> Result<(), FrameError> {
    let plain = to_ipc(rows).map_err(|_| FrameError::Malformed("rows that Arrow cannot write"))?;
    let too_large = FrameError::TooLarge { bytes: plain.len() };
    let plain_len = u32::try_from(plain.len()).ok().filter(|_| plain.len() <= PLAIN_BYTES_MAX).ok_or(too_large)?;
    let stored = zstd::bulk::compress(&plain, ZSTD_LEVEL)
        .map_err(|_| FrameError::Malformed("rows that cannot be compressed"))?;
    let stored_len = u32::try_from(stored.len()).map_err(|_| FrameError::TooLarge { bytes: stored.len() })?;
    let plain_len = plain_len.to_le_bytes();
    out.extend_from_slice(&plain_len);
    out.extend_from_slice(&stored_len.to_le_bytes());
    out.extend_from_slice(&crc32c::crc32c_append(crc32c::crc32c(&plain_len), &stored).to_le_bytes());
    out.extend_from_slice(&stored);
    Ok(())
}

/// Reads the rows.
pub(super) fn decode(input: &mut Reader<'_>) -> Result<RecordBatch, FrameError> {
    let (plain_len, stored_len, checksum) = (input.u32()?, input.u32()?, input.u32()?);
    let stored = input.take(stored_len as usize)?;
    if crc32c::crc32c_append(crc32c::crc32c(&plain_len.to_le_bytes()), stored) != checksum {
        return Err(FrameError::Checksum("rows"));
    }
    if plain_len as usize > PLAIN_BYTES_MAX {
        return Err(FrameError::Malformed("length of the rows"));
    }
    let plain = zstd::bulk::decompress(stored, plain_len as usize)
        .ok()
        .filter(|plain| plain.len() == plain_len as usize)
        .ok_or(FrameError::Malformed("compressed rows"))?;
    from_ipc(&plain).ok_or(FrameError::Malformed("rows"))
}

fn to_ipc(rows: &RecordBatch) -> Result<Vec<u8>, arrow::error::ArrowError> {
    let mut writer = StreamWriter::try_new(Vec::with_capacity(4096), &rows.schema())?;
    writer.write(rows)?;
    writer.into_inner()
}

/// Exactly one batch; arrays are validated, because the bytes may come from anywhere.
fn from_ipc(plain: &[u8]) -> Option<RecordBatch> {
    let mut reader = StreamReader::try_new(Cursor::new(plain), None).ok()?;
    let rows = reader.next()?.ok()?;
    reader.next().is_none().then_some(rows)
}

//! What the records of a batch are packed with.

use std::io::Read;

use flate2::read::MultiGzDecoder;

/// Bytes that the records of one batch unpack to at most: brokers take batches of 1 MiB unless told otherwise.
pub(crate) const UNPACKED_BYTES_MAX: usize = 128 << 20;
/// How the blocks of Snappy begin where Java wrote them: a name, a version and the oldest one it goes with.
const XERIAL: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const XERIAL_HEAD_BYTES: usize = 16;

/// The records of a batch, unpacked. `codec`: the lowest three bits of the batch's attributes.
pub(crate) fn unpack(codec: i16, packed: &[u8]) -> Result<Vec<u8>, &'static str> {
    match codec {
        1 => read_all(MultiGzDecoder::new(packed), "the records are no gzip, or unpack to more than 128 MiB"),
        2 => unpack_snappy(packed),
        3 => {
            let decoder = lz4_flex::frame::FrameDecoder::new(packed);
            read_all(decoder, "the records are no LZ4, or unpack to more than 128 MiB")
        }
        4 => {
            const WRONG: &str = "the records are no Zstandard, or unpack to more than 128 MiB";
            read_all(zstd::stream::read::Decoder::new(packed).map_err(|_| WRONG)?, WRONG)
        }
        _ => Err("the records are packed in a way that is not known"),
    }
}

fn read_all(reader: impl Read, wrong: &'static str) -> Result<Vec<u8>, &'static str> {
    let mut unpacked = Vec::new();
    let read = reader.take(UNPACKED_BYTES_MAX as u64 + 1).read_to_end(&mut unpacked).map_err(|_| wrong)?;
    if read > UNPACKED_BYTES_MAX { Err(wrong) } else { Ok(unpacked) }
}

/// One block of Snappy, or several behind the head that Java's library writes.
fn unpack_snappy(packed: &[u8]) -> Result<Vec<u8>, &'static str> {
    if !packed.starts_with(&XERIAL) {
        let mut unpacked = Vec::new();
        unpack_block(packed, &mut unpacked)?;
        return Ok(unpacked);
    }
    let mut rest = packed.get(XERIAL_HEAD_BYTES..).unwrap_or_default();
    let mut unpacked = Vec::new();
    while let Some((length, behind)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let (block, behind) = behind.split_at_checked(length).ok_or("a block of Snappy ends too early")?;
        unpack_block(block, &mut unpacked)?;
        rest = behind;
    }
    if rest.is_empty() { Ok(unpacked) } else { Err("a block of Snappy ends too early") }
}

fn unpack_block(block: &[u8], unpacked: &mut Vec<u8>) -> Result<(), &'static str> {
    const WRONG: &str = "the records are no Snappy, or unpack to more than 128 MiB";
    let begin = unpacked.len();
    let end = snap::raw::decompress_len(block).ok().and_then(|length| begin.checked_add(length));
    let end = end.filter(|end| *end <= UNPACKED_BYTES_MAX).ok_or(WRONG)?;
    unpacked.resize(end, 0);
    let written = snap::raw::Decoder::new().decompress(block, &mut unpacked[begin..]).map_err(|_| WRONG)?;
    unpacked.truncate(begin + written);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn what_each_codec_packs_is_unpacked() {
        let text = b"abcabcabc".repeat(100);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(&text).unwrap();
        assert_eq!(unpack(1, &gzip.finish().unwrap()).unwrap(), text);

        let block = snap::raw::Encoder::new().compress_vec(&text).unwrap();
        assert_eq!(unpack(2, &block).unwrap(), text);
        let mut xerial = [&XERIAL[..], &[0, 0, 0, 1, 0, 0, 0, 1]].concat();
        for _ in 0..2 {
            xerial.extend(u32::try_from(block.len()).unwrap().to_be_bytes());
            xerial.extend(&block);
        }
        assert_eq!(unpack(2, &xerial).unwrap(), text.repeat(2));
        xerial.pop();
        assert!(unpack(2, &xerial).is_err());

        let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
        lz4.write_all(&text).unwrap();
        assert_eq!(unpack(3, &lz4.finish().unwrap()).unwrap(), text);
        assert_eq!(unpack(4, &zstd::encode_all(&text[..], 1).unwrap()).unwrap(), text);
        assert!(unpack(5, &text).is_err());
    }

    #[test]
    fn a_bomb_is_refused_and_noise_too() {
        let zeros = vec![0; UNPACKED_BYTES_MAX + 1];
        let bomb = zstd::encode_all(&zeros[..], 1).unwrap();
        assert!(bomb.len() < 1 << 20);
        assert!(unpack(4, &bomb).unwrap_err().contains("128 MiB"));
        for codec in 1..5 {
            assert!(unpack(codec, b"\xff\xff\xff\xff\xff\xff noise").is_err(), "{codec}");
        }
    }
}

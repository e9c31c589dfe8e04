//! The types of the protocol: numbers big-endian, texts and lists with their length before them.

use crate::Error;

/// Takes values from the front of an answer. No length is believed before it was compared with what is left.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

const SHORT: Error = Error::NotKafka("an answer ends too early");

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(SHORT)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(SHORT)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(crate) fn i8(&mut self) -> Result<i8, Error> {
        self.array().map(i8::from_be_bytes)
    }

    pub(crate) fn i16(&mut self) -> Result<i16, Error> {
        self.array().map(i16::from_be_bytes)
    }

    pub(crate) fn i32(&mut self) -> Result<i32, Error> {
        self.array().map(i32::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, Error> {
        self.array().map(i64::from_be_bytes)
    }

    /// A text that may be absent.
    pub(crate) fn text(&mut self) -> Result<Option<String>, Error> {
        let Ok(length) = usize::try_from(self.i16()?) else { return Ok(None) };
        let bytes = self.take(length)?;
        Ok(Some(String::from_utf8_lossy(bytes).into_owned()))
    }

    /// A text that must be there.
    pub(crate) fn name(&mut self) -> Result<String, Error> {
        self.text()?.ok_or(Error::NotKafka("a name is absent"))
    }

    /// Bytes that may be absent.
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Error> {
        usize::try_from(self.i32()?).map_or(Ok(&[][..]), |length| self.take(length))
    }

    /// A list whose items have at least so many bytes each.
    pub(crate) fn list<T>(
        &mut self,
        item_bytes_min: usize,
        mut item: impl FnMut(&mut Self) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let count = usize::try_from(self.i32()?).unwrap_or(0);
        if count.saturating_mul(item_bytes_min) > self.0.len() {
            return Err(SHORT);
        }
        (0..count).map(|_| item(self)).collect()
    }

    /// A number of variable length, with the sign in its lowest bit.
    pub(crate) fn varlong(&mut self) -> Result<i64, Error> {
        let mut bits = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.array::<1>()?[0];
            bits |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((bits >> 1).cast_signed() ^ -(bits & 1).cast_signed());
            }
        }
        Err(Error::NotKafka("a number does not end"))
    }

    /// As [`Self::varlong`] for a length or count; `None` for -1.
    pub(crate) fn varint_length(&mut self) -> Result<Option<usize>, Error> {
        match self.varlong()? {
            -1 => Ok(None),
            length => usize::try_from(length).map(Some).map_err(|_| Error::NotKafka("a length is negative")),
        }
    }

    /// Bytes behind their length of variable size.
    pub(crate) fn varint_bytes(&mut self) -> Result<Option<&'a [u8]>, Error> {
        self.varint_length()?.map(|length| self.take(length)).transpose()
    }
}

/// Writes values one after another.
#[derive(Debug, Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn i8(&mut self, value: i8) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    pub(crate) fn i16(&mut self, value: i16) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    pub(crate) fn i32(&mut self, value: i32) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    pub(crate) fn i64(&mut self, value: i64) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// A text, cut at what its length can say.
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        let bytes = &text.as_bytes()[..text.len().min(i16::MAX.unsigned_abs().into())];
        self.i16(i16::try_from(bytes.len()).unwrap_or(i16::MAX)).raw(bytes)
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.length(bytes.len()).raw(bytes)
    }

    /// A length or count.
    pub(crate) fn length(&mut self, length: usize) -> &mut Self {
        self.i32(i32::try_from(length).unwrap_or(i32::MAX))
    }

    pub(crate) fn varlong(&mut self, value: i64) -> &mut Self {
        let mut bits = ((value << 1) ^ (value >> 63)).cast_unsigned();
        while bits >= 0x80 {
            self.0.push(bits.to_le_bytes()[0] | 0x80);
            bits >>= 7;
        }
        self.0.push(bits.to_le_bytes()[0]);
        self
    }

    pub(crate) fn varint_bytes(&mut self, bytes: Option<&[u8]>) -> &mut Self {
        match bytes {
            None => self.varlong(-1),
            Some(bytes) => self.varlong(i64::try_from(bytes.len()).unwrap_or(i64::MAX)).raw(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_variable_length_come_back() {
        for value in [0, 1, -1, 63, 64, -64, -65, 300, i64::MAX, i64::MIN] {
            let mut written = Writer::default();
            written.varlong(value);
            let mut reader = Reader(&written.0);
            assert_eq!(reader.varlong().unwrap(), value);
            assert!(reader.0.is_empty());
        }
        assert!(Reader(&[0xff; 11]).varlong().is_err());
        assert!(Reader(&[0x80]).varlong().is_err());
    }

    #[test]
    fn lengths_beyond_what_is_there_are_refused_before_room_is_made_for_them() {
        let mut huge = Writer::default();
        huge.i32(i32::MAX).i32(0);
        assert!(Reader(&huge.0).list(4, Reader::i32).is_err());
        assert!(Reader(&huge.0).bytes().is_err());
        assert!(Reader(&[0x7f, 0xff, b'a']).text().is_err());
        assert_eq!(Reader(&[0xff, 0xff]).text().unwrap(), None);
    }
}

//! Reads the wire form of Protocol Buffers: fields by number, nothing copied.
//!
//! # Source
//! Protocol Buffers documentation, "Encoding". Groups, which no message here has, are refused.

use std::fmt;

/// One field's value as it stands on the wire.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

/// Bytes that are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body is not a protobuf message of the expected kind")
    }
}

/// The fields of a message in the order they were sent.
#[derive(Debug, Clone)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    fn field(&mut self) -> Result<(u32, Wire<'a>), Malformed> {
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).map_err(|_| Malformed)?;
        let value = match tag & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => Wire::Fixed64(u64::from_le_bytes(self.take(8)?.try_into().map_err(|_| Malformed)?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                Wire::Bytes(self.take(length)?)
            }
            5 => Wire::Fixed32(u32::from_le_bytes(self.take(4)?.try_into().map_err(|_| Malformed)?)),
            _ => return Err(Malformed),
        };
        if number == 0 { Err(Malformed) } else { Ok((number, value)) }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Wire<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

impl<'a> Wire<'a> {
    pub(crate) fn bytes(self) -> Result<&'a [u8], Malformed> {
        if let Self::Bytes(bytes) = self { Ok(bytes) } else { Err(Malformed) }
    }

    pub(crate) fn text(self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed)
    }

    /// A signed number, whichever of the plain forms it has.
    pub(crate) fn int(self) -> Result<i64, Malformed> {
        match self {
            Self::Varint(value) | Self::Fixed64(value) => Ok(i64::from_le_bytes(value.to_le_bytes())),
            Self::Fixed32(value) => Ok(i64::from(value)),
            Self::Bytes(_) => Err(Malformed),
        }
    }

    /// A message of two texts, a name (1) and a value (2).
    pub(crate) fn pair(self) -> Result<(&'a str, &'a str), Malformed> {
        let (mut name, mut value) = ("", "");
        for field in Fields::of(self.bytes()?) {
            match field? {
                (1, text) => name = text.text()?,
                (2, text) => value = text.text()?,
                _ => {}
            }
        }
        Ok((name, value))
    }

    pub(crate) fn double(self) -> Result<f64, Malformed> {
        if let Self::Fixed64(bits) = self { Ok(f64::from_bits(bits)) } else { Err(Malformed) }
    }
}

/// Numbers of varying width one after the other, without anything between.
pub(crate) fn varints(packed: &[u8]) -> Result<Vec<u64>, Malformed> {
    let (mut fields, mut all) = (Fields::of(packed), Vec::new());
    while !fields.rest.is_empty() {
        all.push(fields.varint()?);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_every_kind_are_read() {
        // The first is the documentation's own example: field 1 is 150.
        let message = [0x08, 0x96, 0x01, 0x12, 0x02, b'h', b'i', 0x19, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0x25, 1, 0, 0, 0];
        let fields: Vec<_> = Fields::of(&message).map(Result::unwrap).collect();
        assert_eq!(fields[0], (1, Wire::Varint(150)));
        assert_eq!(fields[1].1.text(), Ok("hi"));
        assert_eq!(fields[2].1.double(), Ok(1.0));
        assert_eq!(fields[3].1.int(), Ok(1));
        assert_eq!(Wire::Varint(u64::MAX).int(), Ok(-1));
    }

    #[test]
    fn no_bytes_make_it_panic_or_go_on_for_ever() {
        for bad in [&[0x08][..], &[0x08, 0x80], &[0x12, 0x05, 1], &[0x0b], &[0x00, 1], &[0x80; 11], &[0x19, 1]] {
            assert_eq!(Fields::of(bad).last(), Some(Err(Malformed)), "{bad:?}");
        }
        for seed in 0..2000_u32 {
            let byte = |n: u32| (seed.wrapping_mul(2_654_435_761) >> (n % 24)).to_le_bytes()[0];
            let bytes: Vec<u8> = (0..32).map(byte).collect();
            assert!(Fields::of(&bytes).count() <= bytes.len());
        }
    }
}

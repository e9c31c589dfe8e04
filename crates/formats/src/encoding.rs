//! Text in UTF-16, as SQL Server and PowerShell write it, made UTF-8 as it arrives.
//!
//! A byte order mark at the very beginning says which; without one text is UTF-8. What is no UTF-16 becomes the
//! replacement character. Positions of records are those of the text made.

/// The transcoder of one stream.
#[derive(Debug, Clone)]
pub(crate) struct Utf16 {
    is_little: bool,
    /// The first byte of a unit whose second has not arrived.
    odd: Option<u8>,
    /// The first unit of a pair whose second has not arrived.
    high: Option<u16>,
}

impl Utf16 {
    /// The transcoder that a byte order mark asks for.
    pub fn of_mark(bytes: &[u8]) -> Option<Self> {
        let is_little = match bytes.get(..2)? {
            [0xff, 0xfe] => true,
            [0xfe, 0xff] => false,
            _ => return None,
        };
        Some(Self { is_little, odd: None, high: None })
    }

    /// The next bytes as UTF-8.
    pub fn feed(&mut self, bytes: &[u8], text: &mut String) {
        for byte in bytes {
            let Some(first) = self.odd.take() else {
                self.odd = Some(*byte);
                continue;
            };
            let pair = [first, *byte];
            self.unit(if self.is_little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) }, text);
        }
    }

    fn unit(&mut self, unit: u16, text: &mut String) {
        if let Some(high) = self.high.take() {
            if let Some(Ok(character)) = char::decode_utf16([high, unit]).next() {
                text.push(character);
                return;
            }
            text.push(char::REPLACEMENT_CHARACTER);
        }
        match unit {
            0xd800..=0xdbff => self.high = Some(unit),
            _ => text.push(char::from_u32(u32::from(unit)).unwrap_or(char::REPLACEMENT_CHARACTER)),
        }
    }

    /// The end of the stream: what is unfinished is damaged.
    pub fn finish(&mut self, text: &mut String) {
        if self.odd.take().is_some() || self.high.take().is_some() {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
}

/// The text of a beginning in UTF-16; `None` when no mark says that it is.
pub(crate) fn decoded_head(head: &[u8]) -> Option<String> {
    let mut text = String::new();
    Utf16::of_mark(head)?.feed(head.get(2..)?, &mut text);
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_joined_across_pieces() {
        let bytes: Vec<u8> = "aä😀\n".encode_utf16().flat_map(u16::to_be_bytes).collect();
        let mut transcoder = Utf16::of_mark(&[0xfe, 0xff]).unwrap();
        let mut text = String::new();
        bytes.iter().for_each(|byte| transcoder.feed(std::slice::from_ref(byte), &mut text));
        transcoder.finish(&mut text);
        assert_eq!(text, "aä😀\n");
        assert!(Utf16::of_mark(b"ab").is_none());
    }

    #[test]
    fn damage_is_replaced() {
        let mut transcoder = Utf16::of_mark(&[0xff, 0xfe]).unwrap();
        let mut text = String::new();
        transcoder.feed(&[0x00, 0xd8, 0x41, 0x00, 0x42], &mut text);
        transcoder.finish(&mut text);
        assert_eq!(text, "\u{fffd}A\u{fffd}");
    }
}

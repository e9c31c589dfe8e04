//! Walks over JSON text without building values: a result is a part of the text.
//!
//! It trusts the text to be well formed and gives `None` where it notices that it is not. It never allocates and never
//! nests deeper than [`DEPTH_MAX`].

/// The greatest nesting that is followed; deeper text holds nothing.
pub const DEPTH_MAX: usize = 128;

/// A place in a JSON text. All methods give `None` at the end of the text or where it is damaged.
#[derive(Debug)]
pub struct JsonScanner<'a> {
    pub(crate) text: &'a str,
    pub(crate) at: usize,
}

impl<'a> JsonScanner<'a> {
    /// At the start of a text.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The next byte that is no white space, not taken.
    pub fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    /// The next byte that is no white space, taken.
    #[allow(clippy::should_implement_trait, reason = "bytes are peeked at too; it is no iterator")]
    pub fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    /// Takes the next byte if it is the wanted one.
    pub fn expect(&mut self, wanted: u8) -> Option<()> {
        (self.next()? == wanted).then_some(())
    }

    /// A string literal, quotes included.
    pub fn string(&mut self) -> Option<&'a str> {
        if self.peek()? != b'"' {
            return None;
        }
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut at = start + 1;
        loop {
            at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
            if bytes[at] == b'"' {
                break;
            }
            at += 2;
        }
        self.at = at + 1;
        self.text.get(start..self.at)
    }

    /// Any value, skipped over; `depth` is how deep it lies already.
    pub fn value(&mut self, depth: usize) -> Option<&'a str> {
        if depth > DEPTH_MAX {
            return None;
        }
        let first = self.peek()?;
        let start = self.at;
        match first {
            b'"' => return self.string(),
            b'{' | b'[' => {
                self.at += 1;
                self.container(first == b'{', depth)?;
            }
            _ => {
                let rest = &self.text.as_bytes()[self.at..];
                let len = rest
                    .iter()
                    .position(|b| matches!(b, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r' | b':'))
                    .unwrap_or(rest.len());
                if len == 0 {
                    return None;
                }
                self.at += len;
            }
        }
        self.text.get(start..self.at)
    }

    /// The rest of an object or array after its opening bracket.
    fn container(&mut self, is_object: bool, depth: usize) -> Option<()> {
        let close = if is_object { b'}' } else { b']' };
        if self.peek()? == close {
            self.at += 1;
            return Some(());
        }
        loop {
            if is_object {
                self.string()?;
                self.expect(b':')?;
            }
            self.value(depth + 1)?;
            match self.next()? {
                b',' => {}
                byte if byte == close => return Some(()),
                _ => return None,
            }
        }
    }
}

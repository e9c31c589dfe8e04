//! Cuts a TCP byte stream into syslog messages: newline and octet-count framing, told apart per message.
//!
//! Layout: a message is either `MSG-LEN SP MSG` (1 to 7 digits, no leading zero; RFC 6587 section 3.4.1, RFC 5425) or
//! text up to LF (section 3.4.2). A frame that begins with a digit from 1 to 9 counts octets; anything else, and digits
//! not followed by a blank, ends at LF. One LF, or CR LF, at the end of a counted message is stripped: some senders
//! count it. NUL and empty frames between messages are skipped.
//!
//! Pure: no socket is touched, and no more than one message is held.

use moneta_base::limits::RECORD_BYTES_MAX;

use crate::lines::BUFFER_BYTES_KEPT;

/// Digits of a message length at most: longer ones exceed every limit, so the frame is taken as text.
const LENGTH_DIGITS_MAX: usize = 7;

/// One message as framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A message without its framing.
    Message(&'a [u8]),
    /// A message beyond the size limit: its beginning and its whole length. The stream stays in step.
    TooLong {
        /// The first bytes.
        head: &'a [u8],
        /// Bytes of the whole message.
        length: u64,
    },
}

/// The framing state of one connection.
#[derive(Debug)]
pub struct FrameDecoder {
    message_bytes_max: usize,
    /// What is kept of the unfinished frame, count included while it is not decided.
    partial: Vec<u8>,
    state: State,
    /// Bytes of the current message that were not kept.
    dropped: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first byte of a frame, or within its count.
    Start,
    /// Within a text frame.
    Line,
    /// Within a counted message of which so many bytes are to come.
    Counted(usize),
}

impl FrameDecoder {
    /// A decoder that passes messages up to `message_bytes_max` bytes, at most [`RECORD_BYTES_MAX`].
    #[must_use]
    pub fn new(message_bytes_max: usize) -> Self {
        Self {
            message_bytes_max: message_bytes_max.clamp(1, RECORD_BYTES_MAX),
            partial: Vec::new(),
            state: State::Start,
            dropped: 0,
        }
    }

    /// Takes the next bytes of the connection and hands on each message they complete.
    pub fn feed(&mut self, mut bytes: &[u8], mut on_frame: impl FnMut(Frame<'_>)) {
        while !bytes.is_empty() {
            bytes = match self.state {
                State::Start => self.start(bytes),
                State::Line => self.line(bytes, &mut on_frame),
                State::Counted(left) => self.counted(bytes, left, &mut on_frame),
            };
        }
    }

    /// Hands on what the peer left unfinished when it closed: an unterminated text message is a message; a counted
    /// one that lacks bytes is handed on as far as it came, because the sender will not repeat it.
    pub fn finish(&mut self, mut on_frame: impl FnMut(Frame<'_>)) {
        if !self.partial.is_empty() || self.dropped > 0 {
            self.deliver(&mut on_frame);
        }
        self.state = State::Start;
    }

    /// Whether no message is half received.
    #[must_use]
    pub fn is_between_messages(&self) -> bool {
        self.state == State::Start && self.partial.is_empty()
    }

    /// Reads the count of a frame, or finds that it has none.
    fn start<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let byte = bytes[0];
        match byte {
            b'\n' | b'\r' | 0 if self.partial.is_empty() => &bytes[1..],
            b'1'..=b'9' if self.partial.is_empty() => self.push_digit(bytes),
            b'0'..=b'9' if !self.partial.is_empty() && self.partial.len() < LENGTH_DIGITS_MAX => self.push_digit(bytes),
            b' ' if !self.partial.is_empty() => {
                let count = self.partial.iter().fold(0usize, |sum, digit| sum * 10 + usize::from(digit - b'0'));
                self.partial.clear();
                self.state = State::Counted(count);
                &bytes[1..]
            }
            // Not a count after all: the digits belong to the text.
            _ => {
                self.state = State::Line;
                bytes
            }
        }
    }

    fn push_digit<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        self.partial.push(bytes[0]);
        &bytes[1..]
    }

    fn line<'b>(&mut self, bytes: &'b [u8], on_frame: &mut impl FnMut(Frame<'_>)) -> &'b [u8] {
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            self.keep(bytes);
            return &[];
        };
        let fits = end <= self.message_bytes_max;
        if self.partial.is_empty() && self.dropped == 0 && fits {
            on_frame(Frame::Message(without_end(&bytes[..end])));
            self.state = State::Start;
        } else {
            self.keep(&bytes[..end]);
            self.deliver(on_frame);
        }
        &bytes[end + 1..]
    }

    fn counted<'b>(&mut self, bytes: &'b [u8], left: usize, on_frame: &mut impl FnMut(Frame<'_>)) -> &'b [u8] {
        let (now, rest) = bytes.split_at(left.min(bytes.len()));
        self.keep(now);
        if now.len() == left {
            self.deliver(on_frame);
        } else {
            self.state = State::Counted(left - now.len());
        }
        rest
    }

    fn keep(&mut self, bytes: &[u8]) {
        // Two more for a CR LF that does not count.
        let room = (self.message_bytes_max + 2).saturating_sub(self.partial.len());
        let kept = bytes.len().min(room);
        self.partial.extend_from_slice(&bytes[..kept]);
        self.dropped += (bytes.len() - kept) as u64;
    }

    fn deliver(&mut self, on_frame: &mut impl FnMut(Frame<'_>)) {
        let message = without_end(&self.partial);
        if self.dropped > 0 || message.len() > self.message_bytes_max {
            let length = self.partial.len() as u64 + self.dropped;
            on_frame(Frame::TooLong { head: &self.partial, length });
        } else if !message.is_empty() {
            on_frame(Frame::Message(message));
        }
        self.partial.clear();
        self.partial.shrink_to(BUFFER_BYTES_KEPT);
        self.dropped = 0;
        self.state = State::Start;
    }
}

fn without_end(message: &[u8]) -> &[u8] {
    let message = message.strip_suffix(b"\n").unwrap_or(message);
    message.strip_suffix(b"\r").unwrap_or(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(pieces: &[&[u8]], bytes_max: usize) -> Vec<String> {
        let mut decoder = FrameDecoder::new(bytes_max);
        let mut found = Vec::new();
        let mut push = |frame: Frame<'_>| {
            found.push(match frame {
                Frame::Message(message) => String::from_utf8_lossy(message).into_owned(),
                Frame::TooLong { length, .. } => format!("too long: {length}"),
            });
        };
        pieces.iter().for_each(|piece| decoder.feed(piece, &mut push));
        decoder.finish(&mut push);
        assert!(decoder.is_between_messages());
        found
    }

    /// Whole and byte by byte, the frames must be the same.
    fn check(stream: &[u8], expected: &[&str]) {
        assert_eq!(frames(&[stream], 100), expected);
        let single: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(frames(&single, 100), expected);
    }

    #[test]
    fn framing_is_told_apart_for_each_message() {
        check(b"<1>a\n<2>b\r\n", &["<1>a", "<2>b"]);
        check(b"4 <1>a4 <2>b", &["<1>a", "<2>b"]);
        check(b"4 <1>a<2>b\n4 <3>c", &["<1>a", "<2>b", "<3>c"]);
        check(b"6 <1>a\nb5 <2>c\n", &["<1>a\nb", "<2>c"]);
    }

    #[test]
    fn digits_without_a_blank_are_text() {
        check(b"2026-01-02 x\n12345678 y\n0 z\n7", &["2026-01-02 x", "12345678 y", "0 z", "7"]);
    }

    #[test]
    fn nothing_between_messages_is_a_message() {
        check(b"\n\r\n\0\0<1>a\n\n", &["<1>a"]);
        check(b"0\n", &["0"]);
        check(b"", &[]);
    }

    #[test]
    fn a_long_message_is_cut_and_the_stream_stays_in_step() {
        let line = [vec![b'x'; 500], b"\n<1>a\n".to_vec()].concat();
        check(&line, &["too long: 500", "<1>a"]);
        let counted = [b"500 ".to_vec(), vec![b'x'; 500], b"4 <1>a".to_vec()].concat();
        check(&counted, &["too long: 500", "<1>a"]);
        let exact = [vec![b'x'; 100], b"\r\n".to_vec()].concat();
        assert_eq!(frames(&[&exact], 100)[0].len(), 100);
    }

    #[test]
    fn a_connection_that_closes_in_a_message_leaves_what_came() {
        check(b"10 <1>abc", &["<1>abc"]);
        check(b"<1>unterminated", &["<1>unterminated"]);
    }
}

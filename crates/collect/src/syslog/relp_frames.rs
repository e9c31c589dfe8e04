//! Frames of RELP.
//!
//! Layout: `TRANSACTION SP COMMAND SP LENGTH [SP DATA] LF`; the transaction is a number of up to nine digits, the command
//! up to 32 letters, the length counts the bytes of the data (up to nine digits), and without data its blank is left out.
//!
//! Pure: no socket is touched, and no more than one message is held.

/// Bytes of the part before the data at most: numbers, command, blanks.
const HEAD_BYTES_MAX: usize = 9 + 1 + 32 + 1 + 9;
const DIGITS_MAX: usize = 9;

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Frame {
    Command {
        transaction: u32,
        command: String,
        data: Vec<u8>,
    },
    /// Data beyond the limit: its beginning and whole length.
    TooLong {
        transaction: u32,
        head: Vec<u8>,
        length: u64,
    },
}

/// The framing state of one connection.
#[derive(Debug)]
pub(super) struct FrameReader {
    data_bytes_max: usize,
    state: State,
    head: Vec<u8>,
    data: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Head,
    /// So many bytes of data are to come.
    Data {
        transaction: u32,
        command: String,
        length: usize,
        left: usize,
    },
    /// The line feed is to come.
    Trailer {
        transaction: u32,
        command: String,
        length: usize,
    },
    /// What came is no frame; nothing behind it can be one.
    Broken,
}

impl FrameReader {
    /// A reader that passes data up to `data_bytes_max` bytes.
    pub fn new(data_bytes_max: usize) -> Self {
        Self { data_bytes_max, state: State::Head, head: Vec::new(), data: Vec::new() }
    }

    /// Takes the next bytes and adds the frames they complete.
    ///
    /// # Errors
    /// What breaks the protocol; frames before it were added.
    pub fn feed(&mut self, mut bytes: &[u8], frames: &mut Vec<Frame>) -> Result<(), &'static str> {
        while let Some(first) = bytes.first() {
            match std::mem::replace(&mut self.state, State::Broken) {
                State::Head => {
                    bytes = &bytes[1..];
                    self.state = self.head_byte(*first)?;
                    if *first == b'\n' {
                        self.end_frame(frames);
                    }
                }
                State::Data { transaction, command, length, left } => {
                    let (now, rest) = bytes.split_at(left.min(bytes.len()));
                    bytes = rest;
                    let room = self.data_bytes_max.saturating_sub(self.data.len());
                    self.data.extend_from_slice(&now[..now.len().min(room)]);
                    self.state = match left - now.len() {
                        0 => State::Trailer { transaction, command, length },
                        left => State::Data { transaction, command, length, left },
                    };
                }
                State::Trailer { transaction, command, length } => {
                    if *first != b'\n' {
                        return Err("data is not followed by a line feed");
                    }
                    bytes = &bytes[1..];
                    self.state = State::Trailer { transaction, command, length };
                    self.end_frame(frames);
                }
                State::Broken => return Err("the connection is out of step"),
            }
        }
        Ok(())
    }

    /// Takes a byte of the head; the state behind it.
    fn head_byte(&mut self, byte: u8) -> Result<State, &'static str> {
        let blanks = self.head.iter().filter(|b| **b == b' ').count();
        let ends = byte == b'\n' || (byte == b' ' && blanks == 2);
        if !ends {
            if self.head.len() >= HEAD_BYTES_MAX {
                return Err("the head of a frame is too long");
            }
            self.head.push(byte);
            return Ok(State::Head);
        }
        let (transaction, command, length) = parse_head(&std::mem::take(&mut self.head))?;
        match (byte, length) {
            (b'\n', 0) | (b' ', 0) => Ok(State::Trailer { transaction, command, length: 0 }),
            (b' ', left) => Ok(State::Data { transaction, command, length, left }),
            _ => Err("a frame ends before its data"),
        }
    }

    fn end_frame(&mut self, frames: &mut Vec<Frame>) {
        if let State::Trailer { transaction, command, length } = std::mem::replace(&mut self.state, State::Head) {
            let data = std::mem::take(&mut self.data);
            frames.push(if length > data.len() {
                Frame::TooLong { transaction, head: data, length: length as u64 }
            } else {
                Frame::Command { transaction, command, data }
            });
        }
    }
}

fn parse_head(head: &[u8]) -> Result<(u32, String, usize), &'static str> {
    let text = std::str::from_utf8(head).map_err(|_| "the head of a frame is no text")?;
    let mut parts = text.split(' ');
    let mut part = || parts.next().unwrap_or_default();
    let (transaction, command, length) = (part(), part(), part());
    let is_number = |text: &str| (1..=DIGITS_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let is_command = (1..=32).contains(&command.len()) && command.bytes().all(|b| b.is_ascii_alphanumeric());
    if !is_number(transaction) || !is_command || !is_number(length) {
        return Err("a frame does not begin with a transaction, a command and a length");
    }
    let transaction = transaction.parse().map_err(|_| "the transaction is no number")?;
    let length = length.parse().map_err(|_| "the length is no number")?;
    Ok((transaction, command.to_owned(), length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(transaction: u32, command: &str, data: &str) -> Frame {
        Frame::Command { transaction, command: command.to_owned(), data: data.as_bytes().to_vec() }
    }

    /// Whole and byte by byte, the frames must be the same.
    fn check(stream: &[u8], expected: &[Frame], is_intact: bool) {
        for size in [stream.len().max(1), 1] {
            let (mut reader, mut frames) = (FrameReader::new(100), Vec::new());
            let intact = stream.chunks(size).all(|piece| reader.feed(piece, &mut frames).is_ok());
            assert_eq!((frames.as_slice(), intact), (expected, is_intact), "{:?}", String::from_utf8_lossy(stream));
        }
    }

    #[test]
    fn frames_are_read_however_they_arrive() {
        check(
            b"1 open 6 a=1\nb=\n2 syslog 5 <13>x\n3 close 0\n",
            &[command(1, "open", "a=1\nb="), command(2, "syslog", "<13>x"), command(3, "close", "")],
            true,
        );
        check(b"4 close 0 \n", &[command(4, "close", "")], true);
    }

    #[test]
    fn what_is_no_frame_ends_the_connection() {
        for stream in [
            "<13>x\n",
            "1 open\n",
            "1 syslog 5\n",
            "1 syslog 1 ab\n",
            "x syslog 1 a\n",
            "1 a-b 0\n",
            "1234567890 syslog 0\n",
        ] {
            check(stream.as_bytes(), &[], false);
        }
        check(&[b'1'; 200], &[], false);
    }

    #[test]
    fn long_data_is_cut_and_the_stream_stays_in_step() {
        let stream = [b"7 syslog 500 ".to_vec(), vec![b'x'; 500], b"\n8 close 0\n".to_vec()].concat();
        let long = Frame::TooLong { transaction: 7, head: vec![b'x'; 100], length: 500 };
        check(&stream, &[long, command(8, "close", "")], true);
    }
}

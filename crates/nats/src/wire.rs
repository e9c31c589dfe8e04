//! What a server sends: lines, some of them followed by the bytes of a message.

use crate::Error;

/// Bytes of a line at most. `INFO` is the longest: it lists the members of a cluster.
const LINE_BYTES_MAX: usize = 64 << 10;
/// Bytes of a message at most, headers included: the most that servers let through.
const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// How the headers of a message begin.
const HEADERS_BEGIN: &[u8] = b"NATS/1.0";

/// A message as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The subject that it was published under; the inbox that was named, for answers.
    pub subject: String,
    /// Where an answer to it goes; of messages of a stream, the subject by which they are acknowledged.
    pub reply: Option<String>,
    /// The headers, as they came.
    headers: Vec<u8>,
    /// What it says.
    pub payload: Vec<u8>,
}

impl Message {
    /// The number and the text of a message that only tells a state.
    #[must_use]
    pub fn status(&self) -> Option<(u16, String)> {
        let line = self.headers.split(|byte| *byte == b'\n').next()?.strip_prefix(HEADERS_BEGIN)?;
        let text = String::from_utf8_lossy(line);
        let (code, text) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        Some((code.parse().ok()?, text.trim().to_owned()))
    }

    /// Names and values of the headers, in their order.
    pub fn headers(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let lines = self.headers.split(|byte| *byte == b'\n').skip(1);
        lines.filter_map(|line| {
            let colon = memchr::memchr(b':', line)?;
            Some((line[..colon].trim_ascii(), line[colon + 1..].trim_ascii()))
        })
    }

    /// Bytes of the message as the server counts them.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.headers.len() + self.payload.len()
    }
}

/// One thing that a server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operation {
    Info(Vec<u8>),
    Message(Message),
    Ping,
    Pong,
    Fine,
    Refused(String),
}

/// Bytes that came, and what they say.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    bytes: Vec<u8>,
    /// What was understood already.
    begin: usize,
}

impl Incoming {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.begin == self.bytes.len() {
            self.bytes.clear();
            self.begin = 0;
        } else if self.begin > self.bytes.len() / 2 {
            self.bytes.drain(..self.begin);
            self.begin = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The next thing said, once it is whole.
    pub(crate) fn next(&mut self) -> Result<Option<Operation>, Error> {
        let rest = &self.bytes[self.begin..];
        let Some(end) = memchr::memchr(b'\n', &rest[..rest.len().min(LINE_BYTES_MAX)]) else {
            return match rest.len() >= LINE_BYTES_MAX {
                true => Err(Error::TooLong { length: rest.len(), max: LINE_BYTES_MAX }),
                false => Ok(None),
            };
        };
        let line = rest[..end].trim_ascii_end();
        let after = &rest[end + 1..];
        let word = line.split(u8::is_ascii_whitespace).next().unwrap_or_default();
        let said = line[word.len()..].trim_ascii();
        let operation = match word.to_ascii_uppercase().as_slice() {
            kind @ (b"MSG" | b"HMSG") => {
                let sizes = Sizes::read(said, kind == b"HMSG")?;
                return self.message(sizes, end + 1);
            }
            b"INFO" => Operation::Info(said.to_vec()),
            b"PING" => Operation::Ping,
            b"PONG" => Operation::Pong,
            b"+OK" => Operation::Fine,
            b"-ERR" => Operation::Refused(String::from_utf8_lossy(said).into_owned()),
            _ => return Err(Error::NotNats("it said a word that no server says")),
        };
        self.begin = self.bytes.len() - after.len();
        Ok(Some(operation))
    }

    fn message(&mut self, sizes: Sizes, line: usize) -> Result<Option<Operation>, Error> {
        let rest = &self.bytes[self.begin + line..];
        if rest.len() < sizes.total + 2 {
            return Ok(None);
        }
        let (bytes, rest) = rest.split_at(sizes.total);
        let Some(rest) = rest.strip_prefix(b"\r\n") else {
            return Err(Error::NotNats("a message is longer than it was said to be"));
        };
        let (headers, payload) = bytes.split_at(sizes.headers);
        if sizes.headers > 0 && !headers.starts_with(HEADERS_BEGIN) {
            return Err(Error::NotNats("the headers of a message are of a version that is not known"));
        }
        let message = Message {
            subject: sizes.subject,
            reply: sizes.reply,
            headers: headers.to_vec(),
            payload: payload.to_vec(),
        };
        self.begin = self.bytes.len() - rest.len();
        Ok(Some(Operation::Message(message)))
    }
}

/// What the line before a message says.
struct Sizes {
    subject: String,
    reply: Option<String>,
    headers: usize,
    total: usize,
}

impl Sizes {
    /// `subject sid [reply] total`, or `subject sid [reply] headers total`.
    fn read(said: &[u8], has_headers: bool) -> Result<Self, Error> {
        let wrong = || Error::NotNats("a line announces no message");
        let text = std::str::from_utf8(said).map_err(|_| wrong())?;
        let words: Vec<&str> = text.split_ascii_whitespace().take(6).collect();
        let num_sizes = if has_headers { 2 } else { 1 };
        let (names, sizes) = words.split_at_checked(words.len().saturating_sub(num_sizes)).ok_or_else(wrong)?;
        let sizes: Vec<usize> = sizes.iter().map(|size| size.parse()).collect::<Result<_, _>>().map_err(|_| wrong())?;
        let (subject, reply) = match names {
            [subject, _] => (*subject, None),
            [subject, _, reply] => (*subject, Some((*reply).to_owned())),
            _ => return Err(wrong()),
        };
        let (headers, total) = match sizes[..] {
            [total] => (0, total),
            [headers, total] if headers <= total => (headers, total),
            _ => return Err(wrong()),
        };
        if total > MESSAGE_BYTES_MAX {
            return Err(Error::TooLong { length: total, max: MESSAGE_BYTES_MAX });
        }
        Ok(Self { subject: subject.to_owned(), reply, headers, total })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SAID: &[u8] = b"INFO {\"a\":1}\r\nPING\r\nMSG door.1 1 5\r\nhello\r\n+OK\r\n\
        HMSG door.2 1 $JS.ACK.x 27 30\r\nNATS/1.0\r\nA: b\r\nC:  d e\r\n\r\nyes\r\n\
        HMSG _INBOX.p 1 28 28\r\nNATS/1.0 404 No Messages\r\n\r\n\r\n-ERR 'Stale Connection'\r\nMSG s 1 0\r\n\r\n";

    fn all(pieces: &mut dyn Iterator<Item = &[u8]>) -> Result<Vec<Operation>, Error> {
        let (mut incoming, mut found) = (Incoming::default(), Vec::new());
        for piece in pieces {
            incoming.push(piece);
            while let Some(operation) = incoming.next()? {
                found.push(operation);
            }
        }
        Ok(found)
    }

    #[test]
    fn what_a_server_says_is_understood_wherever_it_is_cut() {
        let whole = all(&mut [SAID].into_iter()).unwrap();
        assert_eq!(whole.len(), 8);
        let Operation::Message(message) = &whole[4] else { panic!("{whole:?}") };
        assert_eq!((message.subject.as_str(), message.reply.as_deref()), ("door.2", Some("$JS.ACK.x")));
        assert_eq!((message.payload.as_slice(), message.status()), (&b"yes"[..], None));
        let headers: Vec<_> = message.headers().collect();
        assert_eq!(headers, [(&b"A"[..], &b"b"[..]), (b"C", b"d e")]);
        let Operation::Message(status) = &whole[5] else { panic!("{whole:?}") };
        assert_eq!(status.status(), Some((404, "No Messages".to_owned())));
        assert_eq!(whole[6], Operation::Refused("'Stale Connection'".to_owned()));
        assert_eq!(all(&mut SAID.chunks(1)).unwrap(), whole);
        for cut in 1..SAID.len() {
            assert_eq!(all(&mut [&SAID[..cut], &SAID[cut..]].into_iter()).unwrap(), whole, "{cut}");
        }
    }

    #[test]
    fn what_no_server_says_is_an_error() {
        for said in [
            &b"HTTP/1.1 400 Bad Request\r\n"[..],
            b"MSG a 1\r\n",
            b"MSG a 1 2\r\nabcd",
            b"MSG a 1 -1\r\n",
            b"MSG a 1 99999999999\r\n",
            b"HMSG a 1 9 5\r\n",
            b"HMSG a 1 3 5\r\nabcde\r\n",
            b"MSG \xff 1 2\r\nab\r\n",
        ] {
            assert!(all(&mut [said].into_iter()).is_err(), "{said:?}");
        }
        assert!(matches!(all(&mut [&[b'A'; LINE_BYTES_MAX][..]].into_iter()), Err(Error::TooLong { .. })));
    }

    proptest! {
        #[test]
        fn whatever_is_said_is_understood_or_refused(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            at in 0..SAID.len(),
            by in any::<u8>(),
        ) {
            let _ = all(&mut [bytes.as_slice()].into_iter());
            let mut damaged = SAID.to_vec();
            damaged[at] = by;
            let _ = all(&mut [damaged.as_slice()].into_iter());
        }
    }
}

//! A file within an archive: recognised by its beginning, then decoded like any other.

use moneta_base::{SourceName, TableName};

use super::ARCHIVE_DEPTH_MAX;
use crate::decoder::Stream;
use crate::options::custom_table_name;
use crate::output::{Output, Refusal};
use crate::{HEAD_BYTES, recognise};

/// A member as far as it has come out.
pub(super) struct Member {
    name: String,
    depth: usize,
    state: State,
    /// What the member's rows take the place of, to be restored behind it.
    outer: Outer,
}

enum State {
    /// The beginning, not yet long enough to recognise.
    Head(Vec<u8>),
    Decoding(Stream),
    /// Refused: the rest is passed over.
    Refused,
}

struct Outer {
    source: SourceName,
    fallback_table: TableName,
    format: &'static str,
    in_member: bool,
}

impl Member {
    /// Enters a member of an archive that lies `depth` archives deep.
    pub fn enter(name: &str, depth: usize, output: &mut Output) -> Self {
        let outer = Outer {
            source: output.origin.source.clone(),
            fallback_table: output.options.fallback_table.clone(),
            format: output.format,
            in_member: output.in_member,
        };
        if !name.is_empty() {
            output.origin.source = SourceName::lossy(&format!("{}/{name}", outer.source));
            output.options.fallback_table = custom_table_name(name);
        }
        output.in_member = true;
        output.forget_head();
        Self { name: name.to_owned(), depth, state: State::Head(Vec::new()), outer }
    }

    /// Takes the member's next bytes.
    pub fn feed(&mut self, bytes: &[u8], output: &mut Output) {
        match &mut self.state {
            State::Head(head) => {
                head.extend_from_slice(bytes);
                if head.len() >= HEAD_BYTES {
                    self.recognise(output);
                }
            }
            State::Decoding(stream) => stream.feed(bytes, output),
            State::Refused => {}
        }
    }

    /// Leaves the member. `fault`: why it ends before its end.
    pub fn leave(mut self, fault: Option<Refusal>, offset: u64, output: &mut Output) {
        if matches!(self.state, State::Head(_)) {
            self.recognise(output);
        }
        if let State::Decoding(stream) = &mut self.state {
            stream.finish(output);
        }
        output.format = self.outer.format;
        output.forget_head();
        if let Some(refusal) = fault {
            output.quarantine(refusal, None, offset, &[]);
        }
        output.origin.source = self.outer.source;
        output.options.fallback_table = self.outer.fallback_table;
        output.in_member = self.outer.in_member;
    }

    fn recognise(&mut self, output: &mut Output) {
        let State::Head(head) = std::mem::replace(&mut self.state, State::Refused) else { return };
        if head.is_empty() {
            return;
        }
        let format = recognise(&self.name, &head);
        let is_archive = matches!(format, Some(crate::Format::Zip | crate::Format::Gzip | crate::Format::Zstd));
        match format {
            Some(_) if is_archive && self.depth + 1 >= ARCHIVE_DEPTH_MAX => {
                let reason = format!("archives within archives more than {ARCHIVE_DEPTH_MAX} deep");
                output.quarantine(Refusal::new("too_deep", reason), None, 0, &head);
            }
            Some(format) => {
                output.format = format.name();
                let mut stream = Stream::new(format, 0, self.depth + 1);
                stream.feed(&head, output);
                self.state = State::Decoding(stream);
            }
            None => {
                let refusal = Refusal::new("unknown_format", "no known log format; its beginning is kept");
                output.quarantine(refusal, None, 0, &head);
            }
        }
    }
}

//! What machines send: SOAP envelopes in UTF-16 or UTF-8.
//!
//! # Source
//! DMTF DSP0226, sections 5 (addressing), 10.2 (subscriptions, bookmarks, heartbeats) and 10.7 (acknowledgement);
//! MS-WSMV, sections 2.2.4, 3.1.4.1.30 and 3.1.4.19.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::xml::{for_each_element, local};

pub(super) const ENUMERATE: &str = "http://schemas.xmlsoap.org/ws/2004/09/enumeration/Enumerate";
pub(super) const END: &str = "http://schemas.microsoft.com/wbem/wsman/1/wsman/End";
pub(super) const EVENTS: &str = "http://schemas.dmtf.org/wbem/wsman/1/wsman/Events";
pub(super) const HEARTBEAT: &str = "http://schemas.dmtf.org/wbem/wsman/1/wsman/Heartbeat";
pub(super) const SUBSCRIPTION_END: &str = "http://schemas.xmlsoap.org/ws/2004/08/eventing/SubscriptionEnd";

/// Characters of an identifier at most.
const IDENTIFIER_CHARS_MAX: usize = 200;
/// Bytes of a bookmark at most: a name and a number for each of several hundred channels.
pub(super) const BOOKMARK_BYTES_MAX: usize = 64 << 10;

/// What an envelope asks or tells.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) action: String,
    pub(super) message_id: String,
    /// The number of an exchange whose answers could be asked for again; answers name it.
    pub(super) operation_id: Option<String>,
    /// Where the machine stands behind these events, as XML.
    pub(super) bookmark: Option<String>,
    pub(super) wants_acknowledgement: bool,
    /// Events as XML, in order.
    pub(super) events: Vec<String>,
    /// Events that the machine says it left out, because they were too long for an envelope.
    pub(super) num_dropped: u64,
    /// Why the machine ends a subscription.
    pub(super) status: Option<String>,
}

/// The text of a body, and the encoding that its answer should have.
///
/// # Errors
/// What is wrong with it.
pub(super) fn decode(body: &[u8], content_type: &str) -> Result<(String, &'static Encoding), String> {
    let is_wide = content_type.to_ascii_lowercase().contains("utf-16");
    let (encoding, mark_bytes) = Encoding::for_bom(body).unwrap_or(match (is_wide, body) {
        (true, [0, ..]) => (UTF_16BE, 0),
        (true, _) => (UTF_16LE, 0),
        (false, _) => (UTF_8, 0),
    });
    let (text, is_broken) = encoding.decode_without_bom_handling(&body[mark_bytes..]);
    if is_broken {
        return Err(format!("its body is not {}", encoding.name()));
    }
    Ok((text.into_owned(), encoding))
}

/// The bytes of an answer.
pub(super) fn encode(text: &str, encoding: &'static Encoding) -> Vec<u8> {
    // Encoders of this kind do not write UTF-16.
    if encoding == UTF_16LE || encoding == UTF_16BE {
        return "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    }
    text.as_bytes().to_vec()
}

impl Request {
    /// Reads an envelope.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(xml: &str) -> Result<Self, String> {
        let mut request = Self::default();
        let mut troubles = Vec::new();
        for_each_element(xml, &mut |element| match element.path {
            ["Envelope", "Header", "Action"] => element.text.trim().clone_into(&mut request.action),
            ["Envelope", "Header", "MessageID"] => element.text.trim().clone_into(&mut request.message_id),
            ["Envelope", "Header", "OperationID"] => request.operation_id = Some(element.text.trim().to_owned()),
            ["Envelope", "Header", "AckRequested"] => request.wants_acknowledgement = true,
            ["Envelope", "Header", "Bookmark"] => match element.content.len() {
                0..=BOOKMARK_BYTES_MAX => request.bookmark = Some(element.content.trim().to_owned()),
                length => troubles.push(format!("its bookmark has {length} bytes, which is too long")),
            },
            ["Envelope", "Body", "Events", "Event"] => {
                let event = if element.has_children { element.content } else { element.text }.trim();
                let tells_of_others = event.strip_prefix('<').is_some_and(|tag| local(tag) == "DroppedEvents");
                request.events.extend((!tells_of_others).then(|| event.to_owned()));
            }
            ["Envelope", "Body", .., "DroppedEvents"] if !element.has_children => {
                request.num_dropped += element.text.trim().parse().unwrap_or(0);
            }
            ["Envelope", "Body", "SubscriptionEnd", "Status"] => request.status = Some(element.text.trim().to_owned()),
            _ => {}
        })?;
        for (what, text) in [("action", &request.action), ("message id", &request.message_id)] {
            if text.is_empty() || text.chars().count() > IDENTIFIER_CHARS_MAX {
                troubles.push(format!("it has no {what}, or one that is too long"));
            }
        }
        request.operation_id = request.operation_id.filter(|id| id.chars().count() <= IDENTIFIER_CHARS_MAX);
        request.bookmark = request.bookmark.filter(|bookmark| !bookmark.is_empty());
        troubles.into_iter().next().map_or(Ok(request), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_bookmark_and_identity_are_read() {
        let xml = "<s:Envelope xmlns:s=\"x\"><s:Header><a:Action s:mustUnderstand=\"true\">A</a:Action>\
            <a:MessageID>uuid:1</a:MessageID><p:OperationID>uuid:2</p:OperationID><w:Bookmark><BookmarkList>\
            <Bookmark Channel=\"Security\" RecordId=\"7\" IsCurrent=\"true\"/></BookmarkList></w:Bookmark>\
            <w:AckRequested/></s:Header><s:Body><w:Events><w:Event Action=\"x\"><![CDATA[<Event>1</Event>]]></w:Event>\
            <w:Event><Event><System/></Event></w:Event><w:Event>&lt;Event/&gt;</w:Event></w:Events>\
            <w:DroppedEvents>3</w:DroppedEvents></s:Body></s:Envelope>";
        let request = Request::read(xml).unwrap();
        assert_eq!((request.action.as_str(), request.message_id.as_str()), ("A", "uuid:1"));
        assert_eq!(request.operation_id.as_deref(), Some("uuid:2"));
        assert!(request.wants_acknowledgement && request.num_dropped == 3);
        assert!(request.bookmark.unwrap().starts_with("<BookmarkList>"));
        assert_eq!(request.events, ["<Event>1</Event>", "<Event><System/></Event>", "<Event/>"]);
    }

    #[test]
    fn texts_come_in_three_encodings() {
        let wide = encode("<a>é</a>", UTF_16LE);
        assert_eq!(decode(&wide, "").unwrap(), ("<a>é</a>".to_owned(), UTF_16LE));
        assert_eq!(decode(&wide[2..], "application/soap+xml;charset=UTF-16").unwrap().0, "<a>é</a>");
        let turned: Vec<u8> = wide.chunks_exact(2).flat_map(|pair| [pair[1], pair[0]]).collect();
        assert_eq!(decode(&turned, "").unwrap().0, "<a>é</a>");
        assert_eq!(decode("<a>é</a>".as_bytes(), "").unwrap(), ("<a>é</a>".to_owned(), UTF_8));
        assert!(decode(b"\xff\xfe<\0", "").is_ok() && decode(b"\xff\xfe\0\xd8", "").is_err());
        assert!(decode(b"\xe9", "").is_err());
    }

    #[test]
    fn an_envelope_without_identity_is_refused() {
        assert!(Request::read("<Envelope><Header><Action>A</Action></Header></Envelope>").is_err());
        assert!(Request::read("no envelope").is_err());
        let long = "x".repeat(BOOKMARK_BYTES_MAX + 1);
        let xml = format!(
            "<Envelope><Header><Action>A</Action><MessageID>1</MessageID><Bookmark>{long}</Bookmark></Header></Envelope>"
        );
        assert!(Request::read(&xml).unwrap_err().contains("bookmark"));
    }
}

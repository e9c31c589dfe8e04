//! What machines are answered: subscriptions, acknowledgements, faults.
//!
//! A subscription is known by an identifier that follows from its name, and has a version that follows from all it says:
//! after a restart machines find the same, and after a change they begin the subscription anew, from their bookmark.
//!
//! # Source
//! DMTF DSP0226, sections 8 and 10; MS-WSMV, sections 2.2.4.41 (`SubscriptionType`), 3.1.4.1.30 (`Subscribe` and its
//! options) and 2.2.4.1 (authentication by the issuer's thumbprint).

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest as digest_of};
use moneta_merkle::sha256;

use super::WefSubscription;
use super::envelope::Request;
use super::xml::escaped;

const ANONYMOUS: &str = "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous";
const ENUMERATE_RESPONSE: &str = "http://schemas.xmlsoap.org/ws/2004/09/enumeration/EnumerateResponse";
const ACKNOWLEDGEMENT: &str = "http://schemas.dmtf.org/wbem/wsman/1/wsman/Ack";
const FAULT: &str = "http://schemas.dmtf.org/wbem/wsman/1/wsman/fault";
const SUBSCRIBE: &str = "http://schemas.xmlsoap.org/ws/2004/08/eventing/Subscribe";
const EVENT_LOG: &str = "http://schemas.microsoft.com/wbem/wsman/1/windows/EventLog";
const EVENT_QUERY: &str = "http://schemas.microsoft.com/win/2004/08/events/eventquery";
const EVENTS_MODE: &str = "http://schemas.dmtf.org/wbem/wsman/1/wsman/Events";
const BY_CERTIFICATE: &str = "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual";
/// Prefixes of all elements written here.
const NAMESPACES: &str = "xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" \
    xmlns:a=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\" \
    xmlns:e=\"http://schemas.xmlsoap.org/ws/2004/08/eventing\" \
    xmlns:n=\"http://schemas.xmlsoap.org/ws/2004/09/enumeration\" \
    xmlns:w=\"http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd\" \
    xmlns:p=\"http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd\"";
/// Characters of an envelope at most, as Windows has it.
const ENVELOPE_CHARS_MAX: u32 = 512_000;
/// Times a machine tries to connect again before it gives a subscription up until its next refresh, and every how long.
const RETRIES: u32 = 5;
const RETRY_SECONDS: u32 = 60;

/// A subscription for one machine.
pub(super) struct Offer<'a> {
    pub(super) subscription: &'a WefSubscription,
    /// Where the machine stands, as XML; none for one that is new to the subscription.
    pub(super) bookmark: Option<String>,
    /// Scheme, host and port by which the machine reaches this server.
    pub(super) origin: &'a str,
    /// SHA-1 of the certificate of who issued the machine's.
    pub(super) issuer_thumbprint: &'a str,
}

/// The subscriptions of a machine.
pub(super) fn subscriptions(request: &Request, offers: &[Offer<'_>]) -> String {
    let items: String = offers.iter().map(Offer::item).collect();
    let body = format!(
        "<n:EnumerateResponse><n:EnumerationContext></n:EnumerationContext><w:Items>{items}</w:Items><w:EndOfSequence/>\
         </n:EnumerateResponse>"
    );
    envelope(ENUMERATE_RESPONSE, request, &body)
}

/// That what a request brought is stored.
pub(super) fn acknowledgement(request: &Request) -> String {
    envelope(ACKNOWLEDGEMENT, request, "")
}

/// Why a request was not served; `is_own` when it is this side's trouble.
pub(super) fn fault(request: &Request, is_own: bool, reason: &str) -> String {
    let code = if is_own { "s:Receiver" } else { "s:Sender" };
    let body = format!(
        "<s:Fault><s:Code><s:Value>{code}</s:Value></s:Code><s:Reason><s:Text xml:lang=\"en-US\">{}</s:Text></s:Reason>\
         </s:Fault>",
        escaped(reason)
    );
    envelope(FAULT, request, &body)
}

fn envelope(action: &str, request: &Request, body: &str) -> String {
    let exchange = |id: &String| {
        let id = escaped(id);
        format!("<p:OperationID s:mustUnderstand=\"false\">{id}</p:OperationID><p:SequenceId>1</p:SequenceId>")
    };
    format!(
        "<s:Envelope xml:lang=\"en-US\" {NAMESPACES}><s:Header><a:Action>{action}</a:Action>\
         <a:MessageID>uuid:{}</a:MessageID>{}<a:To>{ANONYMOUS}</a:To><a:RelatesTo>{}</a:RelatesTo></s:Header>\
         <s:Body>{body}</s:Body></s:Envelope>",
        new_uuid(),
        request.operation_id.as_ref().map(exchange).unwrap_or_default(),
        escaped(&request.message_id),
    )
}

impl Offer<'_> {
    fn item(&self) -> String {
        format!(
            "<m:Subscription xmlns:m=\"http://schemas.microsoft.com/wbem/wsman/1/subscription\"><m:Version>uuid:{}\
             </m:Version><s:Envelope {NAMESPACES}><s:Header>{}</s:Header><s:Body><e:Subscribe>{}</e:Subscribe></s:Body>\
             </s:Envelope></m:Subscription>",
            self.subscription.version(),
            self.header(),
            self.body()
        )
    }

    fn header(&self) -> String {
        let subscription = self.subscription;
        let format = if subscription.rendered { "RenderedText" } else { "Raw" };
        // Only for machines without a bookmark: one that has some goes on behind it.
        let existing = match subscription.read_existing && self.bookmark.is_none() {
            true => "<w:Option Name=\"ReadExistingEvents\">true</w:Option>",
            false => "",
        };
        format!(
            "<a:To>{ANONYMOUS}</a:To><w:ResourceURI s:mustUnderstand=\"true\">{EVENT_LOG}</w:ResourceURI>\
             <a:ReplyTo><a:Address s:mustUnderstand=\"true\">{ANONYMOUS}</a:Address></a:ReplyTo>\
             <a:Action s:mustUnderstand=\"true\">{SUBSCRIBE}</a:Action>\
             <w:MaxEnvelopeSize s:mustUnderstand=\"true\">{ENVELOPE_CHARS_MAX}</w:MaxEnvelopeSize>\
             <a:MessageID>uuid:{}</a:MessageID><w:Locale xml:lang=\"en-US\" s:mustUnderstand=\"false\"/>\
             <p:DataLocale xml:lang=\"en-US\" s:mustUnderstand=\"false\"/>\
             <p:OperationID s:mustUnderstand=\"false\">uuid:{}</p:OperationID>\
             <p:SequenceId s:mustUnderstand=\"false\">1</p:SequenceId>\
             <w:OptionSet xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">\
             <w:Option Name=\"SubscriptionName\">{}</w:Option><w:Option Name=\"CDATA\" xsi:nil=\"true\"/>\
             <w:Option Name=\"ContentFormat\">{format}</w:Option>\
             <w:Option Name=\"IgnoreChannelError\" xsi:nil=\"true\"/>{existing}</w:OptionSet>",
            new_uuid(),
            new_uuid(),
            escaped(&subscription.name),
        )
    }

    fn body(&self) -> String {
        let Self { subscription, bookmark, origin, issuer_thumbprint } = self;
        let (id, version) = (subscription.id(), subscription.version());
        let place = format!(
            "<a:Address>{}/wsman/subscriptions/{id}</a:Address><a:ReferenceProperties><e:Identifier>{version}\
             </e:Identifier></a:ReferenceProperties>",
            escaped(origin)
        );
        let bookmark = bookmark.as_ref().map(|xml| format!("<w:Bookmark>{xml}</w:Bookmark>")).unwrap_or_default();
        format!(
            "<e:EndTo>{place}</e:EndTo><e:Delivery Mode=\"{EVENTS_MODE}\">\
             <w:Heartbeats>PT{}.000S</w:Heartbeats><e:NotifyTo>{place}\
             <c:Policy xmlns:c=\"http://schemas.xmlsoap.org/ws/2002/12/policy\" \
             xmlns:auth=\"http://schemas.microsoft.com/wbem/wsman/1/authentication\"><c:ExactlyOne><c:All>\
             <auth:Authentication Profile=\"{BY_CERTIFICATE}\"><auth:ClientCertificate>\
             <auth:Thumbprint Role=\"issuer\">{issuer_thumbprint}</auth:Thumbprint></auth:ClientCertificate>\
             </auth:Authentication></c:All></c:ExactlyOne></c:Policy></e:NotifyTo>\
             <w:ConnectionRetry Total=\"{RETRIES}\">PT{RETRY_SECONDS}.0S</w:ConnectionRetry>\
             <w:MaxTime>PT{}.000S</w:MaxTime>\
             <w:MaxEnvelopeSize Policy=\"Notify\">{ENVELOPE_CHARS_MAX}</w:MaxEnvelopeSize>\
             <w:Locale xml:lang=\"en-US\" s:mustUnderstand=\"false\"/>\
             <p:DataLocale xml:lang=\"en-US\" s:mustUnderstand=\"false\"/>\
             <w:ContentEncoding>UTF-16</w:ContentEncoding></e:Delivery>\
             <w:Filter Dialect=\"{EVENT_QUERY}\">{}</w:Filter>{bookmark}<w:SendBookmarks/>",
            subscription.heartbeat.as_secs().max(1),
            subscription.latency_max.as_secs().max(1),
            subscription.query,
        )
    }
}

impl WefSubscription {
    /// By what addresses name it.
    pub(super) fn id(&self) -> String {
        uuid_of(self.name.as_bytes())
    }

    /// Changes with whatever machines must know of it.
    pub(super) fn version(&self) -> String {
        uuid_of(format!("{self:?}").as_bytes())
    }
}

/// SHA-1 of a certificate, by which Windows finds it.
pub(super) fn thumbprint(der: &[u8]) -> String {
    hex::encode_upper(digest_of(&SHA1_FOR_LEGACY_USE_ONLY, der))
}

/// An identifier that follows from a name (RFC 9562, version 8).
fn uuid_of(name: &[u8]) -> String {
    let hash = sha256(name);
    uuid(hash.as_bytes()[..16].try_into().expect("a hash has 32 bytes"), 8)
}

/// A random identifier (RFC 9562, version 4).
fn new_uuid() -> String {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system has random bytes");
    uuid(bytes, 4)
}

fn uuid(mut bytes: [u8; 16], version: u8) -> String {
    bytes[6] = bytes[6] & 0x0f | version << 4;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let digits = hex::encode_upper(bytes);
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    parts.join("-")
}

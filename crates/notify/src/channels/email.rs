//! E-mail: a plain text message a receiver can read without a program for it.
//!
//! # Source
//! RFC 5322 (form), RFC 2045 and 2047 (base64 of body and headers: whatever an alert says, it cannot become a header or
//! end the message).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use moneta_base::Timestamp;
use moneta_ports::{Alert, BoxFuture};

use super::smtp::Server;
pub use super::smtp::{MailLogin, MailTls};
use crate::tls::Peer;
use crate::words::{facts, headline, short};
use crate::{Carrier, Error};

/// Receivers of one channel at most.
const RECEIVERS_MAX: usize = 50;
/// Characters of an encoded line of the body.
const LINE_CHARS: usize = 76;
/// Bytes of one encoded word of a header: with its frame it has at most 75 characters.
const WORD_BYTES: usize = 42;
/// Characters of a subject at most.
const SUBJECT_CHARS_MAX: usize = 200;
const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Sends mail through a server.
pub struct Email {
    server: Server,
    from: String,
    to: Vec<String>,
}

impl Email {
    /// Checks server and addresses.
    ///
    /// # Errors
    /// What can never work.
    pub fn new(
        peer: Peer,
        tls: MailTls,
        login: Option<MailLogin>,
        from: String,
        to: Vec<String>,
    ) -> Result<Self, Error> {
        peer.parts()?;
        if to.is_empty() || to.len() > RECEIVERS_MAX {
            return Err(Error::Setting(format!("name 1 to {RECEIVERS_MAX} addresses to send to")));
        }
        if let Some(wrong) = to.iter().chain([&from]).find(|address| !is_address(address)) {
            return Err(Error::Setting(format!("{wrong:?} is not an address such as ops@example.org")));
        }
        let connector = if tls == MailTls::None { None } else { Some(peer.connector()?) };
        let hello = from.rsplit_once('@').map_or("localhost", |(_, domain)| domain).to_owned();
        Ok(Self { server: Server { peer, tls, connector, login, hello }, from, to })
    }
}

/// Whether a text can stand between `<` and `>` of a command. Quoted local parts are refused.
fn is_address(text: &str) -> bool {
    let plain = |c: char| {
        c.is_ascii_graphic() && !matches!(c, '<' | '>' | '(' | ')' | '[' | ']' | ',' | ';' | ':' | '"' | '\\')
    };
    let halves = text.split_once('@');
    text.len() <= 254
        && text.chars().all(plain)
        && halves.is_some_and(|(user, host)| !user.is_empty() && !host.is_empty() && !host.contains('@'))
}

impl Carrier for Email {
    fn send<'a>(&'a self, alert: &'a Alert, now: Timestamp) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let message = message(alert, &self.from, &self.to, now);
            self.server.submit(&self.from, &self.to, &message).await
        })
    }
}

fn message(alert: &Alert, from: &str, to: &[String], now: Timestamp) -> String {
    let domain = from.rsplit_once('@').map_or("localhost", |(_, domain)| domain);
    let mut message = String::new();
    let mut header = |name: &str, value: &str| message.push_str(&format!("{name}: {value}\r\n"));
    header("From", from);
    header("To", &to.join(",\r\n "));
    header("Subject", &encoded(&short(&headline(alert), SUBJECT_CHARS_MAX)));
    header("Date", &date(now));
    // The same alert sent twice is the same message.
    header("Message-ID", &format!("<{}@{domain}>", message_id(&alert.id)));
    header("Auto-Submitted", "auto-generated");
    header("MIME-Version", "1.0");
    header("Content-Type", "text/plain; charset=utf-8");
    header("Content-Transfer-Encoding", "base64");
    message.push_str("\r\n");
    let mut text = format!("{}\n\n", headline(alert));
    if !alert.rule_description.is_empty() {
        text.push_str(&format!("{}\n\n", alert.rule_description));
    }
    facts(alert).into_iter().for_each(|(name, value)| text.push_str(&format!("{name}: {value}\n")));
    let body = BASE64.encode(text);
    for at in (0..body.len()).step_by(LINE_CHARS) {
        message.push_str(&body[at..body.len().min(at + LINE_CHARS)]);
        message.push_str("\r\n");
    }
    message
}

/// A text as words of a header.
fn encoded(text: &str) -> String {
    let (mut words, mut word) = (Vec::new(), String::new());
    for c in text.chars() {
        if word.len() + c.len_utf8() > WORD_BYTES {
            words.push(std::mem::take(&mut word));
        }
        word.push(c);
    }
    words.push(word);
    let words: Vec<String> = words.iter().map(|word| format!("=?utf-8?B?{}?=", BASE64.encode(word))).collect();
    words.join("\r\n ")
}

fn message_id(alert_id: &str) -> String {
    alert_id.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect()
}

/// A time as RFC 5322 writes it.
fn date(time: Timestamp) -> String {
    let (year, month, day, hour, minute, second, _) = time.civil();
    let days = time.as_nanos().div_euclid(86_400 * 1_000_000_000);
    let weekday = DAYS[usize::try_from(days.rem_euclid(7)).unwrap_or(0)];
    let month = MONTHS[month as usize - 1];
    format!("{weekday}, {day:02} {month} {year} {hour:02}:{minute:02}:{second:02} +0000")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::sample;

    #[test]
    fn nothing_of_an_alert_becomes_a_header_or_ends_the_message() {
        let mut alert = sample();
        alert.rule_title = "x\r\nBcc: eve@example.org\r\n.\r\n".repeat(9);
        let message = message(&alert, "moneta@example.org", &["a@example.org".to_owned()], alert.raised);
        let (head, body) = message.split_once("\r\n\r\n").unwrap();
        assert!(!head.contains("Bcc"), "{head}");
        assert!(head.contains("Date: Fri, 02 Jan 2026 03:04:05 +0000"), "{head}");
        assert!(message.lines().all(|line| line.len() <= 78 && !line.starts_with('.')), "{message}");
        let text = BASE64.decode(body.replace("\r\n", "")).unwrap();
        assert!(String::from_utf8(text).unwrap().contains("Author: Ada"));
    }

    #[test]
    fn addresses_that_could_say_more_are_refused() {
        for good in ["ops@example.org", "a.b+c@x"] {
            assert!(is_address(good), "{good}");
        }
        for bad in ["", "ops", "a@b@c", "a b@c", "a@b>\r\nRCPT TO:<c@d", "\"a\"@b", "é@b"] {
            assert!(!is_address(bad), "{bad}");
        }
    }

    #[test]
    fn long_subjects_are_several_words() {
        let subject = encoded(&"ä".repeat(100));
        assert!(subject.lines().all(|word| word.trim().len() <= 75) && subject.lines().count() > 1, "{subject}");
    }
}

//! As much of a certificate as says whose it is: names of the subject, and of who issued it.
//!
//! Only certificates are read that TLS has verified; what is no certificate is answered with `None`.
//!
//! # Source
//! RFC 5280, sections 4.1 (layout), 4.1.2.4 and 4.1.2.6 (names), 4.2.1.6 (subject alternative names); X.690 (DER).

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
const OCTET_STRING: u8 = 0x04;
const BMP_STRING: u8 = 0x1e;
/// UTF-8, printable, teletex and IA5 strings.
const OTHER_STRINGS: [u8; 4] = [0x0c, 0x13, 0x14, 0x16];
/// `[0]`: the version.
const VERSION: u8 = 0xa0;
/// `[3]`: the extensions.
const EXTENSIONS: u8 = 0xa3;
/// `[2]` of a general name: a DNS name.
const DNS_NAME: u8 = 0x82;
/// 2.5.4.3
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// 2.5.29.17
const SUBJECT_ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];

/// Whose a certificate is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Certificate<'a> {
    /// The name of who issued it, as it stands there.
    pub(crate) issuer: &'a [u8],
    /// The name of whose it is, as it stands there.
    pub(crate) subject: &'a [u8],
    common_name: Option<String>,
    dns_names: Vec<String>,
}

impl<'a> Certificate<'a> {
    /// Reads a certificate in DER.
    pub(crate) fn read(der: &'a [u8]) -> Option<Self> {
        let mut certificate = Elements(Elements(der).of(SEQUENCE)?);
        let mut body = Elements(certificate.of(SEQUENCE)?);
        if body.0.first() == Some(&VERSION) {
            body.next()?;
        }
        let (_serial, _algorithm) = (body.next()?, body.next()?);
        let issuer = body.whole_of(SEQUENCE)?;
        let _validity = body.next()?;
        let subject = body.whole_of(SEQUENCE)?;
        let extensions = body.skip(1).find(|(tag, _)| *tag == EXTENSIONS);
        let dns_names = extensions.map(|(_, content)| alternative_names(content)).unwrap_or_default();
        Some(Self { issuer, subject, common_name: common_name(subject), dns_names })
    }

    /// The machine: its first DNS name, or its common name, in lower case.
    pub(crate) fn machine(&self) -> Option<String> {
        let name = self.dns_names.first().or(self.common_name.as_ref())?;
        Some(name.to_lowercase()).filter(|name| !name.is_empty())
    }
}

/// The last common name: it is the most specific.
fn common_name(name: &[u8]) -> Option<String> {
    let parts = Elements(Elements(name).of(SEQUENCE)?);
    let parts = parts.filter(|(tag, _)| *tag == SET).flat_map(|(_, set)| Elements(set));
    let text = |(_, part): (u8, &[u8])| {
        let mut part = Elements(part);
        (part.of(OBJECT_IDENTIFIER)? == COMMON_NAME).then(|| part.next()).flatten().and_then(text_of)
    };
    parts.filter_map(text).last()
}

fn text_of((tag, content): (u8, &[u8])) -> Option<String> {
    match tag {
        BMP_STRING => {
            let units: Vec<u16> = content.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
            String::from_utf16(&units).ok()
        }
        _ if OTHER_STRINGS.contains(&tag) => String::from_utf8(content.to_vec()).ok(),
        _ => None,
    }
}

/// The DNS names among the extensions.
fn alternative_names(extensions: &[u8]) -> Vec<String> {
    let Some(extensions) = Elements(extensions).of(SEQUENCE) else { return Vec::new() };
    let names = |(_, extension): (u8, &[u8])| {
        let mut extension = Elements(extension);
        if extension.of(OBJECT_IDENTIFIER)? != SUBJECT_ALTERNATIVE_NAME {
            return None;
        }
        let (_, value) = extension.find(|(tag, _)| *tag == OCTET_STRING)?;
        let names = Elements(Elements(value).of(SEQUENCE)?).filter(|(tag, _)| *tag == DNS_NAME);
        Some(names.filter_map(|(_, name)| String::from_utf8(name.to_vec()).ok()).collect())
    };
    Elements(extensions).find_map(names).unwrap_or_default()
}

/// Elements of DER, one after another: tags and contents. Ends where none stands.
#[derive(Clone)]
struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    /// The content of the next element, which has that tag.
    fn of(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, content)| content)
    }

    /// The next element, which has that tag, with tag and length.
    fn whole_of(&mut self, tag: u8) -> Option<&'a [u8]> {
        let before = self.0;
        self.of(tag)?;
        Some(&before[..before.len() - self.0.len()])
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            // Longer than four bytes of length is no certificate.
            0x81..=0x84 => {
                let (digits, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
                (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x82][..], &length, &content].concat()
    }

    fn name(common_name: &[u8], tag: u8) -> Vec<u8> {
        let part = der(SEQUENCE, &[&der(OBJECT_IDENTIFIER, &[COMMON_NAME]), &der(tag, &[common_name])]);
        der(SEQUENCE, &[&der(SET, &[&part])])
    }

    fn certificate(subject: &[u8], extensions: &[u8]) -> Vec<u8> {
        let (serial, plain) = (der(0x02, &[b"\x01"]), der(SEQUENCE, &[]));
        let issuer = name(b"ca", 0x0c);
        let version = der(VERSION, &[&der(0x02, &[b"\x02"])]);
        let body = der(SEQUENCE, &[&version, &serial, &plain, &issuer, &plain, subject, &plain, extensions]);
        der(SEQUENCE, &[&body, &plain, &der(0x03, &[b"\0"])])
    }

    #[test]
    fn a_machine_is_named_by_its_dns_name_before_its_common_name() {
        let without = certificate(&name(b"WIN10.example.org", 0x13), &[]);
        let read = Certificate::read(&without).unwrap();
        assert_eq!(read.machine().as_deref(), Some("win10.example.org"));
        assert_eq!((read.issuer, read.subject), (&name(b"ca", 0x0c)[..], &name(b"WIN10.example.org", 0x13)[..]));
        let names = der(SEQUENCE, &[&der(0x87, &[b"\x7f\0\0\x01"]), &der(DNS_NAME, &[b"A.example.org"])]);
        let oid = der(OBJECT_IDENTIFIER, &[SUBJECT_ALTERNATIVE_NAME]);
        let extension = der(SEQUENCE, &[&oid, &der(0x01, &[b"\xff"]), &der(OCTET_STRING, &[&names])]);
        let with = certificate(&name(b"other", 0x0c), &der(EXTENSIONS, &[&der(SEQUENCE, &[&extension])]));
        assert_eq!(Certificate::read(&with).unwrap().machine().as_deref(), Some("a.example.org"));
        let wide = certificate(&name(b"\0w\0\xe9", BMP_STRING), &[]);
        assert_eq!(Certificate::read(&wide).unwrap().machine().as_deref(), Some("wé"));
    }

    #[test]
    fn what_is_cut_off_is_no_certificate() {
        let whole = certificate(&name(b"w", 0x0c), &[]);
        assert!((0..whole.len()).all(|end| Certificate::read(&whole[..end]).is_none()));
        for hostile in [&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0][..], &[0x30, 0x80, 0, 0], &[0x30, 0xff]] {
            assert!(Certificate::read(hostile).is_none());
        }
    }
}

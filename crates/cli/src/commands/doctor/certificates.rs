//! How long certificates are good for.
//!
//! # Source
//! RFC 5280, section 4.1 (the fields before `validity`, and its two forms of time); RFC 7468 for the text around it. Nothing
//! but the dates is read, and nothing is trusted by them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use moneta_base::Timestamp;
use moneta_server::Config;

use super::Finding;

/// How long before its end a certificate should be replaced.
const SOON: Duration = Duration::from_secs(30 * 86_400);

/// The certificates that listeners show, and the private authority's.
pub(super) fn findings(config: &Config, data: &Path, now: Timestamp) -> Vec<Finding> {
    let authority = data.join("tls/ca.pem");
    let own = config.server.tls_certificate.clone().unwrap_or(authority);
    let files: [(&'static str, Option<PathBuf>); 2] =
        [("certificate", Some(own)), ("syslog certificate", config.syslog.tls_certificate.clone())];
    files.into_iter().filter_map(|(what, path)| Some(finding(what, &path?, now))).collect()
}

fn finding(what: &'static str, path: &Path, now: Timestamp) -> Finding {
    let shown = path.display();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && path.ends_with("tls/ca.pem") => {
            return Finding::ok(what, "none yet; the first start makes an authority");
        }
        Err(error) => return Finding::fail(what, format!("{shown}: {error}"), "give this user the file"),
    };
    let Some((start, end)) = validity(&text) else {
        return Finding::fail(what, format!("{shown} holds no certificate"), "give a certificate in PEM");
    };
    let found = format!("{shown} is good until {}", &end.to_string()[..10]);
    let fix = "replace it; after a start clients see the new one";
    if start > now {
        let from = start.to_string();
        return Finding::fail(what, format!("{shown} is good only from {}", &from[..10]), "set the clock, or wait");
    }
    match end {
        end if end <= now => Finding::fail(what, format!("{found}: it has ended"), fix),
        end if end.since(now) < SOON => Finding::warn(what, found, fix),
        _ => Finding::ok(what, found),
    }
}

/// From when until when all certificates of a PEM text are good.
fn validity(text: &str) -> Option<(Timestamp, Timestamp)> {
    let mut all = text.split("-----BEGIN CERTIFICATE-----").skip(1).map(|part| {
        let base64: String = part.split("-----END").next()?.split_whitespace().collect();
        of_certificate(&STANDARD.decode(base64).ok()?)
    });
    all.try_fold(None, |whole: Option<(Timestamp, Timestamp)>, one| {
        let (start, end) = one?;
        Some(Some(whole.map_or((start, end), |(from, to)| (from.max(start), to.min(end)))))
    })?
}

fn of_certificate(der: &[u8]) -> Option<(Timestamp, Timestamp)> {
    let (_, certificate, _) = element(der)?;
    let (_, to_be_signed, _) = element(certificate)?;
    let mut rest = to_be_signed;
    // The version is there in every certificate but those of version 1.
    if element(rest)?.0 == 0xa0 {
        rest = element(rest)?.2;
    }
    // Serial number, algorithm, issuer.
    for _ in 0..3 {
        rest = element(rest)?.2;
    }
    let (_, validity, _) = element(rest)?;
    let (start_tag, start, rest) = element(validity)?;
    let (end_tag, end, _) = element(rest)?;
    Some((time(start_tag, start)?, time(end_tag, end)?))
}

/// The tag of an element, its content, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        short if *short < 0x80 => (usize::from(*short), rest),
        long => {
            let (bytes, rest) =
                rest.split_at_checked(usize::from(long & 0x7f)).filter(|(bytes, _)| bytes.len() <= 4)?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

/// `UTCTime` (two digits of the year, from 1950) or `GeneralizedTime`, both to the second and in UTC.
fn time(tag: u8, content: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(content).ok()?.strip_suffix('Z')?;
    let text = match tag {
        0x17 if text < "50" => format!("20{text}"),
        0x17 => format!("19{text}"),
        0x18 => text.to_owned(),
        _ => return None,
    };
    if text.len() != 14 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let part = |from: usize| &text[from..from + 2];
    let (month, day, hour, minute, second) = (part(4), part(6), part(8), part(10), part(12));
    Timestamp::parse(&format!("{}-{month}-{day}T{hour}:{minute}:{second}Z", &text[..4]))
}

#[cfg(test)]
mod tests {
    use moneta_testkit::TestDir;

    use super::super::Verdict;
    use super::*;

    /// Made by `openssl req -x509 -newkey ed25519 -days 90` on 2026-11-30.
    const PEM: &str = "\
-----BEGIN CERTIFICATE-----
MIIBQDCB86ADAgECAhRlUaCTnWYfXbVX0ux5DZN3XCclPjAFBgMrZXAwFjEUMBIG
A1UEAwwLbW9uZXRhIHRlc3QwHhcNMjYxMTMwMDExOTU5WhcNMjcwMjI4MDExOTU5
WjAWMRQwEgYDVQQDDAttb25ldGEgdGVzdDAqMAUGAytlcAMhACJRqNm0uu4M6b5p
DwvCRDRglRleVt5R0l+KpzdPRoS3o1MwUTAdBgNVHQ4EFgQUZOkXugfZZgbCCgkW
uB22oBOSz/8wHwYDVR0jBBgwFoAUZOkXugfZZgbCCgkWuB22oBOSz/8wDwYDVR0T
AQH/BAUwAwEB/zAFBgMrZXADQQDM7CWGi4PjPN83oL9OeiryyxT+ItDOOYVq8m4g
536vydg2+wLTOE2S//j6jFYJuMacugHpVBpZ7QRbJJXAma4L
-----END CERTIFICATE-----
";

    #[test]
    fn the_dates_of_a_certificate_decide() {
        let dir = TestDir::new();
        let path = dir.join("c.pem");
        let check = |text: &str, now: &str, expected: Verdict, words: &str| {
            std::fs::write(&path, text).unwrap();
            let found = finding("x", &path, Timestamp::parse(now).unwrap());
            assert_eq!(found.verdict, expected, "{found:?}");
            assert!(found.found.contains(words) && found.fix.is_empty() == (expected == Verdict::Ok), "{found:?}");
        };
        check(PEM, "2026-12-15T00:00:00Z", Verdict::Ok, "until 2027-02-28");
        check(PEM, "2027-02-10T00:00:00Z", Verdict::Warn, "until 2027-02-28");
        check(PEM, "2027-03-01T00:00:00Z", Verdict::Fail, "ended");
        check(PEM, "2026-11-01T00:00:00Z", Verdict::Fail, "only from 2026-11-30");
        check(&PEM.repeat(2), "2027-02-10T00:00:00Z", Verdict::Warn, "2027-02-28");
        check("no certificate", "2026-12-15T00:00:00Z", Verdict::Fail, "no certificate");
        check(&PEM.replace("MIIB", "MJIB"), "2026-12-15T00:00:00Z", Verdict::Fail, "no certificate");
    }

    #[test]
    fn an_authority_that_is_not_made_yet_is_no_trouble() {
        let dir = TestDir::new();
        let found = findings(&Config::default(), dir.path(), Timestamp::default());
        assert_eq!((found.len(), found[0].verdict), (1, Verdict::Ok), "{found:?}");
    }
}

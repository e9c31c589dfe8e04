//! Percent-encoding: bytes that mean something else where they stand, or nothing, as `%XX`. It knows no kind of address.
//!
//! # Source
//! RFC 3986, sections 2.1 and 2.3.

/// A text with all but unreserved characters encoded: one part of a path, or one value of a query or a form.
#[must_use]
pub fn encode(text: &str) -> String {
    encode_but(text, |_| false)
}

/// As [`encode`], with slashes as they are: a path of several parts.
#[must_use]
pub fn encode_path(text: &str) -> String {
    encode_but(text, |byte| byte == b'/')
}

fn encode_but(text: &str, stays: impl Fn(u8) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ if stays(byte) => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// The text that was encoded; `None` where a `%` has no two hexadecimal digits behind it, or the bytes are no UTF-8.
#[must_use]
pub fn decode(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_comes_back() {
        assert_eq!(encode("1b-2_c.~"), "1b-2_c.~");
        assert_eq!(encode("a/b?c#d%\u{e9} +"), "a%2Fb%3Fc%23d%25%C3%A9%20%2B");
        assert_eq!(encode_path("a b/c"), "a%20b/c");
        for text in ["", "a/b?c#d%\u{e9} +", "%", "\0\u{10ffff}"] {
            assert_eq!(decode(&encode(text)).as_deref(), Some(text));
        }
        assert_eq!(decode("a+b%2fc").as_deref(), Some("a+b/c"));
    }

    #[test]
    fn what_nobody_encoded_so_is_refused() {
        for text in ["%", "%2", "%2g", "%+1", "a%\u{e9}", "%ff"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}

//! The credentials that requests are signed with, in the form that AWS's own tools keep them.

use std::fmt;

use zeroize::Zeroizing;

/// Who signs.
#[derive(Clone)]
pub struct Credentials {
    pub(crate) key_id: String,
    pub(crate) secret: Zeroizing<String>,
    pub(crate) session_token: Option<Zeroizing<String>>,
}

/// Why there are no credentials: a sentence that says what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CredentialsError(pub String);

impl Credentials {
    /// Credentials of a key.
    #[must_use]
    pub fn new(key_id: &str, secret: &str, session_token: Option<&str>) -> Self {
        let session_token = session_token.filter(|token| !token.is_empty());
        Self {
            key_id: key_id.to_owned(),
            secret: Zeroizing::new(secret.to_owned()),
            session_token: session_token.map(|token| Zeroizing::new(token.to_owned())),
        }
    }

    /// The credentials of a profile in a file in the form of AWS's shared credentials file: sections `[name]` with
    /// `aws_access_key_id`, `aws_secret_access_key` and, where there is one, `aws_session_token`.
    ///
    /// # Errors
    /// When the profile or one of its values is missing.
    pub fn parse_file(text: &str, profile: &str) -> Result<Self, CredentialsError> {
        let mut is_own = false;
        let (mut found, mut key_id, mut secret, mut token) = (false, None, None, None);
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                is_own = name.trim() == profile;
                found |= is_own;
            } else if let Some((name, value)) = line.split_once('=').filter(|_| is_own) {
                match name.trim() {
                    "aws_access_key_id" => key_id = Some(value.trim()),
                    "aws_secret_access_key" => secret = Some(value.trim()),
                    "aws_session_token" => token = Some(value.trim()),
                    _ => {}
                }
            }
        }
        if !found {
            return Err(CredentialsError(format!("it has no section [{profile}]")));
        }
        match (key_id, secret) {
            (Some(key_id), Some(secret)) if !key_id.is_empty() && !secret.is_empty() => {
                Ok(Self::new(key_id, secret, token))
            }
            _ => Err(CredentialsError(format!("[{profile}] needs aws_access_key_id and aws_secret_access_key"))),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_found_and_its_secret_never_shown() {
        let text = "# made by hand\n[other]\naws_access_key_id=A\n[default]\n aws_access_key_id = KEY\n\
                    aws_secret_access_key = s3cr=t/+\naws_session_token=tok\n";
        let found = Credentials::parse_file(text, "default").unwrap();
        assert_eq!((found.key_id.as_str(), found.secret.as_str()), ("KEY", "s3cr=t/+"));
        assert!(found.session_token.is_some());
        let shown = format!("{found:?}");
        assert!(shown.contains("KEY") && !shown.contains("s3cr") && !shown.contains("tok"), "{shown}");
        assert!(Credentials::parse_file(text, "other").unwrap_err().0.contains("aws_secret_access_key"));
        assert!(Credentials::parse_file(text, "none").unwrap_err().0.contains("[none]"));
    }
}

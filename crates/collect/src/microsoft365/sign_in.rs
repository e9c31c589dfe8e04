//! Tokens for an application that signs in as itself, with a secret or with a certificate.
//!
//! # Source
//! RFC 6749, section 4.4 (client credentials); RFC 7523, section 2.2 (assertions); Microsoft identity platform,
//! "Certificate credentials for application authentication" (PS256, `x5t#S256`).

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::RSA_PSS_SHA256;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use moneta_base::Timestamp;
use moneta_base::percent::encode;
use moneta_merkle::sha256;
use serde_json::{Value as Json, json};
use tokio::time::Instant;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::caller::{HttpAnswer, HttpRequest};
use super::failure::Failure;
use crate::Error;
use crate::intake::digest;

/// How long an assertion holds.
const ASSERTION_SECONDS: i64 = 600;
/// How long before its end a token is no longer used, where it lasts long enough.
const SPARE: Duration = Duration::from_secs(300);
/// Longest that a token is used, whatever a server says: they last for hours.
const USED_FOR_MAX: Duration = Duration::from_secs(24 * 3600);
/// Bytes of the answer with a token at most.
const ANSWER_BYTES_MAX: usize = 256 << 10;

/// Who signs in, and where.
#[derive(Debug, Clone)]
pub struct SignIn {
    /// The server that gives tokens, such as `https://login.microsoftonline.com`.
    pub url: String,
    /// The directory (tenant) of the application: an identifier or a domain.
    pub tenant: String,
    /// The application's (client's) identifier.
    pub client: String,
    /// What it proves itself by.
    pub proof: SignInProof,
}

/// What an application proves itself by.
#[derive(Clone)]
pub enum SignInProof {
    /// A secret.
    Secret(String),
    /// A certificate that the application is registered with, and its RSA key, in PEM.
    Certificate {
        /// The certificate.
        certificate: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
}

impl fmt::Debug for SignInProof {
    /// Prints no secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(_) => f.write_str("Secret"),
            Self::Certificate { certificate, .. } => f.debug_tuple("Certificate").field(certificate).finish(),
        }
    }
}

/// Makes requests for tokens.
pub(super) struct Applicant {
    sign_in: SignIn,
    signer: Option<Signer>,
}

/// A token, and until when it is used.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) until: Instant,
}

impl Applicant {
    /// Reads the certificate and its key, where they are what the application proves itself by.
    pub(super) fn new(sign_in: SignIn) -> Result<Self, Error> {
        let signer = match &sign_in.proof {
            SignInProof::Secret(_) => None,
            SignInProof::Certificate { certificate, key } => Some(Signer::read(certificate, key)?),
        };
        Ok(Self { sign_in, signer })
    }

    fn url(&self) -> String {
        format!("{}/{}/oauth2/v2.0/token", self.sign_in.url, encode(&self.sign_in.tenant))
    }

    /// The request for a token that opens a service.
    pub(super) fn request(&self, service: &str, now: Timestamp) -> Result<HttpRequest, Failure> {
        let (url, client) = (self.url(), &self.sign_in.client);
        let scope = format!("{service}/.default");
        let mut form = vec![("grant_type", "client_credentials"), ("client_id", client), ("scope", &scope)];
        let assertion = self.signer.as_ref().map(|signer| signer.assertion(&url, client, now)).transpose()?;
        match (&assertion, &self.sign_in.proof) {
            (Some(assertion), _) => {
                form.push(("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"));
                form.push(("client_assertion", assertion));
            }
            (None, SignInProof::Secret(secret)) => form.push(("client_secret", secret)),
            (None, SignInProof::Certificate { .. }) => {}
        }
        let form: Vec<String> = form.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        let headers = vec![("content-type", "application/x-www-form-urlencoded".to_owned())];
        Ok(HttpRequest { url, headers, post: Some(form.join("&")), answer_bytes_max: ANSWER_BYTES_MAX })
    }

    /// The token of an answer.
    pub(super) fn token(answer: &HttpAnswer) -> Result<Token, Failure> {
        let body: Json = serde_json::from_slice(&answer.body).unwrap_or_default();
        if answer.status != 200 {
            return Err(Failure::refused("signing in", answer));
        }
        let text = body["access_token"].as_str().ok_or(Failure::Unexpected("there is no token in the answer"))?;
        let lasts = Duration::from_secs(body["expires_in"].as_u64().unwrap_or_default());
        let used_for = lasts.saturating_sub(SPARE).max(lasts / 2).min(USED_FOR_MAX);
        Ok(Token { text: text.to_owned(), until: Instant::now() + used_for })
    }
}

/// Signs assertions with a certificate's key.
struct Signer {
    key: KeyPair,
    /// What tells the certificate: SHA-256 of its DER.
    thumbprint: String,
}

impl Signer {
    fn read(certificate: &Path, key: &Path) -> Result<Self, Error> {
        let unusable = |path: &Path, reason: String| Error::Tls { path: path.to_owned(), reason };
        let der =
            CertificateDer::from_pem_file(certificate).map_err(|error| unusable(certificate, error.to_string()))?;
        let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, error.to_string()))?;
        let pair = match &private {
            PrivateKeyDer::Pkcs8(der) => KeyPair::from_pkcs8(der.secret_pkcs8_der()),
            other => KeyPair::from_der(other.secret_der()),
        };
        let pair = pair.map_err(|_| unusable(key, "it is not an RSA key of at least 2048 bits".to_owned()))?;
        Ok(Self { key: pair, thumbprint: URL_SAFE_NO_PAD.encode(sha256(&der).as_bytes()) })
    }

    /// A JSON Web Token that says who asks for a token at an address.
    fn assertion(&self, url: &str, client: &str, now: Timestamp) -> Result<String, Failure> {
        let seconds = now.as_nanos() / 1_000_000_000;
        let header = json!({"alg": "PS256", "typ": "JWT", "x5t#S256": self.thumbprint});
        let claims = json!({
            "aud": url, "iss": client, "sub": client, "nbf": seconds, "iat": seconds, "exp": seconds + ASSERTION_SECONDS,
            // Unique, which is all that it is for.
            "jti": digest(format!("{client} {}", now.as_nanos()).as_bytes()),
        });
        let part = |value: &Json| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(&header), part(&claims));
        let mut signature = vec![0; self.key.public_modulus_len()];
        let signed = self.key.sign(&RSA_PSS_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature);
        signed.map_err(|_| Failure::Unexpected("the key of the certificate does not sign"))?;
        Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_lasts_for_ever_is_used_for_a_day() {
        let body = json!({"access_token": "t", "expires_in": u64::MAX}).to_string().into_bytes();
        let token = Applicant::token(&HttpAnswer { status: 200, headers: Vec::new(), body }).unwrap();
        assert!(token.until <= Instant::now() + USED_FOR_MAX);
    }
}

//! Authentication of requests: what they present, whose it is, and whether that may do this.
//!
//! A handler takes [`MayIngest`], [`MayQuery`], [`MayRespond`] or [`MayAdmin`]; without one of them it serves everybody, and a test
//! lists those that do.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use moneta_access::Presented;
use moneta_ports::{Actor, ActorKind, OpContext, Scope};

use crate::ApiError;
use crate::observe::{client_info, is_local, is_over_tls, origin};
use crate::state::App;

/// The cookie of a session.
const COOKIE: &str = "moneta_session";
/// The same over TLS: the prefix makes browsers refuse it from anywhere but this host over TLS.
const SECURE_COOKIE: &str = "__Host-moneta_session";
/// The header our page sends with every request, and no form or link of another site can.
const PAGE_HEADER: &str = "x-moneta-request";

macro_rules! scoped {
    ($(#[doc = $doc:literal] $name:ident = $scope:expr;)+) => {$(
        #[doc = $doc]
        pub(crate) struct $name(pub(crate) OpContext);

        impl FromRequestParts<App> for $name {
            type Rejection = ApiError;

            async fn from_request_parts(parts: &mut Parts, state: &App) -> Result<Self, ApiError> {
                authorise(parts, state, $scope).await.map(Self)
            }
        }
    )+};
}

scoped! {
    /// A caller who may send events.
    MayIngest = Scope::Ingest;
    /// A caller who may read.
    MayQuery = Scope::Query;
    /// A caller who may work on incidents.
    MayRespond = Scope::Respond;
    /// A caller who may change things.
    MayAdmin = Scope::Admin;
}

/// A caller of any scope.
pub(crate) struct SignedInCaller(pub(crate) OpContext);

impl FromRequestParts<App> for SignedInCaller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &App) -> Result<Self, ApiError> {
        authenticate(parts, state).await.map(Self)
    }
}

/// Finds out who asks and whether they have the scope.
pub(crate) async fn authorise(parts: &Parts, state: &App, needed: Scope) -> Result<OpContext, ApiError> {
    let ctx = authenticate(parts, state).await?;
    moneta_access::require(&ctx, needed)?;
    Ok(ctx)
}

async fn authenticate(parts: &Parts, state: &App) -> Result<OpContext, ApiError> {
    let client = client_info(parts);
    let credential = credential(&parts.headers);
    let presented = match (&credential, session_cookie(&parts.headers, is_over_tls(&parts.extensions))) {
        (Some(text), _) => Presented::Credential(text),
        (None, Some(cookie)) => {
            check_same_site(parts)?;
            Presented::Session(cookie)
        }
        (None, None) => match loopback(parts, state)? {
            Some(ctx) => return Ok(ctx),
            None => Presented::Nothing,
        },
    };
    Ok(state.access.authenticate(&client, presented).await?)
}

/// Who a request is that presents nothing, where the operator lets those of this machine in. By the address at the other
/// end, so it holds wherever the server listens; a page of another site in a browser of this machine is not let in.
fn loopback(parts: &Parts, state: &App) -> Result<Option<OpContext>, ApiError> {
    let Some(identity) = state.options.loopback.as_ref().filter(|_| is_local(parts)) else { return Ok(None) };
    let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let is_foreign = text("sec-fetch-site").is_some_and(|site| !matches!(site, "same-origin" | "none"))
        || parts.headers.contains_key(header::ORIGIN) && text("origin") != Some(&origin(parts));
    if is_foreign {
        return Err(ApiError::forbidden("pages of other sites need a credential here"));
    }
    let client = client_info(parts);
    Ok(Some(OpContext {
        actor: Actor { kind: ActorKind::Loopback, name: identity.name.clone() },
        scopes: identity.scopes.clone(),
        client_address: client.address,
        correlation_id: client.correlation_id,
        claims: client.claims,
        expires: None,
    }))
}

/// What stands in base64 on both sides of a colon.
fn pair(encoded: &str) -> Option<(String, String)> {
    let decoded = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    decoded.split_once(':').map(|(name, secret)| (name.to_owned(), secret.to_owned()))
}

/// The credential that a name and a password say: the id of a credential and its secret, or any name and all of it.
pub(crate) fn named_credential(headers: &HeaderMap) -> Option<String> {
    let (scheme, rest) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let (name, password) = pair(rest.trim()).filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    Some(moneta_access::client_credential(&name, &password).unwrap_or(password))
}

/// A credential, in the schemes that clients know: as bearer token, as the password of basic authentication, as Splunk's
/// token, as Elasticsearch's API key (as it is, or its id and secret in base64).
fn credential(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    let rest = rest.trim();
    match scheme.to_ascii_lowercase().as_str() {
        "bearer" | "splunk" => Some(rest.to_owned()),
        "basic" => pair(rest).map(|(_, password)| password),
        "apikey" => match pair(rest) {
            Some((id, secret)) => moneta_access::client_credential(&id, &secret),
            None => Some(rest.to_owned()),
        },
        _ => None,
    }
}

/// The value of the session cookie. Over TLS only the one counts that no other host can have set.
pub(crate) fn session_cookie(headers: &HeaderMap, tls: bool) -> Option<&str> {
    let wanted = if tls { SECURE_COOKIE } else { COOKIE };
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(name, _)| *name == wanted).map(|(_, value)| value).next()
}

/// The header that sets the session cookie, or clears it with an empty value.
pub(crate) fn set_cookie(value: &str, life_seconds: u64, tls: bool) -> String {
    let (name, secure) = if tls { (SECURE_COOKIE, "; Secure") } else { (COOKIE, "") };
    format!("{name}={value}; Path=/; Max-Age={life_seconds}; HttpOnly; SameSite=Strict{secure}")
}

/// Refuses what another site may have made a browser send. `SameSite=Strict` keeps the cookie from such requests
/// already; this stands where a browser or a sibling host gets around it.
fn check_same_site(parts: &Parts) -> Result<(), ApiError> {
    let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    if text("sec-fetch-site").is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return Err(ApiError::forbidden("requests with a session cookie must come from Moneta's own page"));
    }
    let is_safe = matches!(parts.method, Method::GET | Method::HEAD);
    let is_json = text("content-type").is_some_and(|kind| kind.starts_with("application/json"));
    if is_safe || is_json || text(PAGE_HEADER).is_some() {
        return Ok(());
    }
    Err(ApiError::forbidden(format!("with a session cookie, send JSON or the header `{PAGE_HEADER}: 1`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_credential_in_either_scheme() {
        let check = |value: &str, expected: Option<&str>| {
            let headers = [(header::AUTHORIZATION, value.parse().unwrap())].into_iter().collect();
            assert_eq!(credential(&headers).as_deref(), expected, "{value}");
        };
        check("Bearer mnt_a_b", Some("mnt_a_b"));
        check("bearer  mnt_a_b ", Some("mnt_a_b"));
        check("Basic YW55Om1udF9hX2I=", Some("mnt_a_b"));
        check("Basic !", None);
        check("Splunk mnt_a_b", Some("mnt_a_b"));
        check("ApiKey mnt_a_b", Some("mnt_a_b"));
        check("ApiKey YTpi", Some("mnt_a_b"));
        check("Digest x", None);
        check("Bearer", None);
    }

    #[test]
    fn finds_the_session_among_other_cookies() {
        let check = |value: &str, tls: bool, expected: Option<&str>| {
            let headers = [(header::COOKIE, value.parse().unwrap())].into_iter().collect();
            assert_eq!(session_cookie(&headers, tls), expected, "{value}");
        };
        check("a=b; moneta_session=x; c", false, Some("x"));
        check("moneta_session=planted; __Host-moneta_session=y", true, Some("y"));
        check("moneta_session=planted", true, None);
        check("__Host-moneta_session=y", false, None);
        check("xmoneta_session=x", false, None);
    }

    #[test]
    fn cookies_stay_away_from_scripts_and_other_sites() {
        assert_eq!(set_cookie("v", 5, false), "moneta_session=v; Path=/; Max-Age=5; HttpOnly; SameSite=Strict");
        let secure = set_cookie("v", 5, true);
        assert!(secure.starts_with("__Host-") && secure.ends_with("; Secure"), "{secure}");
    }
}

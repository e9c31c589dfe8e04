//! Calls of one service: with a token, again while that may help, and to its own address only.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::caller::{HttpAnswer, HttpFailure, HttpRequest};
use super::failure::Failure;
use super::sign_in::{Applicant, Token};
use super::{Halt, Shared};
use crate::collector::{Stopped, until_stopped};

/// Times a call is tried at most before everything begun is begun anew.
const ATTEMPTS_MAX: u32 = 6;
/// Wait before the second attempt, where the server names no time; it doubles.
const RETRY_MIN: Duration = Duration::from_secs(1);
/// Longest wait between two attempts, whatever a server wants.
const RETRY_MAX: Duration = Duration::from_secs(600);
/// Bytes of an answer at most: a page, or the content of a blob.
const ANSWER_BYTES_MAX: usize = 32 << 20;

/// The calls of one service.
pub(super) struct Session {
    /// Scheme, host and port, such as `https://graph.microsoft.com`.
    root: String,
    token: Mutex<Option<Token>>,
}

impl Session {
    pub(super) fn new(root: &str) -> Self {
        Self { root: root.to_owned(), token: Mutex::default() }
    }

    pub(super) fn root(&self) -> &str {
        &self.root
    }

    /// Reads what is at an address of the service.
    pub(super) async fn get(
        &self,
        shared: &Shared,
        doing: &'static str,
        url: &str,
        stopped: &mut Stopped,
    ) -> Result<HttpAnswer, Halt> {
        self.send(shared, doing, url, None, stopped).await
    }

    /// As [`Self::get`]; posts a text where there is one. An answer other than success is an error.
    pub(super) async fn send(
        &self,
        shared: &Shared,
        doing: &'static str,
        url: &str,
        post: Option<&str>,
        stopped: &mut Stopped,
    ) -> Result<HttpAnswer, Halt> {
        // The token opens everything of the service: an answer must not get it sent elsewhere.
        if !url.strip_prefix(&self.root).is_some_and(|rest| rest.starts_with('/')) {
            return Err(Failure::Elsewhere.into());
        }
        let (mut wait, mut renewed) = (shared.options.retry_min.unwrap_or(RETRY_MIN), false);
        let mut attempt = 1;
        loop {
            let failure = match self.send_once(shared, doing, url, post, stopped).await {
                Ok(answer) => {
                    shared.trouble.tell(&shared.label, &self.root, None);
                    return Ok(answer);
                }
                Err(Halt::Failed(failure)) => failure,
                Err(stopped) => return Err(stopped),
            };
            if matches!(failure, Failure::Refused { status: 401, .. }) && !renewed {
                renewed = true;
                *self.token.lock().await = None;
                continue;
            }
            if !failure.is_passing() || attempt == ATTEMPTS_MAX {
                return Err(failure.into());
            }
            let pause = failure.retry_after().unwrap_or(wait).min(RETRY_MAX);
            shared.trouble.tell(&shared.label, &self.root, Some(failure.to_string()));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = until_stopped(stopped) => return Err(Halt::Stopped),
            }
            (wait, attempt) = ((wait * 2).min(RETRY_MAX), attempt + 1);
        }
    }

    async fn send_once(
        &self,
        shared: &Shared,
        doing: &'static str,
        url: &str,
        post: Option<&str>,
        stopped: &mut Stopped,
    ) -> Result<HttpAnswer, Halt> {
        let token = self.token(shared, stopped).await?;
        let headers = vec![("authorization", format!("Bearer {token}"))];
        let (url, post) = (url.to_owned(), post.map(str::to_owned));
        let request = HttpRequest { url, headers, post, answer_bytes_max: ANSWER_BYTES_MAX };
        let answer = call(shared, request, stopped).await?;
        match answer.status {
            200..=299 => Ok(answer),
            _ => Err(Failure::refused(doing, &answer).into()),
        }
    }

    /// The token, a new one where the last is nearly over. Whoever asks meanwhile waits for the same.
    async fn token(&self, shared: &Shared, stopped: &mut Stopped) -> Result<String, Halt> {
        let mut held = self.token.lock().await;
        if let Some(token) = held.as_ref().filter(|token| Instant::now() < token.until) {
            return Ok(token.text.clone());
        }
        let request = shared.applicant.request(&self.root, shared.intake.clock.now())?;
        let token = Applicant::token(&call(shared, request, stopped).await?)?;
        let text = token.text.clone();
        *held = Some(token);
        Ok(text)
    }
}

/// Calls once, unless reading has to stop.
async fn call(shared: &Shared, request: HttpRequest, stopped: &mut Stopped) -> Result<HttpAnswer, Halt> {
    let host = request.url.split('/').nth(2).unwrap_or_default().to_owned();
    tokio::select! {
        answered = shared.options.caller.call(request) => {
            answered.map_err(|reason: HttpFailure| Failure::Unreachable { host, reason }.into())
        }
        () = until_stopped(stopped) => Err(Halt::Stopped),
    }
}

//! Pulls audit records of Microsoft 365, Entra ID and Defender: the Office 365 Management Activity API and lists of
//! Microsoft Graph.
//!
//! ```text
//! every poll, per list: window [cursor, now) ─► pages ─► items not stored yet ─► fetch, decode, submit ─► cursor
//! ```
//! Both services list what became available in a span of time, page by page, in no order that is promised, and let things
//! appear late. So each list is read from its *cursor*, which stays behind the time by an overlap, and each item (a blob of
//! the Management Activity API, a record of Graph) is stored under a mark of its own: the mark and the records are
//! one commit, so that a restart at any moment neither loses nor doubles a record (`exactly-once`). When a window was
//! read whole, the cursor moves, durably, and only then the marks before it, which nobody will ask for again, go.
//!
//! A window that holds more than can be remembered, or a page that is too large, is cut in half. Where the overlap holds
//! more than one such window, the cursor gets on by half a window at a time until the rest is one: what is late is then
//! found in that window alone. Content that expired before it was fetched is counted as dropped (`gone`), and said.

mod caller;
mod failure;
mod feed;
mod list;
mod session;
mod sign_in;

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;

pub use self::caller::{HttpAnswer, HttpCaller, HttpFailure, HttpRequest};
use self::failure::Failure;
use self::feed::Feed;
pub use self::list::GraphList;
use self::list::List;
use self::session::Session;
use self::sign_in::Applicant;
pub use self::sign_in::{SignIn, SignInProof};
use crate::Error;
use crate::collector::{Collector, Stopped, Trouble};
use crate::intake::{Intake, ResumePoints};

/// What to pull, and how.
#[derive(Clone)]
pub struct Microsoft365Options {
    /// What the source is called. Progress is remembered under this name.
    pub name: String,
    /// Calls the servers.
    pub caller: Arc<dyn HttpCaller>,
    /// Who signs in.
    pub sign_in: SignIn,
    /// The Management Activity API, such as `https://manage.office.com`.
    pub activity_url: String,
    /// The content types to pull from there.
    pub content_types: Vec<String>,
    /// Microsoft Graph, such as `https://graph.microsoft.com`.
    pub graph_url: String,
    /// The lists to pull from there.
    pub lists: Vec<GraphList>,
    /// How often it is asked for news.
    pub poll: Duration,
    /// How late things may appear, in lists that were read before.
    pub overlap: Duration,
    /// How far back to begin where nothing was ever stored.
    pub history: Duration,
    /// Wait before a call is tried again, where the server names no time; a second when absent.
    pub retry_min: Option<Duration>,
}

/// Pulls the lists of one directory (tenant). A server that does not answer is tried again for ever;
/// [`Collector::trouble`] says why.
///
/// # Errors
/// [`Error::Tls`] when the certificate or the key to sign in with cannot be used.
pub fn start_microsoft365(
    intake: Intake,
    resume: Arc<dyn ResumePoints>,
    options: Microsoft365Options,
) -> Result<Collector, Error> {
    let label = format!("microsoft365/{}", options.name);
    let trouble = Trouble::default();
    let shared = Shared {
        intake,
        resume,
        applicant: Applicant::new(options.sign_in.clone())?,
        activity: Session::new(&options.activity_url),
        graph: Session::new(&options.graph_url),
        label: label.clone(),
        trouble: trouble.clone(),
        options,
    };
    let name = format!("microsoft365 {}", shared.options.name);
    let run = |stopped: Stopped| async move {
        let activity = shared.options.content_types.iter().cloned().map(List::Activity);
        let graph = shared.options.lists.iter().copied().map(List::Graph);
        let feeds = activity.chain(graph).map(|list| Feed::new(&shared, list).run(stopped.clone()));
        join_all(feeds).await;
    };
    Ok(Collector::start(&name, label, None, run).telling(trouble))
}

/// What all lists of a source need.
struct Shared {
    intake: Intake,
    resume: Arc<dyn ResumePoints>,
    applicant: Applicant,
    activity: Session,
    graph: Session,
    /// What records are counted under, and names of sources begin with.
    label: String,
    trouble: Trouble,
    options: Microsoft365Options,
}

/// Why reading halts.
enum Halt {
    /// It was told to.
    Stopped,
    /// Something has to be tried again later.
    Failed(Failure),
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

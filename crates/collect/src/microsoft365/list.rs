//! What is listed: content of the Management Activity API, and lists of Microsoft Graph.
//!
//! # Source
//! "Office 365 Management Activity API reference": start a subscription, list available content (windows of at most 24
//! hours, the start included and the end not, `NextPageUri`), retrieving content, error codes. Microsoft Graph v1.0
//! reference: signIn, directoryAudit and alert (security) resource types; paging by `@odata.nextLink`.

use std::collections::BTreeMap;
use std::time::Duration;

use moneta_base::percent::encode;
use moneta_base::{TableName, Timestamp};
use serde_json::value::RawValue;

use super::caller::HttpAnswer;
use super::failure::Failure;
use super::session::Session;
use super::{Halt, Shared};
use crate::collector::Stopped;

/// How long the Management Activity API keeps content, less what a call may take.
const ACTIVITY_KEPT: Duration = Duration::from_secs(7 * 24 * 3600 - 600);

/// Whose share of calls one is counted against.
const PUBLISHER: &str = "PublisherIdentifier";

/// A list of Microsoft Graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GraphList {
    /// Sign-ins of people, to `SigninLogs`.
    SignIns,
    /// Changes in the directory, to `AuditLogs`.
    DirectoryAudits,
    /// Alerts of Defender, Entra ID Protection, Purview, each in every version that is seen, to `SecurityAlert`.
    Alerts,
}

impl GraphList {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::SignIns, Self::DirectoryAudits, Self::Alerts];

    /// As Graph spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SignIns => "signIns",
            Self::DirectoryAudits => "directoryAudits",
            Self::Alerts => "alerts_v2",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::SignIns => "/v1.0/auditLogs/signIns",
            Self::DirectoryAudits => "/v1.0/auditLogs/directoryAudits",
            Self::Alerts => "/v1.0/security/alerts_v2",
        }
    }

    /// The member that is filtered by.
    fn time(self) -> &'static str {
        match self {
            Self::SignIns => "createdDateTime",
            Self::DirectoryAudits => "activityDateTime",
            Self::Alerts => "lastUpdateDateTime",
        }
    }

    /// Items of one page. An alert may have hundreds of pieces of evidence.
    fn page_items(self) -> usize {
        match self {
            Self::SignIns | Self::DirectoryAudits => 500,
            Self::Alerts => 100,
        }
    }

    fn table(self) -> &'static str {
        match self {
            Self::SignIns => "SigninLogs",
            Self::DirectoryAudits => "AuditLogs",
            Self::Alerts => "SecurityAlert",
        }
    }
}

/// One thing that is listed again and again.
#[derive(Debug, Clone)]
pub(super) enum List {
    /// A content type of the Management Activity API.
    Activity(String),
    Graph(GraphList),
}

/// A part of a list.
pub(super) struct Page {
    pub(super) items: Vec<Item>,
    /// Where it goes on.
    pub(super) next: Option<String>,
}

/// What is listed: stored once, by its identifier.
pub(super) struct Item {
    pub(super) id: String,
    /// When it became available, or was last changed: what windows are made by. Nothing readable is `None`.
    pub(super) time: Option<Timestamp>,
    pub(super) content: Content,
}

/// Where the records of an item are.
pub(super) enum Content {
    /// The item is a record.
    Record(Box<RawValue>),
    /// The item says where a list of records is.
    At(String),
}

impl List {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Activity(content_type) => content_type,
            Self::Graph(list) => list.name(),
        }
    }

    /// The table of records whose shape says nothing of it.
    pub(super) fn table(&self) -> TableName {
        let name = match self {
            Self::Activity(_) => "OfficeActivity",
            Self::Graph(list) => list.table(),
        };
        TableName::new(name).expect("the names of built-in tables are valid")
    }

    pub(super) fn session<'a>(&self, shared: &'a Shared) -> &'a Session {
        match self {
            Self::Activity(_) => &shared.activity,
            Self::Graph(_) => &shared.graph,
        }
    }

    /// How long the service keeps what it lists, where that is shorter than a source may rest.
    pub(super) fn kept_for(&self) -> Option<Duration> {
        matches!(self, Self::Activity(_)).then_some(ACTIVITY_KEPT)
    }

    /// Items that are fetched or stored at the same time.
    pub(super) fn at_once(&self) -> usize {
        match self {
            Self::Activity(_) => 4,
            Self::Graph(_) => 64,
        }
    }

    /// Lets the service gather what is to be listed.
    pub(super) async fn subscribe(&self, shared: &Shared, stopped: &mut Stopped) -> Result<(), Halt> {
        let Self::Activity(content_type) = self else { return Ok(()) };
        let url = format!(
            "{}/subscriptions/start?contentType={}&{}",
            feed_root(shared),
            encode(content_type),
            publisher(shared)
        );
        let session = self.session(shared);
        match session.send(shared, "starting a subscription", &url, Some(""), stopped).await {
            // It was started before.
            Err(Halt::Failed(failure)) if failure.has_code("AF20024") => Ok(()),
            other => other.map(drop),
        }
    }

    /// The address of the first page of what became available in `[from, to)`, whole seconds.
    pub(super) fn first_page(&self, shared: &Shared, from: Timestamp, to: Timestamp) -> String {
        let seconds = |time: Timestamp| time.to_string()[..19].to_owned();
        let (from, to) = (seconds(from), seconds(to));
        match self {
            Self::Activity(content_type) => format!(
                "{}/subscriptions/content?contentType={}&startTime={from}&endTime={to}&{}",
                feed_root(shared),
                encode(content_type),
                publisher(shared)
            ),
            // `lt` is not promised for all lists; what is of the end itself is left to the next window.
            Self::Graph(list) => {
                let (root, path, time) = (shared.graph.root(), list.path(), list.time());
                let top = list.page_items();
                format!("{root}{path}?$filter={time}%20ge%20{from}Z%20and%20{time}%20le%20{to}Z&$top={top}")
            }
        }
    }

    /// An address that the service named, with what every call of it must say to get its own share of calls.
    pub(super) fn named(&self, shared: &Shared, url: &str) -> String {
        if matches!(self, Self::Graph(_)) || url.contains(PUBLISHER) {
            return url.to_owned();
        }
        let mark = if url.contains('?') { '&' } else { '?' };
        format!("{url}{mark}{}", publisher(shared))
    }

    /// Reads a page.
    pub(super) fn page(&self, answer: &HttpAnswer) -> Result<Page, Failure> {
        match self {
            Self::Activity(_) => {
                let all = values(&answer.body)?;
                let items = all.iter().map(|entry| blob(&members(entry)?)).collect::<Result<_, _>>()?;
                Ok(Page { items, next: answer.header("nextpageuri").map(str::to_owned) })
            }
            Self::Graph(list) => {
                let page: Members = serde_json::from_slice(&answer.body).map_err(|_| NOT_JSON)?;
                let all = page.get("value").ok_or(Failure::Unexpected("a page has no list of values"))?;
                let items = values(all.get().as_bytes())?
                    .into_iter()
                    .map(|record| list.item(record))
                    .collect::<Result<_, _>>()?;
                Ok(Page { items, next: text_of(&page, "@odata.nextLink") })
            }
        }
    }
}

/// The members of an object, as they were written.
type Members = BTreeMap<String, Box<RawValue>>;

const NOT_JSON: Failure = Failure::Unexpected("a page is not the JSON that it should be");

fn values(json: &[u8]) -> Result<Vec<Box<RawValue>>, Failure> {
    serde_json::from_slice(json).map_err(|_| NOT_JSON)
}

fn members(json: &RawValue) -> Result<Members, Failure> {
    serde_json::from_str(json.get()).map_err(|_| NOT_JSON)
}

fn text_of(members: &Members, name: &str) -> Option<String> {
    serde_json::from_str(members.get(name)?.get()).ok()
}

/// An entry of the Management Activity API's list.
fn blob(members: &Members) -> Result<Item, Failure> {
    let unnamed = || Failure::Unexpected("listed content has no contentId or no contentUri");
    let id = text_of(members, "contentId").ok_or_else(unnamed)?;
    let uri = text_of(members, "contentUri").ok_or_else(unnamed)?;
    let time = text_of(members, "contentCreated").and_then(|text| time_of(&text));
    Ok(Item { id, time, content: Content::At(uri) })
}

impl GraphList {
    fn item(self, record: Box<RawValue>) -> Result<Item, Failure> {
        let members = members(&record)?;
        let mut id = text_of(&members, "id").ok_or(Failure::Unexpected("a listed record has no id"))?;
        let text = text_of(&members, self.time()).unwrap_or_default();
        if self == Self::Alerts {
            // Each version of an alert that is seen is a record of its own.
            id = format!("{id} {text}");
        }
        Ok(Item { id, time: time_of(&text), content: Content::Record(record) })
    }
}

/// A time in UTC, also where its zone is left out.
fn time_of(text: &str) -> Option<Timestamp> {
    Timestamp::parse(text).or_else(|| Timestamp::parse(&format!("{text}Z")))
}

fn publisher(shared: &Shared) -> String {
    format!("{PUBLISHER}={}", encode(&shared.options.sign_in.tenant))
}

fn feed_root(shared: &Shared) -> String {
    format!("{}/api/v1.0/{}/activity/feed", shared.activity.root(), encode(&shared.options.sign_in.tenant))
}

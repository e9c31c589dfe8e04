//! Prometheus' query interface, as far as Grafana and promtool need it.
//!
//! # Source
//! Prometheus documentation, "HTTP API": parameters in the address or as a form; what is not supported is `bad_data`.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::response::Response;
use axum::{Form, Json};
use moneta_base::Timestamp;
use moneta_ports::OpContext;
use moneta_promql::{Expression, Selector, Series};
use serde_json::{Value, json};

use super::answer::{Refusal, matrix, of_instant, success};
use super::samples;
use crate::ApiError;
use crate::address::Path;
use crate::auth::MayQuery;
use crate::intake::on_other_thread;
use crate::state::App;

/// The version of Prometheus whose interface this is a part of: clients decide by it what they ask.
const INTERFACE_VERSION: &str = "2.55.0";
/// How far back labels are looked for when no beginning is given, in milliseconds.
const LABELS_BACK_MS: i64 = 24 * 3_600_000;
/// Milliseconds since 1970 that fit a time stamp.
const TIME_MS_MAX: i64 = i64::MAX / 1_000_000;

type Caller = Result<MayQuery, ApiError>;
type Parameters = Result<Form<Vec<(String, String)>>, FormRejection>;
type Answered = Result<Response, Refusal>;

/// `GET|POST /api/v1/query`: `query`, `time`.
pub(super) async fn instant(caller: Caller, State(state): State<App>, form: Parameters) -> Answered {
    let (MayQuery(ctx), given) = (caller?, Given::read(form)?);
    let expression = given.query()?;
    let at = given.time("time")?.unwrap_or_else(|| now(&state));
    let found = fetch(&state, &ctx, &expression, (at, at)).await?;
    let answer = on_other_thread(move || moneta_promql::instant(&expression, &found, at)).await??;
    Ok(of_instant(answer, at))
}

/// `GET|POST /api/v1/query_range`: `query`, `start`, `end`, `step`.
pub(super) async fn range(caller: Caller, State(state): State<App>, form: Parameters) -> Answered {
    let (MayQuery(ctx), given) = (caller?, Given::read(form)?);
    let expression = given.query()?;
    let (start, end) = (given.needed_time("start")?, given.needed_time("end")?);
    let step = given.step()?;
    // What cannot be is refused before anything is fetched.
    moneta_promql::range(&expression, &vec![Vec::new(); expression.selectors().len()], (start, end), step)
        .map_err(|error| Refusal::bad_data(error.to_string()))?;
    let found = fetch(&state, &ctx, &expression, (start, end)).await?;
    let series = on_other_thread(move || moneta_promql::range(&expression, &found, (start, end), step)).await??;
    Ok(matrix(series))
}

/// `GET|POST /api/v1/series`: `match[]`, `start`, `end`.
pub(super) async fn series(caller: Caller, State(state): State<App>, form: Parameters) -> Answered {
    let (MayQuery(ctx), given) = (caller?, Given::read(form)?);
    let selectors = given.selectors()?;
    if selectors.is_empty() {
        return Err(Refusal::bad_data("no match[] parameter provided"));
    }
    let all = samples::labels(&state, &ctx, &selectors, given.times(&state)?).await?;
    Ok(success(&json!(all)))
}

/// `GET|POST /api/v1/labels`: `match[]`, `start`, `end`.
pub(super) async fn labels(caller: Caller, State(state): State<App>, form: Parameters) -> Answered {
    let (MayQuery(ctx), given) = (caller?, Given::read(form)?);
    let all = samples::labels(&state, &ctx, &given.selectors()?, given.times(&state)?).await?;
    let names: BTreeSet<&String> = all.iter().flat_map(std::collections::BTreeMap::keys).collect();
    Ok(success(&json!(names)))
}

/// `GET /api/v1/label/{name}/values`: `match[]`, `start`, `end`.
pub(super) async fn label_values(
    caller: Caller,
    State(state): State<App>,
    Path(name): Path<String>,
    form: Parameters,
) -> Answered {
    let (MayQuery(ctx), given) = (caller?, Given::read(form)?);
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b':';
    if name.is_empty() || !name.bytes().all(is_name) {
        return Err(Refusal::bad_data(format!("invalid label name: {name:?}")));
    }
    let all = samples::labels(&state, &ctx, &given.selectors()?, given.times(&state)?).await?;
    let values: BTreeSet<&String> = all.iter().filter_map(|labels| labels.get(&name)).collect();
    Ok(success(&json!(values)))
}

/// `GET /api/v1/metadata`: none is kept.
pub(super) async fn metadata(caller: Caller) -> Answered {
    caller?;
    Ok(success(&json!({})))
}

/// `GET /api/v1/status/buildinfo`.
pub(super) async fn build_info(caller: Caller, State(state): State<App>) -> Result<Json<Value>, Refusal> {
    caller?;
    let application = format!("Moneta {}", state.options.version);
    let data = json!({ "version": INTERFACE_VERSION, "application": application, "revision": "", "branch": "",
        "buildUser": "", "buildDate": "", "goVersion": "" });
    Ok(Json(json!({ "status": "success", "data": data })))
}

fn now(state: &App) -> i64 {
    state.clock.now().as_nanos() / 1_000_000
}

/// The samples of each selector.
async fn fetch(
    state: &App,
    ctx: &OpContext,
    expression: &Expression,
    (start, end): (i64, i64),
) -> Result<Vec<Vec<Series>>, Refusal> {
    let mut found = Vec::with_capacity(expression.selectors().len());
    for selector in expression.selectors() {
        found.push(samples::series(state, ctx, selector, selector.times(start, end)).await?);
    }
    Ok(found)
}

/// The parameters that were given.
struct Given(Vec<(String, String)>);

impl Given {
    fn read(form: Parameters) -> Result<Self, Refusal> {
        let Form(given) = form.map_err(|rejection| Refusal::bad_data(rejection.body_text()))?;
        Ok(Self(given))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(given, _)| given == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    fn query(&self) -> Result<Expression, Refusal> {
        let text = self.get("query").ok_or_else(|| Refusal::bad_data("invalid parameter \"query\": it is missing"))?;
        Ok(moneta_promql::parse(text)?)
    }

    /// Each of `match[]`, which is a selector and nothing around it.
    fn selectors(&self) -> Result<Vec<Selector>, Refusal> {
        let mut selectors = Vec::new();
        for (_, text) in self.0.iter().filter(|(name, _)| name == "match[]") {
            let refused =
                || Refusal::bad_data(format!("invalid parameter \"match[]\": {text:?} is no selector of series"));
            let expression = moneta_promql::parse(text)?;
            selectors.push(expression.into_selector().filter(|one| one.range_ms.is_none()).ok_or_else(refused)?);
        }
        Ok(selectors)
    }

    /// A time in milliseconds: seconds since 1970, or RFC 3339.
    fn time(&self, name: &str) -> Result<Option<i64>, Refusal> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let seconds = text.parse::<f64>().ok().filter(|seconds| seconds.is_finite());
        let parsed = || Timestamp::parse(text).map(|time| time.as_nanos() / 1_000_000);
        #[expect(clippy::cast_possible_truncation, reason = "a time out of range becomes the last one")]
        let ms = seconds.map(|seconds| (seconds * 1e3).round() as i64).or_else(parsed);
        let refused =
            || Refusal::bad_data(format!("invalid parameter {name:?}: cannot parse {text:?} to a valid timestamp"));
        ms.map(|ms| Some(ms.clamp(-TIME_MS_MAX, TIME_MS_MAX))).ok_or_else(refused)
    }

    fn needed_time(&self, name: &str) -> Result<i64, Refusal> {
        self.time(name)?.ok_or_else(|| Refusal::bad_data(format!("invalid parameter {name:?}: it is missing")))
    }

    /// The beginning and the end of what labels are looked for in.
    fn times(&self, state: &App) -> Result<(i64, i64), Refusal> {
        let end = self.time("end")?.unwrap_or_else(|| now(state));
        Ok((self.time("start")?.unwrap_or(end - LABELS_BACK_MS), end))
    }

    /// Milliseconds: a number of seconds, or a duration.
    fn step(&self) -> Result<i64, Refusal> {
        let text = self.get("step").ok_or_else(|| Refusal::bad_data("invalid parameter \"step\": it is missing"))?;
        let seconds = text.parse::<f64>().ok().filter(|seconds| seconds.is_finite());
        #[expect(clippy::cast_possible_truncation, reason = "a step out of range becomes the longest one")]
        let ms = seconds.map(|seconds| (seconds * 1e3) as i64).or_else(|| moneta_promql::duration_ms(text));
        ms.ok_or_else(|| {
            Refusal::bad_data(format!("invalid parameter \"step\": cannot parse {text:?} to a valid duration"))
        })
    }
}

#[cfg(test)]
mod tests {
    use moneta_promql::NAME_LABEL;

    use super::*;

    fn given(pairs: &[(&str, &str)]) -> Given {
        Given(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn times_and_steps_have_two_forms_each() {
        let check = |text: &str, expected: Option<i64>| {
            assert_eq!(given(&[("time", text)]).time("time").ok().flatten(), expected, "{text}")
        };
        check("1.5", Some(1_500));
        check("1767323045.781", Some(1_767_323_045_781));
        check("1970-01-01T00:00:01Z", Some(1_000));
        check("-9223372036", Some(-9_223_372_036_000));
        check("9e30", Some(TIME_MS_MAX));
        check("yesterday", None);
        check("NaN", None);
        assert_eq!(given(&[("step", "15")]).step().unwrap(), 15_000);
        assert_eq!(given(&[("step", "1m30s")]).step().unwrap(), 90_000);
        assert!(given(&[("step", "often")]).step().is_err() && given(&[]).step().is_err());
    }

    #[test]
    fn only_selectors_match() {
        let check =
            |text: &str, is_good: bool| assert_eq!(given(&[("match[]", text)]).selectors().is_ok(), is_good, "{text}");
        check("up", true);
        check("{__name__=~'a.*'}", true);
        check("up[5m]", false);
        check("sum(up)", false);
        check("1", false);
        let two = given(&[("match[]", "a"), ("match[]", "b")]).selectors().unwrap();
        assert_eq!((two.len(), two[1].matchers[0].label.as_str()), (2, NAME_LABEL));
    }
}

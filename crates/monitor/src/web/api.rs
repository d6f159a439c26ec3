//! What is answered where. All of it is rows of [`view`], as JSON; every collection is an object with one member, so that more can be
//! added.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::header::{ALLOW, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::ser::{Serialize, SerializeMap as _, Serializer};

use super::guard::{Refusal, guard};
use super::state::Shared;
use super::{SESSION_PATH, assets, manage, metrics, session, stream};
use crate::export::{self, Format, Table};
use crate::history::{HistoryError, PastBuild, Question, Store};
use crate::model::{Cluster, HostId, JobId};
use crate::view;

/// Bytes of a request's body.
const LONGEST_BODY: usize = 16 * 1024;

/// Ended jobs shown with a host.
const JOBS_OF_HOST: usize = 200;

/// All routes, behind the guard.
pub(super) fn router(shared: Arc<Shared>) -> Router {
    let api = Router::new()
        .route("/cluster", get(cluster))
        .route("/hosts", get(hosts))
        .route("/hosts/{id}", get(host))
        .route("/jobs", get(jobs))
        .route("/jobs/{id}", get(job))
        .route("/builds", get(builds))
        .route("/builds/{id}", get(build))
        .route("/builds/{id}/trace.json", get(trace))
        .route("/files", get(files))
        .route("/reasons", get(reasons))
        .route("/slots", get(slots))
        .route("/alerts", get(alerts))
        .route("/people", get(people))
        .route("/toolchains", get(toolchains))
        .route("/history", get(history))
        .route("/history/builds", get(past_builds))
        .route("/history/files", get(past_files))
        .route("/export/{file}", get(export_table))
        .route("/audit", get(manage::audit))
        .route("/manage", post(manage::manage))
        .route("/stream", get(stream::stream))
        .fallback(unknown);
    Router::new()
        .nest("/api/v1", api)
        .route(SESSION_PATH, post(session::begin).delete(session::end))
        .route("/metrics", get(metrics::metrics))
        .fallback(page)
        .method_not_allowed_fallback(other_method)
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), guard))
        .with_state(shared)
}

async fn page(method: Method, uri: Uri) -> Response {
    if method == Method::GET || method == Method::HEAD {
        assets::file(uri.path())
    } else {
        let allowed = [(ALLOW, HeaderValue::from_static("GET, HEAD"))];
        (allowed, other_method().await).into_response()
    }
}

async fn unknown() -> Refusal {
    missing(
        "there is nothing at this path",
        "see gelato-monitor(1) for what there is",
    )
}

async fn other_method() -> Refusal {
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "this path does not take this method",
        "see gelato-monitor(1) for what there is",
    )
}

fn missing(error: &str, hint: &'static str) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, error, hint)
}

/// Rows under their name.
fn collection(name: &'static str, rows: impl Serialize) -> Response {
    Json(Collection { name, rows }).into_response()
}

struct Collection<T> {
    name: &'static str,
    rows: T,
}

impl<T: Serialize> Serialize for Collection<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(self.name, &self.rows)?;
        map.end()
    }
}

type Look = State<Arc<Shared>>;

async fn cluster(State(shared): Look) -> Response {
    Json(shared.see(view::cluster)).into_response()
}

async fn hosts(State(shared): Look) -> Response {
    collection("hosts", shared.see(view::hosts))
}

#[derive(serde::Serialize)]
struct HostPage {
    host: view::HostRow,
    running: Vec<view::JobRow>,
    recent: Vec<view::JobRow>,
}

async fn host(State(shared): Look, Path(id): Path<String>) -> Result<Response, Refusal> {
    let none = || missing("there is no such host", "see /api/v1/hosts");
    let id = id.parse().map(HostId).map_err(|_| none())?;
    let page = shared.see(|cluster, now| host_page(cluster, now, id));
    Ok(Json(page.ok_or_else(none)?).into_response())
}

fn host_page(cluster: &Cluster, now: u64, id: HostId) -> Option<HostPage> {
    let host = view::host(cluster, id, now)?;
    let row = |(job, _)| view::job(cluster, job, now);
    let of_host = |job: &crate::model::Job| job.client == Some(id) || job.server == Some(id);
    let running = cluster
        .jobs()
        .filter(|(_, job)| !job.is_over() && of_host(job));
    let recent = cluster
        .jobs()
        .rev()
        .filter(|(_, job)| job.is_over() && of_host(job))
        .take(JOBS_OF_HOST);
    Some(HostPage {
        host,
        running: running.filter_map(row).collect(),
        recent: recent.filter_map(row).collect(),
    })
}

async fn jobs(State(shared): Look) -> Response {
    collection("jobs", shared.see(view::jobs))
}

async fn job(State(shared): Look, Path(id): Path<String>) -> Result<Response, Refusal> {
    let none = || missing("this job is not known any more", "see /api/v1/jobs");
    let id = id.parse().map(JobId).map_err(|_| none())?;
    let row = shared.see(|cluster, now| view::job(cluster, id, now));
    Ok(Json(row.ok_or_else(none)?).into_response())
}

async fn builds(State(shared): Look) -> Response {
    collection("builds", shared.see(view::builds))
}

#[derive(serde::Serialize)]
struct BuildPage {
    build: view::BuildRow,
    jobs: Vec<view::JobRow>,
}

#[derive(serde::Serialize)]
struct PastBuildPage {
    build: PastBuild,
    jobs: [view::JobRow; 0],
}

async fn build(State(shared): Look, Path(id): Path<String>) -> Result<Response, Refusal> {
    let page = shared.see(|cluster, now| {
        let number = build_number(cluster, now, &id)?;
        Some(BuildPage {
            build: view::build(cluster, number, now)?,
            jobs: view::jobs_of_build(cluster, number, now),
        })
    });
    if let Some(page) = page {
        return Ok(Json(page).into_response());
    }
    // Of one that is long over, the sums are still there.
    let question = move |store: &Store| store.build(&id);
    let kept = ask_history(&shared, question).await.ok().flatten();
    let build = kept.ok_or_else(|| missing("this build is not known", "see /api/v1/builds"))?;
    Ok(Json(PastBuildPage { build, jobs: [] }).into_response())
}

/// A build by its number or its key.
fn build_number(cluster: &Cluster, now: u64, id: &str) -> Option<u64> {
    if let Ok(number) = id.parse() {
        return Some(number);
    }
    let mut rows = view::builds(cluster, now).into_iter();
    rows.find(|row| row.key.as_deref() == Some(id))
        .map(|row| row.id)
}

async fn trace(State(shared): Look, Path(id): Path<String>) -> Result<Response, Refusal> {
    let trace = shared.see(|cluster, now| {
        let number = build_number(cluster, now, &id)?;
        export::trace(cluster, number, now)
    });
    let none = || missing("this build is not known any more", "see /api/v1/builds");
    let name = "gelato-build-trace.json";
    Ok(attachment(
        trace.ok_or_else(none)?,
        "application/json",
        name,
    ))
}

async fn files(State(shared): Look) -> Response {
    collection("files", shared.see(|cluster, _| view::files(cluster)))
}

async fn reasons(State(shared): Look) -> Response {
    collection("reasons", shared.see(|cluster, _| view::reasons(cluster)))
}

async fn slots(State(shared): Look) -> Response {
    collection("slots", shared.see(|cluster, _| view::slots(cluster)))
}

async fn alerts(State(shared): Look) -> Response {
    collection("alerts", shared.see(view::alerts))
}

async fn people(State(shared): Look) -> Response {
    collection("people", shared.see(|cluster, _| view::people(cluster)))
}

async fn toolchains(State(shared): Look) -> Response {
    collection(
        "toolchains",
        shared.see(|cluster, _| view::toolchains(cluster)),
    )
}

/// A table as a file, `jobs.csv` for instance.
async fn export_table(State(shared): Look, Path(file): Path<String>) -> Result<Response, Refusal> {
    let none = || {
        let hint = "there are jobs, hosts, builds, files and others, as .csv, .json and .jsonl";
        missing("there is no such table", hint)
    };
    let (table, format) = file.split_once('.').ok_or_else(none)?;
    let table = Table::named(table).ok_or_else(none)?;
    let format = Format::named(format).ok_or_else(none)?;
    let text = shared.see(|cluster, now| export::table(cluster, table, format, now));
    Ok(attachment(
        text,
        format.media_type(),
        &format!("gelato-{file}"),
    ))
}

fn attachment(text: String, kind: &'static str, name: &str) -> Response {
    let disposition = format!("attachment; filename=\"{name}\"");
    let headers = [
        (CONTENT_TYPE, kind.to_owned()),
        (CONTENT_DISPOSITION, disposition),
    ];
    (headers, text).into_response()
}

/// What part of the past is wanted; times in ms since 1970.
#[derive(Debug, serde::Deserialize)]
struct Span {
    from: Option<u64>,
    to: Option<u64>,
    step: Option<u64>,
}

async fn history(State(shared): Look, Query(span): Query<Span>) -> Result<Response, Refusal> {
    let now = shared.picture().now();
    let question = Question::new(span.from, span.to, span.step, now);
    let points = ask_history(&shared, move |store| store.range(&question)).await?;
    Ok(Json(points).into_response())
}

async fn past_builds(State(shared): Look, Query(span): Query<Span>) -> Result<Response, Refusal> {
    let now = shared.picture().now();
    let question = Question::new(span.from, span.to, span.step, now);
    let builds = ask_history(&shared, move |store| store.builds(&question)).await?;
    Ok(collection("builds", builds))
}

async fn past_files(State(shared): Look) -> Result<Response, Refusal> {
    let now = shared.picture().now();
    let files = ask_history(&shared, move |store| store.files(now)).await?;
    Ok(collection("files", files))
}

/// Looks into the history, which is on a disk, on a thread that may wait.
async fn ask_history<T: Send + 'static>(
    shared: &Shared,
    question: impl FnOnce(&Store) -> Result<T, HistoryError> + Send + 'static,
) -> Result<T, Refusal> {
    let none = |why: String| {
        let hint =
            "the log of this program says why; a state folder is needed, see gelato-monitor(1)";
        Refusal::new(StatusCode::NOT_FOUND, why, hint)
    };
    let Some(history) = shared.history.clone() else {
        return Err(none("no history is kept".to_owned()));
    };
    let turn = Arc::clone(&shared.readers).acquire_owned().await;
    let ask = move || {
        let _turn = turn;
        history.ask(question)
    };
    match tokio::task::spawn_blocking(ask).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(none(error.to_string())),
        Err(_) => Err(none("the history cannot be read".to_owned())),
    }
}

//! What operators do to hosts, said to the scheduler over its text port: done once, written down, and undone when its time is over.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::sleep;

use super::Port;
use super::audit::{Audit, AuditEntry};
use super::auth::Token;
use super::blocks::{Block, Blocks};
use super::connection::Peer;
use super::guard::{Refusal, authorise_change};
use super::state::Shared;
use crate::control::{self, ControlError};
use crate::feed;
use crate::model::Link;

/// Characters of a reason that are kept.
const LONGEST_REASON: usize = 300;

/// Longest block that ends by itself, in seconds: ten years.
const LONGEST_BLOCK: u64 = 10 * 366 * 24 * 3600;

/// Bytes of a host's name.
const LONGEST_HOST: usize = 255;

/// Between two tries to end a block whose time is over.
const RETRY: Duration = Duration::from_secs(10);

/// How long a command that the scheduler tells of is taken for one said here, in ms.
const ECHO_MS: u64 = 5_000;

/// Who ends blocks whose time is over, in the audit log.
const CLOCK: &str = "end of the block";

/// The one who says commands, and the books about it.
#[derive(Debug)]
pub(super) struct Operator {
    port: Port,
    /// Said to the text port of our schedulers.
    token: Option<Token>,
    /// Commands are said one after the other.
    turn: tokio::sync::Mutex<()>,
    books: Mutex<Books>,
    changed: Notify,
}

#[derive(Debug)]
struct Books {
    audit: Audit,
    blocks: Blocks,
    /// The last command said here, and when.
    said: Option<(String, u64)>,
}

/// What is asked for.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Order {
    action: Action,
    host: String,
    #[serde(default)]
    reason: String,
    for_s: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Block,
    Unblock,
    Remove,
    Drain,
    Undrain,
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Action::Block => "block",
            Action::Unblock => "unblock",
            Action::Remove => "remove",
            Action::Drain => "drain",
            Action::Undrain => "undrain",
        }
    }

    fn command(self) -> &'static str {
        match self {
            Action::Block => "blockcs",
            Action::Unblock => "unblockcs",
            Action::Remove => "removecs",
            Action::Drain => "drain",
            Action::Undrain => "undrain",
        }
    }
}

#[derive(Serialize)]
struct Done {
    ok: bool,
    text: String,
}

/// Both books, as `/api/v1/audit` shows them.
#[derive(Serialize)]
struct AuditView<'a> {
    audit: Vec<&'a AuditEntry>,
    blocks: Vec<&'a Block>,
}

impl Operator {
    /// With what earlier runs left in the folder.
    pub(super) fn new(port: Port, token: Option<Token>, folder: Option<&Path>) -> Operator {
        Operator {
            port,
            token,
            turn: tokio::sync::Mutex::new(()),
            books: Mutex::new(Books {
                audit: Audit::open(folder),
                blocks: Blocks::open(folder),
                said: None,
            }),
            changed: Notify::new(),
        }
    }

    /// Writes down what somebody did at the text port itself.
    pub(super) fn heard(&self, at: u64, who: &str, command: &str, result: &str) {
        let mut books = self.books();
        let is_echo = books
            .said
            .as_ref()
            .is_some_and(|(said, when)| said == command && at.saturating_sub(*when) < ECHO_MS);
        if is_echo {
            return;
        }
        let mut words = command.split_whitespace();
        let action = words.next().unwrap_or_default();
        if action == "unblockcs" && result == "ok" {
            for host in words.clone() {
                books.forget(host);
            }
        }
        let entry = AuditEntry {
            at,
            who: who.to_owned(),
            action: action.to_owned(),
            host: words.collect::<Vec<_>>().join(" "),
            result: result.to_owned(),
            ok: result == "ok",
            ..AuditEntry::default()
        };
        books.note(entry);
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    /// Whether the clock failed in the same way when it was last tried: it tries for ever, and would fill the log.
    fn is_old_failure(&self, entry: &AuditEntry) -> bool {
        let of_host = |last: &&AuditEntry| last.host == entry.host;
        let last = self.audit.entries().find(of_host);
        let same = |last: &AuditEntry| last.who == CLOCK && last.result == entry.result;
        entry.who == CLOCK && !entry.ok && last.is_some_and(same)
    }

    fn note(&mut self, entry: AuditEntry) -> Option<io::Error> {
        let result = self.audit.add(entry).err();
        if let Some(error) = &result {
            tracing::warn!("the audit log cannot be written: {error}");
        }
        result
    }

    fn forget(&mut self, host: &str) {
        if let Err(error) = self.blocks.remove(host) {
            tracing::warn!("the list of blocked hosts cannot be written: {error}");
        }
    }
}

/// `POST /api/v1/manage`.
pub(super) async fn manage(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    order: Result<Json<Order>, JsonRejection>,
) -> Response {
    if let Err(denied) = authorise_change(&shared, &headers, peer.0.ip()) {
        return denied.into_response();
    }
    let order = match order {
        Ok(Json(order)) => order,
        Err(error) => {
            return Refusal::new(
                error.status(),
                error.body_text(),
                "send {\"action\": \"block|unblock|remove|drain|undrain\", \"host\": NAME, \"reason\": TEXT, \"for_s\": SECONDS or null}",
            )
            .into_response();
        }
    };
    // A browser that leaves does not undo half of it.
    let task =
        tokio::spawn(async move { carry_out(&shared, order, &peer.0.ip().to_string()).await });
    match task.await {
        Ok(Ok(text)) => Json(Done { ok: true, text }).into_response(),
        Ok(Err(refusal)) => refusal.into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// `GET /api/v1/audit`.
pub(super) async fn audit(State(shared): State<Arc<Shared>>) -> Response {
    let books = shared.operator.books();
    let view = AuditView {
        audit: books.audit.entries().collect(),
        blocks: books.blocks.all().collect(),
    };
    Json(view).into_response()
}

/// Ends blocks whose time is over, for ever. A scheduler that cannot be reached is tried again.
pub(super) async fn expire(shared: Arc<Shared>) {
    let operator = &shared.operator;
    loop {
        let next = operator.books().blocks.next_end();
        let now = feed::now();
        match next {
            None => operator.changed.notified().await,
            Some(end) if end > now => {
                // At most a minute, because clocks are set.
                let left = Duration::from_millis(end - now).min(Duration::from_secs(60));
                tokio::select! {
                    () = sleep(left) => {}
                    () = operator.changed.notified() => {}
                }
            }
            Some(_) => {
                if !end_blocks(&shared, now).await {
                    sleep(RETRY).await;
                }
            }
        }
    }
}

/// Whether all that are over were ended.
async fn end_blocks(shared: &Arc<Shared>, now: u64) -> bool {
    let mut all = true;
    let over = shared.operator.books().blocks.over(now);
    for block in over {
        let order = Order {
            action: Action::Unblock,
            host: block.host.clone(),
            reason: block.reason.clone(),
            for_s: None,
        };
        if let Err(refusal) = carry_out(shared, order, CLOCK).await {
            tracing::debug!(
                "the block of {} is over and cannot be ended: {}",
                block.host,
                refusal.error
            );
            all = false;
        }
    }
    all
}

/// Says the command, writes down what came of it, and keeps the list of blocks.
async fn carry_out(shared: &Shared, mut order: Order, who: &str) -> Result<String, Refusal> {
    order.host = order.host.trim().to_owned();
    order.reason = order.reason.chars().take(LONGEST_REASON).collect();
    check(shared, &order)?;
    let operator = &shared.operator;
    let _turn = operator.turn.lock().await;
    let command = format!("{} {}", order.action.command(), order.host);
    let port = port(shared)?;
    let now = feed::now();
    operator.books().said = Some((command.clone(), now));
    let said = control::say(port, operator.token.as_ref(), &command).await;
    let result = match &said {
        Ok(answer) if answer.is_empty() => "done".to_owned(),
        Ok(answer) => answer.clone(),
        Err(error) => error.to_string(),
    };
    let mut books = operator.books();
    let entry = AuditEntry {
        at: now,
        who: who.to_owned(),
        action: order.action.name().to_owned(),
        host: order.host.clone(),
        reason: order.reason.clone(),
        for_s: order.for_s,
        result: result.clone(),
        ok: said.is_ok(),
    };
    let unwritten = match books.is_old_failure(&entry) {
        true => None,
        false => {
            if who == CLOCK && !entry.ok {
                tracing::warn!(
                    "a block is over and cannot be ended: {}: {result}",
                    order.host
                );
            }
            books.note(entry)
        }
    };
    said.map_err(|error| refusal_of(&error, order.action))?;
    let mut text = result;
    match order.action {
        Action::Block => {
            let block = Block {
                host: order.host,
                reason: order.reason,
                who: who.to_owned(),
                since: now,
                until: order.for_s.map(|seconds| now + seconds * 1000),
            };
            if let Err(error) = books.blocks.add(block) {
                text += &format!("; the block is not remembered across a restart: {error}");
            }
        }
        Action::Unblock => books.forget(&order.host),
        Action::Remove | Action::Drain | Action::Undrain => {}
    }
    drop(books);
    operator.changed.notify_one();
    if let Some(error) = unwritten {
        text += &format!("; the audit log cannot be written: {error}");
    }
    Ok(text)
}

fn check(shared: &Shared, order: &Order) -> Result<(), Refusal> {
    let bad = |error: &str, hint| Err(Refusal::new(StatusCode::BAD_REQUEST, error, hint));
    let host = order.host.as_str();
    let is_word = host.bytes().all(|byte| byte.is_ascii_graphic());
    if host.is_empty() || host.len() > LONGEST_HOST || !is_word {
        return bad(
            "the host has no name that fits into a command",
            "use its address in place of its name",
        );
    }
    match order.for_s {
        Some(_) if order.action != Action::Block => {
            return bad("only a block has an end", "leave for_s out");
        }
        Some(0) => return bad("a block of no time", "for_s is in seconds"),
        Some(seconds) if seconds > LONGEST_BLOCK => {
            return bad("a block of more than ten years", "leave for_s out");
        }
        _ => {}
    }
    // One that is blocked already is not here, and may be blocked for longer.
    let is_known = order.action == Action::Unblock
        || shared
            .operator
            .books()
            .blocks
            .all()
            .any(|block| block.host == host)
        || shared.see(|cluster, _| {
            let mut hosts = cluster.hosts();
            hosts.any(|(_, known)| known.facts.name == host || known.facts.ip == host)
        });
    if is_known {
        return Ok(());
    }
    Err(Refusal::new(
        StatusCode::NOT_FOUND,
        format!("there is no host {host}"),
        "see /api/v1/hosts for the names",
    ))
}

/// Where the text port is.
fn port(shared: &Shared) -> Result<SocketAddr, Refusal> {
    let beside = || {
        shared.see(|cluster, _| match cluster.link() {
            Link::Up { scheduler, .. } => scheduler.parse::<SocketAddr>().ok(),
            _ => None,
        })
    };
    match shared.operator.port {
        Port::None => Err(Refusal::new(
            StatusCode::CONFLICT,
            "nothing can be changed in a recording or a demo",
            "watch a scheduler",
        )),
        Port::At(address) => Ok(address),
        Port::Beside => match beside() {
            Some(mut address) if address.port() < u16::MAX => {
                address.set_port(address.port() + 1);
                Ok(address)
            }
            _ => Err(Refusal::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "there is no scheduler at the moment",
                "try again when it is back",
            )),
        },
    }
}

fn refusal_of(error: &ControlError, action: Action) -> Refusal {
    let (status, hint) = match error {
        ControlError::Unreachable { .. } | ControlError::Silent(_) => (
            StatusCode::BAD_GATEWAY,
            "the text port is the scheduler's port plus one; look whether a firewall closes it",
        ),
        ControlError::Unknown if matches!(action, Action::Drain | Action::Undrain) => (
            StatusCode::NOT_IMPLEMENTED,
            "Icecream's scheduler cannot do that; type `gelato drain` on that host, or block it",
        ),
        ControlError::Unknown => (StatusCode::NOT_IMPLEMENTED, "this scheduler cannot do that"),
        ControlError::Refused(_) => (
            StatusCode::FORBIDDEN,
            "give this server the scheduler's control token with --token-file, or run it on the scheduler's machine",
        ),
        ControlError::Unspeakable => (
            StatusCode::BAD_REQUEST,
            "use the address of the host in place of its name",
        ),
    };
    Refusal::new(status, error.to_string(), hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::Clock;
    use crate::web::auth::Keys;

    #[tokio::test]
    async fn a_block_that_cannot_be_ended_is_written_down_once_and_holds_up_no_other() {
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = nobody.local_addr().unwrap();
        drop(nobody);
        let folder = tempfile::tempdir().unwrap();
        let operator = Operator::new(Port::At(address), None, Some(folder.path()));
        for host in ["alpha", "beta"] {
            let block = Block {
                host: host.to_owned(),
                reason: String::new(),
                who: "127.0.0.1".to_owned(),
                since: 1,
                until: Some(2),
            };
            operator.books().blocks.add(block).unwrap();
        }
        let keys = Keys::new(None);
        let shared = Arc::new(Shared::new(Clock::Wall, false, keys, operator, None));
        for _ in 0..3 {
            assert!(!end_blocks(&shared, 3).await);
        }
        let books = shared.operator.books();
        let hosts: Vec<&str> = books.audit.entries().map(|entry| &*entry.host).collect();
        assert_eq!(hosts, ["beta", "alpha"]);
        assert_eq!(books.blocks.all().count(), 2);
    }
}

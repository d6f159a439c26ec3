//! `GET /metrics`: what the picture counts, for Prometheus, and how many look at the page.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use super::state::Shared;

/// The text format of Prometheus.
const KIND: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All figures at this moment.
pub(super) async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let mut text = shared.see(crate::metrics::text);
    let clients = shared.hub.clients();
    text += &format!(
        "# HELP gelato_monitor_clients Browsers that look at the live page.\n\
         # TYPE gelato_monitor_clients gauge\n\
         gelato_monitor_clients {clients}\n"
    );
    ([(CONTENT_TYPE, HeaderValue::from_static(KIND))], text).into_response()
}

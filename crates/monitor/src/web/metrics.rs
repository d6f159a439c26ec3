//! `GET /metrics`: what the picture counts, for Prometheus, and how many look at the page.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use super::state::Shared;
use crate::model::Cluster;

/// The text format of Prometheus.
const KIND: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All figures at this moment.
pub(super) async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let clients = shared.hub.clients();
    let text = shared.see(|cluster, now| text(cluster, now, clients));
    ([(CONTENT_TYPE, HeaderValue::from_static(KIND))], text).into_response()
}

fn text(cluster: &Cluster, now: u64, clients: usize) -> String {
    let mut text = crate::metrics::text(cluster, now);
    text += &format!(
        "# HELP gelato_monitor_clients Browsers that look at the live page.\n\
         # TYPE gelato_monitor_clients gauge\n\
         gelato_monitor_clients {clients}\n"
    );
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::demo::Demo;

    const DASHBOARD: &str = include_str!("../../../../packaging/grafana/dashboard.json");
    const RULES: &str = include_str!("../../../../packaging/grafana/alerts.yml");

    /// Families of metrics, and labels with their values as `name="value"`.
    fn offered() -> (BTreeSet<String>, BTreeSet<String>) {
        let mut cluster = Cluster::new();
        let mut demo = Demo::new(1, 10, 1_000_000);
        for _ in 0..600 {
            let now = demo.now();
            for event in demo.step() {
                cluster.apply(now, event);
            }
        }
        let text = text(&cluster, demo.now(), 0);
        let kinds = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        let families = kinds.filter_map(|line| Some(line.split_once(' ')?.0.to_owned()));
        let labels = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| Some(line.split_once('{')?.1.split_once('}')?.0))
            .flat_map(|labels| labels.split(',').map(str::to_owned));
        (families.collect(), labels.collect())
    }

    /// Names that begin with our prefix.
    fn used(text: &str) -> BTreeSet<&str> {
        let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
        text.match_indices("gelato_")
            .map(|(at, _)| {
                let rest = &text[at..];
                &rest[..rest.find(|c| !is_name(c)).unwrap_or(rest.len())]
            })
            .collect()
    }

    #[test]
    fn every_metric_of_the_dashboard_and_the_rules_is_there() {
        let (families, labels) = offered();
        for (name, text) in [("dashboard.json", DASHBOARD), ("alerts.yml", RULES)] {
            let used = used(text);
            assert!(used.len() > 5, "{name}");
            for metric in used {
                let family = ["_bucket", "_sum", "_count"]
                    .iter()
                    .find_map(|suffix| metric.strip_suffix(suffix))
                    .filter(|family| families.contains(*family))
                    .unwrap_or(metric);
                assert!(families.contains(family), "{metric} of {name} is not there");
            }
            let plain = text.replace("\\\"", "\"");
            for label in ["state", "kind", "result", "phase"] {
                for (at, _) in plain.match_indices(&format!("{label}=\"")) {
                    let pair = plain[at..].split_inclusive('"').take(2).collect::<String>();
                    assert!(labels.contains(&pair), "{pair} of {name} is not there");
                }
            }
        }
    }

    #[test]
    fn the_dashboard_is_json_with_a_panel_for_every_family() {
        let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).unwrap();
        assert!(
            dashboard["panels"]
                .as_array()
                .is_some_and(|panels| panels.len() > 10)
        );
        let (families, _) = offered();
        for family in families {
            assert!(DASHBOARD.contains(&family), "{family} is not shown");
        }
    }
}

//! A page for scripts: as text, JSON or CSV, all of it and without colours.

use serde_json::{Map, Value, json};

use super::draw::head_text;
use super::page::{self, Page};
use super::style::Palette;
use super::table;
use super::ui::Ui;
use crate::export::{self, Format, Table};
use crate::model::Cluster;
use crate::view;

/// Columns of the lines about the whole.
const WIDTH: u16 = 100;

/// The page as people read it.
pub fn text(cluster: &Cluster, page: Page, now: u64) -> String {
    let ui = Ui::new(Palette::None).at(page);
    let mut all = head_text(cluster, &ui, WIDTH, now);
    all.push('\n');
    if page == Page::Timeline {
        // What runs now, slot by slot; a picture of the past takes a terminal.
        let ui = Ui::new(Palette::None).at(Page::Jobs);
        let rows = page::rows(cluster, &ui, now);
        return all + &table::plain(Page::Jobs.columns(), &rows, ui.view());
    }
    let rows = page::rows(cluster, &ui, now);
    all + &table::plain(page.columns(), &rows, ui.view())
}

/// The whole and the page's rows, with the names of the HTTP API.
pub fn json(cluster: &Cluster, page: Page, now: u64) -> Value {
    let whole = json!(view::cluster(cluster, now));
    let mut object = Map::new();
    object.insert("cluster".to_owned(), whole);
    object.insert(table_of(page).name().to_owned(), rows(cluster, page, now));
    Value::Object(object)
}

/// The page's rows with a line of titles before them.
pub fn csv(cluster: &Cluster, page: Page, now: u64) -> String {
    export::table(cluster, table_of(page), Format::Csv, now)
}

/// The page's rows as they are exported everywhere.
fn rows(cluster: &Cluster, page: Page, now: u64) -> Value {
    let text = export::table(cluster, table_of(page), Format::Json, now);
    serde_json::from_str(&text).unwrap_or_default()
}

fn table_of(page: Page) -> Table {
    match page {
        Page::Hosts => Table::Hosts,
        Page::Jobs | Page::Timeline => Table::Jobs,
        Page::Builds => Table::Builds,
        Page::Slowest => Table::Files,
        Page::Why => Table::Reasons,
        Page::Toolchains => Table::Toolchains,
        Page::Alerts => Table::Alerts,
        Page::People => Table::People,
    }
}

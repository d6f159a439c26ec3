//! Comma-separated values as in RFC 4180. A spreadsheet runs what begins like a formula, wherever the file came from: such texts get
//! an apostrophe before them.

use serde_json::Value;

/// Titles and rows.
pub(super) fn text(columns: &[&str], rows: &[Value]) -> String {
    let mut text = String::new();
    line(&mut text, columns.iter().map(|title| (*title).to_owned()));
    for row in rows {
        line(&mut text, columns.iter().map(|column| cell(row, column)));
    }
    text
}

fn line(text: &mut String, cells: impl Iterator<Item = String>) {
    for (index, cell) in cells.enumerate() {
        if index > 0 {
            text.push(',');
        }
        if cell.contains(['"', ',', '\r', '\n']) {
            text.push('"');
            text.push_str(&cell.replace('"', "\"\""));
            text.push('"');
        } else {
            text.push_str(&cell);
        }
    }
    text.push_str("\r\n");
}

fn cell(row: &Value, column: &str) -> String {
    let member = column
        .split('.')
        .try_fold(row, |value, name| value.get(name));
    member.map_or_else(String::new, plain)
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => value.to_string(),
        Value::String(value) => defused(value),
        Value::Array(values) if values.iter().all(|value| !value.is_object()) => {
            defused(&values.iter().map(raw).collect::<Vec<_>>().join(" "))
        }
        Value::Object(members)
            if members
                .values()
                .all(|value| !value.is_object() && !value.is_array()) =>
        {
            let members = members
                .iter()
                .map(|(name, value)| format!("{name}={}", raw(value)));
            defused(&members.collect::<Vec<_>>().join(" "))
        }
        Value::Array(_) | Value::Object(_) => defused(&value.to_string()),
    }
}

fn raw(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(value) => value.clone(),
        other => other.to_string(),
    }
}

fn defused(text: &str) -> String {
    // Spreadsheets pass over spaces before a formula.
    let dangerous = text
        .trim_start_matches(' ')
        .starts_with(['=', '+', '-', '@', '\t', '\r']);
    if dangerous && text != "-" && text.parse::<f64>().is_err() {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn cells_are_quoted_and_formulas_defused() {
        let rows = [
            json!({"a": "=HYPERLINK(\"http://x\")", "b": {"c": -5}, "d": [1, null, "x y"]}),
            json!({"a": "+1+cmd", "b": {"c": null}, "d": []}),
            json!({"a": " @SUM(A1)", "b": null, "d": {"x": 1, "y": "z"}}),
            json!({"a": "two\nlines, and \"quotes\"", "d": [{"x": 1}]}),
            json!({"a": "-fPIC"}),
        ];
        let text = text(&["a", "b.c", "d"], &rows);
        let lines: Vec<&str> = text.split("\r\n").collect();
        assert_eq!(
            lines,
            [
                "a,b.c,d",
                "\"'=HYPERLINK(\"\"http://x\"\")\",-5,1 - x y",
                "'+1+cmd,,",
                "' @SUM(A1),,x=1 y=z",
                "\"two\nlines, and \"\"quotes\"\"\",,\"[{\"\"x\"\":1}]\"",
                "'-fPIC,,",
                "",
            ]
        );
    }
}

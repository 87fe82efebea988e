//! The settings file: a flat TOML table `NAME = value`.

use std::collections::BTreeMap;

use super::{CONFIG_FILE, Mistake};

/// Reads the file at `path`: the values that are usable, and a mistake for each that is not.
pub(super) fn read(path: &str) -> (BTreeMap<String, String>, Vec<Mistake>) {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(path, &text),
        Err(error) => (
            BTreeMap::new(),
            vec![Mistake::new(
                CONFIG_FILE,
                path,
                format_args!("expected a readable file: {error}"),
            )],
        ),
    }
}

fn parse(path: &str, text: &str) -> (BTreeMap<String, String>, Vec<Mistake>) {
    let table: toml::Table = match text.parse() {
        Ok(table) => table,
        // The parser's own message quotes the line, which may hold a secret.
        Err(error) => {
            let line = error
                .span()
                .map_or(1, |span| text[..span.start].matches('\n').count() + 1);
            let expected = format!("expected a flat TOML table, line {line}: {}", error.message());
            return (BTreeMap::new(), vec![Mistake::new(CONFIG_FILE, path, expected)]);
        }
    };
    let mut values = BTreeMap::new();
    let mut mistakes = Vec::new();
    for (name, value) in table {
        match scalar(value) {
            Some(text) => drop(values.insert(name, text)),
            None => mistakes.push(Mistake::hidden(
                &name,
                format_args!("expected a string, a number or a boolean in {path}"),
            )),
        }
    }
    (values, mistakes)
}

fn scalar(value: toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(flag) => Some(flag.to_string()),
        toml::Value::Datetime(_) | toml::Value::Array(_) | toml::Value::Table(_) => None,
    }
}

/// `65536`, `64KiB`, `2MiB`, `1GiB`; `None` for anything else, zero and what does not fit.
pub(super) fn parse_bytes(text: &str) -> Option<usize> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit_bytes = match text[digits.len()..].trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    digits
        .parse::<usize>()
        .ok()?
        .checked_mul(unit_bytes)
        .filter(|bytes| *bytes > 0)
}

//! `GET /campaigns/{id}/history`: who changed what, when; newest first.

use crate::answer::Answer;
use crate::api::{Api, timestamp};
use crate::auth::Caller;
use crate::error::ApiError;
use crate::listing::{Page, Parameters, page_size, read_token, write_token};
use crate::resource::find;
use axum::extract::{Path, Query, State};
use domain::api_key::sha256_hex;
use serde_json::{Value, json};
use std::sync::Arc;
use storage::campaign_store::{Kind, OrderValue, Revision};

const DEFAULT_PAGE_SIZE: u32 = 50;

pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    Query(parameters): Query<Parameters>,
) -> Result<Answer, ApiError> {
    find(&api, &caller, Kind::Campaign, &id).await?;
    let fingerprint = sha256_hex(format!("history\n{id}").as_bytes())[..16].to_owned();
    let (size, before_version) = read_parameters(&parameters, &fingerprint)?;
    // One more, to say what the last one changed.
    let revisions = api
        .store
        .history(Kind::Campaign, &id, before_version, size + 1)
        .await?;
    let size = size as usize;
    let items = revisions
        .iter()
        .take(size)
        .enumerate()
        .map(|(index, revision)| show(revision, revisions.get(index + 1)));
    let last = revisions.get(size - 1).filter(|_| revisions.len() > size);
    let next = last.map(|last| write_token(&fingerprint, &OrderValue::Ms(last.version), &id));
    Ok(Answer::ok(Page::body(items.collect(), next)))
}

fn read_parameters(parameters: &Parameters, fingerprint: &str) -> Result<(u32, Option<i64>), ApiError> {
    let mut size = DEFAULT_PAGE_SIZE;
    let mut before_version = None;
    for (name, value) in parameters {
        match name.as_str() {
            "page_size" => {
                size = page_size(value)
                    .ok_or_else(|| ApiError::parameter(name, "invalid_value", "must be 1 to 500"))?;
            }
            "page_token" => match read_token(value, fingerprint) {
                Some((OrderValue::Ms(version), _)) => before_version = Some(version),
                _ => {
                    return Err(ApiError::parameter(
                        name,
                        "invalid_value",
                        "belongs to no list with these parameters",
                    ));
                }
            },
            _ => {
                return Err(ApiError::parameter(
                    name,
                    "unknown_field",
                    "is no parameter of this list",
                ));
            }
        }
    }
    Ok((size, before_version))
}

/// `{version, actor, at, changes[] {pointer, from, to}}`; the first version changes everything, from nothing.
fn show(revision: &Revision, previous: Option<&Revision>) -> Value {
    let mut changes = Vec::new();
    let nothing = json!({});
    let before = previous.map_or(&nothing, |previous| &previous.body);
    compare("", before, &revision.body, &mut changes);
    json!({
        "version": revision.version,
        "actor": revision.actor,
        "at": timestamp(revision.at_ms),
        "changes": changes,
    })
}

fn compare(pointer: &str, before: &Value, after: &Value, changes: &mut Vec<Value>) {
    if before == after || pointer == "/updated_at" {
        return;
    }
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        changes.push(json!({"pointer": pointer, "from": before, "to": after}));
        return;
    };
    let added = new.keys().filter(|name| !old.contains_key(*name));
    for name in old.keys().chain(added) {
        let pointer = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
        let member =
            |members: &serde_json::Map<String, Value>| members.get(name).cloned().unwrap_or(Value::Null);
        compare(&pointer, &member(old), &member(new), changes);
    }
}

//! `/users/{id_type}/{id}`: what is kept of one person, for administrators: to be told, and to be forgotten.
//!
//! The id types are those of audience members; an `eid` needs `?source=…`, a `user_id` `?exchange=…`. Ids stand in no log and
//! no history.

use crate::answer::Answer;
use crate::api::Api;
use crate::auth::Caller;
use crate::error::ApiError;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use domain::validation::audience::{ID_TYPES, key_of};
use serde_json::json;
use std::sync::Arc;

use crate::listing::Parameters;

/// `GET`: an unknown person looks like one of whom nothing is kept.
pub(crate) async fn read(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path((id_type, id)): Path<(String, String)>,
    Query(parameters): Query<Parameters>,
) -> Result<Answer, ApiError> {
    caller.require_administrator()?;
    let key = user_key(&id_type, &id, &parameters)?;
    let state = api.users.read(&key, api.now_ms()).await?;
    let counters = state.counters.iter().map(|(counter, impressions)| {
        json!({"scope_id": counter.scope_id, "window_ms": counter.window_ms, "impressions": impressions})
    });
    Ok(Answer::ok(json!({
        "id_type": id_type,
        "id": id,
        "audiences": state.audiences,
        "counters": counters.collect::<Vec<_>>(),
        "is_linked": state.linked_to.is_some(),
    })))
}

/// `DELETE`: counters, memberships and the link, and all of whom the id is linked to.
pub(crate) async fn erase(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path((id_type, id)): Path<(String, String)>,
    Query(parameters): Query<Parameters>,
) -> Result<StatusCode, ApiError> {
    caller.require_administrator()?;
    let key = user_key(&id_type, &id, &parameters)?;
    api.users.erase(&key, api.now_ms()).await?;
    tracing::info!(actor = caller.actor, id_type, "the state of a user is erased");
    Ok(StatusCode::NO_CONTENT)
}

fn user_key(id_type: &str, id: &str, parameters: &Parameters) -> Result<String, ApiError> {
    if !ID_TYPES.contains(&id_type) {
        // As any other path that leads nowhere.
        return Err(ApiError::NotFound);
    }
    let scope_name = match id_type {
        "eid" => Some("source"),
        "user_id" => Some("exchange"),
        _ => None,
    };
    if let Some((name, _)) = parameters
        .iter()
        .find(|(name, _)| Some(name.as_str()) != scope_name)
    {
        return Err(ApiError::parameter(
            name,
            "unknown_field",
            "is no parameter of this id type",
        ));
    }
    let scope = match (scope_name, parameters.as_slice()) {
        (None, _) => "",
        (Some(_), [(_, scope)]) => scope,
        (Some(name), []) => return Err(ApiError::parameter(name, "required", "is required")),
        (Some(name), _) => return Err(ApiError::parameter(name, "duplicate", "is given twice")),
    };
    key_of(id_type, scope, id).ok_or(ApiError::NotFound)
}

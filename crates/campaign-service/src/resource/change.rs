//! `PATCH /{resource}/{id}` and `POST /{resource}/{id}/archive`: the next version of an object.

use super::{ARCHIVED, Draft, Resource, body, find, show_one};
use crate::answer::Answer;
use crate::api::Api;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::idempotency::Patch;
use crate::merge_patch;
use crate::precondition::Precondition;
use axum::extract::{Path, State};
use domain::mistake::Mistake;
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;
use storage::StorageError;
use storage::campaign_store::Document;

/// How often a PATCH without `If-Match` is tried when others change the object at the same time.
const UPDATE_ATTEMPTS: usize = 8;

/// `PATCH /{resource}/{id}`.
pub(crate) async fn patch<R: Resource>(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    precondition: Precondition,
    Patch(patch): Patch,
) -> Result<Answer, ApiError> {
    let document = update::<R>(&api, &caller, &id, &precondition, &patch).await?;
    Ok(Answer::shows(
        show_one::<R>(&api, &document).await?,
        document.version,
    ))
}

/// `POST /{resource}/{id}/archive`.
pub(crate) async fn archive<R: Resource>(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    precondition: Precondition,
) -> Result<Answer, ApiError> {
    let document = update::<R>(&api, &caller, &id, &precondition, &archiving()).await?;
    Ok(Answer::shows(
        show_one::<R>(&api, &document).await?,
        document.version,
    ))
}

pub(crate) fn archiving() -> Value {
    json!({"status": ARCHIVED})
}

async fn update<R: Resource>(
    api: &Arc<Api>,
    caller: &Caller,
    id: &str,
    precondition: &Precondition,
    patch: &Value,
) -> Result<Document, ApiError> {
    R::may_change(caller)?;
    for _ in 0..UPDATE_ATTEMPTS {
        let current = find(api, caller, R::KIND, id).await?;
        let now_ms = api.now_ms();
        let Some(draft) = revised::<R>(caller, &current, precondition, patch, now_ms)? else {
            return Ok(current);
        };
        R::check(api, Some(&current), &draft.document).await?;
        let document = draft.document.clone();
        match api
            .commit(
                vec![draft.document],
                draft.announcements,
                &caller.actor,
                now_ms,
                None,
            )
            .await
        {
            Ok(_) => return Ok(document),
            Err(error @ StorageError::Conflict(_)) => {
                // Nobody changed it, so something else of it is taken: its external id.
                if find(api, caller, R::KIND, id).await?.version == current.version {
                    return Err(error.into());
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(ApiError::Conflict("others keep changing this object; try again"))
}

/// The next version of an object; `None` when the patch changes nothing.
pub(crate) fn revised<R: Resource>(
    caller: &Caller,
    current: &Document,
    precondition: &Precondition,
    patch: &Value,
    now_ms: i64,
) -> Result<Option<Draft>, ApiError> {
    if !patch.is_object() {
        return Err(ApiError::mistake("", "invalid_type", "must be an object"));
    }
    // Archiving is for good, and repeating it is no mistake.
    if current.status == ARCHIVED {
        return if *patch == archiving() {
            Ok(None)
        } else {
            Err(ApiError::Conflict("what is archived cannot be changed"))
        };
    }
    precondition.check(current.version)?;
    R::revise(caller, current, patch.clone(), now_ms)
}
/// A spec changed by a patch, valid as a whole; `immutable` are (pointer into the spec) that must stay.
pub(crate) fn patched<S>(
    spec: &S,
    patch: Value,
    immutable: &[&str],
    validate: fn(Value) -> Result<S, Vec<Mistake>>,
) -> Result<S, ApiError>
where
    S: Serialize,
{
    let before = body(spec)?;
    let after = merge_patch::merge(before.clone(), patch);
    let mut mistakes: Vec<Mistake> = immutable
        .iter()
        .filter(|pointer| after.pointer(pointer) != before.pointer(pointer))
        .map(|pointer| Mistake {
            pointer: (*pointer).to_owned(),
            code: "immutable",
            message: "cannot be changed".to_owned(),
        })
        .collect();
    match validate(after) {
        Ok(spec) if mistakes.is_empty() => Ok(spec),
        Ok(_) => Err(mistakes.into()),
        Err(found) => {
            mistakes.extend(found);
            Err(mistakes.into())
        }
    }
}

//! `POST /campaigns:batch`: many changes of campaigns in one request, answered one by one.
//!
//! `{"atomic": false, "validate_only": false, "operations": [
//!    {"op": "create", "campaign": {…}},
//!    {"op": "update", "id": "cmp_…", "patch": {…}, "if_match": "\"v3\""},
//!    {"op": "archive", "id": "cmp_…"}]}`
//!
//! 200 with `{"applied": true, "results": [{"status": 201, "etag": "\"v1\"", "campaign": {…}},
//! {"status": 400, "problem": {…}}]}`. Operations see what those before them did. With `atomic` all are written in
//! one step or none is (`applied: false`; those without a mistake of their own say 424); with `validate_only`
//! nothing is written and the results say what would be.

mod operation;

use crate::answer::Answer;
use crate::api::Api;
use crate::auth::Caller;
use crate::campaigns::Campaigns;
use crate::error::ApiError;
use crate::idempotency::{Keyed, Post, first_answer};
use crate::resource::{Resource, find};
use axum::extract::State;
use operation::{Batch, Operation, Overlay, failure, outcome, read, success};
use serde_json::{Value, json};
use std::sync::Arc;
use storage::StorageError;
use storage::campaign_store::{Kind, Written};

const CONFLICT_ATTEMPTS: usize = 8;

pub(crate) async fn run(State(api): State<Arc<Api>>, caller: Caller, post: Post) -> Result<Answer, ApiError> {
    Campaigns::may_change(&caller)?;
    let Post { body, keyed } = post;
    let batch = read(body)?;
    if batch.validate_only || batch.atomic {
        return together(
            &api,
            &caller,
            &batch,
            keyed.filter(|_| !batch.validate_only).as_ref(),
        )
        .await;
    }
    if let Some(keyed) = &keyed {
        claim(&api, &caller, keyed).await?;
    }
    let mut results = Vec::with_capacity(batch.operations.len());
    for (index, operation) in batch.operations.iter().enumerate() {
        let part = keyed.as_ref().map(|keyed| keyed.part(index));
        results.push(match alone(&api, &caller, operation, part.as_ref()).await {
            Ok(result) => result,
            Err(error) => failure(error, operation, index),
        });
    }
    Ok(Answer::ok(json!({"applied": true, "results": results})))
}

/// Keeps the key for this request, so that another under the same key is refused; each operation is then written
/// under a key of its own.
async fn claim(api: &Arc<Api>, caller: &Caller, keyed: &Keyed) -> Result<(), ApiError> {
    let kept = keyed.with(&Answer::ok(Value::Null))?;
    match api
        .commit(Vec::new(), Vec::new(), &caller.actor, api.now_ms(), Some(kept))
        .await?
    {
        Written::Done => Ok(()),
        Written::Repeated(first) => keyed.replay(first).map(drop),
    }
}

/// One operation of a batch that is not atomic, written by itself.
async fn alone(
    api: &Arc<Api>,
    caller: &Caller,
    operation: &Operation,
    keyed: Option<&Keyed>,
) -> Result<Value, ApiError> {
    for _ in 0..CONFLICT_ATTEMPTS {
        if let Some(first) = first_answer(api, keyed).await? {
            return Ok(first.body);
        }
        let now_ms = api.now_ms();
        let outcome = outcome(api, caller, operation, &Overlay::new(), now_ms).await?;
        let result = success(api, &outcome).await?;
        let kept = keyed
            .map(|keyed| keyed.with(&Answer::ok(result.clone())))
            .transpose()?;
        let (base, id) = (outcome.document.version - 1, outcome.document.id.clone());
        if !outcome.is_change {
            return Ok(result);
        }
        match api
            .commit(
                vec![outcome.document],
                outcome.announcements,
                &caller.actor,
                now_ms,
                kept,
            )
            .await
        {
            Ok(Written::Done) => return Ok(result),
            Ok(Written::Repeated(_)) => {}
            Err(error @ StorageError::Conflict(_)) => {
                // Nobody changed it meanwhile: its external id is taken.
                if outcome.is_new || find(api, caller, Kind::Campaign, &id).await?.version == base {
                    return Err(error.into());
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(ApiError::Conflict("others keep changing this object; try again"))
}

/// All operations in one step, or only in thought.
async fn together(
    api: &Arc<Api>,
    caller: &Caller,
    batch: &Batch,
    keyed: Option<&Keyed>,
) -> Result<Answer, ApiError> {
    if let Some(first) = first_answer(api, keyed).await? {
        return Ok(first);
    }
    let now_ms = api.now_ms();
    let mut overlay = Overlay::new();
    let (mut changes, mut announcements) = (Vec::new(), Vec::new());
    let mut results = Vec::with_capacity(batch.operations.len());
    for operation in &batch.operations {
        let outcome = outcome(api, caller, operation, &overlay, now_ms).await;
        results.push(match outcome {
            Ok(outcome) => {
                let result = success(api, &outcome).await?;
                overlay.insert(outcome.document.id.clone(), outcome.document.clone());
                if outcome.is_change {
                    changes.push(outcome.document);
                    announcements.extend(outcome.announcements);
                }
                Ok(result)
            }
            // Not this operation's fault, and the next would fare no better.
            Err(error @ ApiError::Store(_)) => return Err(error),
            Err(error) => Err(error),
        });
    }
    let has_failed = results.iter().any(Result::is_err);
    let is_applied = !has_failed && !batch.validate_only;
    let results: Vec<Value> = results
        .into_iter()
        .zip(&batch.operations)
        .enumerate()
        .map(|(index, (result, operation))| match result {
            Ok(_) if batch.atomic && has_failed => failure(ApiError::NotAttempted, operation, index),
            Ok(result) => result,
            Err(error) => failure(error, operation, index),
        })
        .collect();
    let answer = Answer::ok(json!({"applied": is_applied, "results": results}));
    if !is_applied {
        return Ok(answer);
    }
    let kept = keyed.map(|keyed| keyed.with(&answer)).transpose()?;
    match (
        api.commit(changes, announcements, &caller.actor, now_ms, kept)
            .await?,
        keyed,
    ) {
        (Written::Repeated(first), Some(keyed)) => keyed.replay(first),
        _ => Ok(answer),
    }
}

//! `POST /{resource}`: a new object, once for each `Idempotency-Key`.

use super::{Draft, Resource};
use crate::answer::Answer;
use crate::api::Api;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::idempotency::{Keyed, Post, first_answer};
use axum::extract::State;
use serde_json::Value;
use std::sync::Arc;
use storage::StorageError;
use storage::campaign_store::{Document, Written};

/// `POST /{resource}`.
pub(crate) async fn create<R: Resource>(
    State(api): State<Arc<Api>>,
    caller: Caller,
    post: Post,
) -> Result<Answer, ApiError> {
    R::may_create(&caller)?;
    create_below::<R>(&api, &caller, None, post).await
}

pub(crate) async fn create_below<R: Resource>(
    api: &Arc<Api>,
    caller: &Caller,
    parent: Option<&Document>,
    post: Post,
) -> Result<Answer, ApiError> {
    if let Some(first) = first_answer(api, post.keyed.as_ref()).await? {
        return Ok(first);
    }
    let now_ms = api.now_ms();
    let drafted = async {
        let draft = R::draft(api, caller, parent, post.body, now_ms).await?;
        R::check(api, None, &draft.document).await.map(|()| draft)
    };
    let draft = match drafted.await {
        Ok(draft) => draft,
        Err(error) => return repeat_or(api, post.keyed.as_ref(), error).await,
    };
    let body = R::show_new(api, &draft.document).await?;
    let location = format!("/{}/{}", R::PATH, draft.document.id);
    let answer = Answer::created(body, draft.document.version, location);
    write_once(api, caller, draft, answer, post.keyed.as_ref(), now_ms).await
}

/// Writes a draft together with its answer, once for each key.
pub(crate) async fn write_once(
    api: &Arc<Api>,
    caller: &Caller,
    draft: Draft,
    mut answer: Answer,
    keyed: Option<&Keyed>,
    now_ms: i64,
) -> Result<Answer, ApiError> {
    let idempotency = keyed.map(|keyed| keyed.with(&answer)).transpose()?;
    let Draft {
        document,
        announcements,
        reveal,
    } = draft;
    match api
        .commit(vec![document], announcements, &caller.actor, now_ms, idempotency)
        .await
    {
        Ok(Written::Done) => {
            if let (Some((name, secret)), Value::Object(members)) = (reveal, &mut answer.body) {
                members.insert(name.to_owned(), Value::String(secret));
            }
            Ok(answer)
        }
        Ok(Written::Repeated(first)) => keyed.map_or(Err(ApiError::KeyReused), |keyed| keyed.replay(first)),
        Err(error) => repeat_or(api, keyed, error.into()).await,
    }
}

/// A repeat may run into what its first run has made by now; then the first answer counts, not the error.
async fn repeat_or(api: &Arc<Api>, keyed: Option<&Keyed>, error: ApiError) -> Result<Answer, ApiError> {
    let may_be_repeat = matches!(
        error,
        ApiError::Store(StorageError::Conflict(_)) | ApiError::Conflict(_)
    );
    if may_be_repeat && let Some(first) = first_answer(api, keyed).await? {
        return Ok(first);
    }
    Err(error)
}

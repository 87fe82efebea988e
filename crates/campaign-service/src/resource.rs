//! What all resources have in common: create, list, read, patch, archive.

use crate::answer::Answer;
use crate::api::Api;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::idempotency::{Keyed, Patch, Post, first_answer};
use crate::listing::{Listing, Page, Parameters};
use crate::merge_patch;
use crate::precondition::{self, Precondition};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::mistake::Mistake;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::future::Future;
use std::sync::Arc;
use storage::StorageError;
use storage::campaign_store::{Announcement, Document, Kind, Written};

/// How often a PATCH without `If-Match` is tried when others change the object at the same time.
const UPDATE_ATTEMPTS: usize = 8;
pub(crate) const ARCHIVED: &str = "archived";

/// A change that is checked and not yet written.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) document: Document,
    pub(crate) announcements: Vec<Announcement>,
    /// Members that only this one answer shows, and that no repeat of it will: a key's secret.
    pub(crate) reveal: Option<(&'static str, String)>,
}

/// One kind of object.
pub(crate) trait Resource: Send + Sync + 'static {
    const KIND: Kind;
    /// The first segment of its URLs.
    const PATH: &'static str;
    const STATUSES: &'static [&'static str] = &["active", "paused", ARCHIVED];

    fn may_read(_caller: &Caller) -> Result<(), ApiError> {
        Ok(())
    }

    fn may_create(caller: &Caller) -> Result<(), ApiError> {
        Self::may_change(caller)
    }

    fn may_change(caller: &Caller) -> Result<(), ApiError> {
        caller.require_writer()
    }

    /// A new object from a body; `parent` is there for those that belong to one.
    fn draft(
        api: &Api,
        caller: &Caller,
        parent: Option<&Document>,
        body: Value,
        now_ms: i64,
    ) -> impl Future<Output = Result<Draft, ApiError>> + Send;

    /// The object changed by a merge patch, which is an object. `None`: it stays as it is.
    fn revise(
        caller: &Caller,
        current: &Document,
        patch: Value,
        now_ms: i64,
    ) -> Result<Option<Draft>, ApiError>;

    /// Representations, in the order of the documents.
    fn show(_api: &Api, documents: &[Document]) -> impl Future<Output = Result<Vec<Value>, ApiError>> + Send {
        std::future::ready(Ok(documents
            .iter()
            .map(|document| document.body.clone())
            .collect()))
    }
}

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
    let draft = match R::draft(api, caller, parent, post.body, now_ms).await {
        Ok(draft) => draft,
        Err(error) => return repeat_or(api, post.keyed.as_ref(), error).await,
    };
    let body = show_one::<R>(api, &draft.document).await?;
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

/// `GET /{resource}`.
pub(crate) async fn list<R: Resource>(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(parameters): Query<Parameters>,
) -> Result<Answer, ApiError> {
    R::may_read(&caller)?;
    list_below::<R>(&api, &caller, None, &parameters).await
}

pub(crate) async fn list_below<R: Resource>(
    api: &Arc<Api>,
    caller: &Caller,
    parent_id: Option<&str>,
    parameters: &Parameters,
) -> Result<Answer, ApiError> {
    let listing = Listing::read(R::KIND, R::STATUSES, parent_id, caller, parameters)?;
    let page = listing.page(api).await?;
    let items = R::show(api, &page.documents).await?;
    Ok(Answer::ok(Page::body(items, page.next_page_token)))
}

/// `GET /{resource}/{id}`.
pub(crate) async fn read<R: Resource>(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    R::may_read(&caller)?;
    let document = find(&api, &caller, R::KIND, &id).await?;
    let is_known = precondition::is_known(&headers, document.version);
    let body = if is_known {
        Value::Null
    } else {
        show_one::<R>(&api, &document).await?
    };
    let mut response = Answer::shows(body, document.version).into_response();
    if is_known {
        let (mut parts, _) = response.into_parts();
        parts.status = StatusCode::NOT_MODIFIED;
        parts.headers.remove(axum::http::header::CONTENT_TYPE);
        parts.headers.remove(axum::http::header::CONTENT_LENGTH);
        response = Response::from_parts(parts, axum::body::Body::empty());
    }
    Ok(response)
}

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

/// The document, when it exists and the caller may see it.
pub(crate) async fn find(api: &Api, caller: &Caller, kind: Kind, id: &str) -> Result<Document, ApiError> {
    let document = api.store.get(kind, id).await?;
    document
        .filter(|document| caller.sees(document))
        .ok_or(ApiError::NotFound)
}

pub(crate) async fn show_one<R: Resource>(api: &Api, document: &Document) -> Result<Value, ApiError> {
    let mut shown = R::show(api, std::slice::from_ref(document)).await?;
    Ok(shown.pop().unwrap_or_default())
}

/// The typed object in a document.
pub(crate) fn stored<T: DeserializeOwned>(document: &Document) -> Result<T, ApiError> {
    Ok(serde_json::from_value(document.body.clone()).map_err(StorageError::from)?)
}

pub(crate) fn body<T: Serialize>(object: &T) -> Result<Value, ApiError> {
    Ok(serde_json::to_value(object).map_err(StorageError::from)?)
}

/// A status as lists and JSON spell it.
pub(crate) fn word<T: Serialize>(status: &T) -> Result<String, ApiError> {
    Ok(body(status)?.as_str().unwrap_or_default().to_owned())
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

//! `GET /{resource}` and `GET /{resource}/{id}`.

use super::{Resource, find, show_one};
use crate::answer::Answer;
use crate::api::Api;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::listing::{Listing, Page, Parameters};
use crate::precondition;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use std::sync::Arc;

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

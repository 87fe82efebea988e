//! `POST /audiences/{id}/members`: who joins an audience and who leaves it.
//!
//! As `application/json`: `{"add": [member…], "remove": [member…]}`, taken whole or, with a mistake, not at all. As
//! `application/x-ndjson`: a member a line, with `"op": "remove"` where one leaves, taken piece by piece while it comes in; a
//! line with a mistake is left out and told by its number (`/17/id`), the others count. A member is `{"id_type", "id"}`, with
//! the `source` of an `eid` and the `exchange` of a `user_id`. Uploading again is harmless, and prolongs the memberships.

mod lines;
mod piece;

use crate::answer::Answer;
use crate::api::{Api, timestamp};
use crate::audiences::{self, Audiences};
use crate::auth::Caller;
use crate::error::ApiError;
use crate::idempotency::{Keyed, media_type};
use crate::resource::{ARCHIVED, Resource, find, stored};
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use domain::api_key::sha256_hex;
use domain::audience::{Audience, Uploads};
use domain::mistake::Mistake;
use platform::http::{Json, Problem};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use storage::StorageError;
use storage::campaign_store::{Document, Kind, Written};

use piece::Piece;

/// Of an upload by lines; some millions of them.
pub(crate) const LONGEST_BODY_BYTES: usize = 256 << 20;
/// Of one JSON document.
const LONGEST_JSON_BYTES: usize = 2 << 20;
/// Mistakes of lines that are told; all are counted.
const MOST_TOLD: usize = 100;
const CONFLICT_ATTEMPTS: usize = 16;
/// With the next bytes of a body: uploads that stand still would keep others out.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) async fn upload(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    request: Request,
) -> Result<Answer, ApiError> {
    Audiences::may_change(&caller)?;
    let document = find(&api, &caller, Kind::Audience, &id).await?;
    if document.status == ARCHIVED {
        return Err(ApiError::Conflict("the audience is archived"));
    }
    let audience: Audience = stored(&document)?;
    let (head, body) = request.into_parts();
    let mut keyed = Keyed::begun(&head.headers, &caller)?;
    let first = match &keyed {
        Some(keyed) => api.store.answered(keyed.key(), api.now_ms()).await?,
        None => None,
    };
    let mut upload = Upload {
        api: &api,
        audience: &audience,
        // The body of a repeat is read to see that it is one, and for nothing else.
        is_repeat: first.is_some(),
        hash: format!("{} {}", head.method, head.uri.path()),
        outcome: Outcome::default(),
    };
    match media_type(&head.headers).as_deref() {
        Some("application/x-ndjson" | "application/jsonl") => lines::read(body, &mut upload).await?,
        None | Some("application/json") => upload.document(body).await?,
        Some(_) => {
            let expected = "expected application/json or application/x-ndjson";
            return Err(ApiError::Unreadable(
                Problem::unsupported_media_type().with_detail(expected),
            ));
        }
    }
    let Upload { hash, outcome, .. } = upload;
    if let Some(keyed) = &mut keyed {
        keyed.is_of(hash);
        if let Some(first) = first {
            return keyed.replay(first);
        }
    }
    finish(&api, &caller, &id, outcome, keyed.as_ref()).await
}

/// One upload on its way.
struct Upload<'a> {
    api: &'a Api,
    audience: &'a Audience,
    is_repeat: bool,
    /// Of all that has come in, in pieces whose size is fixed: an equal body has an equal one.
    hash: String,
    outcome: Outcome,
}

#[derive(Debug, Default)]
struct Outcome {
    added: i64,
    removed: i64,
    refused: i64,
    told: Vec<Mistake>,
}

impl Upload<'_> {
    /// `{"add": […], "remove": […]}`.
    async fn document(&mut self, body: Body) -> Result<(), ApiError> {
        let bytes = tokio::time::timeout(PATIENCE, to_bytes(body, LONGEST_JSON_BYTES));
        let bytes = bytes.await.map_err(|_elapsed| slow())?;
        let bytes = bytes.map_err(|_| too_long(LONGEST_JSON_BYTES))?;
        self.take_in(&bytes);
        let Json(body) = Json::<Value>::from_bytes(&bytes).map_err(ApiError::Unreadable)?;
        let piece = Piece::of_document(&body)?;
        self.apply(piece).await
    }

    fn take_in(&mut self, bytes: &[u8]) {
        self.hash = sha256_hex(&[self.hash.as_bytes(), bytes].concat());
    }

    async fn apply(&mut self, piece: Piece) -> Result<(), ApiError> {
        let Piece { add, remove } = piece;
        self.outcome.added += count(add.len());
        self.outcome.removed += count(remove.len());
        if self.is_repeat || (add.is_empty() && remove.is_empty()) {
            return Ok(());
        }
        let now_ms = self.api.now_ms();
        let until_ms = self.audience.membership_until_ms(now_ms);
        let id = self.audience.id.as_str();
        Ok(self
            .api
            .users
            .set_members(id, &add, &remove, until_ms, now_ms)
            .await?)
    }

    /// The line is left out.
    fn refuse(&mut self, line: usize, mistakes: Vec<Mistake>) {
        self.outcome.refused += 1;
        for mistake in mistakes {
            if self.outcome.told.len() < MOST_TOLD {
                self.outcome.told.push(Mistake {
                    pointer: format!("/{line}{}", mistake.pointer),
                    ..mistake
                });
            }
        }
    }
}

fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

fn slow() -> ApiError {
    let detail = "the body stopped coming; of lines, those before it are taken";
    ApiError::Unreadable(Problem::new(StatusCode::REQUEST_TIMEOUT).with_detail(detail))
}

fn too_long(limit: usize) -> ApiError {
    let detail = format!("the body could not be read, or has more than {limit} bytes");
    ApiError::Unreadable(Problem::new(StatusCode::PAYLOAD_TOO_LARGE).with_detail(detail))
}

/// What was uploaded becomes part of the audience and of its history, together with the answer that a repeat gets.
async fn finish(
    api: &Arc<Api>,
    caller: &Caller,
    id: &str,
    outcome: Outcome,
    keyed: Option<&Keyed>,
) -> Result<Answer, ApiError> {
    let answer = Answer::ok(json!({
        "added": outcome.added,
        "removed": outcome.removed,
        "refused": outcome.refused,
        "errors": outcome.told,
    }));
    for _ in 0..CONFLICT_ATTEMPTS {
        let current = find(api, caller, Kind::Audience, id).await?;
        let now_ms = api.now_ms();
        let kept = keyed.map(|keyed| keyed.with(&answer)).transpose()?;
        let next = after(&current, &outcome, now_ms)?;
        match api
            .commit(vec![next], Vec::new(), &caller.actor, now_ms, kept)
            .await
        {
            Ok(Written::Done) => return Ok(answer),
            Ok(Written::Repeated(first)) => {
                return keyed.map_or(Err(ApiError::KeyReused), |keyed| keyed.replay(first));
            }
            // Another upload, or a change of the audience.
            Err(StorageError::Conflict(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(ApiError::Conflict(
        "others keep changing this object; the members are taken all the same",
    ))
}

fn after(current: &Document, outcome: &Outcome, now_ms: i64) -> Result<Document, ApiError> {
    let before: Audience = stored(current)?;
    let at = timestamp(now_ms);
    let audience = Audience {
        uploads: Uploads {
            added: before.uploads.added.saturating_add(outcome.added),
            removed: before.uploads.removed.saturating_add(outcome.removed),
            last_at: Some(at),
        },
        updated_at: at,
        ..before
    };
    audiences::draft(&audience, current.version + 1, Vec::new()).map(|draft| draft.document)
}

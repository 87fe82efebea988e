//! `/keys`: API keys, for administrators. A key's text is shown once; its secret is stored hashed ([`domain::api_key`]).

use crate::answer::Answer;
use crate::api::{Api, timestamp};
use crate::auth::Caller;
use crate::campaigns::read_for_advertiser;
use crate::entropy;
use crate::error::ApiError;
use crate::idempotency::{Post, first_answer};
use crate::resource::{ARCHIVED, Draft, Resource, body, find, patched, show_one, stored, word, write_once};
use axum::extract::{Path, State};
use domain::api_key::{ApiKey, KeyRole, KeyStatus};
use domain::id::{AdvertiserId, KeyId};
use domain::mistake::Mistake;
use domain::validation;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use storage::campaign_store::{Document, Kind};

pub(crate) struct Keys;

/// What a client may set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeySpec {
    name: String,
    role: KeyRole,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    advertiser_id: Option<AdvertiserId>,
    #[serde(default)]
    status: KeyStatus,
}

impl From<&ApiKey> for KeySpec {
    fn from(key: &ApiKey) -> Self {
        Self {
            name: key.name.clone(),
            role: key.role,
            advertiser_id: key.advertiser_id.clone(),
            status: key.status,
        }
    }
}

impl Resource for Keys {
    const KIND: Kind = Kind::Key;
    const PATH: &'static str = "keys";
    const STATUSES: &'static [&'static str] = &["active", ARCHIVED];

    fn may_read(caller: &Caller) -> Result<(), ApiError> {
        caller.require_administrator()
    }

    fn may_change(caller: &Caller) -> Result<(), ApiError> {
        caller.require_administrator()
    }

    async fn draft(
        api: &Api,
        caller: &Caller,
        _parent: Option<&Document>,
        new: Value,
        now_ms: i64,
    ) -> Result<Draft, ApiError> {
        let KeySpec {
            name,
            role,
            advertiser_id,
            status,
        } = read_for_advertiser(api, caller, new, validate).await?;
        let at = timestamp(now_ms);
        let key = ApiKey {
            id: KeyId(api.mint(KeyId::PREFIX, now_ms)?),
            name,
            role,
            advertiser_id,
            status,
            secret_sha256: String::new(),
            created_at: at,
            updated_at: at,
        };
        with_new_secret(key, 1)
    }

    fn revise(
        _caller: &Caller,
        current: &Document,
        patch: Value,
        now_ms: i64,
    ) -> Result<Option<Draft>, ApiError> {
        let before: ApiKey = stored(current)?;
        let known = KeySpec::from(&before);
        let spec = patched(&known, patch, &["/role", "/advertiser_id"], validate)?;
        if spec == known {
            return Ok(None);
        }
        let after = ApiKey {
            name: spec.name,
            status: spec.status,
            updated_at: timestamp(now_ms),
            ..before
        };
        Ok(Some(Draft {
            document: document(&after, current.version + 1)?,
            announcements: Vec::new(),
            reveal: None,
        }))
    }

    async fn show(_api: &Api, documents: &[Document]) -> Result<Vec<Value>, ApiError> {
        Ok(documents
            .iter()
            .map(|document| without_hash(document.body.clone()))
            .collect())
    }
}

/// `POST /keys/{id}/rotate`: a new secret; the old one ends at once here, within seconds elsewhere.
pub(crate) async fn rotate(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    post: Post,
) -> Result<Answer, ApiError> {
    Keys::may_change(&caller)?;
    if let Some(first) = first_answer(&api, post.keyed.as_ref()).await? {
        return Ok(first);
    }
    let current = find(&api, &caller, Kind::Key, &id).await?;
    let key: ApiKey = stored(&current)?;
    if key.status == KeyStatus::Archived {
        return Err(ApiError::Conflict("the key is revoked"));
    }
    let now_ms = api.now_ms();
    let draft = with_new_secret(
        ApiKey {
            updated_at: timestamp(now_ms),
            ..key
        },
        current.version + 1,
    )?;
    let shown = show_one::<Keys>(&api, &draft.document).await?;
    let answer = Answer::shows(shown, draft.document.version);
    write_once(&api, &caller, draft, answer, post.keyed.as_ref(), now_ms).await
}

fn validate(body: Value) -> Result<KeySpec, Vec<Mistake>> {
    validation::read(body, |fields| {
        fields.required("name").text(1..=200);
        let role = fields.required("role").word(&["viewer", "editor", "admin"]);
        if role == Some("admin") {
            fields.absent("advertiser_id", "has no place in an administrator's key");
        } else if role.is_some() {
            fields.required("advertiser_id").text(1..=64);
        } else {
            fields.optional("advertiser_id").text(1..=64);
        }
        fields.optional("status").word(Keys::STATUSES);
    })
}

fn with_new_secret(mut key: ApiKey, version: i64) -> Result<Draft, ApiError> {
    let reveal = Some(("key", key.renew_secret(&entropy::bytes()?)));
    Ok(Draft {
        document: document(&key, version)?,
        announcements: Vec::new(),
        reveal,
    })
}

fn without_hash(mut shown: Value) -> Value {
    if let Value::Object(members) = &mut shown {
        members.remove("secret_sha256");
    }
    shown
}

fn document(key: &ApiKey, version: i64) -> Result<Document, ApiError> {
    Ok(Document {
        kind: Kind::Key,
        id: key.id.to_string(),
        advertiser_id: key.advertiser_id.as_ref().map(ToString::to_string),
        parent_id: None,
        external_id: None,
        name: key.name.clone(),
        status: word(&key.status)?,
        version,
        created_at_ms: key.created_at.as_millisecond(),
        updated_at_ms: key.updated_at.as_millisecond(),
        body: body(key)?,
    })
}

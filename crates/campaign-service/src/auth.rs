//! Who calls, and what they may do.

use crate::api::Api;
use crate::entropy;
use crate::error::ApiError;
use crate::keys::{ApiKey, KeyRole};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use platform::http::Problem;
use platform::{Clock, Secret};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use storage::campaign_store::{Document, Kind};
use storage::{CampaignStore, StorageError};
use subtle::ConstantTimeEq;

/// A key revoked at another replica is refused here within this time.
const KEY_CACHE_MS: i64 = 5_000;
/// Beyond this many keys the cache starts over.
const MANY_KEYS: usize = 10_000;
/// How a stored key begins, before its id and its secret.
pub(crate) const KEY_PREFIX: &str = "adp_";

/// Whoever sent the request. Handlers extract it; [`admit`] put it there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The key's id, for the history; `admin` for the key of the settings.
    pub(crate) actor: String,
    pub(crate) scope: Scope,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Administrator,
    Tenant { advertiser_id: String, may_write: bool },
}

impl Caller {
    pub(crate) fn is_administrator(&self) -> bool {
        self.scope == Scope::Administrator
    }

    /// The one advertiser whose objects the caller sees; `None` for an administrator, who sees all.
    pub(crate) fn tenant(&self) -> Option<&str> {
        match &self.scope {
            Scope::Administrator => None,
            Scope::Tenant { advertiser_id, .. } => Some(advertiser_id),
        }
    }

    pub(crate) fn sees(&self, document: &Document) -> bool {
        self.tenant()
            .is_none_or(|tenant| document.advertiser_id.as_deref() == Some(tenant))
    }

    pub(crate) fn require_writer(&self) -> Result<(), ApiError> {
        match self.scope {
            Scope::Tenant { may_write: false, .. } => {
                Err(ApiError::Forbidden("a viewer's key cannot change anything"))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn require_administrator(&self) -> Result<(), ApiError> {
        if self.is_administrator() {
            Ok(())
        } else {
            Err(ApiError::Forbidden("needs an administrator's key"))
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        parts.extensions.get().cloned().ok_or(ApiError::Unauthorized)
    }
}

/// Lets a request in when its key is good and within its rate.
pub(crate) async fn admit(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Response {
    let caller = match api.gate.caller(request.headers()).await {
        Ok(caller) => caller,
        Err(error) => return error.into_response(),
    };
    let standing = api.limiter.take(&caller.actor);
    let mut response = if standing.is_admitted {
        request.extensions_mut().insert(caller);
        next.run(request).await
    } else {
        Problem::too_many_requests(standing.reset_seconds.unsigned_abs())
            .with_detail("this key's rate limit is reached")
            .into_response()
    };
    standing.describe(response.headers_mut());
    response
}

/// Knows the keys.
pub(crate) struct Gate {
    administrator: [u8; 32],
    store: Arc<dyn CampaignStore>,
    clock: Clock,
    cache: Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
    keys: HashMap<String, (ApiKey, i64)>,
    /// Raised by each [`Gate::forget`]: what was read before must not be remembered after.
    age: u64,
}

impl Gate {
    pub(crate) fn new(administrator: &Secret, store: Arc<dyn CampaignStore>, clock: Clock) -> Self {
        Self {
            administrator: Sha256::digest(administrator.expose()).into(),
            store,
            clock,
            cache: Mutex::default(),
        }
    }

    async fn caller(&self, headers: &HeaderMap) -> Result<Caller, ApiError> {
        let key = bearer(headers).ok_or(ApiError::Unauthorized)?;
        let digest: [u8; 32] = Sha256::digest(key).into();
        if bool::from(digest.ct_eq(&self.administrator)) {
            return Ok(Caller {
                actor: "admin".to_owned(),
                scope: Scope::Administrator,
            });
        }
        let (id, secret) = key
            .strip_prefix(KEY_PREFIX)
            .and_then(|rest| rest.rsplit_once('_'))
            .ok_or(ApiError::Unauthorized)?;
        let stored = self.key(id).await?.ok_or(ApiError::Unauthorized)?;
        let offered = entropy::sha256_hex(secret.as_bytes());
        if stored.is_revoked() || !bool::from(offered.as_bytes().ct_eq(stored.secret_sha256.as_bytes())) {
            return Err(ApiError::Unauthorized);
        }
        caller_of(stored).ok_or(ApiError::Unauthorized)
    }

    async fn key(&self, id: &str) -> Result<Option<ApiKey>, StorageError> {
        let now_ms = self.clock.monotonic_ms();
        let age = {
            let cache = self.lock();
            if let Some((key, until_ms)) = cache.keys.get(id)
                && now_ms < *until_ms
            {
                return Ok(Some(key.clone()));
            }
            cache.age
        };
        let Some(document) = self.store.get(Kind::Key, id).await? else {
            return Ok(None);
        };
        let key: ApiKey = serde_json::from_value(document.body)?;
        let mut cache = self.lock();
        if cache.age == age {
            if cache.keys.len() >= MANY_KEYS {
                cache.keys.clear();
            }
            cache
                .keys
                .insert(id.to_owned(), (key.clone(), now_ms + KEY_CACHE_MS));
        }
        Ok(Some(key))
    }

    /// A change to keys binds at once where it was made.
    pub(crate) fn forget(&self, ids: &[String]) {
        if ids.is_empty() {
            return;
        }
        let mut cache = self.lock();
        cache.age += 1;
        for id in ids {
            cache.keys.remove(id);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `None` for a tenant's key that names no tenant, which validation does not let in.
fn caller_of(key: ApiKey) -> Option<Caller> {
    let scope = match (key.role, key.advertiser_id) {
        (KeyRole::Admin, _) => Scope::Administrator,
        (role, Some(advertiser_id)) => Scope::Tenant {
            advertiser_id: advertiser_id.0,
            may_write: role == KeyRole::Editor,
        },
        (_, None) => return None,
    };
    Some(Caller {
        actor: key.id.0,
        scope,
    })
}

/// The credentials of `Authorization: Bearer` (RFC 6750, 2.1; the scheme's name has no case).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, key) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let key = key.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !key.is_empty()).then_some(key)
}

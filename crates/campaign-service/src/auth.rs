//! Who calls, and what they may do.

use crate::api::Api;
use crate::error::ApiError;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use domain::api_key::{ApiKey, KeyScope, PresentedKey, same_secret};
use platform::http::{Problem, bearer};
use platform::{Clock, Secret};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use storage::campaign_store::{Document, Kind};
use storage::{CampaignStore, StorageError};

/// A key revoked at another replica is refused here within this time.
const KEY_CACHE_MS: i64 = 5_000;
/// Beyond this many keys the cache starts over.
const MANY_KEYS: usize = 10_000;

/// Whoever sent the request. Handlers extract it; [`admit`] put it there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The key's id, for the history; `admin` for the key of the settings.
    pub(crate) actor: String,
    pub(crate) scope: KeyScope,
}

impl Caller {
    pub(crate) fn is_administrator(&self) -> bool {
        self.scope == KeyScope::Everyone
    }

    /// The one advertiser whose objects the caller sees; `None` for an administrator, who sees all.
    pub(crate) fn tenant(&self) -> Option<&str> {
        match &self.scope {
            KeyScope::Everyone => None,
            KeyScope::Advertiser { advertiser_id, .. } => Some(advertiser_id.as_str()),
        }
    }

    pub(crate) fn sees(&self, document: &Document) -> bool {
        self.tenant()
            .is_none_or(|tenant| document.advertiser_id.as_deref() == Some(tenant))
    }

    pub(crate) fn require_writer(&self) -> Result<(), ApiError> {
        match self.scope {
            KeyScope::Advertiser { may_write: false, .. } => {
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
    administrator: Secret,
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
            administrator: administrator.clone(),
            store,
            clock,
            cache: Mutex::default(),
        }
    }

    async fn caller(&self, headers: &HeaderMap) -> Result<Caller, ApiError> {
        let key = bearer(headers).ok_or(ApiError::Unauthorized)?;
        if same_secret(key, self.administrator.expose()) {
            return Ok(Caller {
                actor: "admin".to_owned(),
                scope: KeyScope::Everyone,
            });
        }
        let presented = PresentedKey::parse(key).ok_or(ApiError::Unauthorized)?;
        let stored = self.key(presented.id).await?.ok_or(ApiError::Unauthorized)?;
        if !stored.accepts(presented.secret) {
            return Err(ApiError::Unauthorized);
        }
        let scope = stored.scope().ok_or_else(|| {
            StorageError::Corrupt(format!("role and advertiser of key {} do not fit", stored.id))
        })?;
        Ok(Caller {
            actor: stored.id.0,
            scope,
        })
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

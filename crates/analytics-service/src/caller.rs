//! Who asks: the owner of the key in `Authorization: Bearer`. The keys are campaign-service's.

use crate::api::Api;
use crate::error::ApiError;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use domain::api_key::{ApiKey, KeyScope, PresentedKey, same_secret};
use domain::id::AdvertiserId;
use platform::http::bearer;
use storage::StorageError;
use storage::campaign_store::Kind;

/// Viewers and editors read alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Sees every advertiser.
    Administrator,
    /// Sees its own.
    Advertiser(AdvertiserId),
}

impl Caller {
    pub(crate) fn may_see(&self, advertiser_id: &AdvertiserId) -> bool {
        match self {
            Self::Administrator => true,
            Self::Advertiser(own) => own == advertiser_id,
        }
    }
}

impl FromRequestParts<Api> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let key = bearer(&parts.headers).ok_or(ApiError::Unauthorized)?;
        if let Some(admin_api_key) = &api.admin_api_key
            && same_secret(key, admin_api_key.expose())
        {
            return Ok(Self::Administrator);
        }
        let presented = PresentedKey::parse(key).ok_or(ApiError::Unauthorized)?;
        stored_caller(api, presented).await?.ok_or(ApiError::Unauthorized)
    }
}

/// `None` when no stored key accepts the secret.
async fn stored_caller(api: &Api, presented: PresentedKey<'_>) -> Result<Option<Caller>, StorageError> {
    let Some(document) = api.ports.campaigns.get(Kind::Key, presented.id).await? else {
        return Ok(None);
    };
    let key: ApiKey = serde_json::from_value(document.body)?;
    if !key.accepts(presented.secret) {
        return Ok(None);
    }
    match key.scope() {
        Some(KeyScope::Everyone) => Ok(Some(Caller::Administrator)),
        Some(KeyScope::Advertiser { advertiser_id, .. }) => Ok(Some(Caller::Advertiser(advertiser_id))),
        None => Err(StorageError::Corrupt(format!(
            "role and advertiser of key {} do not fit",
            key.id
        ))),
    }
}

//! Who asks: the owner of the key in `Authorization: Bearer`. The keys are campaign-service's.

use crate::api::Api;
use crate::error::ApiError;
use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use domain::api_key::{ApiKey, KeyRole, PresentedKey, same_secret};
use domain::id::AdvertiserId;
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
        let header = parts
            .headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let key = header.and_then(bearer).ok_or(ApiError::Unauthorized)?;
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
    match (key.role, key.advertiser_id) {
        (KeyRole::Admin, None) => Ok(Some(Caller::Administrator)),
        (KeyRole::Viewer | KeyRole::Editor, Some(advertiser_id)) => {
            Ok(Some(Caller::Advertiser(advertiser_id)))
        }
        // Neither may be guessed: too much would be shown.
        (KeyRole::Admin, Some(_)) | (KeyRole::Viewer | KeyRole::Editor, None) => Err(StorageError::Corrupt(
            format!("role and advertiser of key {} do not fit", key.id),
        )),
    }
}

/// The scheme is written in any case (RFC 9110, 11.1).
fn bearer(header: &str) -> Option<&str> {
    let (scheme, key) = header.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

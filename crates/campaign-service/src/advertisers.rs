//! `/advertisers`: the tenants.

use crate::api::{Api, timestamp};
use crate::auth::Caller;
use crate::error::ApiError;
use crate::resource::{Draft, Resource, body, patched, stored, word};
use domain::advertiser::Advertiser;
use domain::id::AdvertiserId;
use domain::mistake::Mistake;
use domain::validation::advertiser::advertiser as validate;
use serde_json::Value;
use storage::campaign_store::{Announcement, Document, Kind};

pub(crate) struct Advertisers;

impl Resource for Advertisers {
    const KIND: Kind = Kind::Advertiser;
    const PATH: &'static str = "advertisers";

    fn may_create(caller: &Caller) -> Result<(), ApiError> {
        caller.require_administrator()
    }

    async fn draft(
        api: &Api,
        _caller: &Caller,
        _parent: Option<&Document>,
        new: Value,
        now_ms: i64,
    ) -> Result<Draft, ApiError> {
        let spec = validate(new)?;
        let at = timestamp(now_ms);
        let id = AdvertiserId(api.mint(AdvertiserId::PREFIX, now_ms)?);
        draft(
            &Advertiser {
                id,
                spec,
                created_at: at,
                updated_at: at,
            },
            1,
        )
    }

    fn revise(
        caller: &Caller,
        current: &Document,
        patch: Value,
        now_ms: i64,
    ) -> Result<Option<Draft>, ApiError> {
        if !caller.is_administrator() {
            refuse_administrators_fields(&patch)?;
        }
        let before: Advertiser = stored(current)?;
        let spec = patched(&before.spec, patch, &[], validate)?;
        if spec == before.spec {
            return Ok(None);
        }
        let after = Advertiser {
            spec,
            updated_at: timestamp(now_ms),
            ..before
        };
        draft(&after, current.version + 1).map(Some)
    }
}

/// Whether a tenant may trade, and with whose seats, is not its own to say.
fn refuse_administrators_fields(patch: &Value) -> Result<(), ApiError> {
    let mistakes: Vec<Mistake> = ["status", "seats"]
        .into_iter()
        .filter(|name| patch.get(name).is_some())
        .map(|name| Mistake {
            pointer: format!("/{name}"),
            code: "read_only",
            message: "is set by administrators".to_owned(),
        })
        .collect();
    if mistakes.is_empty() {
        Ok(())
    } else {
        Err(mistakes.into())
    }
}

fn draft(advertiser: &Advertiser, version: i64) -> Result<Draft, ApiError> {
    let id = advertiser.id.to_string();
    let document = Document {
        kind: Kind::Advertiser,
        id: id.clone(),
        // Its own tenant, so that lists and lookups need no special case.
        advertiser_id: Some(id.clone()),
        parent_id: None,
        external_id: None,
        name: advertiser.spec.name.clone(),
        status: word(&advertiser.spec.status)?,
        version,
        created_at_ms: advertiser.created_at.as_millisecond(),
        updated_at_ms: advertiser.updated_at.as_millisecond(),
        body: body(advertiser)?,
    };
    // A new one has no campaigns yet.
    let announcements = if version > 1 {
        vec![Announcement::CampaignsOf(id)]
    } else {
        Vec::new()
    };
    Ok(Draft {
        document,
        announcements,
        reveal: None,
    })
}

//! `/campaigns`.

use crate::api::{Api, timestamp};
use crate::auth::Caller;
use crate::error::ApiError;
use crate::resource::{ARCHIVED, Draft, Resource, body, patched, stored, word};
use crate::serving_status;
use domain::campaign::{Campaign, CampaignSpec};
use domain::id::CampaignId;
use domain::mistake::Mistake;
use domain::validation::campaign::campaign as validate;
use serde_json::Value;
use storage::campaign_store::{Announcement, Document, Kind};

pub(crate) struct Campaigns;

impl Resource for Campaigns {
    const KIND: Kind = Kind::Campaign;
    const PATH: &'static str = "campaigns";
    const STATUSES: &'static [&'static str] = &["draft", "active", "paused", ARCHIVED];

    async fn draft(
        api: &Api,
        caller: &Caller,
        _parent: Option<&Document>,
        mut new: Value,
        now_ms: i64,
    ) -> Result<Draft, ApiError> {
        own_advertiser_unless_named(caller, &mut new);
        let unknown_advertiser = advertiser_mistake(api, caller, &new).await?;
        let spec = match (validate(new), unknown_advertiser) {
            (Ok(spec), None) => spec,
            (read, mistake) => {
                let mut mistakes: Vec<Mistake> = mistake.into_iter().collect();
                mistakes.extend(read.err().unwrap_or_default());
                return Err(mistakes.into());
            }
        };
        let at = timestamp(now_ms);
        let id = CampaignId(api.mint(CampaignId::PREFIX, now_ms)?);
        draft(
            &Campaign {
                id,
                spec,
                created_at: at,
                updated_at: at,
            },
            1,
        )
    }

    fn revise(
        _caller: &Caller,
        current: &Document,
        patch: Value,
        now_ms: i64,
    ) -> Result<Option<Draft>, ApiError> {
        let before: Campaign = stored(current)?;
        // The ledger's accounts are in this currency.
        let spec = patched(
            &before.spec,
            patch,
            &["/advertiser_id", "/budget/currency"],
            validate,
        )?;
        if spec == before.spec {
            return Ok(None);
        }
        let after = Campaign {
            spec,
            updated_at: timestamp(now_ms),
            ..before
        };
        draft(&after, current.version + 1).map(Some)
    }

    async fn show(api: &Api, documents: &[Document]) -> Result<Vec<Value>, ApiError> {
        serving_status::show(api, documents).await
    }
}

/// A tenant's key says already whose the campaign is.
fn own_advertiser_unless_named(caller: &Caller, new: &mut Value) {
    if let (Some(tenant), Value::Object(members)) = (caller.tenant(), new)
        && members.get("advertiser_id").is_none_or(Value::is_null)
    {
        members.insert("advertiser_id".to_owned(), Value::String(tenant.to_owned()));
    }
}

/// The advertiser must exist, be the caller's to see, and not be archived.
pub(crate) async fn advertiser_mistake(
    api: &Api,
    caller: &Caller,
    new: &Value,
) -> Result<Option<Mistake>, ApiError> {
    let Some(id) = new.get("advertiser_id").and_then(Value::as_str) else {
        return Ok(None);
    };
    let found = api
        .store
        .get(Kind::Advertiser, id)
        .await?
        .filter(|document| caller.sees(document));
    let message = match found {
        None => "is no advertiser that this key can see",
        Some(advertiser) if advertiser.status == ARCHIVED => "is archived",
        Some(_) => return Ok(None),
    };
    Ok(Some(Mistake {
        pointer: "/advertiser_id".to_owned(),
        code: "not_found",
        message: message.to_owned(),
    }))
}

fn draft(campaign: &Campaign, version: i64) -> Result<Draft, ApiError> {
    let CampaignSpec {
        advertiser_id,
        external_id,
        name,
        status,
        ..
    } = &campaign.spec;
    let id = campaign.id.to_string();
    let document = Document {
        kind: Kind::Campaign,
        id: id.clone(),
        advertiser_id: Some(advertiser_id.to_string()),
        parent_id: None,
        external_id: external_id.clone(),
        name: name.clone(),
        status: word(status)?,
        version,
        created_at_ms: campaign.created_at.as_millisecond(),
        updated_at_ms: campaign.updated_at.as_millisecond(),
        body: body(campaign)?,
    };
    Ok(Draft {
        document,
        announcements: vec![Announcement::Campaign(id)],
        reveal: None,
    })
}

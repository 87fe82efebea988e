//! `/campaigns`.

use crate::api::{Api, timestamp};
use crate::auth::Caller;
use crate::error::ApiError;
use crate::resource::{ARCHIVED, Draft, Resource, body, patched, stored, word};
use crate::{named, serving_status};
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
        let spec = read_for_advertiser(api, caller, new, validate).await?;
        administrators_fee(caller, spec.fee_ppm, 0)?;
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
        caller: &Caller,
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
        administrators_fee(caller, spec.fee_ppm, before.spec.fee_ppm)?;
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

    async fn check(api: &Api, before: Option<&Document>, after: &Document) -> Result<(), ApiError> {
        named::check(&*api.store, before, after).await
    }

    async fn show(api: &Api, documents: &[Document]) -> Result<Vec<Value>, ApiError> {
        serving_status::show(api, documents).await
    }

    async fn show_new(api: &Api, document: &Document) -> Result<Value, ApiError> {
        serving_status::show_new(api, document).await
    }
}

/// What the platform takes is not the tenant's to say.
fn administrators_fee(caller: &Caller, fee_ppm: i64, before_ppm: i64) -> Result<(), ApiError> {
    if caller.is_administrator() || fee_ppm == before_ppm {
        return Ok(());
    }
    Err(vec![Mistake {
        pointer: "/fee_ppm".to_owned(),
        code: "read_only",
        message: "is set by administrators".to_owned(),
    }]
    .into())
}

/// A tenant's key says already whose the campaign is.
pub(crate) fn own_advertiser_unless_named(caller: &Caller, new: &mut Value) {
    if let (Some(tenant), Value::Object(members)) = (caller.tenant(), new)
        && members.get("advertiser_id").is_none_or(Value::is_null)
    {
        members.insert("advertiser_id".to_owned(), Value::String(tenant.to_owned()));
    }
}

/// What `validate` reads of `new`, with the mistake of naming no advertiser of the caller's among the others.
pub(crate) async fn read_for_advertiser<T>(
    api: &Api,
    caller: &Caller,
    new: Value,
    validate: impl FnOnce(Value) -> Result<T, Vec<Mistake>>,
) -> Result<T, ApiError> {
    let unknown_advertiser = advertiser_mistake(api, caller, &new).await?;
    match (validate(new), unknown_advertiser) {
        (Ok(spec), None) => Ok(spec),
        (read, mistake) => {
            let mut mistakes: Vec<Mistake> = mistake.into_iter().collect();
            mistakes.extend(read.err().unwrap_or_default());
            Err(mistakes.into())
        }
    }
}

/// The advertiser must exist, be the caller's to see, and not be archived.
async fn advertiser_mistake(api: &Api, caller: &Caller, new: &Value) -> Result<Option<Mistake>, ApiError> {
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

//! `/deals`: an advertiser's agreements with sellers. A campaign may name one by its id (`dea_…`) where it may also name an
//! exchange's own deal id: what is published is the exchange and its id of the deal, or, while the deal is paused, one that no
//! request has.

use crate::api::{Api, timestamp};
use crate::auth::Caller;
use crate::campaigns::{own_advertiser_unless_named, read_for_advertiser};
use crate::error::ApiError;
use crate::named::{self, Named};
use crate::resource::{Draft, Resource, body, patched, stored, word};
use domain::campaign::Campaign;
use domain::deal::{Deal, DealSpec, DealStatus, at_exchange};
use domain::id::DealId;
use domain::targeting::Targeting;
use domain::validation::deal::deal as validate;
use serde_json::Value;
use storage::campaign_store::{Announcement, Document, Kind};
use storage::{CampaignStore, StorageError};

pub(crate) struct Deals;

impl Resource for Deals {
    const KIND: Kind = Kind::Deal;
    const PATH: &'static str = "deals";

    async fn draft(
        api: &Api,
        caller: &Caller,
        _parent: Option<&Document>,
        mut new: Value,
        now_ms: i64,
    ) -> Result<Draft, ApiError> {
        own_advertiser_unless_named(caller, &mut new);
        let spec = read_for_advertiser(api, caller, new, validate).await?;
        let at = timestamp(now_ms);
        let deal = Deal {
            id: DealId(api.mint(DealId::PREFIX, now_ms)?),
            spec,
            created_at: at,
            updated_at: at,
        };
        draft(&deal, 1)
    }

    fn revise(
        _caller: &Caller,
        current: &Document,
        patch: Value,
        now_ms: i64,
    ) -> Result<Option<Draft>, ApiError> {
        let before: Deal = stored(current)?;
        let spec = patched(&before.spec, patch, &["/advertiser_id"], validate)?;
        if spec == before.spec {
            return Ok(None);
        }
        let after = Deal {
            spec,
            updated_at: timestamp(now_ms),
            ..before
        };
        draft(&after, current.version + 1).map(Some)
    }

    async fn check(api: &Api, before: Option<&Document>, after: &Document) -> Result<(), ApiError> {
        let exchange = |document: &Document| stored::<Deal>(document).map(|deal| deal.spec.exchange);
        let wanted = exchange(after)?;
        if before.map(exchange).transpose()?.as_ref() == Some(&wanted) {
            return Ok(());
        }
        match api.store.get(Kind::Exchange, wanted.as_str()).await? {
            Some(_) => Ok(()),
            None => Err(ApiError::mistake("/exchange", "not_found", "is no exchange")),
        }
    }
}

fn draft(deal: &Deal, version: i64) -> Result<Draft, ApiError> {
    let DealSpec {
        advertiser_id,
        name,
        status,
        exchange,
        deal_id,
    } = &deal.spec;
    let document = Document {
        kind: Kind::Deal,
        id: deal.id.to_string(),
        advertiser_id: Some(advertiser_id.to_string()),
        parent_id: None,
        // Once for each advertiser.
        external_id: Some(format!("{exchange}/{deal_id}")),
        name: name.clone(),
        status: word(status)?,
        version,
        created_at_ms: deal.created_at.as_millisecond(),
        updated_at_ms: deal.updated_at.as_millisecond(),
        body: body(deal)?,
    };
    // A new one is named by nobody yet.
    let announcements = if version > 1 {
        vec![Announcement::CampaignsOf(advertiser_id.to_string())]
    } else {
        Vec::new()
    };
    Ok(Draft {
        document,
        announcements,
        reveal: None,
    })
}

/// Where a campaign names deals of its advertiser.
pub(crate) fn named_in(targeting: &Targeting) -> impl Iterator<Item = Named<'_>> {
    let ids = targeting.deals.iter().enumerate();
    ids.filter(|(_, id)| named::is_id(id, DealId::PREFIX))
        .map(|(index, id)| Named {
            kind: Kind::Deal,
            pointer: format!("/targeting/deals/{index}"),
            id,
        })
}

/// The targeting with the exchanges' ids in the place of our own.
pub(crate) async fn serve_by_exchanges_ids(
    store: &dyn CampaignStore,
    campaign: &mut Campaign,
) -> Result<(), StorageError> {
    let owner = campaign.spec.advertiser_id.clone();
    for id in &mut campaign.spec.targeting.deals {
        if !named::is_id(id, DealId::PREFIX) {
            continue;
        }
        let Some(found) = store.get(Kind::Deal, id).await? else {
            continue;
        };
        let deal: Deal = serde_json::from_value(found.body)?;
        if deal.spec.status == DealStatus::Active && deal.spec.advertiser_id == owner {
            *id = at_exchange(&deal.spec.exchange, &deal.spec.deal_id).concat();
        }
        // Else it stays our own id, which no exchange has.
    }
    Ok(())
}

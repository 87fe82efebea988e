//! What is published: the records of the topics `campaigns` and `exchanges`, composed from the store.

use crate::{audiences, deals};
use domain::advertiser::AdvertiserStatus;
use domain::campaign::CampaignStatus;
use domain::creative::CreativeStatus;
use domain::exchange::{Exchange, ExchangeStatus};
use domain::period::{Limits, days};
use domain::serving::{SCHEMA, ServingAdvertiser, ServingCampaign, ServingExchange};
use storage::campaign_store::{CampaignBundle, Kind};
use storage::event_log::NewRecord;
use storage::{CampaignStore, StorageError};

/// Today and the next seven.
const PUBLISHED_DAYS: usize = 8;

/// The campaigns' records as they are now, in the order of the ids. What is archived, or its advertiser is, becomes a
/// tombstone: bidders forget it.
pub(crate) async fn campaigns(
    store: &dyn CampaignStore,
    ids: &[String],
    now_ms: i64,
    traceparent_of: impl Fn(&str) -> Option<String>,
) -> Result<Vec<NewRecord>, StorageError> {
    let mut records = Vec::with_capacity(ids.len());
    for (id, bundle) in ids.iter().zip(store.bundles(ids).await?) {
        let value = match bundle.filter(is_alive) {
            Some(mut bundle) => {
                audiences::serve_own_only(store, &mut bundle.campaign).await?;
                deals::serve_by_exchanges_ids(store, &mut bundle.campaign).await?;
                Some(serde_json::to_vec(&compose(bundle, now_ms, traceparent_of(id)))?)
            }
            None => None,
        };
        let key = id.clone();
        records.push(NewRecord { key, value });
    }
    Ok(records)
}

fn is_alive(bundle: &CampaignBundle) -> bool {
    bundle.campaign.spec.status != CampaignStatus::Archived
        && bundle.advertiser.spec.status != AdvertiserStatus::Archived
}

fn compose(bundle: CampaignBundle, now_ms: i64, traceparent: Option<String>) -> ServingCampaign {
    let CampaignBundle {
        generation,
        revision,
        campaign,
        advertiser,
        creatives,
    } = bundle;
    ServingCampaign {
        schema: SCHEMA,
        generation,
        revision,
        requires: Vec::new(),
        limits: Limits::of(&campaign.spec.budget),
        days: days(
            &campaign.spec.flight,
            crate::api::timestamp(now_ms),
            PUBLISHED_DAYS,
        ),
        creatives: creatives
            .into_iter()
            .filter(|creative| creative.spec.status == CreativeStatus::Active)
            .collect(),
        advertiser: ServingAdvertiser {
            id: advertiser.id,
            status: advertiser.spec.status,
            legal_name: advertiser.spec.legal_name,
            paid_by: advertiser.spec.paid_by,
            seats: advertiser.spec.seats,
            conversion_lookback_days: advertiser.spec.conversion_lookback_days,
        },
        campaign,
        traceparent,
    }
}

/// The exchange's record as it is now; a tombstone when it is archived.
pub(crate) async fn exchange(store: &dyn CampaignStore, id: &str) -> Result<NewRecord, StorageError> {
    // Read first: a change in between has its own announcement, and a higher revision.
    let (generation, revision) = store.revision().await?;
    let key = id.to_owned();
    let Some(document) = store.get(Kind::Exchange, id).await? else {
        return Ok(NewRecord { key, value: None });
    };
    let exchange: Exchange = serde_json::from_value(document.body)?;
    if exchange.spec.status == ExchangeStatus::Archived {
        return Ok(NewRecord { key, value: None });
    }
    let record = ServingExchange {
        schema: SCHEMA,
        generation,
        revision,
        exchange,
    };
    Ok(NewRecord {
        key,
        value: Some(serde_json::to_vec(&record)?),
    })
}

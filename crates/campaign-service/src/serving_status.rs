//! Whether a campaign can serve right now, and every reason why not. Read at request time, never stored.

use crate::api::Api;
use crate::error::ApiError;
use crate::resource::{ARCHIVED, stored};
use domain::advertiser::AdvertiserStatus;
use domain::campaign::{Campaign, CampaignStatus};
use domain::creative::{Creative, CreativeStatus, ReviewStatus};
use domain::id::{AdvertiserId, CampaignId};
use domain::money::Terms;
use domain::period::Limits;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::Duration;
use storage::campaign_store::{Document, Kind, ListQuery};
use storage::spend_ledger::{AccountBalance, Balance, BalancesOf};

/// The ledger is asked this long; a client who waits for a list must not wait for it longer.
const LEDGER_PATIENCE: Duration = Duration::from_millis(500);
/// Creatives of so many campaigns are read at once.
const READS_AT_ONCE: usize = 8;
/// More creatives or exchanges than this are not looked at.
const MANY: u32 = 1_000;

/// All that the status is decided by, beside the campaign.
struct Circumstances<'a> {
    advertiser: AdvertiserStatus,
    creatives: &'a [Creative],
    /// Ids of active exchanges.
    exchanges: &'a [String],
    /// `None`: the ledger is away.
    balances: Option<&'a [Balance]>,
    now_ms: i64,
}

/// Campaigns as clients see them: the stored object with `serving_status` and `serving_reasons`.
pub(crate) async fn show(api: &Api, documents: &[Document]) -> Result<Vec<Value>, ApiError> {
    if documents.is_empty() {
        return Ok(Vec::new());
    }
    let campaigns: Vec<Campaign> = documents.iter().map(stored).collect::<Result<_, _>>()?;
    let advertisers = advertisers(api, &campaigns).await?;
    let reads: Vec<_> = documents
        .iter()
        .map(|document| creatives(api, &document.id))
        .collect();
    let creatives: Vec<Vec<Creative>> = stream::iter(reads).buffered(READS_AT_ONCE).try_collect().await?;
    // Their reviews alone say anything of exchanges.
    let exchanges = match creatives.iter().all(Vec::is_empty) {
        true => Vec::new(),
        false => active_exchanges(api).await?,
    };
    let ids: Vec<_> = campaigns
        .iter()
        .map(|campaign| (campaign.spec.advertiser_id.clone(), campaign.id.clone()))
        .collect();
    let mut balances = balances(api, &ids).await;
    let shown = documents.iter().zip(&campaigns).zip(&creatives);
    Ok(shown
        .map(|((document, campaign), creatives)| {
            let own = balances
                .as_mut()
                .map(|all| all.remove(&campaign.id).unwrap_or_default());
            let around = Circumstances {
                advertiser: status_of(&advertisers, campaign),
                creatives,
                exchanges: &exchanges,
                balances: own.as_deref(),
                now_ms: api.now_ms(),
            };
            with_status(document, campaign, &around)
        })
        .collect())
}

/// A campaign about to be stored, which has neither creatives nor accounts: they are not asked for.
pub(crate) async fn show_new(api: &Api, document: &Document) -> Result<Value, ApiError> {
    let campaign: Campaign = stored(document)?;
    let advertisers = advertisers(api, std::slice::from_ref(&campaign)).await?;
    let around = Circumstances {
        advertiser: status_of(&advertisers, &campaign),
        creatives: &[],
        exchanges: &[],
        balances: Some(&[]),
        now_ms: api.now_ms(),
    };
    Ok(with_status(document, &campaign, &around))
}

fn status_of(advertisers: &HashMap<String, AdvertiserStatus>, campaign: &Campaign) -> AdvertiserStatus {
    advertisers
        .get(campaign.spec.advertiser_id.as_str())
        .copied()
        .unwrap_or_default()
}

fn with_status(document: &Document, campaign: &Campaign, around: &Circumstances<'_>) -> Value {
    let reasons = reasons(campaign, around);
    let status = match around.balances {
        Some(_) => reasons.first().copied().unwrap_or("serving"),
        None => "unknown",
    };
    let mut body = document.body.clone();
    body["serving_status"] = json!(status);
    body["serving_reasons"] = json!(reasons);
    body
}

/// Every reason against, the weightiest first.
fn reasons(campaign: &Campaign, around: &Circumstances<'_>) -> Vec<&'static str> {
    let mut reasons = Vec::new();
    match campaign.spec.status {
        CampaignStatus::Active => {}
        CampaignStatus::Archived => reasons.push("archived"),
        CampaignStatus::Draft => reasons.push("draft"),
        CampaignStatus::Paused => reasons.push("paused"),
    }
    match around.advertiser {
        AdvertiserStatus::Active => {}
        AdvertiserStatus::Paused => reasons.push("advertiser_paused"),
        AdvertiserStatus::Archived => reasons.push("advertiser_archived"),
    }
    let flight = &campaign.spec.flight;
    if around.now_ms < flight.start.as_millisecond() {
        reasons.push("not_started");
    }
    if flight
        .end
        .is_some_and(|end| end.as_millisecond() <= around.now_ms)
    {
        reasons.push("ended");
    }
    if around
        .balances
        .is_some_and(|balances| is_exhausted(campaign, balances, around.now_ms))
    {
        reasons.push("budget_exhausted");
    }
    if !around
        .creatives
        .iter()
        .any(|creative| is_approved(creative, around.exchanges))
    {
        reasons.push("no_approved_creative");
    }
    reasons
}

/// Active, and some exchange has nothing against it; one that says nothing approves.
fn is_approved(creative: &Creative, exchanges: &[String]) -> bool {
    let is_approved_at = |exchange: &String| {
        let review = creative
            .reviews
            .iter()
            .find(|review| review.exchange == *exchange);
        review.is_none_or(|review| review.status == ReviewStatus::Approved)
    };
    creative.spec.status == CreativeStatus::Active
        && (exchanges.is_empty() || exchanges.iter().any(is_approved_at))
}

/// What is left today, or at all, does not pay for one impression at the maximum price.
fn is_exhausted(campaign: &Campaign, balances: &[Balance], now_ms: i64) -> bool {
    let limits = Limits::of(&campaign.spec.budget);
    let terms = Terms {
        fee_ppm: campaign.spec.fee_ppm,
        ..Terms::default()
    };
    let price_nanos = terms
        .reservation_nanos(campaign.spec.bid.max_cpm_micros)
        .unwrap_or(i64::MAX);
    balances.iter().any(|balance| {
        let limit_nanos = match &balance.day {
            None => limits.total_nanos,
            Some(day) if day.contains(now_ms) => limits.daily_nanos,
            Some(_) => None,
        };
        // Leases are money not yet spent: a bidder may still serve from them.
        let left = AccountBalance {
            limit_nanos,
            leased_nanos: 0,
            ..balance.account
        }
        .free_nanos();
        left < price_nanos
    })
}

async fn active_exchanges(api: &Api) -> Result<Vec<String>, ApiError> {
    let query = ListQuery {
        statuses: vec!["active".to_owned()],
        limit: MANY,
        ..ListQuery::default()
    };
    Ok(api
        .store
        .list(Kind::Exchange, &query)
        .await?
        .into_iter()
        .map(|exchange| exchange.id)
        .collect())
}

async fn advertisers(
    api: &Api,
    campaigns: &[Campaign],
) -> Result<HashMap<String, AdvertiserStatus>, ApiError> {
    let mut statuses = HashMap::new();
    for campaign in campaigns {
        let id = campaign.spec.advertiser_id.as_str();
        if !statuses.contains_key(id)
            && let Some(document) = api.store.get(Kind::Advertiser, id).await?
        {
            let advertiser: domain::advertiser::Advertiser = stored(&document)?;
            statuses.insert(id.to_owned(), advertiser.spec.status);
        }
    }
    Ok(statuses)
}

async fn creatives(api: &Api, campaign_id: &str) -> Result<Vec<Creative>, ApiError> {
    let query = ListQuery {
        parent_id: Some(campaign_id.to_owned()),
        limit: MANY,
        ..ListQuery::default()
    };
    let documents = api.store.list(Kind::Creative, &query).await?;
    documents
        .iter()
        .filter(|document| document.status != ARCHIVED)
        .map(stored)
        .collect()
}

/// By campaign; `None` while the ledger is away or slow.
async fn balances(
    api: &Api,
    ids: &[(AdvertiserId, CampaignId)],
) -> Option<HashMap<CampaignId, Vec<Balance>>> {
    let asked = api.ledger.balances(BalancesOf::Campaigns(ids));
    let found = tokio::time::timeout(LEDGER_PATIENCE, asked).await.ok()?.ok()?;
    let mut by_campaign: HashMap<CampaignId, Vec<Balance>> = HashMap::new();
    for balance in found {
        by_campaign
            .entry(balance.campaign_id.clone())
            .or_default()
            .push(balance);
    }
    Some(by_campaign)
}

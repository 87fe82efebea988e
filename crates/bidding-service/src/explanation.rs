//! `POST /openrtb2/explain`: why campaigns bid on a request or do not, by the conditions that bids use, with what this
//! process knows now of leases, pacing and caps. For administrators, beside the bid path: nothing is reserved or counted.

use crate::administrator::Administrator;
use crate::known_user::KnownUser;
use crate::live::Live;
use crate::user_key::user_key;
use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use bidding_engine::{
    CampaignRecord, CreativeFailures, ExchangeState, Explanation, ImpExplanation, NoBidReason, Now, explain,
    is_identifiable,
};
use bumpalo::Bump;
use openrtb::BidRequest;
use openrtb::request::{Imp, InventoryKind};
use platform::Clock;
use platform::http::{FieldError, Json, Problem};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use storage::UserStates;

const MOST_CAMPAIGNS: usize = 100;

/// What an explanation needs.
pub(crate) struct Explainer {
    pub(crate) live: Arc<ArcSwap<Live>>,
    pub(crate) user_states: Arc<dyn UserStates>,
    pub(crate) clock: Clock,
    pub(crate) administrator: Administrator,
}

pub(crate) fn router(explainer: Arc<Explainer>) -> Router {
    Router::new()
        .route("/openrtb2/explain", post(answer))
        .with_state(explainer)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    #[serde(default = "default_exchange")]
    exchange: String,
    /// A bid request, as the exchange would send it.
    request: Value,
    /// Ids.
    campaigns: Vec<String>,
}

fn default_exchange() -> String {
    "default".to_owned()
}

async fn answer(
    State(explainer): State<Arc<Explainer>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, Problem> {
    explainer.administrator.admit(&headers)?;
    let Json(question) = Json::<Question>::from_bytes(&body)?;
    let live = explainer.live.load_full();
    let text = question.request.to_string().into_bytes();
    let user_key = question.check(&live, &text)?;
    let now_ms = explainer.clock.unix_ms();
    let user = KnownUser::read(&*explainer.user_states, user_key.as_deref(), now_ms).await;
    let now = Now {
        unix_ms: explainer.clock.unix_ms(),
        monotonic_ms: explainer.clock.monotonic_ms(),
    };
    // A hundred campaigns, or a look at the ids of all: not on a thread that bids wait for.
    let answering = tokio::task::spawn_blocking(move || question.answer(&live, &text, &user, now));
    answering
        .await
        .map_err(|error| Problem::internal(&error))?
        .map(Json)
}

impl Question {
    /// All mistakes at once; whose state to read, when there are none.
    fn check(&self, live: &Live, text: &[u8]) -> Result<Option<String>, Problem> {
        let mut mistakes = Vec::new();
        if live.snapshot.exchange(&self.exchange).is_none() {
            mistakes.push(FieldError::new(
                "/exchange",
                "unknown",
                "there is no such exchange",
            ));
        }
        if !(1..=MOST_CAMPAIGNS).contains(&self.campaigns.len()) {
            let message = format!("must be 1 to {MOST_CAMPAIGNS} ids");
            mistakes.push(FieldError::new("/campaigns", "invalid_value", message));
        }
        let arena = Bump::new();
        let user_key = match openrtb::read_request(text, &arena) {
            Ok(request) => live
                .snapshot
                .exchange(&self.exchange)
                .and_then(|exchange| user_key(&request, &exchange.serving().exchange)),
            Err(malformed) => {
                mistakes.push(FieldError::new("/request", "malformed", malformed.to_string()));
                None
            }
        };
        if mistakes.is_empty() {
            Ok(user_key)
        } else {
            Err(Problem::bad_request(mistakes))
        }
    }

    fn answer(&self, live: &Live, text: &[u8], user: &KnownUser, now: Now) -> Result<Value, Problem> {
        let arena = Bump::new();
        let mut request = openrtb::read_request(text, &arena).map_err(|error| Problem::internal(&error))?;
        if let Some(locations) = &live.locations {
            locations.locate(&mut request, &arena);
        }
        let exchange = live
            .snapshot
            .exchange(&self.exchange)
            .ok_or_else(Problem::not_found)?;
        let numbers = self.numbers(live);
        let campaigns = self.campaigns.iter().map(|id| {
            let Some((number, campaign)) = numbers.get(id.as_str()) else {
                return json!({"campaign_id": id, "first": "not_in_index", "imps": []});
            };
            let explanation = user.view(|user| {
                explain(
                    &live.snapshot,
                    exchange,
                    &live.leases,
                    user,
                    now,
                    &request,
                    *number,
                )
            });
            told(campaign, &request, explanation)
        });
        Ok(json!({
            "request": seen(&request, exchange, user),
            "campaigns": campaigns.collect::<Vec<_>>(),
        }))
    }

    /// Where those asked about are in the index.
    fn numbers<'a>(&self, live: &'a Live) -> HashMap<&'a str, (usize, &'a CampaignRecord)> {
        let numbered =
            (0..live.snapshot.numbers()).filter_map(|number| Some((number, live.snapshot.campaign(number)?)));
        numbered
            .map(|(number, campaign)| (campaign.id.as_str(), (number, campaign)))
            .filter(|(id, _)| self.campaigns.iter().any(|asked| asked == id))
            .collect()
    }
}

/// The request as a bid would see it.
fn seen(request: &BidRequest<'_>, exchange: &ExchangeState, user: &KnownUser) -> Value {
    let inventory = &request.inventory;
    json!({
        "id": request.id,
        "exchange": exchange.serving().exchange.id,
        "test": request.test,
        "at": request.at,
        "tmax_ms": request.tmax_ms,
        "is_identifiable": is_identifiable(request),
        "user": user.word(),
        "inventory": match inventory.kind {
            InventoryKind::Unknown => "unknown",
            InventoryKind::Site => "site",
            InventoryKind::App => "app",
            InventoryKind::Dooh => "dooh",
        },
        "domain": inventory.domain,
        "bundle": inventory.bundle,
        "country": request.device.geo.country,
        "currencies": request.cur,
        "imps": request.imp.iter().map(seen_imp).collect::<Vec<_>>(),
    })
}

fn seen_imp(imp: &Imp<'_>) -> Value {
    let formats = [
        (imp.banner.is_some(), "banner"),
        (imp.video.is_some(), "video"),
        (imp.audio.is_some(), "audio"),
        (imp.native.is_some(), "native"),
    ];
    let formats = formats.iter().filter(|(is_offered, _)| *is_offered);
    json!({
        "id": imp.id,
        "formats": formats.map(|(_, word)| *word).collect::<Vec<_>>(),
        "floor_cpm_micros": imp.bidfloor_micros,
        "floor_currency": imp.bidfloorcur,
        "is_private": imp.pmp.private_auction,
        "deals": imp.pmp.deals.iter().map(|deal| deal.id).collect::<Vec<_>>(),
    })
}

fn told(campaign: &CampaignRecord, request: &BidRequest<'_>, explanation: Option<Explanation>) -> Value {
    let id = &campaign.id;
    let Some(explanation) = explanation else {
        return json!({"campaign_id": id, "first": "not_in_index", "imps": []});
    };
    let imps = explanation.imps.iter().zip(request.imp);
    // In one imp at least nothing fails; else where the imp that came furthest ended.
    let firsts: Option<Vec<NoBidReason>> = explanation.imps.iter().map(|imp| imp.first).collect();
    let first = explanation
        .request
        .or_else(|| firsts.and_then(|firsts| firsts.into_iter().max()));
    json!({
        "campaign_id": id,
        "first": first.map(NoBidReason::as_str),
        "imps": imps.map(|(of_imp, imp)| told_imp(campaign, imp, of_imp)).collect::<Vec<_>>(),
    })
}

fn told_imp(campaign: &CampaignRecord, imp: &Imp<'_>, of_imp: &ImpExplanation) -> Value {
    json!({
        "imp_id": imp.id,
        "first": of_imp.first.map(NoBidReason::as_str),
        "campaign_failures": words(&of_imp.campaign),
        "creatives": of_imp.creatives.iter().map(|of| told_creative(campaign, imp, of)).collect::<Vec<_>>(),
    })
}

fn told_creative(campaign: &CampaignRecord, imp: &Imp<'_>, of: &CreativeFailures) -> Value {
    let price = of.price.map(|price| {
        json!({
            "currency": price.currency,
            "auction_type": price.auction_type,
            "floor_cpm_micros": price.floor_cpm_micros,
            "value_cpm_micros": price.value_cpm_micros,
            "price_cpm_micros": price.price_cpm_micros,
        })
    });
    json!({
        "creative_id": campaign.creatives.get(of.creative).map(|creative| &creative.id),
        "deal_id": of.deal.and_then(|at| imp.pmp.deals.get(at)).map(|deal| deal.id),
        "failures": words(&of.failures),
        "price": price,
    })
}

fn words(reasons: &[NoBidReason]) -> Vec<&'static str> {
    reasons.iter().map(|reason| reason.as_str()).collect()
}

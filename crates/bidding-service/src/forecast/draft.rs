//! The question: a campaign that is not there yet, with its creatives and the prices it might pay.

use bidding_engine::CompiledCampaign;
use domain::advertiser::AdvertiserStatus;
use domain::campaign::{Campaign, CampaignSpec, CampaignStatus};
use domain::creative::{Creative, CreativeSpec, CreativeStatus};
use domain::currency::Currency;
use domain::id::{AdvertiserId, CampaignId, CreativeId, DealId};
use domain::mistake::Mistake;
use domain::period::{Limits, days};
use domain::serving::{SCHEMA, ServingAdvertiser, ServingCampaign};
use domain::validation::campaign::{LARGEST_CPM_MICROS, campaign};
use domain::validation::creative::creative;
use jiff::Timestamp;
use platform::http::FieldError;
use serde::Deserialize;
use serde_json::Value;

const MOST_CREATIVES: usize = 20;
const MOST_PRICES: usize = 20;
/// Of the draft's own maximum, in quarters: what is looked at unless the question says.
const QUARTERS: [i64; 9] = [1, 2, 3, 4, 5, 6, 8, 12, 16];
/// Who bids for a draft that names no advertiser.
const STAND_IN: &str = "adv_draft";

/// The body of a question.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    /// As `POST /campaigns` takes it, but that it may name no advertiser, and names deals as their exchange does.
    campaign: Value,
    /// 1 to 20, as `POST /campaigns/{id}/creatives` takes them.
    creatives: Vec<Value>,
    /// CPM micros of the campaign's currency, at most 20. Absent: from a quarter of the campaign's own maximum to four times.
    #[serde(default)]
    max_cpm_micros: Option<Vec<i64>>,
}

/// A question without mistakes.
#[derive(Debug)]
pub(super) struct Draft {
    campaign: CampaignSpec,
    creatives: Vec<CreativeSpec>,
    /// Rising.
    max_cpms_micros: Vec<i64>,
}

impl Question {
    /// # Errors
    /// All mistakes at once.
    pub(super) fn check(self) -> Result<Draft, Vec<FieldError>> {
        let mut mistakes = Vec::new();
        let campaign = campaign(with_advertiser(self.campaign));
        let campaign = campaign.map_err(|all| mistakes.extend(below("/campaign", all)));
        if let Ok(campaign) = &campaign {
            mistakes.extend(own_deals(campaign));
        }
        if !(1..=MOST_CREATIVES).contains(&self.creatives.len()) {
            let message = format!("must have 1 to {MOST_CREATIVES} items");
            mistakes.push(FieldError::new("/creatives", "invalid_value", message));
        }
        let mut creatives = Vec::with_capacity(self.creatives.len());
        for (at, given) in self.creatives.into_iter().take(MOST_CREATIVES).enumerate() {
            match creative(given) {
                Ok(spec) => creatives.push(spec),
                Err(all) => mistakes.extend(below(&format!("/creatives/{at}"), all)),
            }
        }
        mistakes.extend(wrong_prices(self.max_cpm_micros.as_deref()));
        match campaign {
            Ok(campaign) if mistakes.is_empty() => Ok(Draft {
                max_cpms_micros: rising(
                    self.max_cpm_micros
                        .unwrap_or_else(|| around(campaign.bid.max_cpm_micros)),
                ),
                campaign,
                creatives,
            }),
            _ => Err(mistakes),
        }
    }
}

fn with_advertiser(mut campaign: Value) -> Value {
    if let Some(members) = campaign.as_object_mut()
        && members.get("advertiser_id").is_none_or(Value::is_null)
    {
        members.insert("advertiser_id".to_owned(), STAND_IN.into());
    }
    campaign
}

/// Which deal of an exchange a record stands for is not known here: it would be one that no request has.
fn own_deals(campaign: &CampaignSpec) -> impl Iterator<Item = FieldError> {
    let is_record = |id: &str| {
        let rest = id.strip_prefix(DealId::PREFIX);
        rest.is_some_and(|rest| rest.starts_with('_'))
    };
    let deals = campaign.targeting.deals.iter().enumerate();
    let records = deals.filter(move |(_, id)| is_record(id));
    records.map(|(at, _)| {
        let pointer = format!("/campaign/targeting/deals/{at}");
        FieldError::new(
            pointer,
            "not_allowed",
            "must be the exchange's own id of the deal",
        )
    })
}

/// With their pointers in the whole question.
fn below(parent: &str, mistakes: Vec<Mistake>) -> impl Iterator<Item = FieldError> {
    mistakes.into_iter().map(move |mistake| {
        FieldError::new(
            format!("{parent}{}", mistake.pointer),
            mistake.code,
            mistake.message,
        )
    })
}

fn wrong_prices(given: Option<&[i64]>) -> Vec<FieldError> {
    const POINTER: &str = "/max_cpm_micros";
    let Some(prices) = given else { return Vec::new() };
    if !(1..=MOST_PRICES).contains(&prices.len()) {
        let message = format!("must have 1 to {MOST_PRICES} items");
        return vec![FieldError::new(POINTER, "invalid_value", message)];
    }
    let is_wrong = |price: &i64| !(1..=LARGEST_CPM_MICROS).contains(price);
    let wrong = prices.iter().enumerate().filter(|(_, price)| is_wrong(price));
    let message = format!("must be 1 to {LARGEST_CPM_MICROS}");
    wrong
        .map(|(at, _)| FieldError::new(format!("{POINTER}/{at}"), "invalid_value", message.as_str()))
        .collect()
}

fn around(max_cpm_micros: i64) -> Vec<i64> {
    let of_quarters = |quarters: i64| (max_cpm_micros * quarters / 4).clamp(1, LARGEST_CPM_MICROS);
    QUARTERS.into_iter().map(of_quarters).collect()
}

fn rising(mut prices: Vec<i64>) -> Vec<i64> {
    prices.sort_unstable();
    prices.dedup();
    prices
}

impl Draft {
    pub(super) fn currency(&self) -> Currency {
        self.campaign.budget.currency
    }

    /// Rising, each once.
    pub(super) fn max_cpms_micros(&self) -> &[i64] {
        &self.max_cpms_micros
    }

    pub(super) fn advertiser_id(&self) -> &AdvertiserId {
        &self.campaign.advertiser_id
    }

    /// One for each maximum, active and in flight from `from_ms` on for days. `advertiser`: what bidders know of its own.
    pub(super) fn compile(
        &self,
        advertiser: Option<&ServingAdvertiser>,
        from_ms: i64,
    ) -> Vec<CompiledCampaign> {
        let serving = self.serving(advertiser, from_ms);
        let at_price = |max_cpm_micros: &i64| {
            let mut serving = serving.clone();
            serving.campaign.spec.bid.max_cpm_micros = *max_cpm_micros;
            CompiledCampaign::compile(serving)
        };
        self.max_cpms_micros.iter().map(at_price).collect()
    }

    fn serving(&self, advertiser: Option<&ServingAdvertiser>, from_ms: i64) -> ServingCampaign {
        let from = Timestamp::from_millisecond(from_ms).unwrap_or_default();
        let mut spec = self.campaign.clone();
        spec.status = CampaignStatus::Active;
        spec.flight.start = from;
        spec.flight.end = None;
        let id = CampaignId::mint(from_ms, 0);
        let creative = |(at, spec): (u128, &CreativeSpec)| Creative {
            id: CreativeId::mint(from_ms, at),
            campaign_id: id.clone(),
            spec: CreativeSpec {
                status: CreativeStatus::Active,
                ..spec.clone()
            },
            version: 1,
            reviews: Vec::new(),
            created_at: from,
            updated_at: from,
        };
        ServingCampaign {
            schema: SCHEMA,
            generation: 0,
            revision: 0,
            requires: Vec::new(),
            advertiser: self.advertiser(advertiser),
            creatives: (0..).zip(&self.creatives).map(creative).collect(),
            limits: Limits::of(&spec.budget),
            days: days(&spec.flight, from, 3),
            campaign: Campaign {
                id,
                spec,
                created_at: from,
                updated_at: from,
            },
            traceparent: None,
        }
    }

    /// A stand-in bids with each exchange's own seat, and can say who it is.
    fn advertiser(&self, known: Option<&ServingAdvertiser>) -> ServingAdvertiser {
        let id = self.advertiser_id().clone();
        let stand_in = || ServingAdvertiser {
            status: AdvertiserStatus::Active,
            legal_name: Some(id.to_string()),
            paid_by: None,
            seats: Default::default(),
            conversion_lookback_days: 30,
            id,
        };
        known.map_or_else(stand_in, |known| ServingAdvertiser {
            status: AdvertiserStatus::Active,
            ..known.clone()
        })
    }
}

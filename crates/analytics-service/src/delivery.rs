//! `GET /analytics/campaigns/{id}/delivery`: today's plan against its spend, the forecast to the day's end, leases out.
//!
//! Straight from the ledger, to the second; rollups follow some seconds later. Amounts are micros of the campaign's
//! currency, rounded half up from the ledger's nanos.

use crate::api::Api;
use crate::caller::Caller;
use crate::error::ApiError;
use crate::report::{micros, utc};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use domain::campaign::{Campaign, CampaignStatus, Pacing};
use domain::currency::Currency;
use domain::id::CampaignId;
use domain::pacing::DayPlan;
use domain::period::{self, Day, FlightSpan, Limits};
use jiff::Timestamp;
use platform::http::Json;
use serde::Serialize;
use storage::campaign_store::Kind;
use storage::spend_ledger::{Balance, BalancesOf};

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Delivery {
    campaign_id: CampaignId,
    currency: Currency,
    as_of: String,
    today: Option<Today>,
    lifetime: Account,
}

/// The day of the campaign's zone that holds `as_of`.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Today {
    date: String,
    start: String,
    end: String,
    /// What the day is meant to spend, and what of it by now; `null` where nothing is planned: the flight does not
    /// touch the day, or there is neither a daily budget nor an end.
    plan_micros: Option<i64>,
    planned_so_far_micros: Option<i64>,
    /// What the day comes to if it goes on as it went so far.
    forecast_micros: i64,
    #[serde(flatten)]
    account: Account,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Account {
    limit_micros: Option<i64>,
    spent_micros: i64,
    /// Won, not yet billed.
    pending_micros: i64,
    /// Out with bidders.
    leased_micros: i64,
    over_delivery_micros: i64,
    settled_bids: i64,
}

/// The handler.
pub(crate) async fn show(
    State(api): State<Api>,
    caller: Caller,
    Path(campaign_id): Path<String>,
) -> Result<Response, ApiError> {
    let document = api.ports.campaigns.get(Kind::Campaign, &campaign_id).await?;
    let document = document.ok_or(ApiError::NotFound)?;
    let campaign: Campaign =
        serde_json::from_value(document.body).map_err(|error| ApiError::Document(campaign_id, error))?;
    if !caller.may_see(&campaign.spec.advertiser_id) {
        return Err(ApiError::NotFound);
    }
    let of = [(campaign.spec.advertiser_id.clone(), campaign.id.clone())];
    let of = BalancesOf::Campaigns(&of);
    let balances = api.ports.ledger.balances(of).await?;
    Ok(Json(delivery(&campaign, &balances, api.clock.unix_ms())).into_response())
}

fn delivery(campaign: &Campaign, balances: &[Balance], now_ms: i64) -> Delivery {
    let limits = Limits::of(&campaign.spec.budget);
    let now = Timestamp::from_millisecond(now_ms).unwrap_or_default();
    let day = period::days(&campaign.spec.flight, now, 1).pop();
    Delivery {
        campaign_id: campaign.id.clone(),
        currency: campaign.spec.budget.currency,
        as_of: utc(now_ms),
        today: day.map(|day| today(campaign, &limits, day, balances, now_ms)),
        lifetime: account(balance_of(balances, None), limits.total_nanos),
    }
}

fn today(campaign: &Campaign, limits: &Limits, day: Day, balances: &[Balance], now_ms: i64) -> Today {
    let spent_nanos = |balance: Option<&Balance>| balance.map_or(0, |balance| balance.account.spent_nanos);
    let balance = balance_of(balances, Some(&day.date));
    let spent_today_nanos = spent_nanos(balance);
    let spent_before_nanos = spent_nanos(balance_of(balances, None)).saturating_sub(spent_today_nanos);
    let flight = FlightSpan::of(&campaign.spec.flight);
    let plan = DayPlan::of(flight, limits, &day, spent_before_nanos);
    let planned_so_far_nanos = plan.map(|plan| match campaign.spec.pacing {
        Pacing::Even => plan.planned_nanos(now_ms),
        Pacing::Asap => plan.budget_nanos(),
    });
    let forecast_nanos = forecast_nanos(
        campaign,
        limits,
        &day,
        spent_today_nanos,
        spent_before_nanos,
        now_ms,
    );
    Today {
        plan_micros: plan.map(|plan| micros(plan.budget_nanos())),
        planned_so_far_micros: planned_so_far_nanos.map(micros),
        forecast_micros: micros(forecast_nanos),
        account: account(balance, limits.daily_nanos),
        date: day.date,
        start: utc(day.start_ms),
        end: utc(day.end_ms),
    }
}

/// Linear from the spend so far, over the part of the day that lies in the flight; never above what the limits leave. A
/// campaign that is not active spends no more.
fn forecast_nanos(
    campaign: &Campaign,
    limits: &Limits,
    day: &Day,
    spent_today_nanos: i64,
    spent_before_nanos: i64,
    now_ms: i64,
) -> i64 {
    let flight = &campaign.spec.flight;
    let start_ms = day.start_ms.max(flight.start.as_millisecond());
    let end_ms = flight
        .end
        .map_or(day.end_ms, |end| day.end_ms.min(end.as_millisecond()));
    if campaign.spec.status != CampaignStatus::Active || now_ms <= start_ms || end_ms <= now_ms {
        return spent_today_nanos;
    }
    let product = i128::from(spent_today_nanos) * i128::from(end_ms - start_ms);
    let linear_nanos = i64::try_from(product / i128::from(now_ms - start_ms)).unwrap_or(i64::MAX);
    let left_of_total = limits
        .total_nanos
        .map(|total| total.saturating_sub(spent_before_nanos));
    let most_nanos = [limits.daily_nanos, left_of_total].into_iter().flatten().min();
    // What was already spent stays spent, even where a limit was cut below it.
    linear_nanos
        .min(most_nanos.unwrap_or(i64::MAX))
        .max(spent_today_nanos)
}

fn balance_of<'a>(balances: &'a [Balance], date: Option<&str>) -> Option<&'a Balance> {
    balances
        .iter()
        .find(|balance| balance.day.as_ref().map(|day| day.date.as_str()) == date)
}

/// A campaign that never leased has no account yet: then the limit is the campaign's own.
fn account(balance: Option<&Balance>, limit_nanos: Option<i64>) -> Account {
    let Some(Balance {
        account,
        over_delivery_nanos,
        settled_bids,
        ..
    }) = balance
    else {
        return Account {
            limit_micros: limit_nanos.map(micros),
            ..Account::default()
        };
    };
    Account {
        limit_micros: account.limit_nanos.map(micros),
        spent_micros: micros(account.spent_nanos),
        pending_micros: micros(account.pending_nanos),
        leased_micros: micros(account.leased_nanos),
        over_delivery_micros: micros(*over_delivery_nanos),
        settled_bids: *settled_bids,
    }
}

#[cfg(test)]
mod tests;

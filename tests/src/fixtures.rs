//! Objects that tests are about, as small as they can be.

use crate::Platform;
use serde_json::{Value, json};

/// Micros of a dollar.
pub const USD: i64 = 1_000_000;

/// A campaign with its advertiser and one banner of 300 x 250, live.
pub struct Campaign {
    pub advertiser_id: String,
    pub id: String,
}

pub fn banner_300x250() -> Value {
    json!({
        "name": "b", "format": "banner", "width": 300, "height": 250,
        "markup": "<a href=\"{CLICK_URL}\"><img src=\"https://media.example/a.png\"></a>",
        "click_url": "https://brand.example/landing", "adomain": ["brand.example"], "categories": ["IAB17"],
    })
}

/// Spends as fast as it can, up to `daily_micros` a day.
pub fn campaign(advertiser_id: &str, max_cpm_micros: i64, daily_micros: i64) -> Value {
    json!({
        "advertiser_id": advertiser_id, "name": "c", "status": "active",
        "flight": {"start": "2026-01-01T00:00:00Z"},
        "budget": {"currency": "USD", "daily_micros": daily_micros},
        "pacing": "asap",
        "bid": {"max_cpm_micros": max_cpm_micros},
    })
}

impl Platform {
    pub async fn live_campaign(&self, max_cpm_micros: i64, daily_micros: i64) -> Campaign {
        self.live_campaign_with(max_cpm_micros, daily_micros, json!({}))
            .await
    }

    /// With more fields of its record.
    pub async fn live_campaign_with(&self, max_cpm_micros: i64, daily_micros: i64, more: Value) -> Campaign {
        let advertiser = self.create("/advertisers", json!({"name": "Brand"})).await;
        let advertiser_id = advertiser["id"].as_str().unwrap().to_owned();
        let mut body = campaign(&advertiser_id, max_cpm_micros, daily_micros);
        for (name, value) in more.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        let campaign = self.create("/campaigns", body).await;
        let id = campaign["id"].as_str().unwrap().to_owned();
        self.create(&format!("/campaigns/{id}/creatives"), banner_300x250())
            .await;
        Campaign { advertiser_id, id }
    }
}

/// A request for one banner of 300 x 250 on a site; second price, so that the bid is the campaign's maximum.
pub fn banner_request(id: &str) -> Value {
    json!({
        "id": id, "at": 2, "tmax": 1000,
        "imp": [{"id": "1", "banner": {"w": 300, "h": 250}, "bidfloor": 0.1, "secure": 1}],
        "site": {"id": "s", "domain": "daily.example", "page": "https://daily.example/a"},
        "device": {"ua": "Mozilla/5.0", "devicetype": 2, "geo": {"country": "USA"}},
    })
}

/// The only bid of a response.
pub fn only_bid(response: &Value) -> &Value {
    let seats = response["seatbid"].as_array().unwrap();
    assert_eq!(seats.len(), 1, "{response}");
    let bids = seats[0]["bid"].as_array().unwrap();
    assert_eq!(bids.len(), 1, "{response}");
    &bids[0]
}

/// The bid's notice with the price filled in, as an exchange does it.
pub fn notice(bid: &Value, name: &str, price: &str) -> String {
    bid[name].as_str().unwrap().replace("${AUCTION_PRICE}", price)
}

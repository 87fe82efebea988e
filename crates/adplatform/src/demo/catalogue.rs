//! The advertisers of the demo: who they are, what they run, what it may cost.

use super::api::{Api, id_of};
use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};

const USD: i64 = 1_000_000;

/// A campaign of the demo, as created.
#[derive(Clone, Debug)]
pub(super) struct Running {
    pub id: String,
    pub name: String,
    pub daily_micros: i64,
    pub is_even: bool,
}

/// One row of the catalogue. Amounts in micros of USD.
struct Plan {
    advertiser: &'static str,
    domain: &'static str,
    category: &'static str,
    campaign: &'static str,
    max_cpm_micros: i64,
    daily_micros: i64,
    /// `None`: as fast as it comes.
    even: bool,
    targeting: fn() -> Value,
    creatives: &'static [Ad],
}

impl Plan {
    /// As the table shows it.
    fn name(&self) -> String {
        format!("{}: {}", self.advertiser, self.campaign)
    }
}

#[derive(Clone, Copy)]
enum Ad {
    Banner(i64, i64),
    Video,
    Audio,
    Native,
}

/// Budgets are of a day; the demo lasts minutes. So an even campaign spends a sliver of its day here, and the
/// small asap ones run dry while one watches: the cap at work.
const PLANS: &[Plan] = &[
    plan(
        "Alder Outdoor",
        "alder-outdoor.example",
        "IAB17",
        "Trail shoes, phones",
        2_400_000,
        2_900 * USD,
        true,
        || json!({"devices": {"allow": ["phone", "tablet"]}}),
        &[Ad::Banner(320, 50), Ad::Banner(300, 250)],
    ),
    plan(
        "Alder Outdoor",
        "alder-outdoor.example",
        "IAB17",
        "Tents, desktop",
        1_900_000,
        1_400 * USD,
        true,
        || json!({"devices": {"allow": ["desktop"]}}),
        &[Ad::Banner(728, 90), Ad::Banner(970, 250), Ad::Banner(300, 600)],
    ),
    plan(
        "Nimbus Air",
        "nimbus-air.example",
        "IAB20",
        "City breaks from the US",
        4_800_000,
        4_300 * USD,
        true,
        || json!({"geo": {"allow": [{"country": "USA"}, {"country": "CAN"}]}}),
        &[Ad::Video, Ad::Banner(300, 250)],
    ),
    plan(
        "Nimbus Air",
        "nimbus-air.example",
        "IAB20",
        "Seoul, last seats",
        6_500_000,
        2 * USD,
        false,
        || json!({"geo": {"allow": [{"country": "KOR"}, {"country": "JPN"}]}}),
        &[Ad::Banner(300, 250), Ad::Banner(320, 50), Ad::Video],
    ),
    plan(
        "Copper Kettle",
        "copper-kettle.example",
        "IAB8",
        "Recipes on news and food",
        2_100_000,
        1_100 * USD,
        true,
        || json!({"categories": {"allow": ["IAB8", "IAB12"]}}),
        &[Ad::Native, Ad::Banner(300, 250)],
    ),
    plan(
        "Copper Kettle",
        "copper-kettle.example",
        "IAB8",
        "Kettle spot",
        7_200_000,
        3_600 * USD,
        true,
        || json!({"inventory": {"allow": ["site"]}}),
        &[Ad::Video],
    ),
    plan(
        "Volt Motors",
        "volt-motors.example",
        "IAB2",
        "Test drive, Europe",
        5_500_000,
        3_200 * USD,
        true,
        || json!({"geo": {"allow": [{"country": "DEU"}, {"country": "FRA"}, {"country": "GBR"}]}}),
        &[Ad::Video, Ad::Banner(970, 250), Ad::Banner(300, 600)],
    ),
    plan(
        "Volt Motors",
        "volt-motors.example",
        "IAB2",
        "Launch hour",
        9_000_000,
        5 * USD,
        false,
        || json!({}),
        &[Ad::Video, Ad::Banner(300, 250)],
    ),
    plan(
        "Fern Bank",
        "fern-bank.example",
        "IAB13",
        "Savings, news readers",
        3_100_000,
        2_000 * USD,
        true,
        || json!({"sites": {"allow": ["daily-courier.example", "market-ledger.example"]}}),
        &[Ad::Banner(300, 250), Ad::Banner(728, 90), Ad::Native],
    ),
    plan(
        "Fern Bank",
        "fern-bank.example",
        "IAB13",
        "Savings, apps",
        1_700_000,
        900 * USD,
        true,
        || json!({"apps": {"allow": ["com.example.newsreader", "com.example.stockwatch"]}}),
        &[Ad::Banner(320, 50), Ad::Banner(300, 250), Ad::Native],
    ),
    plan(
        "Pixel Arcade",
        "pixel-arcade.example",
        "IAB9-30",
        "Players like players",
        2_800_000,
        2_600 * USD,
        true,
        || json!({"inventory": {"allow": ["app"]}, "sites": {}, "categories": {"allow": ["IAB9", "IAB1", "IAB14"]}}),
        &[Ad::Banner(320, 50), Ad::Video, Ad::Native],
    ),
    plan(
        "Pixel Arcade",
        "pixel-arcade.example",
        "IAB9-30",
        "Evening radio",
        6_000_000,
        700 * USD,
        true,
        || json!({}),
        &[Ad::Audio],
    ),
    plan(
        "Harbor Books",
        "harbor-books.example",
        "IAB1",
        "New novels",
        1_500_000,
        800 * USD,
        true,
        || json!({}),
        &[
            Ad::Native,
            Ad::Banner(160, 600),
            Ad::Banner(300, 250),
            Ad::Banner(320, 50),
            Ad::Banner(728, 90),
        ],
    ),
    plan(
        "Sunny Casino",
        "casino.example",
        "IAB9-7",
        "Blocked where publishers say so",
        3_300_000,
        1_200 * USD,
        true,
        || json!({"geo": {"block": [{"country": "KOR"}]}}),
        &[Ad::Banner(300, 250), Ad::Banner(320, 50)],
    ),
];

#[expect(clippy::too_many_arguments, reason = "a row of a table")]
const fn plan(
    advertiser: &'static str,
    domain: &'static str,
    category: &'static str,
    campaign: &'static str,
    max_cpm_micros: i64,
    daily_micros: i64,
    even: bool,
    targeting: fn() -> Value,
    creatives: &'static [Ad],
) -> Plan {
    Plan {
        advertiser,
        domain,
        category,
        campaign,
        max_cpm_micros,
        daily_micros,
        even,
        targeting,
        creatives,
    }
}

/// Creates them all through the API.
pub(super) async fn create(api: &Api, now: Timestamp) -> anyhow::Result<Vec<Running>> {
    let mut running = Vec::with_capacity(PLANS.len());
    let mut advertiser: Option<(&str, String)> = None;
    for plan in PLANS {
        let advertiser_id = match &advertiser {
            Some((name, id)) if *name == plan.advertiser => id.clone(),
            _ => {
                let body =
                    json!({"name": plan.advertiser, "legal_name": format!("{} Inc.", plan.advertiser)});
                id_of(&api.create("/advertisers", &body).await?)?.to_owned()
            }
        };
        let campaign = api
            .create("/campaigns", &campaign(plan, &advertiser_id, now)?)
            .await?;
        let id = id_of(&campaign)?.to_owned();
        for ad in plan.creatives {
            api.create(&format!("/campaigns/{id}/creatives"), &creative(plan, *ad))
                .await?;
        }
        running.push(Running {
            id,
            name: plan.name(),
            daily_micros: plan.daily_micros,
            is_even: plan.even,
        });
        advertiser = Some((plan.advertiser, advertiser_id));
    }
    Ok(running)
}

fn campaign(plan: &Plan, advertiser_id: &str, now: Timestamp) -> anyhow::Result<Value> {
    Ok(json!({
        "advertiser_id": advertiser_id,
        "name": plan.campaign,
        "status": "active",
        "flight": {
            "start": now,
            "end": now.checked_add((30 * 24).hours())?,
            "time_zone": zone_after_midnight(now),
        },
        "budget": {"currency": "USD", "daily_micros": plan.daily_micros, "total_micros": plan.daily_micros * 30},
        "pacing": if plan.even { "even" } else { "asap" },
        "bid": {"max_cpm_micros": plan.max_cpm_micros},
        "targeting": (plan.targeting)(),
    }))
}

/// A zone whose day has just begun, so that a plan for the day looks alike at whatever hour the demo runs.
/// (The sign of `Etc` zones is POSIX's: `Etc/GMT-5` is five hours ahead of UTC.)
fn zone_after_midnight(now: Timestamp) -> String {
    let utc_hour = now.as_second().div_euclid(3_600).rem_euclid(24);
    match utc_hour {
        0 => "Etc/GMT".to_owned(),
        1..=12 => format!("Etc/GMT+{utc_hour}"),
        _ => format!("Etc/GMT-{}", 24 - utc_hour),
    }
}

fn creative(plan: &Plan, ad: Ad) -> Value {
    let landing = format!("https://{}/welcome?c={{CLICK_ID}}", plan.domain);
    let media = format!("https://media.{}", plan.domain);
    let mut body = json!({
        "click_url": landing,
        "adomain": [plan.domain],
        "categories": [plan.category],
    });
    let specific = match ad {
        Ad::Banner(width, height) => json!({
            "name": format!("{width}x{height}"), "format": "banner", "width": width, "height": height,
            "markup": format!(
                "<a href=\"{{CLICK_URL}}\" target=\"_blank\"><img src=\"{media}/{width}x{height}.png?cb={{CACHEBUSTER}}\" \
                 width=\"{width}\" height=\"{height}\" alt=\"{}\"></a>", plan.campaign
            ),
        }),
        Ad::Video => json!({
            "name": "Spot, 15 s", "format": "video", "width": 1280, "height": 720, "duration_ms": 15_000,
            "mimes": ["video/mp4"], "protocols": [3, 7],
            "markup": vast(plan, "video/mp4", &format!("{media}/spot.mp4"), "width=\"1280\" height=\"720\""),
        }),
        Ad::Audio => json!({
            "name": "Radio, 15 s", "format": "audio", "duration_ms": 15_000,
            "mimes": ["audio/mpeg"], "protocols": [3, 7],
            "markup": vast(plan, "audio/mpeg", &format!("{media}/radio.mp3"), ""),
        }),
        Ad::Native => json!({
            "name": "Native", "format": "native",
            "assets": [
                {"kind": "title", "text": plan.campaign},
                {"kind": "image", "image_type": 3, "url": format!("{media}/main.jpg"), "width": 1200, "height": 627},
                {"kind": "image", "image_type": 1, "url": format!("{media}/icon.png"), "width": 80, "height": 80},
                {"kind": "data", "data_type": 1, "value": plan.advertiser},
                {"kind": "data", "data_type": 2, "value": "Find out more"},
            ],
        }),
    };
    if let (Some(all), Value::Object(more)) = (body.as_object_mut(), specific) {
        all.extend(more);
    }
    body
}

fn vast(plan: &Plan, mime: &str, file: &str, size: &str) -> String {
    format!(
        "<VAST version=\"4.0\"><Ad id=\"1\"><InLine><AdSystem>demo</AdSystem><AdTitle>{}</AdTitle>\
         <Impression><![CDATA[https://stats.{}/view?cb={{CACHEBUSTER}}]]></Impression><Creatives><Creative><Linear>\
         <Duration>00:00:15</Duration><VideoClicks><ClickThrough><![CDATA[{{CLICK_URL}}]]></ClickThrough></VideoClicks>\
         <MediaFiles><MediaFile delivery=\"progressive\" type=\"{mime}\" {size}><![CDATA[{file}]]></MediaFile></MediaFiles>\
         </Linear></Creative></Creatives></InLine></Ad></VAST>",
        plan.campaign, plan.domain
    )
}

#[cfg(test)]
pub(super) fn longest_campaign_name() -> String {
    let names = PLANS.iter().map(Plan::name);
    names.max_by_key(|name| name.chars().count()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::campaign::Flight;

    #[test]
    fn the_day_of_a_demo_has_just_begun_at_any_hour() {
        for hour in 0..24 {
            let now = Timestamp::from_second(1_780_000_000 / 3_600 * 3_600 + hour * 3_600 + 1_800).unwrap();
            let flight = Flight {
                start: now,
                end: None,
                time_zone: zone_after_midnight(now),
            };
            let today = &domain::period::days(&flight, now, 1)[0];
            assert_eq!(
                now.as_millisecond() - today.start_ms,
                1_800_000,
                "{}",
                flight.time_zone
            );
        }
    }
}

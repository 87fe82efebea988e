//! What a report shows.

use crate::app::{ADMIN_KEY, App};
use crate::events::bid;
use axum::http::StatusCode;
use domain::event::EventKind;
use serde_json::json;
use storage::event_log::Topic;

const TODAY: &str = "from=2026-11-23&to=2026-11-24";

#[tokio::test]
async fn a_report_adds_up_what_happened() {
    let app = App::start().await;
    let first = bid(1, "adv_1", "cmp_1", "2026-11-23T10:00:01Z");
    let second = bid(2, "adv_1", "cmp_1", "2026-11-23T10:14:59Z");
    app.append(Topic::Bids, &[first.counted(1, 4)]).await;
    app.append(
        Topic::Wins,
        &[first.event(EventKind::Win), second.event(EventKind::Win)],
    )
    .await;
    app.append(
        Topic::Losses,
        &[bid(3, "adv_1", "cmp_1", "2026-11-23T10:00:01Z").event(EventKind::Loss)],
    )
    .await;
    app.append(Topic::Spend, &[first.spend(1_500), second.spend(999)])
        .await;
    let seen = [
        first.event(EventKind::Impression),
        second.event(EventKind::Impression),
    ];
    app.append(Topic::Impressions, &seen).await;
    app.append(
        Topic::Impressions,
        &[
            first.event(EventKind::VideoStart),
            first.event(EventKind::VideoComplete),
        ],
    )
    .await;
    app.append(Topic::Clicks, &[first.event(EventKind::Click)]).await;
    let mut conversion = first.event(EventKind::Conversion);
    conversion.value_micros = Some(9_990_000);
    app.append(Topic::Conversions, &[conversion]).await;
    app.caught_up().await;

    let report = app
        .report(&format!(
            "{TODAY}&dimensions=campaign,country&metrics=bids,wins,losses,impressions,clicks,video_starts,\
             video_completes,conversions,conversion_value_micros,spend_micros,spend_nanos,media_cost_micros,\
             over_delivery_nanos,ctr,win_rate,ecpm_micros"
        ))
        .await;
    let row = json!({
        "campaign": "cmp_1", "country": "USA", "bids": 4, "wins": 2, "losses": 1, "impressions": 2, "clicks": 1,
        "video_starts": 1, "video_completes": 1, "conversions": 1, "conversion_value_micros": 9_990_000,
        "spend_micros": 2, "spend_nanos": 2_499, "media_cost_micros": 2, "over_delivery_nanos": 0,
        "ctr": 0.5, "win_rate": 0.5, "ecpm_micros": 1_250,
    });
    assert_eq!(report["rows"], json!([row]));
    assert_eq!(report["totals"]["spend_nanos"], 2_499);
    assert_eq!(
        (
            &report["from"],
            &report["to"],
            &report["time_zone"],
            &report["granularity"]
        ),
        (
            &json!("2026-11-23T00:00:00Z"),
            &json!("2026-11-24T00:00:00Z"),
            &json!("UTC"),
            &json!("total")
        )
    );
}

#[tokio::test]
async fn days_and_hours_are_those_of_the_zone() {
    let app = App::start().await;
    // Kolkata is at +05:30: its 24th begins at 18:30 UTC.
    let click = |id, at| bid(id, "adv_1", "cmp_1", at).event(EventKind::Click);
    app.append(
        Topic::Clicks,
        &[
            click(1, "2026-11-23T18:29:59Z"),
            click(2, "2026-11-23T18:30:00Z"),
            click(3, "2026-11-23T19:29:59Z"),
        ],
    )
    .await;
    app.caught_up().await;
    let range = "from=2026-11-23&to=2026-11-25&time_zone=Asia/Kolkata&metrics=clicks";
    let days = app.report(&format!("{range}&granularity=day")).await;
    assert_eq!(
        days["rows"],
        json!([{"day": "2026-11-23", "clicks": 1}, {"day": "2026-11-24", "clicks": 2}])
    );
    let hours = app.report(&format!("{range}&granularity=hour")).await;
    assert_eq!(
        hours["rows"],
        json!([
            {"hour": "2026-11-23T23:00:00+05:30", "clicks": 1}, {"hour": "2026-11-24T00:00:00+05:30", "clicks": 2},
        ])
    );
}

#[tokio::test]
async fn a_day_with_an_hour_more_counts_that_hour_once() {
    let app = App::start().await;
    let ids = 0..25_u32;
    let clicks: Vec<_> = ids
        .map(|hour| {
            let mut bid = bid(hour.into(), "adv_1", "cmp_1", "2026-10-24T22:00:00Z");
            bid.at_ms += i64::from(hour) * 3_600_000;
            bid.event(EventKind::Click)
        })
        .collect();
    app.append(Topic::Clicks, &clicks).await;
    app.caught_up().await;
    let range = "from=2026-10-25&to=2026-10-26&time_zone=Europe/Berlin&metrics=clicks";
    let day = app.report(&format!("{range}&granularity=day")).await;
    assert_eq!(day["rows"], json!([{"day": "2026-10-25", "clicks": 25}]));
    let hours = app.report(&format!("{range}&granularity=hour")).await;
    assert_eq!(hours["rows"].as_array().unwrap().len(), 25);
}

#[tokio::test]
async fn filters_leave_out_what_does_not_match() {
    let app = App::start().await;
    let click = |id, campaign| bid(id, "adv_1", campaign, "2026-11-23T10:00:00Z").event(EventKind::Click);
    app.append(
        Topic::Clicks,
        &[click(1, "cmp_1"), click(2, "cmp_2"), click(3, "cmp_3")],
    )
    .await;
    app.caught_up().await;
    let report = app
        .report(&format!(
            "{TODAY}&dimensions=campaign&metrics=clicks&filter=campaign:cmp_1%7Ccmp_3,country:USA"
        ))
        .await;
    assert_eq!(
        report["rows"],
        json!([{"campaign": "cmp_1", "clicks": 1}, {"campaign": "cmp_3", "clicks": 1}])
    );
    assert_eq!(report["totals"], json!({"clicks": 2}));
    let none = app
        .report(&format!("{TODAY}&filter=country:DEU&metrics=clicks,ctr"))
        .await;
    assert_eq!(
        (&none["rows"], &none["totals"]),
        (&json!([]), &json!({"clicks": 0, "ctr": null}))
    );
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_and_totals_are_of_the_whole() {
    let app = App::start().await;
    let clicks: Vec<_> = (0..5)
        .map(|id| bid(id, "adv_1", &format!("cmp_{id}"), "2026-11-23T10:00:00Z").event(EventKind::Click))
        .collect();
    app.append(Topic::Clicks, &clicks).await;
    app.caught_up().await;
    let query = "dimensions=campaign&metrics=clicks&page_size=2";
    let (mut campaigns, mut token) = (Vec::new(), String::new());
    for page in 0..3 {
        let report = app.report(&format!("{query}&page_token={token}")).await;
        assert_eq!(report["totals"]["clicks"], 5);
        campaigns.extend(
            report["rows"]
                .as_array()
                .unwrap()
                .iter()
                .map(|row| row["campaign"].clone()),
        );
        token = report["next_page_token"].as_str().unwrap_or_default().to_owned();
        assert_eq!(token.is_empty(), page == 2);
        // The end of the range was "now" when the report began.
        app.process.clock.advance(3_600_000);
    }
    assert_eq!(campaigns, ["cmp_0", "cmp_1", "cmp_2", "cmp_3", "cmp_4"]);
}

#[tokio::test]
async fn csv_has_a_header_quotes_what_needs_it_and_tells_the_next_page() {
    let app = App::start().await;
    let mut shown = bid(1, "adv_1", "cmp_1", "2026-11-23T10:00:00Z");
    shown.dimensions.site_or_bundle = "a \"site\", odd".to_owned();
    let other = bid(2, "adv_1", "cmp_2", "2026-11-23T11:00:00Z");
    app.append(Topic::Impressions, &[shown.event(EventKind::Impression)])
        .await;
    app.append(
        Topic::Clicks,
        &[shown.event(EventKind::Click), other.event(EventKind::Click)],
    )
    .await;
    app.caught_up().await;
    let path =
        format!("/analytics/report?{TODAY}&granularity=hour&dimensions=site_or_bundle&metrics=clicks,ctr");
    let answer = app
        .get_as(&path, ADMIN_KEY, "text/csv, application/json;q=0.5")
        .await;
    assert_eq!(
        answer.headers["content-type"],
        "text/csv; charset=utf-8; header=present"
    );
    assert_eq!(
        answer.text,
        "hour,site_or_bundle,clicks,ctr\r\n\
         2026-11-23T10:00:00+00:00,\"a \"\"site\"\", odd\",1,1.000000\r\n\
         2026-11-23T11:00:00+00:00,,1,\r\n"
    );
    assert!(answer.headers.get("next-page-token").is_none());
    let first = app
        .get_as(&format!("{path}&page_size=1"), ADMIN_KEY, "text/csv")
        .await;
    let token = first.headers["next-page-token"].to_str().unwrap().to_owned();
    let second = app
        .get_as(
            &format!("{path}&page_size=1&page_token={token}"),
            ADMIN_KEY,
            "text/csv",
        )
        .await;
    assert_eq!(second.text.lines().nth(1), Some("2026-11-23T11:00:00+00:00,,1,"));
}

#[tokio::test]
async fn every_mistake_of_a_query_is_told_at_once() {
    let app = App::start().await;
    let path =
        "/analytics/report?from=then&granularity=week&metrics=joy&dimensions=planet&filter=x&colour=red";
    let answer = app.get(path, ADMIN_KEY).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    let problem = answer.json();
    let mut pointers: Vec<_> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| &error["pointer"])
        .collect();
    pointers.sort_by_key(|pointer| pointer.as_str());
    assert_eq!(
        pointers,
        ["colour", "dimensions", "filter", "from", "granularity", "metrics",]
    );
    assert!(problem["request_id"].is_string());
}

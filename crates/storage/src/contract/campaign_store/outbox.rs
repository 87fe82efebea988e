//! The outbox, the relay's claim, and what is announced.

use super::{NOW_MS, advertiser, announced, announcing, campaign, creative, document, drain, put};
use crate::campaign_store::{Announcement, Document, Kind, Write};
use crate::{CampaignStore, StorageError};
use domain::exchange::Exchange;
use serde_json::json;
use std::sync::Arc;

pub async fn a_new_store_has_the_default_exchange_and_announces_it(store: Arc<dyn CampaignStore>) {
    let stored = store
        .get(Kind::Exchange, "default")
        .await
        .unwrap()
        .expect("created with the store");
    let exchange: Exchange = serde_json::from_value(stored.body).unwrap();
    assert_eq!(
        (exchange.id.as_str(), exchange.spec.name.as_str()),
        ("default", "default")
    );
    assert_eq!(
        announced(&*store).await,
        [Announcement::Exchange("default".to_owned())]
    );
    let (generation, revision) = store.revision().await.unwrap();
    assert!(generation > 0 && revision > 0);
}

pub async fn announcements_leave_in_order_and_stay_until_marked(store: Arc<dyn CampaignStore>) {
    drain(&*store).await;
    assert_eq!(store.outgoing_backlog().await.unwrap(), (0, None));
    let three = ["a", "b", "c"].map(|id| Announcement::Campaign(id.to_owned()));
    for announcement in &three {
        store
            .write(announcing(&[], std::slice::from_ref(announcement)))
            .await
            .unwrap();
    }
    assert_eq!(store.outgoing_backlog().await.unwrap(), (3, Some(NOW_MS)));
    assert_eq!(announced(&*store).await, three);
    let rows = store.outgoing(2).await.unwrap();
    assert_eq!(rows.len(), 2);
    let claim = store.claim_relay("r", NOW_MS, 1_000).await.unwrap().unwrap();
    // The later one first: no high-water mark may swallow the earlier.
    store.mark_sent(&claim, &[rows[1].sequence]).await.unwrap();
    assert_eq!(announced(&*store).await, [three[0].clone(), three[2].clone()]);
}

pub async fn an_announcement_keeps_the_trace_of_its_write(store: Arc<dyn CampaignStore>) {
    put(&*store, &[campaign("c1", 1)]).await;
    drain(&*store).await;
    let traceparent = Some(format!("00-{:032x}-{:016x}-01", 1, 2));
    for announcement in [
        Announcement::Exchange("default".to_owned()),
        Announcement::Campaign("c1".to_owned()),
        Announcement::CampaignsOf("adv_1".to_owned()),
    ] {
        let write = Write {
            traceparent: traceparent.clone(),
            ..announcing(&[], &[announcement])
        };
        store.write(write).await.unwrap();
    }
    store
        .write(announcing(&[], &[Announcement::Campaign("c1".to_owned())]))
        .await
        .unwrap();
    let kept = store.outgoing(10).await.unwrap();
    let kept: Vec<_> = kept.into_iter().map(|row| row.traceparent).collect();
    assert_eq!(
        kept,
        [traceparent.clone(), traceparent.clone(), traceparent, None]
    );
}

pub async fn each_campaign_of_an_advertiser_is_announced(store: Arc<dyn CampaignStore>) {
    let archived = Document {
        status: "archived".to_owned(),
        ..campaign("c2", 1)
    };
    let foreign = Document {
        advertiser_id: Some("adv_2".to_owned()),
        ..campaign("c3", 1)
    };
    put(&*store, &[campaign("c1", 1), archived, foreign]).await;
    drain(&*store).await;
    let all_of = Announcement::CampaignsOf("adv_1".to_owned());
    // The campaign of the same write is among them.
    store
        .write(announcing(&[campaign("c4", 1)], &[all_of]))
        .await
        .unwrap();
    let mut ids: Vec<String> = announced(&*store)
        .await
        .into_iter()
        .map(|announcement| match announcement {
            Announcement::Campaign(id) => id,
            other => panic!("not expanded: {other:?}"),
        })
        .collect();
    ids.sort();
    assert_eq!(ids, ["c1", "c2", "c4"]);
}

pub async fn only_one_relay_works_at_a_time(store: Arc<dyn CampaignStore>) {
    let first = store.claim_relay("one", NOW_MS, 1_000).await.unwrap().unwrap();
    assert_eq!(store.claim_relay("two", NOW_MS + 999, 1_000).await.unwrap(), None);
    let renewed = store
        .claim_relay("one", NOW_MS + 999, 1_000)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(renewed, first);
    assert_eq!(
        store.claim_relay("two", NOW_MS + 1_998, 1_000).await.unwrap(),
        None
    );
    let second = store
        .claim_relay("two", NOW_MS + 1_999, 1_000)
        .await
        .unwrap()
        .unwrap();
    assert!(second.fence > first.fence);
}

pub async fn a_late_relay_is_fenced(store: Arc<dyn CampaignStore>) {
    let late = store.claim_relay("one", NOW_MS, 1_000).await.unwrap().unwrap();
    let rows = store.outgoing(1).await.unwrap();
    let taken_over = store
        .claim_relay("two", NOW_MS + 1_000, 1_000)
        .await
        .unwrap()
        .unwrap();
    let refused = store.mark_sent(&late, &[rows[0].sequence]).await;
    assert!(matches!(refused, Err(StorageError::Conflict(_))), "{refused:?}");
    assert_eq!(store.outgoing(1).await.unwrap(), rows);
    // Coming back under its name does not revive the old claim.
    let back = store
        .claim_relay("one", NOW_MS + 9_000, 1_000)
        .await
        .unwrap()
        .unwrap();
    for old in [&late, &taken_over] {
        assert!(store.mark_sent(old, &[rows[0].sequence]).await.is_err());
    }
    store.mark_sent(&back, &[rows[0].sequence]).await.unwrap();
}

pub async fn a_bundle_is_whole_and_a_later_one_has_a_higher_revision(store: Arc<dyn CampaignStore>) {
    assert_eq!(store.bundle("c1").await.unwrap(), None);
    let documents = [
        advertiser(),
        campaign("c1", 1),
        creative("crv_1", "c1", "active"),
        creative("crv_2", "c1", "paused"),
        creative("crv_3", "c1", "archived"),
        creative("crv_4", "c2", "active"),
    ];
    put(&*store, &documents).await;
    let bundle = store.bundle("c1").await.unwrap().unwrap();
    let creatives: Vec<&str> = bundle
        .creatives
        .iter()
        .map(|creative| creative.id.as_str())
        .collect();
    assert_eq!(creatives, ["crv_1", "crv_2"]);
    assert_eq!(bundle.campaign.spec.budget.daily_micros, Some(1));
    assert_eq!(bundle.advertiser.id.as_str(), "adv_1");
    let ids = ["c2", "c1"].map(str::to_owned);
    assert_eq!(store.bundles(&ids).await.unwrap(), [None, Some(bundle.clone())]);
    put(&*store, &[campaign("c1", 2)]).await;
    let later = store.bundle("c1").await.unwrap().unwrap();
    assert_eq!(later.campaign.spec.budget.daily_micros, Some(2));
    assert_eq!(later.generation, bundle.generation);
    assert!(later.revision > bundle.revision);
    assert_eq!(
        store.revision().await.unwrap(),
        (later.generation, later.revision)
    );
}

pub async fn every_campaign_but_archived_ones_is_announced_again(store: Arc<dyn CampaignStore>) {
    let archived = Document {
        status: "archived".to_owned(),
        ..campaign("c2", 1)
    };
    let deal = document(Kind::Deal, "d", 1, json!({}));
    put(&*store, &[campaign("c1", 1), archived, deal]).await;
    drain(&*store).await;
    assert_eq!(store.announce_all(NOW_MS).await.unwrap(), 1);
    assert_eq!(
        announced(&*store).await,
        [Announcement::Campaign("c1".to_owned())]
    );
}

pub async fn a_new_generation_is_above_all_and_announces_everything(store: Arc<dyn CampaignStore>) {
    let archived = Document {
        status: "archived".to_owned(),
        ..campaign("c2", 1)
    };
    put(&*store, &[campaign("c1", 1), archived]).await;
    drain(&*store).await;
    let (own, revision) = store.revision().await.unwrap();
    assert!(
        own < NOW_MS * 2,
        "a store's generation is the instant of its creation"
    );
    for (past, now_ms, expected) in [
        (0, NOW_MS * 2, NOW_MS * 2),
        (0, 0, NOW_MS * 2 + 1),
        (NOW_MS * 3, 0, NOW_MS * 3 + 1),
    ] {
        assert_eq!(store.begin_generation(past, now_ms).await.unwrap(), expected);
        let (generation, raised) = store.revision().await.unwrap();
        assert_eq!(generation, expected);
        assert!(raised > revision);
        assert_eq!(
            announced(&*store).await,
            [
                Announcement::Campaign("c1".to_owned()),
                Announcement::Exchange("default".to_owned())
            ]
        );
        drain(&*store).await;
    }
}

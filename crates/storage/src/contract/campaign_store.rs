//! Laws of [`CampaignStore`].
#![expect(clippy::unwrap_used, reason = "test code: a law that fails panics")]

mod documents;
mod outbox;

use super::run_laws;
use crate::CampaignStore;
use crate::campaign_store::{Announcement, Change, Document, Idempotent, Kind, Write};
pub use documents::*;
use domain::campaign::Campaign;
use domain::creative::Creative;
pub use outbox::*;
use serde_json::{Value, json};
use std::sync::Arc;

const NOW_MS: i64 = 1_800_000_000_000;

pub async fn all<F: AsyncFn() -> Arc<dyn CampaignStore>>(fresh: F) {
    untraced(&fresh).await;
    run_laws!(fresh; an_announcement_keeps_the_trace_of_its_write);
}

/// All but what traces need, which a schema of an earlier release has no room for.
pub async fn untraced<F: AsyncFn() -> Arc<dyn CampaignStore>>(fresh: &F) {
    run_laws!(fresh;
        a_new_store_has_the_default_exchange_and_announces_it,
        a_document_reads_back_as_written,
        a_taken_id_is_a_conflict,
        a_stale_version_is_a_conflict_and_changes_nothing,
        a_write_is_all_or_nothing,
        external_ids_are_unique_within_an_advertiser_until_archived,
        a_repeated_key_gets_the_first_answer,
        an_answer_is_forgotten_after_a_day,
        history_is_newest_first,
        lists_page_through_everything_once,
        lists_hold_every_filter,
        a_name_filter_takes_wildcards_literally,
        announcements_leave_in_order_and_stay_until_marked,
        each_campaign_of_an_advertiser_is_announced,
        only_one_relay_works_at_a_time,
        a_late_relay_is_fenced,
        a_bundle_is_whole_and_a_later_one_has_a_higher_revision,
        every_campaign_but_archived_ones_is_announced_again,
        a_new_generation_is_above_all_and_announces_everything,
    );
}

fn document(kind: Kind, id: &str, version: i64, body: Value) -> Document {
    Document {
        kind,
        id: id.to_owned(),
        advertiser_id: Some("adv_1".to_owned()),
        parent_id: None,
        external_id: None,
        name: id.to_owned(),
        status: "active".to_owned(),
        version,
        created_at_ms: NOW_MS,
        updated_at_ms: NOW_MS,
        body,
    }
}

/// A deal: its body is not looked into.
fn deal(id: &str, version: i64) -> Document {
    document(Kind::Deal, id, version, json!({"version": version}))
}

fn campaign(id: &str, version: i64) -> Document {
    let body = json!({
        "id": id, "advertiser_id": "adv_1", "name": id, "flight": {"start": "2026-01-01T00:00:00Z"},
        "budget": {"currency": "USD", "daily_micros": version}, "bid": {"max_cpm_micros": 1},
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
    });
    serde_json::from_value::<Campaign>(body.clone()).unwrap();
    document(Kind::Campaign, id, version, body)
}

fn creative(id: &str, campaign_id: &str, status: &str) -> Document {
    let body = json!({
        "id": id, "campaign_id": campaign_id, "name": id, "status": status, "format": "banner",
        "click_url": "https://example.com", "adomain": ["example.com"], "version": 1,
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
    });
    serde_json::from_value::<Creative>(body.clone()).unwrap();
    Document {
        parent_id: Some(campaign_id.to_owned()),
        status: status.to_owned(),
        ..document(Kind::Creative, id, 1, body)
    }
}

fn advertiser() -> Document {
    let body = json!({
        "id": "adv_1", "name": "a", "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
    });
    document(Kind::Advertiser, "adv_1", 1, body)
}

fn write_of(documents: &[Document]) -> Write {
    Write {
        changes: documents
            .iter()
            .cloned()
            .map(|document| Change { document })
            .collect(),
        announcements: Vec::new(),
        actor: "key_1".to_owned(),
        now_ms: NOW_MS,
        idempotency: None,
        traceparent: None,
    }
}

fn announcing(documents: &[Document], announcements: &[Announcement]) -> Write {
    Write {
        announcements: announcements.to_vec(),
        ..write_of(documents)
    }
}

fn keyed(documents: &[Document], answer: i64) -> Write {
    Write {
        idempotency: Some(Idempotent {
            key: "key_1:k".to_owned(),
            request_hash: format!("hash of {answer}"),
            answer: json!({"answer": answer}),
        }),
        ..write_of(documents)
    }
}

async fn put(store: &dyn CampaignStore, documents: &[Document]) {
    store.write(write_of(documents)).await.unwrap();
}

/// Empties the outbox of what a new store announces.
async fn drain(store: &dyn CampaignStore) {
    let claim = store.claim_relay("drain", 0, 1).await.unwrap().unwrap();
    let sequences: Vec<i64> = store
        .outgoing(1_000)
        .await
        .unwrap()
        .iter()
        .map(|row| row.sequence)
        .collect();
    store.mark_sent(&claim, &sequences).await.unwrap();
}

async fn announced(store: &dyn CampaignStore) -> Vec<Announcement> {
    let rows = store.outgoing(1_000).await.unwrap();
    assert!(rows.is_sorted_by(|one, next| one.sequence < next.sequence));
    rows.into_iter().map(|row| row.announcement).collect()
}

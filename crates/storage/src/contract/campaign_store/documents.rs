//! Documents, their versions, history and lists.

use super::{NOW_MS, deal, document, keyed, put, write_of};
use crate::campaign_store::{Document, Kind, ListQuery, Order, OrderBy, OrderValue, Write, Written};
use crate::{CampaignStore, StorageError};
use serde_json::json;
use std::sync::Arc;

pub async fn a_document_reads_back_as_written(store: Arc<dyn CampaignStore>) {
    let full = Document {
        parent_id: Some("p".to_owned()),
        external_id: Some("x".to_owned()),
        ..document(
            Kind::Creative,
            "crv_1",
            1,
            json!({"deep": [1, {"a": null}], "big": i64::MAX}),
        )
    };
    put(&*store, std::slice::from_ref(&full)).await;
    assert_eq!(store.get(Kind::Creative, "crv_1").await.unwrap(), Some(full));
    assert_eq!(store.get(Kind::Campaign, "crv_1").await.unwrap(), None);
}

pub async fn a_taken_id_is_a_conflict(store: Arc<dyn CampaignStore>) {
    put(&*store, &[deal("d", 1)]).await;
    let again = store.write(write_of(&[deal("d", 1)])).await;
    assert!(matches!(again, Err(StorageError::Conflict(_))), "{again:?}");
}

pub async fn a_stale_version_is_a_conflict_and_changes_nothing(store: Arc<dyn CampaignStore>) {
    put(&*store, &[deal("d", 1)]).await;
    put(&*store, &[deal("d", 2)]).await;
    for stale in [deal("d", 2), deal("d", 4), deal("missing", 2)] {
        let refused = store.write(write_of(&[stale])).await;
        assert!(matches!(refused, Err(StorageError::Conflict(_))), "{refused:?}");
    }
    assert_eq!(store.get(Kind::Deal, "d").await.unwrap(), Some(deal("d", 2)));
    assert_eq!(store.history(Kind::Deal, "d", None, 10).await.unwrap().len(), 2);
}

pub async fn a_write_is_all_or_nothing(store: Arc<dyn CampaignStore>) {
    put(&*store, &[deal("taken", 1)]).await;
    let before = store.outgoing_backlog().await.unwrap();
    let mut write = keyed(&[deal("new", 1), deal("taken", 1)], 1);
    write.announcements = vec![crate::campaign_store::Announcement::Campaign("c".to_owned())];
    let refused = store.write(write).await;
    assert!(matches!(refused, Err(StorageError::Conflict(_))), "{refused:?}");
    assert_eq!(store.get(Kind::Deal, "new").await.unwrap(), None);
    assert_eq!(store.history(Kind::Deal, "new", None, 10).await.unwrap(), []);
    assert_eq!(store.answered("key_1:k", NOW_MS).await.unwrap(), None);
    assert_eq!(store.outgoing_backlog().await.unwrap(), before);
}

pub async fn external_ids_are_unique_within_an_advertiser_until_archived(store: Arc<dyn CampaignStore>) {
    let named = |id: &str, advertiser_id: &str, version| Document {
        external_id: Some("x".to_owned()),
        advertiser_id: Some(advertiser_id.to_owned()),
        ..deal(id, version)
    };
    put(&*store, &[named("d1", "adv_1", 1), named("d2", "adv_2", 1)]).await;
    let taken = store.write(write_of(&[named("d3", "adv_1", 1)])).await;
    assert!(matches!(taken, Err(StorageError::Conflict(_))), "{taken:?}");
    let archived = Document {
        status: "archived".to_owned(),
        ..named("d1", "adv_1", 2)
    };
    put(&*store, &[archived]).await;
    put(&*store, &[named("d3", "adv_1", 1)]).await;
}

pub async fn a_repeated_key_gets_the_first_answer(store: Arc<dyn CampaignStore>) {
    let first = keyed(&[deal("d1", 1)], 1);
    assert_eq!(store.write(first.clone()).await.unwrap(), Written::Done);
    let kept = first.idempotency.clone().unwrap();
    let repeated = store.write(first).await.unwrap();
    assert_eq!(repeated, Written::Repeated(kept.clone()));
    let another_body = store.write(keyed(&[deal("d2", 1)], 2)).await.unwrap();
    assert_eq!(another_body, Written::Repeated(kept.clone()));
    assert_eq!(store.get(Kind::Deal, "d2").await.unwrap(), None);
    assert_eq!(store.answered("key_1:k", NOW_MS).await.unwrap(), Some(kept));
}

pub async fn an_answer_is_forgotten_after_a_day(store: Arc<dyn CampaignStore>) {
    const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
    store.write(keyed(&[deal("d1", 1)], 1)).await.unwrap();
    assert!(
        store
            .answered("key_1:k", NOW_MS + DAY_MS - 1)
            .await
            .unwrap()
            .is_some()
    );
    assert!(
        store
            .answered("key_1:k", NOW_MS + DAY_MS + 1)
            .await
            .unwrap()
            .is_none()
    );
    let later = Write {
        now_ms: NOW_MS + DAY_MS + 1,
        ..keyed(&[deal("d2", 1)], 2)
    };
    assert_eq!(store.write(later).await.unwrap(), Written::Done);
}

pub async fn history_is_newest_first(store: Arc<dyn CampaignStore>) {
    for version in 1..=5 {
        put(&*store, &[deal("d", version)]).await;
    }
    let versions = |revisions: Vec<crate::campaign_store::Revision>| -> Vec<i64> {
        revisions.iter().map(|revision| revision.version).collect()
    };
    let first = store.history(Kind::Deal, "d", None, 2).await.unwrap();
    assert_eq!((first[0].actor.as_str(), first[0].at_ms), ("key_1", NOW_MS));
    assert_eq!(first[0].body, deal("d", 5).body);
    assert_eq!(versions(first), [5, 4]);
    assert_eq!(
        versions(store.history(Kind::Deal, "d", Some(4), 10).await.unwrap()),
        [3, 2, 1]
    );
}

pub async fn lists_page_through_everything_once(store: Arc<dyn CampaignStore>) {
    // Equal times and names on purpose: ties go by id.
    let documents: Vec<Document> = (0..11_i64)
        .map(|n| Document {
            created_at_ms: NOW_MS + n / 3,
            updated_at_ms: NOW_MS - n / 4,
            name: format!("name {}", n % 4),
            ..deal(&format!("d{n:02}"), 1)
        })
        .collect();
    put(&*store, &documents).await;
    for by in [OrderBy::CreatedAt, OrderBy::UpdatedAt, OrderBy::Name] {
        let key = |document: &Document| match by {
            OrderBy::CreatedAt => OrderValue::Ms(document.created_at_ms),
            OrderBy::UpdatedAt => OrderValue::Ms(document.updated_at_ms),
            OrderBy::Name => OrderValue::Text(document.name.clone()),
        };
        for descending in [false, true] {
            let mut query = ListQuery {
                order: Order { by, descending },
                limit: 3,
                ..ListQuery::default()
            };
            let mut seen = Vec::new();
            loop {
                let page = store.list(Kind::Deal, &query).await.unwrap();
                let Some(last) = page.last() else { break };
                query.after = Some((key(last), last.id.clone()));
                seen.extend(page);
            }
            let mut ids: Vec<&str> = seen.iter().map(|document| document.id.as_str()).collect();
            let values: Vec<String> = seen
                .iter()
                .map(|document| format!("{:?}", key(document)))
                .collect();
            assert!(
                values.is_sorted_by(|a, b| if descending { a >= b } else { a <= b }),
                "{values:?}"
            );
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(
                (ids.len(), seen.len()),
                (11, 11),
                "{by:?} descending: {descending}"
            );
        }
    }
}

pub async fn lists_hold_every_filter(store: Arc<dyn CampaignStore>) {
    let wanted = Document {
        advertiser_id: Some("adv_2".to_owned()),
        parent_id: Some("p".to_owned()),
        external_id: Some("x".to_owned()),
        status: "paused".to_owned(),
        name: "Summer SALE".to_owned(),
        updated_at_ms: NOW_MS + 5,
        ..deal("wanted", 1)
    };
    put(
        &*store,
        &[
            wanted,
            deal("other", 1),
            document(Kind::Audience, "a", 1, json!({})),
        ],
    )
    .await;
    let all = || ListQuery {
        limit: 10,
        ..ListQuery::default()
    };
    let filters = [
        ListQuery {
            advertiser_id: Some("adv_2".to_owned()),
            ..all()
        },
        ListQuery {
            parent_id: Some("p".to_owned()),
            ..all()
        },
        ListQuery {
            external_id: Some("x".to_owned()),
            ..all()
        },
        ListQuery {
            statuses: vec!["paused".to_owned(), "draft".to_owned()],
            ..all()
        },
        ListQuery {
            name_contains: Some("mmer sale".to_owned()),
            ..all()
        },
        ListQuery {
            updated_since_ms: Some(NOW_MS + 5),
            ..all()
        },
    ];
    for query in filters {
        let found = store.list(Kind::Deal, &query).await.unwrap();
        let ids: Vec<&str> = found.iter().map(|document| document.id.as_str()).collect();
        assert_eq!(ids, ["wanted"], "{query:?}");
    }
    assert_eq!(store.list(Kind::Deal, &all()).await.unwrap().len(), 2);
}

pub async fn a_name_filter_takes_wildcards_literally(store: Arc<dyn CampaignStore>) {
    let names = [r"100% a_b \c", "100x aab cc"];
    let documents: Vec<Document> = names
        .iter()
        .map(|name| Document {
            name: (*name).to_owned(),
            ..deal(name, 1)
        })
        .collect();
    put(&*store, &documents).await;
    for part in ["0%", "a_b", r"\c"] {
        let query = ListQuery {
            name_contains: Some(part.to_owned()),
            limit: 10,
            ..ListQuery::default()
        };
        let found = store.list(Kind::Deal, &query).await.unwrap();
        assert_eq!(found.len(), 1, "{part}");
        assert_eq!(found[0].name, names[0]);
    }
}

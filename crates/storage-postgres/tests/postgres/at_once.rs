//! Several processes at once on one database: each store has connections of its own.

use crate::server::{Server, Stores as _, store_at};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use storage::campaign_store::{Announcement, Change, Document, Idempotent, Kind, Revision, Write, Written};
use storage::{CampaignStore, StorageError};
use storage_postgres::PostgresStore;
use tokio::task::JoinSet;

pub(crate) const NOW_MS: i64 = 1_800_000_000_000;

pub(crate) fn exchange(id: &str, version: i64) -> Document {
    Document {
        kind: Kind::Exchange,
        id: id.to_owned(),
        advertiser_id: None,
        parent_id: None,
        external_id: None,
        name: id.to_owned(),
        status: "active".to_owned(),
        version,
        created_at_ms: NOW_MS,
        updated_at_ms: NOW_MS,
        body: json!({"version": version}),
    }
}

/// Writes an exchange and announces it.
pub(crate) fn write_of(document: Document) -> Write {
    Write {
        announcements: vec![Announcement::Exchange(document.id.clone())],
        changes: vec![Change { document }],
        actor: "test".to_owned(),
        now_ms: NOW_MS,
        idempotency: None,
        traceparent: None,
    }
}

async fn stores(server: &Server, count: usize) -> Vec<Arc<PostgresStore>> {
    let database = server.database().await;
    server.store(&database).await;
    (0..count)
        .map(|_| Arc::new(store_at(&server.url(&database))))
        .collect()
}

#[tokio::test]
async fn replicas_that_start_together_migrate_once() {
    let Some(server) = Server::start().await else {
        return;
    };
    let url = server.url(&server.database().await);
    let mut starting = JoinSet::new();
    for _ in 0..8 {
        let store = store_at(&url);
        starting.spawn(async move {
            store.migrate().await?;
            store.revision().await
        });
    }
    let mut revisions: Vec<_> = starting
        .join_all()
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    revisions.dedup();
    assert_eq!(revisions.len(), 1);
    assert_eq!(store_at(&url).outgoing_backlog().await.unwrap().0, 1);
}

#[tokio::test]
async fn of_equal_requests_at_once_one_is_done_and_the_others_get_its_answer() {
    let Some(server) = Server::start().await else {
        return;
    };
    let mut asking = JoinSet::new();
    for (n, store) in stores(&server, 8).await.into_iter().enumerate() {
        asking.spawn(async move {
            let write = Write {
                idempotency: Some(Idempotent {
                    key: "caller:k".to_owned(),
                    request_hash: "h".to_owned(),
                    answer: json!(n),
                }),
                ..write_of(exchange(&format!("e{n}"), 1))
            };
            store.write(write).await.unwrap()
        });
    }
    let answers = asking.join_all().await;
    let done = answers.iter().filter(|one| **one == Written::Done).count();
    let mut repeated: Vec<&Value> = answers
        .iter()
        .filter_map(|one| match one {
            Written::Repeated(first) => Some(&first.answer),
            Written::Done => None,
        })
        .collect();
    repeated.dedup();
    assert_eq!((done, repeated.len()), (1, 1), "{answers:?}");
}

#[tokio::test]
async fn of_writers_of_one_version_one_succeeds() {
    let Some(server) = Server::start().await else {
        return;
    };
    let stores = stores(&server, 8).await;
    stores[0].write(write_of(exchange("e", 1))).await.unwrap();
    let mut writing = JoinSet::new();
    for store in stores {
        writing.spawn(async move { store.write(write_of(exchange("e", 2))).await });
    }
    let results = writing.join_all().await;
    assert_eq!(results.iter().filter(|one| one.is_ok()).count(), 1, "{results:?}");
    let conflicts = results
        .iter()
        .filter(|one| matches!(one, Err(StorageError::Conflict(_))));
    assert_eq!(conflicts.count(), 7, "{results:?}");
}

/// Whoever has seen a sequence or a revision has seen, or can now see, all that are lower.
#[tokio::test]
async fn writes_become_visible_in_the_order_of_their_revisions() {
    let Some(server) = Server::start().await else {
        return;
    };
    let stores = stores(&server, 5).await;
    let writing = Arc::new(AtomicBool::new(true));
    let reader = {
        let (store, writing) = (stores[4].clone(), writing.clone());
        tokio::spawn(async move {
            let mut seen: Vec<i64> = Vec::new();
            let mut revision = 0;
            while writing.load(Ordering::SeqCst) {
                let now: Vec<i64> = store
                    .outgoing(10_000)
                    .await
                    .unwrap()
                    .iter()
                    .map(|row| row.sequence)
                    .collect();
                assert!(now.starts_with(&seen), "a row came in below {:?}", seen.last());
                seen = now;
                let later = store.revision().await.unwrap().1;
                assert!(later >= revision);
                revision = later;
            }
            seen.len()
        })
    };
    let mut writers = JoinSet::new();
    for (n, store) in stores[..4].iter().cloned().enumerate() {
        writers.spawn(async move {
            for i in 0..50 {
                store
                    .write(write_of(exchange(&format!("e{n}-{i}"), 1)))
                    .await
                    .unwrap();
            }
        });
    }
    writers.join_all().await;
    writing.store(false, Ordering::SeqCst);
    assert!(reader.await.unwrap() > 1);
    assert_eq!(stores[0].outgoing_backlog().await.unwrap().0, 201);
    assert_eq!(stores[0].revision().await.unwrap().1, 201);
}

#[tokio::test]
async fn a_rival_relay_is_kept_out_and_a_late_one_marks_nothing() {
    let Some(server) = Server::start().await else {
        return;
    };
    let stores = stores(&server, 8).await;
    let mut claiming = JoinSet::new();
    for (n, store) in stores.iter().cloned().enumerate() {
        claiming.spawn(async move { store.claim_relay(&format!("r{n}"), NOW_MS, 1_000).await.unwrap() });
    }
    let claims: Vec<_> = claiming.join_all().await.into_iter().flatten().collect();
    assert_eq!(claims.len(), 1, "{claims:?}");
    let sequences: Vec<i64> = stores[0]
        .outgoing(10)
        .await
        .unwrap()
        .iter()
        .map(|row| row.sequence)
        .collect();
    let rival = stores[1]
        .claim_relay("rival", NOW_MS + 1_000, 1_000)
        .await
        .unwrap()
        .unwrap();
    let late = stores[0].mark_sent(&claims[0], &sequences).await;
    assert!(matches!(late, Err(StorageError::Conflict(_))), "{late:?}");
    assert_eq!(stores[0].outgoing_backlog().await.unwrap().0, 1);
    stores[1].mark_sent(&rival, &sequences).await.unwrap();
    assert_eq!(stores[0].outgoing_backlog().await.unwrap().0, 0);
}

#[tokio::test]
async fn writes_of_one_process_that_come_together_share_transactions_and_each_gets_its_own_answer() {
    let Some(server) = Server::start().await else {
        return;
    };
    let store = stores(&server, 1).await.remove(0);
    let kept = |write: Write, answer: usize| Write {
        idempotency: Some(Idempotent {
            key: "caller:k".to_owned(),
            request_hash: "h".to_owned(),
            answer: json!(answer),
        }),
        ..write
    };
    let named = |id: String| Document {
        external_id: Some("theirs".to_owned()),
        ..exchange(&id, 1)
    };
    let (_, before) = store.revision().await.unwrap();
    let mut asking = JoinSet::new();
    for n in 0..40 {
        let writes = [
            ("new", write_of(exchange(&format!("e{n}"), 1))),
            ("same", write_of(exchange("same", 1))),
            ("repeated", kept(write_of(exchange(&format!("r{n}"), 1)), n)),
            ("named", write_of(named(format!("n{n}")))),
            ("stale", write_of(exchange("default", 7))),
        ];
        for (what, write) in writes {
            let store = store.clone();
            asking.spawn(async move { (what, store.write(write).await) });
        }
    }
    let mut answers = std::collections::BTreeMap::new();
    for (what, answer) in asking.join_all().await {
        let word = match answer {
            Ok(Written::Done) => "done",
            Ok(Written::Repeated(first)) => {
                assert_eq!(first.key, "caller:k");
                "repeated"
            }
            Err(StorageError::Conflict(_)) => "conflict",
            Err(error) => panic!("{what}: {error}"),
        };
        *answers.entry((what, word)).or_insert(0) += 1;
    }
    let told: Vec<_> = answers.into_iter().collect();
    let expected = [
        (("named", "conflict"), 39),
        (("named", "done"), 1),
        (("new", "done"), 40),
        (("repeated", "done"), 1),
        (("repeated", "repeated"), 39),
        (("same", "conflict"), 39),
        (("same", "done"), 1),
        (("stale", "conflict"), 40),
    ];
    assert_eq!(told, expected);
    // Exactly what was done is there, with its history, and announced once.
    let rows = store.outgoing(100).await.unwrap();
    assert_eq!(rows.len(), 1 + 43, "the default exchange, and what was done");
    for row in rows {
        let Announcement::Exchange(id) = row.announcement else {
            panic!("{row:?}")
        };
        assert!(store.get(Kind::Exchange, &id).await.unwrap().is_some());
        assert_eq!(
            store.history(Kind::Exchange, &id, None, 10).await.unwrap().len(),
            1
        );
    }
    let (_, after) = store.revision().await.unwrap();
    assert!(after > before);
}

/// Somebody, psql say, holds a document for longer than a write may wait: that write alone fails.
#[tokio::test]
async fn a_document_that_is_held_stops_no_other_write_of_its_group() {
    let Some(server) = Server::start().await else {
        return;
    };
    let database = server.database().await;
    let store = server.store(&database).await;
    let mut holder = PgConnection::connect(&server.url(&database)).await.unwrap();
    sqlx::raw_sql("BEGIN; SELECT 1 FROM documents WHERE kind = 'exchange' AND id = 'default' FOR UPDATE")
        .execute(&mut holder)
        .await
        .unwrap();
    let held = store.write(write_of(exchange("default", 2)));
    let (one, other) = (exchange("one", 1), exchange("other", 1));
    let (held, one, other) = tokio::join!(held, store.write(write_of(one)), store.write(write_of(other)));
    assert!(matches!(held, Err(StorageError::Unavailable(_))), "{held:?}");
    for free in [one, other] {
        assert!(matches!(free, Ok(Written::Done)), "{free:?}");
    }
}

/// Created together, in one statement, each document is what it would be alone.
#[tokio::test]
async fn what_is_created_at_once_is_there_whole_with_its_history() {
    let Some(server) = Server::start().await else {
        return;
    };
    let store = stores(&server, 1).await.remove(0);
    let taken = exchange("k5", 1);
    store.write(write_of(taken.clone())).await.unwrap();
    let kinds = [Kind::Exchange, Kind::Advertiser, Kind::Campaign, Kind::Creative];
    let creation = move |n: i64| {
        let kind = kinds[usize::try_from(n).unwrap() % kinds.len()];
        let owner = format!("owner {n}");
        let document = Document {
            kind,
            id: format!("k{}", n / 4),
            advertiser_id: (kind != Kind::Exchange).then(|| owner.clone()),
            parent_id: (kind == Kind::Creative).then(|| owner.clone()),
            external_id: None,
            name: format!("name {n}"),
            status: format!("status {n}"),
            version: 1,
            created_at_ms: NOW_MS + n,
            updated_at_ms: NOW_MS + 2 * n,
            body: json!({"n": n}),
        };
        Write {
            announcements: Vec::new(),
            actor: format!("actor {n}"),
            now_ms: NOW_MS + 3 * n,
            ..write_of(document)
        }
    };
    let mut asking = JoinSet::new();
    for n in 0..120 {
        let store = store.clone();
        asking.spawn(async move { (n, store.write(creation(n)).await) });
    }
    for (n, answer) in asking.join_all().await {
        let Write {
            changes,
            actor,
            now_ms,
            ..
        } = creation(n);
        let document = changes.into_iter().next().unwrap().document;
        let found = store.get(document.kind, &document.id).await.unwrap().unwrap();
        if n == 20 {
            assert!(matches!(answer, Err(StorageError::Conflict(_))), "{answer:?}");
            assert_eq!(found, taken);
            continue;
        }
        assert_eq!(answer.unwrap(), Written::Done);
        let first = Revision {
            version: 1,
            actor,
            at_ms: now_ms,
            body: document.body.clone(),
        };
        let history = store
            .history(document.kind, &document.id, None, 10)
            .await
            .unwrap();
        assert_eq!((found, history), (document, vec![first]));
    }
}

/// Two transactions that lock the same documents crosswise: the server ends one, and it is done again.
#[tokio::test]
async fn batches_of_the_same_documents_in_opposite_orders_both_get_an_answer() {
    let Some(server) = Server::start().await else {
        return;
    };
    let store = stores(&server, 1).await.remove(0);
    for id in ["a", "b"] {
        store.write(write_of(exchange(id, 1))).await.unwrap();
    }
    for version in 2..5 {
        let batch = |ids: [&str; 2]| Write {
            changes: ids
                .map(|id| Change {
                    document: exchange(id, version),
                })
                .into(),
            ..write_of(exchange("a", version))
        };
        let (one, other) = tokio::join!(store.write(batch(["a", "b"])), store.write(batch(["b", "a"])));
        let answers = [one, other];
        let is_done = |answer: &&Result<Written, StorageError>| matches!(answer, Ok(Written::Done));
        let is_late =
            |answer: &&Result<Written, StorageError>| matches!(answer, Err(StorageError::Conflict(_)));
        let counts = (
            answers.iter().filter(is_done).count(),
            answers.iter().filter(is_late).count(),
        );
        assert_eq!(counts, (1, 1), "{answers:?}");
    }
}

#[tokio::test]
async fn many_writes_at_once_take_fewer_transactions_than_writes() {
    let Some(server) = Server::start().await else {
        return;
    };
    let store = stores(&server, 1).await.remove(0);
    let (_, before) = store.revision().await.unwrap();
    let mut asking = JoinSet::new();
    for n in 0..200 {
        let store = store.clone();
        asking.spawn(async move { store.write(write_of(exchange(&format!("e{n}"), 1))).await });
    }
    for answer in asking.join_all().await {
        assert_eq!(answer.unwrap(), Written::Done);
    }
    let (_, after) = store.revision().await.unwrap();
    assert!(after - before <= 20, "{} transactions", after - before);
    assert_eq!(store.outgoing_backlog().await.unwrap().0, 201);
}

#[tokio::test]
async fn a_caller_that_goes_away_takes_no_other_write_with_it() {
    let Some(server) = Server::start().await else {
        return;
    };
    let store = stores(&server, 1).await.remove(0);
    let mut asking = JoinSet::new();
    for n in 0..60 {
        let store = store.clone();
        asking.spawn(async move {
            let written = store.write(write_of(exchange(&format!("e{n}"), 1)));
            match n % 3 {
                0 => drop(tokio::time::timeout(std::time::Duration::from_millis(n), written).await),
                _ => assert_eq!(written.await.unwrap(), Written::Done),
            }
        });
    }
    asking.join_all().await;
    for n in (0..60).filter(|n| n % 3 != 0) {
        let id = format!("e{n}");
        assert!(store.get(Kind::Exchange, &id).await.unwrap().is_some(), "{id}");
    }
}

#[tokio::test]
async fn text_with_a_nul_is_found_again_or_not_found() {
    let Some(server) = Server::start().await else {
        return;
    };
    let store = &stores(&server, 1).await[0];
    let named = Document {
        name: "a\0b".to_owned(),
        body: json!({"name": "a\0b"}),
        ..exchange("e", 1)
    };
    store.write(write_of(named)).await.unwrap();
    let stored = store.get(Kind::Exchange, "e").await.unwrap().unwrap();
    assert_eq!(stored.body, json!({"name": "a\0b"}));
    assert_eq!(store.get(Kind::Exchange, "e\0").await.unwrap(), None);
}

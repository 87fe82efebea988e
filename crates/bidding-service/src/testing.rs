//! What unit tests of several files share.

pub(crate) mod memory_log;
pub(crate) mod mmdb;
pub(crate) mod model_books;
pub(crate) mod model_ledger;

use crate::metrics::{BiddingMetrics, IndexMetrics};
use bidding_engine::CompiledCampaign;
use domain::creative::Creative;
use domain::serving::ServingCampaign;
use serde_json::{Value, json};
use std::sync::Arc;

/// `crv_1`, with the fields of its spec that matter to the test.
pub(crate) fn creative(spec: Value) -> Creative {
    let mut creative = json!({
        "id": "crv_1", "campaign_id": "cmp_1", "version": 1, "name": "n", "click_url": "https://l.example",
        "adomain": ["l.example"], "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
    });
    for (name, value) in spec.as_object().expect("a spec is an object") {
        creative[name] = value.clone();
    }
    serde_json::from_value(creative).unwrap()
}

/// A campaign without limits on whom it wants.
pub(crate) fn campaign(id: &str) -> ServingCampaign {
    serde_json::from_value(json!({
        "schema": 1, "generation": 1, "revision": 1,
        "campaign": {
            "id": id, "advertiser_id": "adv_1", "name": "n", "status": "active",
            "flight": {"start": "2026-01-01T00:00:00Z"}, "budget": {"currency": "USD", "daily_micros": 1_000_000_000},
            "bid": {"max_cpm_micros": 2_000_000},
            "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
        },
        "advertiser": {"id": "adv_1", "status": "active", "conversion_lookback_days": 30},
        "creatives": [],
        "limits": {"daily_nanos": 1_000_000_000_000_i64, "total_nanos": null},
        "days": [],
    }))
    .unwrap()
}

/// As the keeper takes it.
pub(crate) fn compiled(serving: &ServingCampaign) -> Arc<CompiledCampaign> {
    Arc::new(CompiledCampaign::compile(serving.clone()))
}

pub(crate) fn all_compiled(serving: &[Arc<ServingCampaign>]) -> Vec<Arc<CompiledCampaign>> {
    serving.iter().map(|serving| compiled(serving)).collect()
}

pub(crate) fn index_metrics() -> IndexMetrics {
    let registry = platform::Metrics::new("test").unwrap();
    BiddingMetrics::register(&registry).unwrap().index
}

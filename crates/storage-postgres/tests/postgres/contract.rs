//! The contract suites, and what a new database holds.

use crate::server::{Server, Stores as _};
use domain::exchange::{Exchange, ExchangeSpec};
use std::sync::Arc;
use storage::campaign_store::Kind;
use storage::{CampaignStore, ReportStore, contract};

#[tokio::test]
async fn campaign_store_keeps_its_contract() {
    let Some(server) = Server::start().await else {
        return;
    };
    let fresh = async || Arc::new(server.store(&server.database().await).await) as Arc<dyn CampaignStore>;
    contract::campaign_store::all(fresh).await;
}

#[tokio::test]
async fn report_store_keeps_its_contract() {
    let Some(server) = Server::start().await else {
        return;
    };
    let fresh = async || Arc::new(server.store(&server.database().await).await) as Arc<dyn ReportStore>;
    contract::report_store::all(fresh).await;
}

#[tokio::test]
async fn the_default_exchange_is_the_domain_s_default_with_rates() {
    let Some(server) = Server::start().await else {
        return;
    };
    let store = server.store(&server.database().await).await;
    let stored = store.get(Kind::Exchange, "default").await.unwrap().unwrap();
    let exchange: Exchange = serde_json::from_value(stored.body).unwrap();
    let expected = ExchangeSpec {
        name: "default".to_owned(),
        usd_rates_e9: exchange.spec.usd_rates_e9.clone(),
        ..ExchangeSpec::default()
    };
    assert_eq!(exchange.spec, expected);
    assert_eq!(exchange.created_at.as_millisecond(), stored.created_at_ms);
    for currency in ["EUR", "GBP", "JPY", "KRW"] {
        assert!(exchange.spec.usd_rates_e9[&currency.parse().unwrap()] > 0);
    }
}

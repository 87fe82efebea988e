//! The contract suite and the random walk, on a single node and on a Cluster of six.

use crate::harness::Fresh;
use storage::contract;
use storage::contract::spend_ledger::LedgerHarness;
use test_servers::redis::{Cluster, Node, Options};

#[tokio::test]
async fn spend_ledger_keeps_its_contract_on_a_single_node() {
    let Some(node) = Node::start(&Options::default()).await else {
        return;
    };
    let fresh = async || Box::new(Fresh::on(vec![node.addr()]).await) as Box<dyn LedgerHarness>;
    contract::spend_ledger::all(fresh).await;
    contract::spend_ledger::rebuilding(fresh).await;
}

#[tokio::test]
async fn spend_ledger_keeps_its_contract_on_a_cluster() {
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    let fresh = async || Box::new(Fresh::on(cluster.addrs()).await) as Box<dyn LedgerHarness>;
    contract::spend_ledger::all(fresh).await;
    contract::spend_ledger::rebuilding(fresh).await;
}

#[tokio::test]
async fn the_ledger_walks_with_its_model() {
    let Some(node) = Node::start(&Options::default()).await else {
        return;
    };
    let fresh = async || Box::new(Fresh::on(vec![node.addr()]).await) as Box<dyn LedgerHarness>;
    contract::ledger_walk::walk(fresh, 0..20, 200).await;
}

#[tokio::test]
async fn the_ledger_walks_with_its_model_on_a_cluster() {
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    let fresh = async || Box::new(Fresh::on(cluster.addrs()).await) as Box<dyn LedgerHarness>;
    contract::ledger_walk::walk(fresh, 100..103, 150).await;
}

//! The contract suite.

use crate::broker::{fresh_log, shared};
use std::sync::Arc;
use storage::{EventLog, contract};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_log_keeps_its_contract() {
    let Some(broker) = shared().await else {
        return;
    };
    let fresh = async || fresh_log(broker).await as Arc<dyn EventLog>;
    contract::event_log::all(fresh).await;
}

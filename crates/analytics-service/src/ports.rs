//! What the service needs of the stores.

use std::sync::Arc;
use storage::{CampaignStore, EventLog, ReportStore, SpendLedger};

/// Cheap to clone.
#[derive(Clone)]
pub struct Ports {
    /// Keys and campaigns, read only.
    pub campaigns: Arc<dyn CampaignStore>,
    /// The event topics: read, and trimmed of what they need not keep.
    pub events: Arc<dyn EventLog>,
    /// Balances, read only.
    pub ledger: Arc<dyn SpendLedger>,
    /// The rollups, which this service alone writes.
    pub reports: Arc<dyn ReportStore>,
}

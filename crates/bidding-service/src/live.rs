//! What the bid path and the notices see of the world, replaced as a whole when something changes.

use crate::exchange_gate::ExchangeGate;
use crate::geo_ip::GeoIp;
use crate::markup::PreparedCreative;
use bidding_engine::{Leases, Pages, Snapshot};
use std::collections::HashMap;
use std::sync::Arc;

#[derive(Debug, Default)]
pub(crate) struct Live {
    pub(crate) snapshot: Snapshot,
    /// Parallel to the snapshot's campaign numbers.
    pub(crate) leases: Leases,
    /// Parallel to the snapshot's campaign numbers, then to the campaign's creatives.
    pub(crate) prepared: Pages<Option<Arc<[PreparedCreative]>>>,
    pub(crate) gates: HashMap<String, Arc<ExchangeGate>>,
    /// Of devices of which a request does not say where they are.
    pub(crate) locations: Option<Arc<GeoIp>>,
}

impl Live {
    pub(crate) fn prepared(&self, campaign: usize, creative: usize) -> Option<&PreparedCreative> {
        self.prepared.get(campaign)?.as_ref()?.get(creative)
    }
}

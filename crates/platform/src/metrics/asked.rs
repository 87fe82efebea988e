//! A gauge that is asked when it is scraped.

use std::fmt;
use std::sync::Arc;

use prometheus::IntGauge;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

#[derive(Clone)]
pub(super) struct AskedGauge {
    gauge: IntGauge,
    ask: Arc<dyn Fn() -> i64 + Send + Sync>,
}

impl AskedGauge {
    pub(super) fn new(
        name: &str,
        help: &str,
        ask: impl Fn() -> i64 + Send + Sync + 'static,
    ) -> prometheus::Result<Self> {
        Ok(Self {
            gauge: IntGauge::new(name, help)?,
            ask: Arc::new(ask),
        })
    }
}

impl Collector for AskedGauge {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.gauge.set((self.ask)());
        self.gauge.collect()
    }
}

impl fmt::Debug for AskedGauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AskedGauge").finish_non_exhaustive()
    }
}

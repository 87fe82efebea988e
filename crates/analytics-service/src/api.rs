//! What the handlers share.

use crate::ports::Ports;
use platform::{Clock, Secret};
use std::sync::Arc;

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) ports: Ports,
    pub(crate) clock: Clock,
    /// The first administrator's key; without one, only stored keys are known.
    pub(crate) admin_api_key: Option<Arc<Secret>>,
}

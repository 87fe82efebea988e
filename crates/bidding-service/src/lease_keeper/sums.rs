//! What the metrics tell of all campaigns together.

/// Nanos, whatever their currencies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) leased_nanos: i64,
    pub(super) pending_nanos: i64,
    /// Of campaigns that pace evenly: what their days were to have spent by now.
    pub(super) planned_nanos: i64,
    /// What of that they have spent.
    pub(super) spent_nanos: i64,
}

impl Sums {
    #[must_use]
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            leased_nanos: self.leased_nanos.saturating_add(other.leased_nanos),
            pending_nanos: self.pending_nanos.saturating_add(other.pending_nanos),
            planned_nanos: self.planned_nanos.saturating_add(other.planned_nanos),
            spent_nanos: self.spent_nanos.saturating_add(other.spent_nanos),
        }
    }
}

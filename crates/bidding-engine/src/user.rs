//! What is known of the user behind a request.

/// One frequency counter of the user, as the store of user states has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter<'a> {
    /// Id of the campaign, creative or advertiser that is counted.
    pub scope_id: &'a str,
    /// Length of the window it counts in.
    pub window_ms: i64,
    /// Impressions in the window that is running.
    pub impressions: u32,
}

/// The user's state at the time of the bid.
///
/// Whatever the caller passes, the engine treats the user as [`UserView::Unidentified`] when the request
/// carries no lawful signal: see [`crate::is_identifiable`], by which the caller decides whether to read
/// a state at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UserView<'a> {
    /// No user, or none that may be known: frequency caps do what their `unidentified` says.
    #[default]
    Unidentified,
    /// There is a user, but the state came late: campaigns that need it are left out.
    Unavailable,
    Known {
        /// Running windows only.
        counters: &'a [Counter<'a>],
        /// Own lists the user is in (`aud_…`).
        audiences: &'a [String],
    },
}

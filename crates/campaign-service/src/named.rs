//! What a campaign's targeting names of its advertiser's own: audiences and deals.

use crate::error::ApiError;
use crate::resource::{ARCHIVED, stored};
use crate::{audiences, deals};
use domain::campaign::Campaign;
use domain::mistake::Mistakes;
use domain::targeting::Targeting;
use futures_util::{StreamExt, TryStreamExt, stream};
use std::collections::HashSet;
use storage::CampaignStore;
use storage::campaign_store::{Document, Kind};

/// Each is looked up when a campaign names it and when the campaign is published.
const MOST_IN_A_CAMPAIGN: usize = 100;
const READS_AT_ONCE: usize = 8;

pub(crate) struct Named<'a> {
    pub(crate) kind: Kind,
    /// Into the campaign.
    pub(crate) pointer: String,
    pub(crate) id: &'a str,
}

/// Whether it is an id of ours: `aud_…`.
pub(crate) fn is_id(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix)
        .is_some_and(|rest| rest.starts_with('_'))
}

fn named_in(targeting: &Targeting) -> impl Iterator<Item = Named<'_>> {
    audiences::named_in(targeting).chain(deals::named_in(targeting))
}

/// What a campaign newly names must be its advertiser's, and not archived. What it named before stays: a campaign whose
/// audience was archived can still be paused.
pub(crate) async fn check(
    store: &dyn CampaignStore,
    before: Option<&Document>,
    after: &Document,
) -> Result<(), ApiError> {
    let before = before.map(stored::<Campaign>).transpose()?;
    let before = before.map(|campaign| campaign.spec.targeting);
    let wanted = stored::<Campaign>(after)?.spec.targeting;
    if before.as_ref() == Some(&wanted) {
        return Ok(());
    }
    let known: HashSet<&str> = before.iter().flat_map(named_in).map(|named| named.id).collect();
    let new: Vec<Named<'_>> = named_in(&wanted)
        .filter(|named| !known.contains(named.id))
        .collect();
    let mut mistakes = Mistakes::default();
    if new.len() > MOST_IN_A_CAMPAIGN {
        let message = format!("may name {MOST_IN_A_CAMPAIGN} audiences and deals of one's own at once");
        mistakes.add("/targeting", "too_long", message);
        return Ok(mistakes.finish()?);
    }
    let reads = new.into_iter().map(|named| async move {
        let found = store.get(named.kind, named.id).await?;
        Ok::<_, ApiError>((named, found))
    });
    // Collected, so that the futures borrow nothing of the iterator.
    let reads: Vec<_> = reads.collect();
    let found: Vec<(Named<'_>, Option<Document>)> =
        stream::iter(reads).buffered(READS_AT_ONCE).try_collect().await?;
    for (named, found) in found {
        let noun = if named.kind == Kind::Deal {
            "deal"
        } else {
            "audience"
        };
        match found.filter(|document| document.advertiser_id == after.advertiser_id) {
            None => {
                let message = format!("is no {noun} of the campaign's advertiser");
                mistakes.add(named.pointer, "not_found", message);
            }
            Some(document) if document.status == ARCHIVED => {
                mistakes.add(named.pointer, "not_found", "is archived");
            }
            Some(_) => {}
        }
    }
    Ok(mistakes.finish()?)
}

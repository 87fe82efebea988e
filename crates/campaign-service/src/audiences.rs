//! `/audiences`: an advertiser's own lists of users. Their members are in [`crate::members`].

use crate::api::{Api, timestamp};
use crate::auth::Caller;
use crate::campaigns::{own_advertiser_unless_named, read_for_advertiser};
use crate::error::ApiError;
use crate::resource::{ARCHIVED, Draft, Resource, body, patched, stored, word};
use domain::audience::{Audience, AudienceSpec, Uploads};
use domain::campaign::Campaign;
use domain::id::AudienceId;
use domain::mistake::Mistakes;
use domain::targeting::{AllowBlock, Targeting};
use domain::validation::audience::audience as validate;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::Value;
use std::collections::HashSet;
use storage::campaign_store::{Announcement, Document, Kind};
use storage::{CampaignStore, StorageError};

/// Each is looked up when a campaign names it and when the campaign is published.
const MOST_IN_A_CAMPAIGN: usize = 100;
const READS_AT_ONCE: usize = 8;

pub(crate) struct Audiences;

impl Resource for Audiences {
    const KIND: Kind = Kind::Audience;
    const PATH: &'static str = "audiences";
    const STATUSES: &'static [&'static str] = &["active", ARCHIVED];

    async fn draft(
        api: &Api,
        caller: &Caller,
        _parent: Option<&Document>,
        mut new: Value,
        now_ms: i64,
    ) -> Result<Draft, ApiError> {
        own_advertiser_unless_named(caller, &mut new);
        let spec = read_for_advertiser(api, caller, new, validate).await?;
        let at = timestamp(now_ms);
        let audience = Audience {
            id: AudienceId(api.mint(AudienceId::PREFIX, now_ms)?),
            spec,
            uploads: Uploads::default(),
            created_at: at,
            updated_at: at,
        };
        draft(&audience, 1, Vec::new())
    }

    fn revise(
        _caller: &Caller,
        current: &Document,
        patch: Value,
        now_ms: i64,
    ) -> Result<Option<Draft>, ApiError> {
        let before: Audience = stored(current)?;
        let spec = patched(&before.spec, patch, &["/advertiser_id"], validate)?;
        if spec == before.spec {
            return Ok(None);
        }
        // Campaigns that name it must now reach nobody by it.
        let announcements = if spec.status == before.spec.status {
            Vec::new()
        } else {
            vec![Announcement::CampaignsOf(spec.advertiser_id.to_string())]
        };
        let after = Audience {
            spec,
            updated_at: timestamp(now_ms),
            ..before
        };
        draft(&after, current.version + 1, announcements).map(Some)
    }
}

pub(crate) fn draft(
    audience: &Audience,
    version: i64,
    announcements: Vec<Announcement>,
) -> Result<Draft, ApiError> {
    let AudienceSpec {
        advertiser_id,
        external_id,
        name,
        status,
        ..
    } = &audience.spec;
    let document = Document {
        kind: Kind::Audience,
        id: audience.id.to_string(),
        advertiser_id: Some(advertiser_id.to_string()),
        parent_id: None,
        external_id: external_id.clone(),
        name: name.clone(),
        status: word(status)?,
        version,
        created_at_ms: audience.created_at.as_millisecond(),
        updated_at_ms: audience.updated_at.as_millisecond(),
        body: body(audience)?,
    };
    Ok(Draft {
        document,
        announcements,
        reveal: None,
    })
}

/// What a campaign newly names must be audiences of its own advertiser, in use. What it named before stays: a campaign
/// whose audience was archived can still be paused.
pub(crate) async fn check_named(
    store: &dyn CampaignStore,
    before: Option<&Document>,
    after: &Document,
) -> Result<(), ApiError> {
    let before = before.map(stored::<Campaign>).transpose()?;
    let before = before.map(|campaign| campaign.spec.targeting);
    let wanted = stored::<Campaign>(after)?.spec.targeting;
    if before
        .as_ref()
        .is_some_and(|before| before.audiences == wanted.audiences)
    {
        return Ok(());
    }
    let known: HashSet<&str> = before.iter().flat_map(own_lists).map(|(_, id)| id).collect();
    let mut mistakes = Mistakes::default();
    if own_lists(&wanted).count() > MOST_IN_A_CAMPAIGN {
        let message = format!("must name at most {MOST_IN_A_CAMPAIGN} audiences of one's own");
        mistakes.add("/targeting/audiences", "too_long", message);
        return Ok(mistakes.finish()?);
    }
    let new = own_lists(&wanted).filter(|(_, id)| !known.contains(id));
    let reads =
        new.map(
            |(pointer, id)| async move { store.get(Kind::Audience, id).await.map(|found| (pointer, found)) },
        );
    let reads: Vec<_> = reads.collect();
    let found: Vec<(String, Option<Document>)> =
        stream::iter(reads).buffered(READS_AT_ONCE).try_collect().await?;
    for (pointer, audience) in found {
        match audience.filter(|audience| audience.advertiser_id == after.advertiser_id) {
            None => mistakes.add(
                pointer,
                "not_found",
                "is no audience of the campaign's advertiser",
            ),
            Some(audience) if audience.status == ARCHIVED => {
                mistakes.add(pointer, "not_found", "is archived");
            }
            Some(_) => {}
        }
    }
    Ok(mistakes.finish()?)
}

/// The targeting as bidders may use it: an audience that is archived, or another advertiser's, is one that nobody is on.
pub(crate) async fn serve_own_only(
    store: &dyn CampaignStore,
    campaign: &mut Campaign,
) -> Result<(), StorageError> {
    let ids: HashSet<&str> = own_lists(&campaign.spec.targeting).map(|(_, id)| id).collect();
    let mut out_of_use = HashSet::new();
    for id in ids {
        let is_in_use = store.get(Kind::Audience, id).await?.is_none_or(|audience| {
            // What does not exist has no members.
            audience.status != ARCHIVED
                && audience.advertiser_id.as_deref() == Some(campaign.spec.advertiser_id.as_str())
        });
        if !is_in_use {
            out_of_use.insert(id.to_owned());
        }
    }
    let AllowBlock { allow, block } = &mut campaign.spec.targeting.audiences;
    for id in allow
        .iter_mut()
        .chain(block)
        .filter(|id| out_of_use.contains(*id))
    {
        // Ids are minted without colons, so nobody is on this one; and the list stays as narrow as it was.
        id.push_str(":out_of_use");
    }
    Ok(())
}

/// (pointer, id) of each.
fn own_lists(targeting: &Targeting) -> impl Iterator<Item = (String, &str)> {
    let AllowBlock { allow, block } = &targeting.audiences;
    [("allow", allow), ("block", block)]
        .into_iter()
        .flat_map(|(list, ids)| {
            let pointer = move |index| format!("/targeting/audiences/{list}/{index}");
            let own = ids.iter().enumerate().filter(|(_, id)| id.starts_with("aud_"));
            own.map(move |(index, id)| (pointer(index), id.as_str()))
        })
}

//! `/audiences`: an advertiser's own lists of users. Their members are in [`crate::members`].

use crate::api::{Api, timestamp};
use crate::auth::Caller;
use crate::campaigns::{own_advertiser_unless_named, read_for_advertiser};
use crate::error::ApiError;
use crate::named::{self, Named};
use crate::resource::{ARCHIVED, Draft, Resource, body, patched, stored, word};
use domain::audience::{Audience, AudienceSpec, Uploads};
use domain::campaign::Campaign;
use domain::id::AudienceId;
use domain::targeting::{AllowBlock, Targeting};
use domain::validation::audience::audience as validate;
use serde_json::Value;
use std::collections::HashSet;
use storage::campaign_store::{Announcement, Document, Kind};
use storage::{CampaignStore, StorageError};

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

/// The targeting as bidders may use it: an audience that is archived, or another advertiser's, is one that nobody is on.
pub(crate) async fn serve_own_only(
    store: &dyn CampaignStore,
    campaign: &mut Campaign,
) -> Result<(), StorageError> {
    let ids: HashSet<&str> = named_in(&campaign.spec.targeting).map(|named| named.id).collect();
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

/// Where a campaign names audiences of its advertiser.
pub(crate) fn named_in(targeting: &Targeting) -> impl Iterator<Item = Named<'_>> {
    let AllowBlock { allow, block } = &targeting.audiences;
    [("allow", allow), ("block", block)]
        .into_iter()
        .flat_map(|(list, ids)| {
            let ids = ids.iter().enumerate();
            let own = ids.filter(|(_, id)| named::is_id(id, AudienceId::PREFIX));
            own.map(move |(index, id)| Named {
                kind: Kind::Audience,
                pointer: format!("/targeting/audiences/{list}/{index}"),
                id,
            })
        })
}

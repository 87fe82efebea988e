//! `/campaigns/{id}/creatives` and `/creatives/{id}`.

use crate::answer::Answer;
use crate::api::{Api, timestamp};
use crate::auth::Caller;
use crate::error::ApiError;
use crate::idempotency::Post;
use crate::listing::Parameters;
use crate::resource::{
    ARCHIVED, Draft, Resource, body, create_below, find, list_below, patched, stored, word,
};
use axum::extract::{Path, Query, State};
use domain::creative::{Creative, CreativeSpec, Review, ReviewStatus};
use domain::id::{CampaignId, CreativeId};
use domain::validation::creative::{creative as validate, reviews as validate_reviews};
use serde_json::Value;
use std::sync::Arc;
use storage::campaign_store::{Announcement, Document, Kind};

pub(crate) struct Creatives;

/// `POST /campaigns/{id}/creatives`.
pub(crate) async fn create(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(campaign_id): Path<String>,
    post: Post,
) -> Result<Answer, ApiError> {
    Creatives::may_create(&caller)?;
    let campaign = find(&api, &caller, Kind::Campaign, &campaign_id).await?;
    create_below::<Creatives>(&api, &caller, Some(&campaign), post).await
}

/// `GET /campaigns/{id}/creatives`.
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(campaign_id): Path<String>,
    Query(parameters): Query<Parameters>,
) -> Result<Answer, ApiError> {
    let campaign = find(&api, &caller, Kind::Campaign, &campaign_id).await?;
    list_below::<Creatives>(&api, &caller, Some(&campaign.id), &parameters).await
}

impl Resource for Creatives {
    const KIND: Kind = Kind::Creative;
    const PATH: &'static str = "creatives";

    async fn draft(
        api: &Api,
        _caller: &Caller,
        parent: Option<&Document>,
        new: Value,
        now_ms: i64,
    ) -> Result<Draft, ApiError> {
        let campaign = parent.ok_or(ApiError::NotFound)?;
        let spec = validate(new)?;
        if campaign.status == ARCHIVED {
            return Err(ApiError::Conflict("the campaign is archived"));
        }
        let at = timestamp(now_ms);
        let creative = Creative {
            id: CreativeId(api.mint(CreativeId::PREFIX, now_ms)?),
            campaign_id: CampaignId(campaign.id.clone()),
            spec,
            version: 1,
            reviews: Vec::new(),
            created_at: at,
            updated_at: at,
        };
        draft(&creative, campaign.advertiser_id.clone(), 1)
    }

    fn revise(
        caller: &Caller,
        current: &Document,
        mut patch: Value,
        now_ms: i64,
    ) -> Result<Option<Draft>, ApiError> {
        let before: Creative = stored(current)?;
        let reviews = administrators_reviews(caller, &mut patch);
        let spec = patched(&before.spec, patch, &["/format"], validate);
        let (spec, reviews) = match (spec, reviews.transpose()) {
            (Ok(spec), Ok(reviews)) => (spec, reviews),
            (Err(ApiError::Mistakes(mut mistakes)), Err(more)) => {
                mistakes.extend(more);
                return Err(mistakes.into());
            }
            (Err(error), _) => return Err(error),
            (_, Err(mistakes)) => return Err(mistakes.into()),
        };
        let is_new_content = content(&spec) != content(&before.spec);
        let after = Creative {
            version: before.version + i64::from(is_new_content),
            reviews: reviews.unwrap_or_else(|| reviews_of(&before.reviews, is_new_content)),
            spec,
            updated_at: before.updated_at,
            ..before.clone()
        };
        if after == before {
            return Ok(None);
        }
        let after = Creative {
            updated_at: timestamp(now_ms),
            ..after
        };
        draft(&after, current.advertiser_id.clone(), current.version + 1).map(Some)
    }
}

/// `reviews` taken out of an administrator's patch; anyone else's stays there, where it is a mistake.
fn administrators_reviews(
    caller: &Caller,
    patch: &mut Value,
) -> Option<Result<Vec<Review>, Vec<domain::mistake::Mistake>>> {
    if !caller.is_administrator() {
        return None;
    }
    let reviews = patch.as_object_mut()?.remove("reviews")?;
    Some(if reviews.is_null() {
        Ok(Vec::new())
    } else {
        validate_reviews(reviews)
    })
}

/// An exchange that had something to say of the old content has yet to see the new.
fn reviews_of(before: &[Review], is_new_content: bool) -> Vec<Review> {
    if !is_new_content {
        return before.to_vec();
    }
    before
        .iter()
        .map(|review| Review {
            exchange: review.exchange.clone(),
            status: ReviewStatus::Pending,
            reason: None,
        })
        .collect()
}

/// What is shown: everything but the words we keep for ourselves.
fn content(spec: &CreativeSpec) -> CreativeSpec {
    CreativeSpec {
        name: String::new(),
        status: Default::default(),
        weight: 1,
        ..spec.clone()
    }
}

fn draft(creative: &Creative, advertiser_id: Option<String>, version: i64) -> Result<Draft, ApiError> {
    let campaign_id = creative.campaign_id.to_string();
    let document = Document {
        kind: Kind::Creative,
        id: creative.id.to_string(),
        advertiser_id,
        parent_id: Some(campaign_id.clone()),
        external_id: None,
        name: creative.spec.name.clone(),
        status: word(&creative.spec.status)?,
        version,
        created_at_ms: creative.created_at.as_millisecond(),
        updated_at_ms: creative.updated_at.as_millisecond(),
        body: body(creative)?,
    };
    Ok(Draft {
        document,
        announcements: vec![Announcement::Campaign(campaign_id)],
        reveal: None,
    })
}

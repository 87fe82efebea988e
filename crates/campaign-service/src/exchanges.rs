//! `/exchanges`: the supply partners, for administrators.

use crate::api::{Api, timestamp};
use crate::auth::Caller;
use crate::error::ApiError;
use crate::resource::{Draft, Resource, body, patched, stored, word};
use domain::exchange::Exchange;
use domain::validation::exchange::{exchange as validate, new_exchange};
use serde_json::Value;
use storage::campaign_store::{Announcement, Document, Kind};

pub(crate) struct Exchanges;

impl Resource for Exchanges {
    const KIND: Kind = Kind::Exchange;
    const PATH: &'static str = "exchanges";

    fn may_read(caller: &Caller) -> Result<(), ApiError> {
        caller.require_administrator()
    }

    fn may_change(caller: &Caller) -> Result<(), ApiError> {
        caller.require_administrator()
    }

    async fn draft(
        _api: &Api,
        _caller: &Caller,
        _parent: Option<&Document>,
        new: Value,
        now_ms: i64,
    ) -> Result<Draft, ApiError> {
        let (id, spec) = new_exchange(new)?;
        let at = timestamp(now_ms);
        draft(
            &Exchange {
                id,
                spec,
                created_at: at,
                updated_at: at,
            },
            1,
        )
    }

    fn revise(
        _caller: &Caller,
        current: &Document,
        patch: Value,
        now_ms: i64,
    ) -> Result<Option<Draft>, ApiError> {
        let before: Exchange = stored(current)?;
        let spec = patched(&before.spec, patch, &[], validate)?;
        if spec == before.spec {
            return Ok(None);
        }
        let after = Exchange {
            spec,
            updated_at: timestamp(now_ms),
            ..before
        };
        draft(&after, current.version + 1).map(Some)
    }
}

fn draft(exchange: &Exchange, version: i64) -> Result<Draft, ApiError> {
    let id = exchange.id.to_string();
    let document = Document {
        kind: Kind::Exchange,
        id: id.clone(),
        advertiser_id: None,
        parent_id: None,
        external_id: None,
        name: exchange.spec.name.clone(),
        status: word(&exchange.spec.status)?,
        version,
        created_at_ms: exchange.created_at.as_millisecond(),
        updated_at_ms: exchange.updated_at.as_millisecond(),
        body: body(exchange)?,
    };
    Ok(Draft {
        document,
        announcements: vec![Announcement::Exchange(id)],
        reveal: None,
    })
}

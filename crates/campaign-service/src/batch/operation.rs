//! The operations of a batch: read, tried, answered.

use crate::api::Api;
use crate::auth::Caller;
use crate::campaigns::Campaigns;
use crate::error::ApiError;
use crate::precondition::{Precondition, etag};
use crate::resource::{Draft, Resource, archiving, find, revised, show_one};
use domain::validation;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use storage::campaign_store::{Announcement, Document, Kind};

const MOST_OPERATIONS: usize = 500;

#[derive(Deserialize)]
pub(super) struct Batch {
    #[serde(default)]
    pub(super) atomic: bool,
    #[serde(default)]
    pub(super) validate_only: bool,
    pub(super) operations: Vec<Operation>,
}

#[derive(Clone, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub(super) enum Operation {
    Create {
        campaign: Value,
    },
    Update {
        id: String,
        patch: Value,
        if_match: Option<String>,
    },
    Archive {
        id: String,
        if_match: Option<String>,
    },
}

/// What an operation came to.
pub(super) struct Outcome {
    pub(super) document: Document,
    pub(super) is_new: bool,
    /// Empty when nothing changes.
    pub(super) announcements: Vec<Announcement>,
    pub(super) is_change: bool,
}

/// Campaigns as the operations before have left them.
pub(super) type Overlay = HashMap<String, Document>;

pub(super) fn read(body: Value) -> Result<Batch, ApiError> {
    // The bodies inside have checks of their own, and `null` means something in a patch: so the walk comes alone.
    validation::check(&body, |fields| {
        fields.optional("atomic").flag();
        fields.optional("validate_only").flag();
        fields
            .required("operations")
            .list(1..=MOST_OPERATIONS, |_, operation| {
                operation.object(|operation| {
                    match operation.required("op").word(&["create", "update", "archive"]) {
                        Some("create") => {
                            operation.required("campaign");
                        }
                        Some(op) => {
                            operation.required("id").text(1..=64);
                            operation.optional("if_match").text(1..=200);
                            if op == "update" {
                                operation.required("patch");
                            }
                        }
                        None => {
                            for name in ["campaign", "id", "if_match", "patch"] {
                                operation.optional(name);
                            }
                        }
                    }
                });
            });
    })?;
    let batch = serde_json::from_value(body);
    batch.map_err(|_| {
        ApiError::mistake(
            "",
            "invalid_value",
            "null is not allowed beside the operations' own bodies",
        )
    })
}

pub(super) async fn outcome(
    api: &Api,
    caller: &Caller,
    operation: &Operation,
    overlay: &Overlay,
    now_ms: i64,
) -> Result<Outcome, ApiError> {
    let (id, patch, if_match) = match operation {
        Operation::Create { campaign } => {
            let Draft {
                document,
                announcements,
                ..
            } = Campaigns::draft(api, caller, None, campaign.clone(), now_ms).await?;
            Campaigns::check(api, None, &document).await?;
            return Ok(Outcome {
                document,
                is_new: true,
                announcements,
                is_change: true,
            });
        }
        Operation::Update { id, patch, if_match } => (id, patch.clone(), if_match),
        Operation::Archive { id, if_match } => (id, archiving(), if_match),
    };
    let precondition = if_match
        .as_deref()
        .map_or(Ok(Precondition::Any), Precondition::parse)?;
    let current = match overlay.get(id) {
        Some(document) => document.clone(),
        None => find(api, caller, Kind::Campaign, id).await?,
    };
    Ok(
        match revised::<Campaigns>(caller, &current, &precondition, &patch, now_ms)? {
            Some(Draft {
                document,
                announcements,
                ..
            }) => {
                Campaigns::check(api, Some(&current), &document).await?;
                Outcome {
                    document,
                    is_new: false,
                    announcements,
                    is_change: true,
                }
            }
            None => Outcome {
                document: current,
                is_new: false,
                announcements: Vec::new(),
                is_change: false,
            },
        },
    )
}

pub(super) async fn success(api: &Api, outcome: &Outcome) -> Result<Value, ApiError> {
    let (status, campaign) = match outcome.is_new {
        true => (201, Campaigns::show_new(api, &outcome.document).await?),
        false => (200, show_one::<Campaigns>(api, &outcome.document).await?),
    };
    Ok(json!({"status": status, "etag": etag(outcome.document.version), "campaign": campaign}))
}

/// The operation's problem, its pointers from the root of the request.
pub(super) fn failure(error: ApiError, operation: &Operation, index: usize) -> Value {
    let below = match operation {
        Operation::Create { .. } => format!("/operations/{index}/campaign"),
        Operation::Update { .. } => format!("/operations/{index}/patch"),
        Operation::Archive { .. } => format!("/operations/{index}"),
    };
    let problem = error.below(&below).into_problem();
    json!({"status": problem.status().as_u16(), "problem": problem})
}

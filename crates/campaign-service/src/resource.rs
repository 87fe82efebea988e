//! What all resources have in common: create, list, read, patch, archive.

mod change;
mod create;
mod read;

pub(crate) use change::{archive, archiving, patch, patched, revised};
pub(crate) use create::{create, create_below, write_once};
pub(crate) use read::{list, list_below, read};

use crate::api::Api;
use crate::auth::Caller;
use crate::error::ApiError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::future::Future;
use storage::StorageError;
use storage::campaign_store::{Announcement, Document, Kind};

pub(crate) const ARCHIVED: &str = "archived";

/// A change that is checked and not yet written.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) document: Document,
    pub(crate) announcements: Vec<Announcement>,
    /// Members that only this one answer shows, and that no repeat of it will: a key's secret.
    pub(crate) reveal: Option<(&'static str, String)>,
}

/// One kind of object.
pub(crate) trait Resource: Send + Sync + Sized + 'static {
    const KIND: Kind;
    /// The first segment of its URLs.
    const PATH: &'static str;
    const STATUSES: &'static [&'static str] = &["active", "paused", ARCHIVED];

    fn may_read(_caller: &Caller) -> Result<(), ApiError> {
        Ok(())
    }

    fn may_create(caller: &Caller) -> Result<(), ApiError> {
        Self::may_change(caller)
    }

    fn may_change(caller: &Caller) -> Result<(), ApiError> {
        caller.require_writer()
    }

    /// A new object from a body; `parent` is there for those that belong to one.
    fn draft(
        api: &Api,
        caller: &Caller,
        parent: Option<&Document>,
        body: Value,
        now_ms: i64,
    ) -> impl Future<Output = Result<Draft, ApiError>> + Send;

    /// The object changed by a merge patch, which is an object. `None`: it stays as it is.
    fn revise(
        caller: &Caller,
        current: &Document,
        patch: Value,
        now_ms: i64,
    ) -> Result<Option<Draft>, ApiError>;

    /// What only the store knows to be wrong with the next version; `before` is the one it replaces.
    fn check(
        _api: &Api,
        _before: Option<&Document>,
        _after: &Document,
    ) -> impl Future<Output = Result<(), ApiError>> + Send {
        std::future::ready(Ok(()))
    }

    /// Representations, in the order of the documents.
    fn show(_api: &Api, documents: &[Document]) -> impl Future<Output = Result<Vec<Value>, ApiError>> + Send {
        std::future::ready(Ok(documents
            .iter()
            .map(|document| document.body.clone())
            .collect()))
    }

    /// One that is about to be stored: nothing is below it yet.
    fn show_new(api: &Api, document: &Document) -> impl Future<Output = Result<Value, ApiError>> + Send {
        show_one::<Self>(api, document)
    }
}

/// The document, when it exists and the caller may see it.
pub(crate) async fn find(api: &Api, caller: &Caller, kind: Kind, id: &str) -> Result<Document, ApiError> {
    let document = api.store.get(kind, id).await?;
    document
        .filter(|document| caller.sees(document))
        .ok_or(ApiError::NotFound)
}

pub(crate) async fn show_one<R: Resource>(api: &Api, document: &Document) -> Result<Value, ApiError> {
    let mut shown = R::show(api, std::slice::from_ref(document)).await?;
    Ok(shown.pop().unwrap_or_default())
}

/// The typed object in a document.
pub(crate) fn stored<T: DeserializeOwned>(document: &Document) -> Result<T, ApiError> {
    Ok(serde_json::from_value(document.body.clone()).map_err(StorageError::from)?)
}

pub(crate) fn body<T: Serialize>(object: &T) -> Result<Value, ApiError> {
    Ok(serde_json::to_value(object).map_err(StorageError::from)?)
}

/// A status as lists and JSON spell it.
pub(crate) fn word<T: Serialize>(status: &T) -> Result<String, ApiError> {
    Ok(body(status)?.as_str().unwrap_or_default().to_owned())
}

//! Dimensions seen lately, by their JSON text.

use domain::event::Dimensions;
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::sync::Arc;

/// About a kilobyte each.
const KEPT: usize = 50_000;

/// Bidders repeat the same combinations every second, letter for letter: each is read and kept once. When it is full it
/// begins anew.
#[derive(Debug, Default)]
pub struct KnownDimensions(HashMap<Box<str>, Arc<Dimensions>>);

impl KnownDimensions {
    pub(super) fn of(&mut self, text: &RawValue) -> serde_json::Result<Arc<Dimensions>> {
        if let Some(known) = self.0.get(text.get()) {
            return Ok(known.clone());
        }
        let dimensions: Arc<Dimensions> = Arc::new(serde_json::from_str(text.get())?);
        if self.0.len() >= KEPT {
            self.0.clear();
        }
        self.0.insert(text.get().into(), dimensions.clone());
        Ok(dimensions)
    }
}

//! The platform's HTTP API as the demo's advertisers use it.

use anyhow::{Context, ensure};
use serde_json::Value;
use std::time::Duration;

/// A client with the administrator's key.
#[derive(Clone)]
pub(super) struct Api {
    client: reqwest::Client,
    key: String,
    /// Base URL of campaign-service, which forwards `/analytics` too.
    base: String,
}

impl Api {
    pub(super) fn new(base: String, key: String) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(10))
            .build()?;
        Ok(Self { client, key, base })
    }

    /// Creates an object and returns it as stored.
    pub(super) async fn create(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let request = self.client.post(format!("{}{path}", self.base)).json(body);
        self.send(request, path).await
    }

    pub(super) async fn get(&self, path_and_query: &str) -> anyhow::Result<Value> {
        self.send(
            self.client.get(format!("{}{path_and_query}", self.base)),
            path_and_query,
        )
        .await
    }

    async fn send(&self, request: reqwest::RequestBuilder, what: &str) -> anyhow::Result<Value> {
        let answer = request
            .bearer_auth(&self.key)
            .send()
            .await
            .with_context(|| what.to_owned())?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "{what} answered {status}: {text}");
        serde_json::from_str(&text).with_context(|| format!("{what} answered no JSON"))
    }
}

/// The `id` of a created object.
pub(super) fn id_of(object: &Value) -> anyhow::Result<&str> {
    object["id"].as_str().context("a created object has no id")
}

//! Every URL.

use crate::advertisers::Advertisers;
use crate::api::Api;
use crate::audiences::Audiences;
use crate::campaigns::Campaigns;
use crate::creatives::{self, Creatives};
use crate::deals::Deals;
use crate::exchanges::Exchanges;
use crate::forward::{self, Bidding, Forwarder};
use crate::keys::{self, Keys};
use crate::resource::{Resource, archive, create, list, patch, read};
use crate::{auth, batch, history, members, users};
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{any, get, post};
use platform::Traces;
use platform::http::{HttpOptions, layered};
use platform::metrics::HttpMetrics;
use std::sync::Arc;
use std::time::Duration;

const BATCH_LIMIT_BYTES: usize = 5 << 20;
/// Each is taken piece by piece, and each piece waits for the store.
const UPLOADS_AT_ONCE: usize = 16;
const UPLOAD_WITHIN: Duration = Duration::from_secs(600);

pub(crate) fn router(
    api: Arc<Api>,
    analytics: Arc<Forwarder>,
    bidding: Arc<Bidding>,
    metrics: &HttpMetrics,
    traces: &Traces,
) -> Router {
    let admitted = |routes: Router<Arc<Api>>| {
        routes
            .route_layer(from_fn_with_state(api.clone(), auth::admit))
            .with_state(api.clone())
    };
    let resources = Router::new()
        .merge(resource::<Advertisers>())
        .merge(resource::<Campaigns>())
        .merge(resource::<Audiences>())
        .merge(resource::<Deals>())
        .merge(resource::<Exchanges>())
        .merge(resource::<Keys>())
        .route("/campaigns/{id}/history", get(history::list))
        .route(
            "/campaigns/{id}/creatives",
            get(creatives::list).post(creatives::create),
        )
        .route("/creatives", get(list::<Creatives>))
        .merge(object::<Creatives>())
        .route("/keys/{id}/rotate", post(keys::rotate))
        .route("/users/{id_type}/{id}", get(users::read).delete(users::erase));
    let batch = Router::new().route("/campaigns:batch", post(batch::run));
    let uploads = Router::new().route("/audiences/{id}/members", post(members::upload));
    let analytics = Router::new()
        .route("/analytics/{*path}", any(forward::analytics))
        .with_state(analytics);
    let bidding = Router::new()
        .route("/explain", post(forward::explain))
        .route("/forecast", post(forward::forecast))
        .route_layer(from_fn_with_state(api.clone(), auth::admit))
        .with_state(bidding);
    let batch_options = HttpOptions {
        body_limit_bytes: BATCH_LIMIT_BYTES,
        ..HttpOptions::default()
    };
    let upload_options = HttpOptions {
        body_limit_bytes: members::LONGEST_BODY_BYTES,
        timeout: UPLOAD_WITHIN,
        max_in_flight: UPLOADS_AT_ONCE,
    };
    layered(admitted(batch), batch_options, metrics, traces)
        .merge(layered(admitted(uploads), upload_options, metrics, traces))
        .merge(layered(
            admitted(resources).merge(analytics).merge(bidding),
            HttpOptions::default(),
            metrics,
            traces,
        ))
}

fn resource<R: Resource>() -> Router<Arc<Api>> {
    Router::new()
        .route(&format!("/{}", R::PATH), get(list::<R>).post(create::<R>))
        .merge(object::<R>())
}

/// `DELETE` is not among the methods, so it answers 405: objects are archived. Of users alone, who are none of ours, it forgets.
fn object<R: Resource>() -> Router<Arc<Api>> {
    Router::new()
        .route(&format!("/{}/{{id}}", R::PATH), get(read::<R>).patch(patch::<R>))
        .route(&format!("/{}/{{id}}/archive", R::PATH), post(archive::<R>))
}

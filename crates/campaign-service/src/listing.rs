//! Lists: filters, order and opaque page tokens.

use crate::api::Api;
use crate::auth::Caller;
use crate::error::ApiError;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::api_key::sha256_hex;
use jiff::Timestamp;
use platform::http::FieldError;
use serde_json::{Value, json};
use storage::campaign_store::{Document, Kind, ListQuery, Order, OrderBy, OrderValue};

const DEFAULT_PAGE_SIZE: u32 = 50;
const LARGEST_PAGE_SIZE: u32 = 500;

/// Query parameters in the order they came.
pub(crate) type Parameters = Vec<(String, String)>;

/// A checked request for a page.
#[derive(Debug)]
pub(crate) struct Listing {
    kind: Kind,
    query: ListQuery,
    /// Of all that decides which objects come in which order: a token fits no other list.
    fingerprint: String,
    /// The filter asks for another tenant's objects: there are none.
    is_empty: bool,
}

#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) documents: Vec<Document>,
    pub(crate) next_page_token: Option<String>,
}

impl Listing {
    /// # Errors
    /// 400 with every mistake of the parameters.
    pub(crate) fn read(
        kind: Kind,
        statuses: &[&str],
        parent_id: Option<&str>,
        caller: &Caller,
        parameters: &Parameters,
    ) -> Result<Self, ApiError> {
        let mut reader = Reader {
            query: ListQuery {
                parent_id: parent_id.map(str::to_owned),
                limit: DEFAULT_PAGE_SIZE,
                ..ListQuery::default()
            },
            token: None,
            errors: Vec::new(),
        };
        for (index, (name, value)) in parameters.iter().enumerate() {
            if parameters[..index].iter().any(|(earlier, _)| earlier == name) {
                reader.refuse(name, "duplicate", "is given twice");
            } else {
                reader.parameter(name, value, statuses);
            }
        }
        let Reader {
            mut query,
            token,
            mut errors,
        } = reader;
        let is_empty = caller.tenant().is_some_and(|tenant| {
            query
                .advertiser_id
                .as_deref()
                .is_some_and(|asked| asked != tenant)
        });
        if let Some(tenant) = caller.tenant() {
            query.advertiser_id = Some(tenant.to_owned());
        }
        let fingerprint = fingerprint(kind, &query);
        if let Some(token) = token {
            match read_token(&token, &fingerprint) {
                Some(after) => query.after = Some(after),
                None => errors.push(FieldError::new(
                    "page_token",
                    "invalid_value",
                    "belongs to no list with these parameters",
                )),
            }
        }
        if errors.is_empty() {
            Ok(Self {
                kind,
                query,
                fingerprint,
                is_empty,
            })
        } else {
            Err(ApiError::Parameters(errors))
        }
    }

    pub(crate) async fn page(mut self, api: &Api) -> Result<Page, ApiError> {
        if self.is_empty {
            return Ok(Page {
                documents: Vec::new(),
                next_page_token: None,
            });
        }
        let page_size = self.query.limit as usize;
        // One more tells whether there is a next page.
        self.query.limit += 1;
        let mut documents = api.store.list(self.kind, &self.query).await?;
        let has_more = documents.len() > page_size;
        documents.truncate(page_size);
        let next_page_token = match documents.last() {
            Some(last) if has_more => Some(write_token(
                &self.fingerprint,
                &order_value(self.query.order.by, last),
                &last.id,
            )),
            _ => None,
        };
        Ok(Page {
            documents,
            next_page_token,
        })
    }
}

impl Page {
    /// `{"items": […], "next_page_token": …}`; the last page's token is `null`, as in reports.
    pub(crate) fn body(items: Vec<Value>, next_page_token: Option<String>) -> Value {
        json!({"items": items, "next_page_token": next_page_token})
    }
}

struct Reader {
    query: ListQuery,
    token: Option<String>,
    errors: Vec<FieldError>,
}

impl Reader {
    fn refuse(&mut self, name: &str, code: &'static str, message: impl Into<String>) {
        self.errors.push(FieldError::new(name, code, message));
    }

    fn parameter(&mut self, name: &str, value: &str, statuses: &[&str]) {
        match name {
            "page_size" => match page_size(value) {
                Some(size) => self.query.limit = size,
                None => self.refuse(name, "invalid_value", format!("must be 1 to {LARGEST_PAGE_SIZE}")),
            },
            "page_token" => self.token = Some(value.to_owned()),
            "status" => self.statuses(value, statuses),
            "advertiser_id" => self.query.advertiser_id = Some(value.to_owned()),
            "campaign_id" if self.query.parent_id.is_none() => self.query.parent_id = Some(value.to_owned()),
            "name" => self.query.name_contains = Some(value.to_owned()),
            "external_id" => self.query.external_id = Some(value.to_owned()),
            "updated_since" => match value.parse::<Timestamp>() {
                Ok(instant) => self.query.updated_since_ms = Some(instant.as_millisecond()),
                Err(_) => self.refuse(
                    name,
                    "invalid_value",
                    "must be a time of RFC 3339, such as 2026-11-23T00:00:00Z",
                ),
            },
            "order_by" => match order(value) {
                Some(order) => self.query.order = order,
                None => self.refuse(
                    name,
                    "unknown_value",
                    "must be created_at, updated_at or name, with \" desc\" behind it or not",
                ),
            },
            _ => self.refuse(name, "unknown_field", "is no parameter of this list"),
        }
    }

    /// One status, or several with commas between them.
    fn statuses(&mut self, value: &str, known: &[&str]) {
        let asked: Vec<&str> = value.split(',').map(str::trim).collect();
        if asked.iter().all(|status| known.contains(status)) {
            self.query.statuses = asked.into_iter().map(str::to_owned).collect();
        } else {
            self.refuse(
                "status",
                "unknown_value",
                format!("must be some of {}", known.join(", ")),
            );
        }
    }
}

pub(crate) fn page_size(text: &str) -> Option<u32> {
    text.parse()
        .ok()
        .filter(|size| (1..=LARGEST_PAGE_SIZE).contains(size))
}

fn order(text: &str) -> Option<Order> {
    let (by, descending) = match text.strip_suffix(" desc") {
        Some(by) => (by, true),
        None => (text, false),
    };
    let by = match by {
        "created_at" => OrderBy::CreatedAt,
        "updated_at" => OrderBy::UpdatedAt,
        "name" => OrderBy::Name,
        _ => return None,
    };
    Some(Order { by, descending })
}

fn order_value(by: OrderBy, document: &Document) -> OrderValue {
    match by {
        OrderBy::CreatedAt => OrderValue::Ms(document.created_at_ms),
        OrderBy::UpdatedAt => OrderValue::Ms(document.updated_at_ms),
        OrderBy::Name => OrderValue::Text(document.name.clone()),
    }
}

fn fingerprint(kind: Kind, query: &ListQuery) -> String {
    let of = json!([
        kind,
        query.parent_id,
        query.advertiser_id,
        query.external_id,
        query.statuses,
        query.name_contains,
        query.updated_since_ms,
        format!("{:?}", query.order),
    ]);
    sha256_hex(of.to_string().as_bytes())[..16].to_owned()
}

pub(crate) fn write_token(fingerprint: &str, value: &OrderValue, id: &str) -> String {
    URL_SAFE_NO_PAD.encode(json!([fingerprint, value, id]).to_string())
}

pub(crate) fn read_token(token: &str, fingerprint: &str) -> Option<(OrderValue, String)> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (found, value, id): (String, OrderValue, String) = serde_json::from_slice(&bytes).ok()?;
    (found == fingerprint).then_some((value, id))
}

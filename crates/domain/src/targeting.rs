//! Who may see a campaign's ads. Every condition must hold; an absent one allows any.
//!
//! A list condition has values to allow and values to block: an opportunity fits when (nothing is to
//! be allowed or it has an allowed value) and it has no blocked value. An opportunity that does not say
//! (no country, no language) fails `allow` and passes `block`.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Targeting {
    #[serde(skip_serializing_if = "GeoTargeting::is_any")]
    pub geo: GeoTargeting,
    /// `desktop`, `phone`, `tablet`, `mobile` (phone or tablet, unsaid), `connected_tv`, `connected_device`, `set_top_box`, `ooh`.
    #[serde(skip_serializing_if = "AllowBlock::is_any")]
    pub devices: AllowBlock,
    /// Lower-case names as `device.os` has them: `ios`, `android`, `windows`, `macos`, …
    #[serde(skip_serializing_if = "AllowBlock::is_any")]
    pub operating_systems: AllowBlock,
    /// `chrome`, `safari`, `firefox`, `edge`, `opera`, `samsung_internet`, `other`.
    #[serde(skip_serializing_if = "AllowBlock::is_any")]
    pub browsers: AllowBlock,
    /// ISO 639-1, lower case.
    #[serde(skip_serializing_if = "AllowBlock::is_any")]
    pub languages: AllowBlock,
    /// `ethernet`, `wifi`, `cellular`, `2g`, `3g`, `4g`, `5g`.
    #[serde(skip_serializing_if = "AllowBlock::is_any")]
    pub connections: AllowBlock,
    /// `device.carrier`, compared without case.
    #[serde(skip_serializing_if = "AllowBlock::is_any")]
    pub carriers: AllowBlock,
    /// `site`, `app`, `dooh`.
    #[serde(skip_serializing_if = "AllowBlock::is_any")]
    pub inventory: AllowBlock,
    /// Domains of sites; a domain covers its subdomains. `allow` leaves out what is no site, except that with
    /// `apps.allow` beside it the one list binds sites and the other apps.
    #[serde(skip_serializing_if = "AllowBlock::is_any")]
    pub sites: AllowBlock,
    /// Bundles of apps, exact. `allow` leaves out what is no app, except as said at `sites`.
    #[serde(skip_serializing_if = "AllowBlock::is_any")]
    pub apps: AllowBlock,
    /// IAB content categories of the site, app or content, in taxonomy `category_taxonomy`; a parent covers its children (`IAB1` covers `IAB1-2`).
    #[serde(skip_serializing_if = "AllowBlock::is_any")]
    pub categories: AllowBlock,
    /// AdCOM list "Category Taxonomies": 1 is IAB Content Category Taxonomy 1.0.
    pub category_taxonomy: i64,
    /// `interstitial`, `in_stream`, `accompanying_content`, `out_of_stream`, `rewarded`, `standard`.
    #[serde(skip_serializing_if = "AllowBlock::is_any")]
    pub placements: AllowBlock,
    /// `300x250`: of the creative that would be shown.
    #[serde(skip_serializing_if = "AllowBlock::is_any")]
    pub sizes: AllowBlock,
    /// `above_the_fold`, `below_the_fold`, `header`, `footer`, `sidebar`, `full_screen`, `unknown`.
    #[serde(skip_serializing_if = "AllowBlock::is_any")]
    pub positions: AllowBlock,
    /// Hours of the week in the flight's time zone; empty means always.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub day_parts: Vec<DayPart>,
    /// Own lists (`aud_…`) and `user.data` segments (`segment:PROVIDER:ID`).
    #[serde(skip_serializing_if = "AllowBlock::is_any")]
    pub audiences: AllowBlock,
    /// Deals to bid on; with `open_auction: false`, on nothing else. By an id that an exchange gave, at whatever exchange;
    /// or by that of a record (`dea_…`), at its exchange.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deals: Vec<String>,
    pub open_auction: bool,
    #[serde(skip_serializing_if = "AllowBlock::is_any")]
    pub exchanges: AllowBlock,
    /// Of site, app, content or user; compared without case.
    #[serde(skip_serializing_if = "AllowBlock::is_any")]
    pub keywords: AllowBlock,
}

impl Default for Targeting {
    fn default() -> Self {
        Self {
            geo: Default::default(),
            devices: Default::default(),
            operating_systems: Default::default(),
            browsers: Default::default(),
            languages: Default::default(),
            connections: Default::default(),
            carriers: Default::default(),
            inventory: Default::default(),
            sites: Default::default(),
            apps: Default::default(),
            categories: Default::default(),
            placements: Default::default(),
            sizes: Default::default(),
            positions: Default::default(),
            day_parts: Default::default(),
            audiences: Default::default(),
            deals: Default::default(),
            exchanges: Default::default(),
            keywords: Default::default(),
            category_taxonomy: 1,
            open_auction: true,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AllowBlock {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub block: Vec<String>,
}

impl AllowBlock {
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.allow.is_empty() && self.block.is_empty()
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GeoTargeting {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<Place>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub block: Vec<Place>,
}

impl GeoTargeting {
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.allow.is_empty() && self.block.is_empty()
    }
}

/// Every part that is given must match: `{country: USA, region: CA}` is California.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Place {
    /// ISO 3166-1 alpha-3, upper case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// ISO 3166-2 subdivision without the country: `CA`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Compared without case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub radius: Option<Radius>,
}

/// A circle on the globe. Degrees are millionths, so that a campaign compares and stores exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Radius {
    pub latitude_micros: i64,
    pub longitude_micros: i64,
    pub radius_meters: i64,
}

/// From `start_minute` (inclusive) to `end_minute` (exclusive) of the local day, on each of `days`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DayPart {
    pub days: Vec<Weekday>,
    /// Minutes after local midnight, 0 to 1439.
    pub start_minute: u16,
    /// 1 to 1440, greater than `start_minute`.
    pub end_minute: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

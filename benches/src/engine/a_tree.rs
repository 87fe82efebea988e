//! The same targeting as expressions of the `a-tree` crate, after "A-Tree: A Dynamic Data Structure for Efficiently Indexing
//! Arbitrary Boolean Expressions" (SIGMOD 2021).

use crate::spread::Spread;
use a_tree::{ATree, AttributeDefinition};
use anyhow::Context;
use domain::serving::ServingCampaign;
use jiff::Timestamp;

/// The request's, as [`crate::load_request`] has it.
const FLOOR_CPM_MICROS: i64 = 3_580_000;
const WORDS: [(&str, &str); 6] = [
    ("operating_system", "ios"),
    ("device", "desktop"),
    ("inventory", "site"),
    ("language", "en"),
    ("site", "news.example"),
    ("size", "1767x1092"),
];
const CATEGORIES: [&str; 12] = [
    "1", "35", "546", "767", "1220", "1122", "787", "993", "131", "47", "78", "93",
];
const SEGMENT: &str = "segment:pub-demographics:345qw245wfrtgwertrt56765wert";

pub(crate) struct Tree {
    tree: ATree<usize>,
    prices: Vec<i64>,
}

impl Tree {
    pub(crate) fn new(spread: &Spread) -> anyhow::Result<Self> {
        let template = Spread::template(Timestamp::now())?;
        let mut attributes = vec![
            AttributeDefinition::integer("floor"),
            AttributeDefinition::string("country"),
            AttributeDefinition::string_list("categories"),
            AttributeDefinition::string_list("audiences"),
            AttributeDefinition::string_list("keywords"),
        ];
        attributes.extend(WORDS.map(|(name, _)| AttributeDefinition::string(name)));
        let failed = |error: String| anyhow::anyhow!("a-tree: {error}");
        let mut tree = ATree::new(&attributes).map_err(|error| failed(error.to_string()))?;
        let mut prices = Vec::with_capacity(spread.campaigns);
        for number in 0..spread.campaigns {
            let campaign = spread.campaign(number, &template);
            let expression = expression(&campaign);
            let inserted = tree.insert(&number, &expression);
            inserted.map_err(|error| failed(error.to_string()))?;
            prices.push(campaign.campaign.spec.bid.max_cpm_micros);
        }
        Ok(Self { tree, prices })
    }

    /// Campaigns that match, and of them the dearest: the request's words are taken as they are, read by nobody.
    pub(crate) fn best(&self) -> anyhow::Result<(usize, usize)> {
        let failed = |error: String| anyhow::anyhow!("a-tree: {error}");
        let mut event = self.tree.make_event();
        let mut fill = || {
            event.with_integer("floor", FLOOR_CPM_MICROS)?;
            event.with_string_list("categories", &CATEGORIES)?;
            event.with_string_list("audiences", &[SEGMENT])?;
            WORDS
                .iter()
                .try_for_each(|(name, word)| event.with_string(name, word))
        };
        fill().map_err(|error| failed(error.to_string()))?;
        let event = event.build().map_err(|error| failed(error.to_string()))?;
        let found = self.tree.search(&event);
        let found = found.map_err(|error| failed(error.to_string()))?;
        let price = |number: &&&usize| self.prices.get(***number).copied();
        let best = found
            .matches()
            .iter()
            .max_by_key(price)
            .context("nothing matches")?;
        Ok((found.matches().len(), **best))
    }
}

fn expression(serving: &ServingCampaign) -> String {
    let spec = &serving.campaign.spec;
    let mut conditions = vec![format!("floor <= {}", spec.bid.max_cpm_micros)];
    let size = serving
        .creatives
        .first()
        .map(|creative| (creative.spec.width, creative.spec.height));
    if let Some((Some(width), Some(height))) = size {
        conditions.push(format!("size = \"{width}x{height}\""));
    }
    let targeting = &spec.targeting;
    let mut list = |name: &str, relation: &str, words: &[String]| {
        if !words.is_empty() {
            conditions.push(format!("{name} {relation} {words:?}"));
        }
    };
    list("operating_system", "in", &targeting.operating_systems.allow);
    list("device", "in", &targeting.devices.allow);
    list("inventory", "in", &targeting.inventory.allow);
    list("language", "in", &targeting.languages.allow);
    list("site", "in", &targeting.sites.allow);
    list("categories", "one of", &targeting.categories.allow);
    list("audiences", "one of", &targeting.audiences.allow);
    list("keywords", "one of", &targeting.keywords.allow);
    let countries = targeting
        .geo
        .allow
        .iter()
        .filter_map(|place| place.country.clone());
    list("country", "in", &countries.collect::<Vec<_>>());
    conditions.join(" and ")
}

/// Which of `site`, `app`, `dooh` the request named.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum InventoryKind {
    /// None of them: served, its context unknown.
    #[default]
    Unknown,
    Site,
    App,
    Dooh,
}

/// The site (3.2.13), app (3.2.14) or DOOH placement (3.2.32) the impressions are on: one struct, since
/// they differ in a few fields that stay absent in the others.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inventory<'a> {
    pub kind: InventoryKind,
    pub id: Option<&'a str>,
    pub name: Option<&'a str>,
    pub domain: Option<&'a str>,
    /// App only: the platform's own id of the application.
    pub bundle: Option<&'a str>,
    pub storeurl: Option<&'a str>,
    pub cat: &'a [&'a str],
    pub sectioncat: &'a [&'a str],
    pub pagecat: &'a [&'a str],
    /// Taxonomy of the three lists above; absent means 1; `ext.cattax` read too.
    pub cattax: Option<u16>,
    pub page: Option<&'a str>,
    /// `ref`, the referring page.
    pub referrer: Option<&'a str>,
    pub search: Option<&'a str>,
    /// Laid out for mobile.
    pub mobile: Option<bool>,
    /// Comma-separated; `kwarray` is the same as a list.
    pub keywords: Option<&'a str>,
    pub kwarray: &'a [&'a str],
    pub content: Option<&'a Content<'a>>,
    pub publisher: Publisher<'a>,
    /// Domain that ads.txt or app-ads.txt names as the inventory's partner; `ext` read too.
    pub inventorypartnerdomain: Option<&'a str>,
    /// DOOH only.
    pub venuetype: &'a [&'a str],
    /// Taxonomy of `venuetype`; absent means 1.
    pub venuetypetax: Option<u16>,
}

/// What is being watched, heard or read (3.2.16).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Content<'a> {
    pub id: Option<&'a str>,
    pub episode: Option<u32>,
    pub title: Option<&'a str>,
    pub series: Option<&'a str>,
    pub season: Option<&'a str>,
    pub genre: Option<&'a str>,
    pub url: Option<&'a str>,
    pub cat: &'a [&'a str],
    /// Taxonomy of `cat`; absent means 1.
    pub cattax: Option<u16>,
    pub context: Option<u16>,
    pub contentrating: Option<&'a str>,
    pub qagmediarating: Option<u16>,
    pub keywords: Option<&'a str>,
    pub kwarray: &'a [&'a str],
    pub livestream: Option<bool>,
    /// Seconds.
    pub len: Option<u32>,
    pub language: Option<&'a str>,
    pub langb: Option<&'a str>,
}

/// The publisher (3.2.15).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Publisher<'a> {
    pub id: Option<&'a str>,
    pub name: Option<&'a str>,
    pub domain: Option<&'a str>,
    pub cat: &'a [&'a str],
    /// Taxonomy of `cat`; absent means 1.
    pub cattax: Option<u16>,
}

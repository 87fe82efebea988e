use crate::Malformed;
use crate::json::{FromObject, Reader};

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

impl<'a> FromObject<'a> for Inventory<'a> {
    fn from_object(json: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut inventory = Self::default();
        let mut ext_cattax = None;
        let mut ext_partner = None;
        json.members(|json, key| {
            match key {
                b"id" => inventory.id = json.text()?,
                b"name" => inventory.name = json.text()?,
                b"domain" => inventory.domain = json.text()?,
                b"bundle" => inventory.bundle = json.text()?,
                b"storeurl" => inventory.storeurl = json.text()?,
                b"cat" => inventory.cat = json.texts()?,
                b"sectioncat" => inventory.sectioncat = json.texts()?,
                b"pagecat" => inventory.pagecat = json.texts()?,
                b"cattax" => inventory.cattax = json.integer()?,
                b"page" => inventory.page = json.text()?,
                b"ref" => inventory.referrer = json.text()?,
                b"search" => inventory.search = json.text()?,
                b"mobile" => inventory.mobile = json.flag()?,
                b"keywords" => inventory.keywords = json.text()?,
                b"kwarray" => inventory.kwarray = json.texts()?,
                b"content" => inventory.content = json.object_ref()?,
                b"publisher" => inventory.publisher = json.object_or_default()?,
                b"inventorypartnerdomain" => inventory.inventorypartnerdomain = json.text()?,
                b"venuetype" => inventory.venuetype = json.texts()?,
                b"venuetypetax" => inventory.venuetypetax = json.integer()?,
                b"ext" => {
                    json.members(|json, key| {
                        match key {
                            b"cattax" => ext_cattax = json.integer()?,
                            b"inventorypartnerdomain" => ext_partner = json.text()?,
                            _ => json.skip()?,
                        }
                        Ok(())
                    })?;
                }
                _ => json.skip()?,
            }
            Ok(())
        })?;
        inventory.cattax = inventory.cattax.or(ext_cattax);
        inventory.inventorypartnerdomain = inventory.inventorypartnerdomain.or(ext_partner);
        Ok(inventory)
    }
}

impl<'a> FromObject<'a> for Content<'a> {
    fn from_object(json: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut content = Self::default();
        json.members(|json, key| {
            match key {
                b"id" => content.id = json.text()?,
                b"episode" => content.episode = json.integer()?,
                b"title" => content.title = json.text()?,
                b"series" => content.series = json.text()?,
                b"season" => content.season = json.text()?,
                b"genre" => content.genre = json.text()?,
                b"url" => content.url = json.text()?,
                b"cat" => content.cat = json.texts()?,
                b"cattax" => content.cattax = json.integer()?,
                b"context" => content.context = json.integer()?,
                b"contentrating" => content.contentrating = json.text()?,
                b"qagmediarating" => content.qagmediarating = json.integer()?,
                b"keywords" => content.keywords = json.text()?,
                b"kwarray" => content.kwarray = json.texts()?,
                b"livestream" => content.livestream = json.flag()?,
                b"len" => content.len = json.integer()?,
                b"language" => content.language = json.text()?,
                b"langb" => content.langb = json.text()?,
                _ => json.skip()?,
            }
            Ok(())
        })?;
        Ok(content)
    }
}

impl<'a> FromObject<'a> for Publisher<'a> {
    fn from_object(json: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut publisher = Self::default();
        json.members(|json, key| {
            match key {
                b"id" => publisher.id = json.text()?,
                b"name" => publisher.name = json.text()?,
                b"domain" => publisher.domain = json.text()?,
                b"cat" => publisher.cat = json.texts()?,
                b"cattax" => publisher.cattax = json.integer()?,
                _ => json.skip()?,
            }
            Ok(())
        })?;
        Ok(publisher)
    }
}

//! Creatives, compiled.

use crate::conditions::Conditions;
use crate::hash::exact;
use crate::record::{Adomain, CreativeTraits};
use crate::words::host;
use domain::creative::{Creative, CreativeSpec, Format, NativeAsset};
use std::sync::Arc;

/// OpenRTB 2.6, 4.2.3: `crid` of at most 64 bytes; exchanges take banner markup up to about 6 KB.
const CRID_LIMIT_BYTES: usize = 64;
const BANNER_MARKUP_LIMIT_BYTES: usize = 6 * 1024;
/// What one of our URLs with its sealed token takes at most with ids of usual length, a click's landing page apart.
const OWN_URL_BYTES: usize = 640;
/// The element around a pixel's URL.
const PIXEL_BYTES: usize = 80;

/// Banner ad types (AdCOM list "Creative Subtypes - Display", as `btype` has them).
const BTYPE_XHTML: u16 = 2;
const BTYPE_JAVASCRIPT: u16 = 3;
const BTYPE_IFRAME: u16 = 4;

/// In the order of the fields, as [`crate::campaign::CompiledCampaign`].
#[derive(Debug)]
#[repr(C)]
pub(crate) struct CompiledCreative {
    /// Set by its campaign, whose lists count too.
    pub(crate) may_fail: Conditions,
    pub(crate) weight: u32,
    pub(crate) format: Format,
    pub(crate) is_too_large: bool,
    /// Markup and every tracker are https.
    pub(crate) is_secure: bool,
    /// Position in the campaign's `creatives`.
    pub(crate) position: u32,
    pub(crate) traits: Arc<CreativeTraits>,
    pub(crate) adomain: Arc<Adomain>,
    /// Of its id.
    pub(crate) hash: u64,
    /// Of the app it advertises, where its landing page is a store.
    pub(crate) bundle: Option<Box<u64>>,
}

impl CompiledCreative {
    pub(crate) fn compile(
        position: u32,
        creative: &Creative,
        (adomain, traits): &(Arc<Adomain>, Arc<CreativeTraits>),
    ) -> Self {
        let spec = &creative.spec;
        Self {
            position,
            hash: exact(creative.id.as_str()),
            may_fail: Conditions::MAX,
            format: spec.format,
            weight: spec.weight,
            is_too_large: is_too_large(creative),
            is_secure: is_secure(creative),
            bundle: advertised_bundle(&spec.click_url).map(|bundle| Box::new(exact(bundle))),
            adomain: adomain.clone(),
            traits: traits.clone(),
        }
    }

    /// Seconds, begun ones count.
    pub(crate) fn duration_s(&self) -> Option<i64> {
        self.traits.duration_ms.map(|ms| begun_seconds(ms.into()))
    }
}

pub(crate) fn begun_seconds(ms: i64) -> i64 {
    ms.div_euclid(1_000) + i64::from(ms.rem_euclid(1_000) != 0)
}

fn is_too_large(creative: &Creative) -> bool {
    creative.crid().len() > CRID_LIMIT_BYTES
        || (creative.spec.format == Format::Banner
            && banner_bytes(&creative.spec) > BANNER_MARKUP_LIMIT_BYTES)
}

/// A banner's markup as it is sent: with our pixel, the trackers' and the click URLs filled in.
fn banner_bytes(spec: &CreativeSpec) -> usize {
    let markup = spec.markup.as_deref().unwrap_or_default();
    // The landing page lies in the token, in base64.
    let click_url_bytes = OWN_URL_BYTES + spec.click_url.len().div_ceil(3) * 4;
    let clicks_bytes = markup.matches("{CLICK_URL}").count() * click_url_bytes;
    let trackers = spec.impression_trackers.iter().map(String::len);
    let pixels_bytes: usize = trackers.chain([OWN_URL_BYTES]).map(|url| url + PIXEL_BYTES).sum();
    markup.len() + clicks_bytes + pixels_bytes
}

pub(crate) fn banner_types(creative: &Creative) -> Box<[u16]> {
    let markup = creative
        .spec
        .markup
        .as_deref()
        .filter(|_| creative.spec.format == Format::Banner);
    let Some(markup) = markup else {
        return Box::default();
    };
    let found = [("script", BTYPE_JAVASCRIPT), ("iframe", BTYPE_IFRAME)];
    let found = found.into_iter().filter(|(tag, _)| has_element(markup, tag));
    std::iter::once(BTYPE_XHTML)
        .chain(found.map(|(_, kind)| kind))
        .collect()
}

fn has_element(markup: &str, name: &str) -> bool {
    let mut begun = markup.match_indices('<');
    begun.any(|(at, _)| begins(&markup.as_bytes()[at + 1..], name))
}

/// Without case (ASCII).
fn begins(bytes: &[u8], word: &str) -> bool {
    let head = bytes.get(..word.len());
    head.is_some_and(|head| head.eq_ignore_ascii_case(word.as_bytes()))
}

/// The landing page is apart: it opens in a page of its own.
fn is_secure(creative: &Creative) -> bool {
    let spec = &creative.spec;
    let assets = spec.assets.iter().map(|asset| match asset {
        NativeAsset::Image { url, .. } => url.as_str(),
        NativeAsset::Video { vast, .. } => vast,
        NativeAsset::Title { .. } | NativeAsset::Data { .. } => "",
    });
    let texts = [spec.markup.as_deref(), spec.vast_url.as_deref()];
    let trackers = spec.impression_trackers.iter().chain(&spec.click_trackers);
    texts
        .into_iter()
        .flatten()
        .chain(assets)
        .chain(trackers.map(String::as_str))
        .all(has_no_plain_http)
}

/// Names of XML namespaces look like addresses, but nothing is fetched from them. Scripts write `http:\/\/` too.
fn has_no_plain_http(text: &str) -> bool {
    const NAMESPACES: [&str; 2] = ["www.w3.org", "www.iab.com"];
    text.match_indices(':').all(|(at, _)| {
        let scheme = text.as_bytes()[..at].last_chunk::<4>();
        let is_http = scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"http"));
        let Some(host) = after_slash(&text[at + 1..])
            .and_then(after_slash)
            .filter(|_| is_http)
        else {
            return true;
        };
        NAMESPACES.iter().any(|name| {
            begins(host.as_bytes(), name) && host.get(name.len()..).and_then(after_slash).is_some()
        })
    })
}

fn after_slash(text: &str) -> Option<&str> {
    text.strip_prefix('/').or_else(|| text.strip_prefix("\\/"))
}

/// The app whose store page a landing page is: `id=com.example` of Google Play, the digits of `/id123` of the App Store.
#[must_use]
pub fn advertised_bundle(click_url: &str) -> Option<&str> {
    let host = host(click_url)?;
    if host.eq_ignore_ascii_case("play.google.com") {
        let (_, query) = click_url.split_once('?')?;
        return query.split(['&', '#']).find_map(|pair| pair.strip_prefix("id="));
    }
    if host.eq_ignore_ascii_case("apps.apple.com") || host.eq_ignore_ascii_case("itunes.apple.com") {
        let (_, rest) = click_url.split_once("/id")?;
        return rest
            .split(|letter: char| !letter.is_ascii_digit())
            .next()
            .filter(|id| !id.is_empty());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_found_and_namespaces_are_not_taken_for_it() {
        assert!(has_no_plain_http(
            "<svg xmlns=\"http://www.w3.org/2000/svg\"><img src='https://a/b'>"
        ));
        assert!(!has_no_plain_http("<img src=\"HTTP://a.example/b\">"));
        assert!(!has_no_plain_http(
            r#"<script>load("http:\/\/a.example\/b")</script>"#
        ));
        assert!(has_no_plain_http(
            r#"ns("http:\/\/WWW.w3.org\/2000\/svg"); http: //é"#
        ));
        assert!(!has_no_plain_http("http://www.w3.org.example/"));
        assert!(!has_no_plain_http("http://"));
    }

    #[test]
    fn scripts_and_frames_are_found_whatever_their_case() {
        assert!(has_element("<p>a</p><SCRIPT src=a>", "script"));
        assert!(!has_element("< script <scr", "script"));
    }

    #[test]
    fn a_store_names_the_app_that_is_advertised() {
        assert_eq!(
            advertised_bundle("https://play.google.com/store/apps/details?hl=en&id=com.a.b"),
            Some("com.a.b")
        );
        assert_eq!(
            advertised_bundle("https://apps.apple.com/us/app/name/id12345?mt=8"),
            Some("12345")
        );
        assert_eq!(advertised_bundle("https://shop.example/id9"), None);
    }
}

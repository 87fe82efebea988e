//! What a client may say of a campaign's targeting.

use super::{Field, Fields, LONGEST_LIST, syntax};
use serde_json::Value;

const DEVICES: &[&str] = &[
    "desktop",
    "phone",
    "tablet",
    "mobile",
    "connected_tv",
    "connected_device",
    "set_top_box",
    "ooh",
];
const BROWSERS: &[&str] = &[
    "chrome",
    "safari",
    "firefox",
    "edge",
    "opera",
    "samsung_internet",
    "other",
];
const CONNECTIONS: &[&str] = &["ethernet", "wifi", "cellular", "2g", "3g", "4g", "5g"];
const INVENTORY: &[&str] = &["site", "app", "dooh"];
const PLACEMENTS: &[&str] = &[
    "interstitial",
    "in_stream",
    "accompanying_content",
    "out_of_stream",
    "rewarded",
    "standard",
];
const POSITIONS: &[&str] = &[
    "above_the_fold",
    "below_the_fold",
    "header",
    "footer",
    "sidebar",
    "full_screen",
    "unknown",
];
const WEEKDAYS: &[&str] = &[
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];

type Check = fn(&str) -> Result<(), &'static str>;

pub(super) fn walk(targeting: &mut Fields<'_, '_>) {
    targeting.optional("geo").object(|geo| {
        geo.optional("allow")
            .list(0..=LONGEST_LIST, |_, item| item.object(place));
        geo.optional("block")
            .list(0..=LONGEST_LIST, |_, item| item.object(place));
    });
    let words: [(&'static str, &[&str]); 6] = [
        ("devices", DEVICES),
        ("browsers", BROWSERS),
        ("connections", CONNECTIONS),
        ("inventory", INVENTORY),
        ("placements", PLACEMENTS),
        ("positions", POSITIONS),
    ];
    for (name, words) in words {
        allow_block(targeting.optional(name), |item| {
            item.word(words);
        });
    }
    let texts: [(&'static str, Check); 10] = [
        ("operating_systems", syntax::operating_system),
        ("languages", syntax::language),
        ("carriers", syntax::phrase),
        ("sites", syntax::domain),
        ("apps", syntax::phrase),
        ("categories", syntax::category),
        ("sizes", syntax::size),
        ("audiences", syntax::audience),
        ("exchanges", syntax::exchange_id),
        ("keywords", syntax::phrase),
    ];
    for (name, check) in texts {
        allow_block(targeting.optional(name), |item| {
            item.checked(check);
        });
    }
    targeting.optional("category_taxonomy").integer(1..=1_000);
    targeting
        .optional("day_parts")
        .list(0..=LONGEST_LIST, |_, part| part.object(day_part));
    let deals = targeting
        .optional("deals")
        .texts(0..=LONGEST_LIST, syntax::phrase);
    if targeting.optional("open_auction").flag() == Some(false) && deals == 0 {
        targeting.mistake(
            "open_auction",
            "invalid_value",
            "false leaves nothing to bid on without deals",
        );
    }
}

fn allow_block(condition: Field<'_, '_>, read: impl Fn(Field<'_, '_>)) {
    condition.object(|lists| {
        lists
            .optional("allow")
            .list(0..=LONGEST_LIST, |_, item| read(item));
        lists
            .optional("block")
            .list(0..=LONGEST_LIST, |_, item| read(item));
    });
}

fn place(place: &mut Fields<'_, '_>) {
    let country = place.optional("country");
    let has_country = country.is_given();
    country.checked(syntax::country);
    let region = place.optional("region");
    let has_region = region.is_given();
    region.text(1..=10);
    let mut is_empty = !has_country && !has_region;
    for (name, longest) in [("city", 100), ("zip", 20)] {
        let part = place.optional(name);
        is_empty &= !part.is_given();
        part.text(1..=longest);
    }
    let radius = place.optional("radius");
    is_empty &= !radius.is_given();
    radius.object(|circle| {
        circle
            .required("latitude_micros")
            .integer(-90_000_000..=90_000_000);
        circle
            .required("longitude_micros")
            .integer(-180_000_000..=180_000_000);
        circle.required("radius_meters").integer(1..=1_000_000);
    });
    if is_empty {
        place.mistake("", "required", "needs a country, region, city, zip or radius");
    } else if has_region && !has_country {
        place.mistake("country", "required", "is required with a region");
    }
}

fn day_part(part: &mut Fields<'_, '_>) {
    let mut seen: Vec<&Value> = Vec::new();
    part.required("days").list(1..=7, |value, day| {
        if seen.contains(&value) {
            day.refuse("duplicate", "is named twice");
        } else {
            seen.push(value);
            day.word(WEEKDAYS);
        }
    });
    let start = part.required("start_minute").integer(0..=1_439);
    let end = part.required("end_minute").integer(1..=1_440);
    if let (Some(start), Some(end)) = (start, end)
        && end <= start
    {
        part.mistake("end_minute", "too_small", "must be greater than start_minute");
    }
}

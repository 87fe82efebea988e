//! Native answers (OpenRTB Dynamic Native Ads 1.2, chapter 5): the creative's assets under the ids that the
//! request gave them.

use bidding_engine::NativeRecord;
use domain::creative::NativeAsset;
use openrtb::native::{Asset, NativeRequest};
use serde::Serialize;
use std::borrow::Cow;

/// What the bid fills in: where the answer's own URLs lead, and the macros of trackers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NativeFill<'a> {
    pub(crate) click: &'a str,
    pub(crate) impression: &'a str,
    pub(crate) click_id: &'a str,
    pub(crate) cache_buster: &'a str,
}

impl NativeFill<'_> {
    fn tracker<'u>(&self, url: &'u str) -> Cow<'u, str> {
        if url.contains('{') {
            let with_id = url.replace("{CLICK_ID}", self.click_id);
            Cow::Owned(with_id.replace("{CACHEBUSTER}", self.cache_buster))
        } else {
            Cow::Borrowed(url)
        }
    }
}

/// Event 1 is the impression, method 1 an image (7.6, 7.7).
const IMPRESSION: u16 = 1;
const IMAGE: u16 = 1;

#[derive(Serialize)]
struct Wrapped<'a> {
    native: Answer<'a>,
}

#[derive(Serialize)]
struct Answer<'a> {
    ver: &'a str,
    assets: Vec<AnswerAsset<'a>>,
    link: Link<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    imptrackers: Vec<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    eventtrackers: Vec<Tracker<'a>>,
}

#[derive(Serialize)]
struct AnswerAsset<'a> {
    id: i64,
    #[serde(skip_serializing_if = "is_optional")]
    required: u8,
    #[serde(flatten)]
    content: Content<'a>,
}

fn is_optional(required: &u8) -> bool {
    *required == 0
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Content<'a> {
    Title {
        text: &'a str,
    },
    Img {
        r#type: i64,
        url: &'a str,
        w: i64,
        h: i64,
    },
    Data {
        r#type: i64,
        value: &'a str,
    },
    Video {
        vasttag: &'a str,
    },
}

#[derive(Serialize)]
struct Link<'a> {
    url: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    clicktrackers: Vec<Cow<'a, str>>,
}

#[derive(Serialize)]
struct Tracker<'a> {
    event: u16,
    method: u16,
    url: Cow<'a, str>,
}

/// The text of `adm`. `offer_version` is `imp.native.ver`, for a request that does not say its own.
pub(crate) fn answer(
    request: &NativeRequest<'_>,
    offer_version: Option<&str>,
    own: &NativeRecord,
    fill: NativeFill<'_>,
) -> String {
    let pixels = || {
        let ours = [Cow::Borrowed(fill.impression)];
        ours.into_iter()
            .chain(own.impression_trackers.iter().map(|url| fill.tracker(url)))
    };
    let takes_events = request
        .eventtrackers
        .iter()
        .any(|tracker| tracker.event == Some(IMPRESSION) && tracker.methods.contains(&IMAGE));
    let tracker = |url| Tracker {
        event: IMPRESSION,
        method: IMAGE,
        url,
    };
    let version = request.ver.or(offer_version).unwrap_or("1.2");
    let answer = Answer {
        ver: version,
        assets: request
            .assets
            .iter()
            .filter_map(|asset| answered(asset, &own.assets))
            .collect(),
        link: Link {
            url: fill.click,
            clicktrackers: own.click_trackers.iter().map(|url| fill.tracker(url)).collect(),
        },
        imptrackers: if takes_events {
            Vec::new()
        } else {
            pixels().collect()
        },
        eventtrackers: if takes_events {
            pixels().map(tracker).collect()
        } else {
            Vec::new()
        },
    };
    // "Prior to version 1.1" the root held one field, `native` (Native 1.1, 5.1).
    let written = if matches!(version, "1" | "1.0") {
        serde_json::to_string(&Wrapped { native: answer })
    } else {
        serde_json::to_string(&answer)
    };
    written.expect("texts and numbers are always JSON")
}

/// The first of the creative's assets that fits; the engine has seen to the required ones by the same rule.
fn answered<'a>(asset: &Asset<'_>, offered: &'a [NativeAsset]) -> Option<AnswerAsset<'a>> {
    let offer = offered
        .iter()
        .find(|offer| bidding_engine::answers_native_asset(offer, asset))?;
    Some(AnswerAsset {
        id: asset.id?,
        required: u8::from(asset.required),
        content: content(offer),
    })
}

fn content(offer: &NativeAsset) -> Content<'_> {
    match offer {
        NativeAsset::Title { text } => Content::Title { text },
        NativeAsset::Image {
            image_type,
            url,
            width,
            height,
        } => Content::Img {
            r#type: *image_type,
            url,
            w: *width,
            h: *height,
        },
        NativeAsset::Data { data_type, value } => Content::Data {
            r#type: *data_type,
            value,
        },
        NativeAsset::Video { vast, .. } => Content::Video { vasttag: vast },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::creative;
    use bumpalo::Bump;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const FILL: NativeFill<'_> = NativeFill {
        click: "https://b/c",
        impression: "https://b/i",
        click_id: "id-7",
        cache_buster: "77",
    };

    fn own() -> NativeRecord {
        let spec = creative(json!({
            "format": "native",
            "assets": [
                {"kind": "title", "text": "Hello"},
                {"kind": "image", "image_type": 1, "url": "https://i.example/icon", "width": 80, "height": 80},
                {"kind": "image", "image_type": 3, "url": "https://i.example/main", "width": 1200, "height": 627},
                {"kind": "data", "data_type": 1, "value": "Brand"},
            ],
            "impression_trackers": ["https://t.example?c={CLICK_ID}&{CACHEBUSTER}&{x}"], "click_trackers": ["https://c.example?{CACHEBUSTER}"],
        }))
        .spec;
        NativeRecord {
            assets: spec.assets.into(),
            impression_trackers: spec.impression_trackers.into(),
            click_trackers: spec.click_trackers.into(),
        }
    }

    fn answered_to(request: &Value, offer_version: Option<&str>) -> Value {
        let text = request.to_string();
        let arena = Bump::new();
        let request = openrtb::native::read_request(&text, &arena).unwrap();
        serde_json::from_str(&answer(&request, offer_version, &own(), FILL)).unwrap()
    }

    #[test]
    fn assets_answer_under_the_ids_of_the_request() {
        let answer = answered_to(
            &json!({"ver": "1.2", "assets": [
            {"id": 7, "required": 1, "img": {"type": 3, "wmin": 600, "hmin": 300}},
            {"id": 3, "title": {"len": 25}},
            {"id": 4, "data": {"type": 1}},
            {"id": 5, "data": {"type": 2}},
        ], "eventtrackers": [{"event": 1, "methods": [1, 2]}]}),
            None,
        );
        assert_eq!(
            answer["assets"],
            json!([
                {"id": 7, "required": 1, "img": {"type": 3, "url": "https://i.example/main", "w": 1200, "h": 627}},
                {"id": 3, "title": {"text": "Hello"}},
                {"id": 4, "data": {"type": 1, "value": "Brand"}},
            ])
        );
        assert_eq!(
            answer["link"],
            json!({"url": "https://b/c", "clicktrackers": ["https://c.example?77"]})
        );
        assert_eq!(
            answer["eventtrackers"][0],
            json!({"event": 1, "method": 1, "url": "https://b/i"})
        );
        let of_advertiser = &answer["eventtrackers"][1]["url"];
        assert_eq!(of_advertiser, "https://t.example?c=id-7&77&{x}");
        assert!(answer.get("imptrackers").is_none());
    }

    #[test]
    fn without_event_trackers_the_pixels_are_impression_trackers() {
        let answer = answered_to(
            &json!({"ver": "1.1", "assets": [{"id": 1, "title": {"len": 4}}]}),
            None,
        );
        assert_eq!(
            answer["imptrackers"],
            json!(["https://b/i", "https://t.example?c=id-7&77&{x}"])
        );
        assert_eq!(answer["assets"], json!([]));
    }

    /// A viewable event alone is no impression: the older list still is one.
    #[test]
    fn event_trackers_for_other_events_do_not_take_the_place_of_the_impression() {
        for trackers in [
            json!([{"event": 2, "methods": [1]}]),
            json!([{"event": 1, "methods": [2]}]),
        ] {
            let answer = answered_to(&json!({"assets": [], "eventtrackers": trackers}), None);
            assert_eq!(answer["imptrackers"][0], "https://b/i");
            assert!(answer.get("eventtrackers").is_none());
        }
    }

    #[test]
    fn version_one_has_a_root_named_native() {
        let assets = json!([{"id": 1, "title": {"len": 40}}]);
        let wrapped = answered_to(&json!({"native": {"ver": "1.0", "assets": assets}}), None);
        assert_eq!(wrapped["native"]["assets"][0]["title"]["text"], "Hello");
        let told_by_the_offer = answered_to(&json!({"assets": assets}), Some("1.0"));
        assert_eq!(told_by_the_offer, wrapped);
        let own_word_counts = answered_to(&json!({"ver": "1.2", "assets": assets}), Some("1.0"));
        assert_eq!(own_word_counts["ver"], "1.2");
    }

    fn asked() -> impl Strategy<Value = Value> {
        let number = || proptest::option::of(0..1_300_u32);
        let kind = || proptest::option::of(0..5_u16);
        let content = prop_oneof![
            number().prop_map(|len| json!({"title": {"len": len}})),
            (kind(), number(), number(), number()).prop_map(
                |(kind, w, wmin, hmin)| json!({"img": {"type": kind, "w": w, "wmin": wmin, "hmin": hmin}})
            ),
            (kind(), number()).prop_map(|(kind, len)| json!({"data": {"type": kind, "len": len}})),
            Just(json!({"video": {"mimes": ["video/mp4"]}})),
            Just(json!({})),
        ];
        let id = prop_oneof![4 => (0..9_i64).prop_map(Value::from), 1 => Just(Value::Null)];
        (id, any::<bool>(), content).prop_map(|(id, required, mut asset)| {
            asset["id"] = id;
            asset["required"] = json!(i32::from(required));
            asset
        })
    }

    proptest! {
        /// What is answered was asked for under that id, by the kind that was asked for; whatever a byte of the
        /// request was changed to.
        #[test]
        fn any_request_is_answered_in_json_and_with_nothing_that_was_not_asked_for(
            assets in proptest::collection::vec(asked(), 0..6),
            edit in proptest::option::of((any::<proptest::sample::Index>(), 32..127_u8)),
        ) {
            let mut text = json!({"ver": "1.2", "assets": assets}).to_string().into_bytes();
            if let Some((index, byte)) = edit {
                let at = index.index(text.len());
                text[at] = byte;
            }
            let text = String::from_utf8(text).unwrap();
            let arena = Bump::new();
            let Ok(request) = openrtb::native::read_request(&text, &arena) else { return Ok(()) };
            let answer: Value = serde_json::from_str(&answer(&request, None, &own(), FILL)).unwrap();
            let answer = answer.get("native").unwrap_or(&answer);
            prop_assert_eq!(&answer["link"]["url"], "https://b/c");
            for given in answer["assets"].as_array().unwrap() {
                let fits = |asked: &Asset<'_>| {
                    asked.id == given["id"].as_i64()
                        && (asked.title.is_some() && given.get("title").is_some()
                            || asked.img.is_some() && given.get("img").is_some()
                            || asked.data.is_some() && given.get("data").is_some())
                };
                prop_assert!(request.assets.iter().any(fits), "{given} for {text}");
            }
        }
    }
}

//! Native answers (OpenRTB Dynamic Native Ads 1.2, chapter 5): the creative's assets under the ids that the
//! request gave them.

use domain::creative::{CreativeSpec, NativeAsset};
use openrtb::native::{Asset, NativeRequest};
use serde::Serialize;

/// Where the answer's own URLs lead.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NativeUrls<'a> {
    pub(crate) click: &'a str,
    pub(crate) impression: &'a str,
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
    imptrackers: Vec<&'a str>,
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
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    clicktrackers: &'a [String],
}

#[derive(Serialize)]
struct Tracker<'a> {
    event: u16,
    method: u16,
    url: &'a str,
}

/// The text of `adm`.
pub(crate) fn answer(request: &NativeRequest<'_>, spec: &CreativeSpec, urls: NativeUrls<'_>) -> String {
    let pixels = || {
        [urls.impression]
            .into_iter()
            .chain(spec.impression_trackers.iter().map(String::as_str))
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
    let version = request.ver.unwrap_or("1.2");
    let answer = Answer {
        ver: version,
        assets: request
            .assets
            .iter()
            .filter_map(|asset| answered(asset, &spec.assets))
            .collect(),
        link: Link {
            url: urls.click,
            clicktrackers: &spec.click_trackers,
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

/// The creative's asset of the kind and type on request, if it fits; the engine has seen to the required ones.
fn answered<'a>(asset: &Asset<'_>, offered: &'a [NativeAsset]) -> Option<AnswerAsset<'a>> {
    let content = offered.iter().find_map(|offer| content(asset, offer))?;
    Some(AnswerAsset {
        id: asset.id?,
        required: u8::from(asset.required),
        content,
    })
}

fn content<'a>(asset: &Asset<'_>, offer: &'a NativeAsset) -> Option<Content<'a>> {
    let fits_length = |len: Option<u32>, text: &str| {
        len.is_none_or(|len| usize::try_from(len).is_ok_and(|len| text.chars().count() <= len))
    };
    match offer {
        NativeAsset::Title { text } => {
            let title = asset.title?;
            fits_length(title.len, text).then_some(Content::Title { text })
        }
        NativeAsset::Image {
            image_type,
            url,
            width,
            height,
        } => {
            let image = asset.img.as_ref()?;
            let same_type = image.kind.is_none_or(|kind| i64::from(kind) == *image_type);
            let fits = |exact: Option<u32>, least: Option<u32>, own: i64| match (least, exact) {
                (Some(least), _) => own >= i64::from(least),
                (None, Some(exact)) => own == i64::from(exact),
                (None, None) => true,
            };
            (same_type && fits(image.w, image.wmin, *width) && fits(image.h, image.hmin, *height)).then_some(
                Content::Img {
                    r#type: *image_type,
                    url,
                    w: *width,
                    h: *height,
                },
            )
        }
        NativeAsset::Data { data_type, value } => {
            let data = asset.data?;
            let same_type = data.kind.is_some_and(|kind| i64::from(kind) == *data_type);
            (same_type && fits_length(data.len, value)).then_some(Content::Data {
                r#type: *data_type,
                value,
            })
        }
        NativeAsset::Video { vast, duration_ms } => {
            let video = asset.video.as_ref()?;
            let least_ms = i64::from(video.minduration.unwrap_or(0)) * 1_000;
            let most_ms = video
                .maxduration
                .map_or(i64::MAX, |seconds| i64::from(seconds) * 1_000);
            (least_ms..=most_ms)
                .contains(duration_ms)
                .then_some(Content::Video { vasttag: vast })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::creative;
    use bumpalo::Bump;
    use serde_json::{Value, json};

    fn answered_to(request: &Value) -> Value {
        let spec = creative(json!({
            "format": "native",
            "assets": [
                {"kind": "title", "text": "Hello"},
                {"kind": "image", "image_type": 1, "url": "https://i.example/icon", "width": 80, "height": 80},
                {"kind": "image", "image_type": 3, "url": "https://i.example/main", "width": 1200, "height": 627},
                {"kind": "data", "data_type": 1, "value": "Brand"},
            ],
            "impression_trackers": ["https://t.example"], "click_trackers": ["https://c.example"],
        }))
        .spec;
        let text = request.to_string();
        let arena = Bump::new();
        let request = openrtb::native::read_request(&text, &arena).unwrap();
        let urls = NativeUrls {
            click: "https://b/c",
            impression: "https://b/i",
        };
        serde_json::from_str(&answer(&request, &spec, urls)).unwrap()
    }

    #[test]
    fn assets_answer_under_the_ids_of_the_request() {
        let answer = answered_to(&json!({"ver": "1.2", "assets": [
            {"id": 7, "required": 1, "img": {"type": 3, "wmin": 600, "hmin": 300}},
            {"id": 3, "title": {"len": 25}},
            {"id": 4, "data": {"type": 1}},
            {"id": 5, "data": {"type": 2}},
        ], "eventtrackers": [{"event": 1, "methods": [1, 2]}]}));
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
            json!({"url": "https://b/c", "clicktrackers": ["https://c.example"]})
        );
        assert_eq!(
            answer["eventtrackers"][0],
            json!({"event": 1, "method": 1, "url": "https://b/i"})
        );
        assert!(answer.get("imptrackers").is_none());
    }

    #[test]
    fn without_event_trackers_the_pixels_are_impression_trackers() {
        let answer = answered_to(&json!({"ver": "1.1", "assets": [{"id": 1, "title": {"len": 4}}]}));
        assert_eq!(answer["imptrackers"], json!(["https://b/i", "https://t.example"]));
        assert_eq!(answer["assets"], json!([]));
    }

    #[test]
    fn version_one_has_a_root_named_native() {
        let answer =
            answered_to(&json!({"native": {"ver": "1.0", "assets": [{"id": 1, "title": {"len": 40}}]}}));
        assert_eq!(answer["native"]["assets"][0]["title"]["text"], "Hello");
    }
}

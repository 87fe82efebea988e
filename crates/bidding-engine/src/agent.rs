//! Device, system, browser and connection in the words of targeting.

use crate::hash::{exact, folded};
use openrtb::codes::{connection_type, device_type};
use openrtb::request::Device;

/// Words of `targeting.devices` for `device.devicetype`. A phone or tablet is `mobile` as well.
pub(crate) fn device_words(device: &Device<'_>) -> &'static [u64] {
    const MOBILE: u64 = exact("mobile");
    match device.devicetype {
        Some(device_type::MOBILE_OR_TABLET) => const { &[MOBILE] },
        Some(device_type::PERSONAL_COMPUTER) => const { &[exact("desktop")] },
        Some(device_type::CONNECTED_TV) => const { &[exact("connected_tv")] },
        Some(device_type::PHONE) => const { &[exact("phone"), MOBILE] },
        Some(device_type::TABLET) => const { &[exact("tablet"), MOBILE] },
        Some(device_type::CONNECTED_DEVICE) => const { &[exact("connected_device")] },
        Some(device_type::SET_TOP_BOX) => const { &[exact("set_top_box")] },
        Some(device_type::OUT_OF_HOME) => const { &[exact("ooh")] },
        _ => &[],
    }
}

/// Words of `targeting.connections`. A generation of mobile network is `cellular` as well.
pub(crate) fn connection_words(device: &Device<'_>) -> &'static [u64] {
    const CELLULAR: u64 = exact("cellular");
    match device.connectiontype {
        Some(connection_type::ETHERNET) => const { &[exact("ethernet")] },
        Some(connection_type::WIFI) => const { &[exact("wifi")] },
        Some(connection_type::CELLULAR_UNKNOWN) => const { &[CELLULAR] },
        Some(connection_type::CELLULAR_2G) => const { &[exact("2g"), CELLULAR] },
        Some(connection_type::CELLULAR_3G) => const { &[exact("3g"), CELLULAR] },
        Some(connection_type::CELLULAR_4G) => const { &[exact("4g"), CELLULAR] },
        Some(connection_type::CELLULAR_5G) => const { &[exact("5g"), CELLULAR] },
        _ => &[],
    }
}

/// The system: `device.os`, else the platform of the structured agent, else a word of the plain one.
pub(crate) fn operating_system(device: &Device<'_>) -> Option<u64> {
    let named = device.os.or_else(|| device.sua?.platform.as_ref()?.brand);
    named
        .filter(|name| !name.trim().is_empty())
        .map(system_of_name)
        .or_else(|| first_token(SYSTEMS, device.ua?).map(exact))
}

/// One word for each spelling that is about; other names stand for themselves.
fn system_of_name(name: &str) -> u64 {
    const SPELLINGS: &[(&str, &str)] = &[
        ("mac os x", "macos"),
        ("mac os", "macos"),
        ("os x", "macos"),
        ("macosx", "macos"),
        ("iphone os", "ios"),
        ("ipados", "ios"),
    ];
    let name = name.trim();
    SPELLINGS
        .iter()
        .find(|(spelling, _)| spelling.eq_ignore_ascii_case(name))
        .map_or_else(|| folded(name), |(_, word)| exact(word))
}

/// Most telling first: Android names Linux, and iOS says "like Mac OS X".
const SYSTEMS: &[(&str, &str)] = &[
    ("Android", "android"),
    ("iPhone", "ios"),
    ("iPad", "ios"),
    ("Windows", "windows"),
    ("CrOS", "chromeos"),
    ("Mac OS X", "macos"),
    ("Linux", "linux"),
];

/// The browser: a brand of the structured agent that we know, else a word of the plain one, else
/// `other`; `None` when nothing is said.
pub(crate) fn browser(device: &Device<'_>) -> Option<u64> {
    let brands = device.sua.map(|agent| agent.browsers).unwrap_or_default();
    let known = BRANDS.iter().find(|(brand, _)| {
        brands
            .iter()
            .any(|named| named.brand.is_some_and(|named| named.eq_ignore_ascii_case(brand)))
    });
    if let Some((_, word)) = known {
        return Some(exact(word));
    }
    match device.ua.filter(|ua| !ua.is_empty()) {
        Some(ua) => Some(exact(first_token(BROWSERS, ua).unwrap_or("other"))),
        None => (!brands.is_empty()).then_some(const { exact("other") }),
    }
}

const BRANDS: &[(&str, &str)] = &[
    ("Microsoft Edge", "edge"),
    ("Opera", "opera"),
    ("Samsung Internet", "samsung_internet"),
    ("Firefox", "firefox"),
    ("Safari", "safari"),
    ("Google Chrome", "chrome"),
    ("Chrome", "chrome"),
];

/// Most telling first: nearly all claim to be Safari, and many to be Chrome.
const BROWSERS: &[(&str, &str)] = &[
    ("Edg", "edge"),
    ("OPR/", "opera"),
    ("Opera", "opera"),
    ("SamsungBrowser", "samsung_internet"),
    ("Firefox/", "firefox"),
    ("FxiOS/", "firefox"),
    ("Chrome/", "chrome"),
    ("CriOS/", "chrome"),
    ("Safari/", "safari"),
];

fn first_token(tokens: &[(&str, &'static str)], agent: &str) -> Option<&'static str> {
    tokens
        .iter()
        .find(|(token, _)| agent.contains(token))
        .map(|(_, word)| *word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use openrtb::request::{BrandVersion, UserAgent};

    fn device(ua: &str) -> Device<'_> {
        Device {
            ua: Some(ua),
            ..Device::default()
        }
    }

    #[test]
    fn a_user_agent_names_system_and_browser() {
        for (ua, system, expected) in [
            (
                "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/120.0 Safari/537.36 Edg/120.0",
                "windows",
                "edge",
            ),
            (
                "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 SamsungBrowser/23.0 Chrome/115.0 Mobile Safari/537.36",
                "android",
                "samsung_internet",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Version/17.0 Mobile/15E148 Safari/604.1",
                "ios",
                "safari",
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0",
                "linux",
                "firefox",
            ),
        ] {
            assert_eq!(operating_system(&device(ua)), Some(exact(system)), "{ua}");
            assert_eq!(browser(&device(ua)), Some(exact(expected)), "{ua}");
        }
        assert_eq!(browser(&device("curl/8")), Some(exact("other")));
        assert_eq!(browser(&Device::default()), None);
    }

    #[test]
    fn the_structured_agent_is_preferred() {
        let brand = |brand| BrandVersion {
            brand: Some(brand),
            version: &[],
        };
        let browsers = [brand("Not A Brand"), brand("Google Chrome")];
        let agent = UserAgent {
            browsers: &browsers,
            platform: Some(brand("macOS")),
            ..UserAgent::default()
        };
        let device = Device {
            sua: Some(&agent),
            ua: Some("Firefox/1 Windows"),
            ..Device::default()
        };
        assert_eq!(browser(&device), Some(exact("chrome")));
        assert_eq!(operating_system(&device), Some(exact("macos")));
    }
}

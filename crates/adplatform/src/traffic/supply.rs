//! The places where ads are shown: who sends the requests, and how often.
//!
//! Names are made up under reserved or plainly fictional domains. Each list is in falling order of
//! traffic; [`skewed`] picks from it as audiences do, most of the time near the front.

/// Where a request comes from.
pub(super) struct Place {
    pub(super) name: &'static str,
    /// IAB Content Category Taxonomy 1.0.
    pub(super) category: &'static str,
}

const fn place(name: &'static str, category: &'static str) -> Place {
    Place { name, category }
}

/// Domains of sites.
pub(super) const SITES: &[Place] = &[
    place("daily-courier.example", "IAB12"),
    place("goal-report.example", "IAB17"),
    place("weather-today.example", "IAB15"),
    place("kitchen-notes.example", "IAB8"),
    place("market-ledger.example", "IAB13"),
    place("screen-review.example", "IAB1"),
    place("road-and-wheel.example", "IAB2"),
    place("city-trips.example", "IAB20"),
    place("gadget-bench.example", "IAB19"),
    place("home-garden.example", "IAB10"),
    place("style-page.example", "IAB18"),
    place("parents-corner.example", "IAB6"),
    place("health-facts.example", "IAB7"),
    place("campus-life.example", "IAB5"),
    place("pet-friends.example", "IAB16"),
    place("job-finder.example", "IAB4"),
];

/// Bundles of apps.
pub(super) const APPS: &[Place] = &[
    place("com.example.blockpuzzle", "IAB9-30"),
    place("com.example.shortclips", "IAB1"),
    place("com.example.chatline", "IAB14"),
    place("com.example.runtracker", "IAB17"),
    place("com.example.newsreader", "IAB12"),
    place("com.example.recipebox", "IAB8"),
    place("com.example.radiowave", "IAB1-6"),
    place("com.example.translator", "IAB5"),
    place("com.example.stockwatch", "IAB13"),
    place("com.example.citybikes", "IAB20"),
];

/// ISO 3166-1 alpha-3, a region, a city, a language; whether the GDPR holds.
pub(super) struct Country {
    pub(super) code: &'static str,
    pub(super) region: &'static str,
    pub(super) city: &'static str,
    pub(super) language: &'static str,
    pub(super) gdpr: bool,
}

const fn country(
    code: &'static str,
    region: &'static str,
    city: &'static str,
    language: &'static str,
    gdpr: bool,
) -> Country {
    Country {
        code,
        region,
        city,
        language,
        gdpr,
    }
}

pub(super) const COUNTRIES: &[Country] = &[
    country("USA", "CA", "San Francisco", "en", false),
    country("KOR", "11", "Seoul", "ko", false),
    country("DEU", "BE", "Berlin", "de", true),
    country("GBR", "LND", "London", "en", false),
    country("JPN", "13", "Tokyo", "ja", false),
    country("FRA", "IDF", "Paris", "fr", true),
    country("BRA", "SP", "Sao Paulo", "pt", false),
    country("CAN", "ON", "Toronto", "en", false),
];

/// What a person holds or sits in front of. `device_type` is AdCOM's list "Device Types".
pub(super) struct Device {
    pub(super) device_type: i64,
    pub(super) os: &'static str,
    pub(super) make: &'static str,
    pub(super) user_agent: &'static str,
}

const fn device(device_type: i64, os: &'static str, make: &'static str, user_agent: &'static str) -> Device {
    Device {
        device_type,
        os,
        make,
        user_agent,
    }
}

pub(super) const BROWSING_DEVICES: &[Device] = &[
    device(
        4,
        "Android",
        "Samsung",
        "Mozilla/5.0 (Linux; Android 14; SM-S911B) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Mobile Safari/537.36",
    ),
    device(
        4,
        "iOS",
        "Apple",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Mobile/15E148 Safari/604.1",
    ),
    device(
        2,
        "Windows",
        "",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36",
    ),
    device(
        2,
        "macOS",
        "Apple",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15",
    ),
    device(
        5,
        "iPadOS",
        "Apple",
        "Mozilla/5.0 (iPad; CPU OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Mobile/15E148 Safari/604.1",
    ),
];

/// Picks an index below `len`, the front far more often than the back (a cut-off Zipf by inversion).
pub(super) fn skewed(random: &mut fastrand::Rng, len: usize) -> usize {
    let spread = (len as f64 + 1.0).ln();
    let picked = (random.f64() * spread).exp() - 1.0;
    (picked as usize).min(len.saturating_sub(1))
}

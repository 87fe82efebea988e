use super::*;
use crate::testing::mmdb::{Database, Value, map};
use proptest::prelude::*;

fn berlin() -> Value {
    map([
        ("country", map([("iso_code", "DE".into())])),
        (
            "subdivisions",
            Value::Array(vec![map([("iso_code", "BE".into())])]),
        ),
        (
            "city",
            map([("names", map([("de", "Berlin".into()), ("en", "Berlin".into())]))]),
        ),
        ("postal", map([("code", "10115".into())])),
        (
            "location",
            map([
                ("latitude", Value::Double(52.53)),
                ("longitude", Value::Double(13.38)),
                ("accuracy_radius", Value::Uint16(20)),
            ]),
        ),
    ])
}

fn places() -> Vec<u8> {
    Database::of([
        ("192.0.2.0/25", berlin()),
        (
            "198.51.100.0/24",
            map([("country", map([("iso_code", "US".into())]))]),
        ),
        (
            "203.0.113.0/24",
            map([("country", map([("iso_code", "ZZ".into())]))]),
        ),
        (
            "2001:db8::/32",
            map([("country", map([("iso_code", "FR".into())]))]),
        ),
    ])
}

/// Country, region, city, zip and point of the device as a bid sees it.
fn located(database: &GeoIp, device: &str, regs: &str) -> String {
    let text = format!(r#"{{"id": "1", "imp": [{{"id": "1"}}], "device": {device}, "regs": {regs}}}"#);
    let arena = Bump::new();
    let mut request = openrtb::read_request(text.as_bytes(), &arena).unwrap();
    database.locate(&mut request, &arena);
    let geo = &request.device.geo;
    let words = [geo.country, geo.region, geo.city, geo.zip].map(|word| word.unwrap_or("-"));
    let point = geo
        .lat
        .zip(geo.lon)
        .map_or("-".to_owned(), |(lat, lon)| format!("{lat},{lon}"));
    format!("{} {point}", words.join(" "))
}

#[test]
fn a_device_of_which_the_request_does_not_say_where_it_is_is_found_by_its_address() {
    let database = GeoIp::new(places()).unwrap();
    for (device, expected) in [
        (r#"{"ip": "192.0.2.7"}"#, "DEU BE Berlin 10115 52.53,13.38"),
        (r#"{"ip": "192.0.2.200"}"#, "- - - - -"),
        (
            r#"{"ip": "198.51.100.1", "geo": {"utcoffset": 60}}"#,
            "USA - - - -",
        ),
        (r#"{"ipv6": "2001:db8::1"}"#, "FRA - - - -"),
        (
            r#"{"ipv6": "::ffff:192.0.2.7"}"#,
            "DEU BE Berlin 10115 52.53,13.38",
        ),
        (r#"{"ip": "192.0.2.200", "ipv6": "2001:db8::1"}"#, "FRA - - - -"),
        (r#"{"ip": "192.0.2"}"#, "- - - - -"),
        ("{}", "- - - - -"),
    ] {
        assert_eq!(located(&database, device, "{}"), expected, "{device}");
    }
    assert_eq!(
        located(&database, r#"{"ip": "203.0.113.1"}"#, "{}"),
        "- - - - -",
        "no country of that name"
    );
}

#[test]
fn what_the_request_says_stands() {
    let database = GeoIp::new(places()).unwrap();
    for (geo, expected) in [
        (r#"{"country": "POL"}"#, "POL - - - -"),
        (r#"{"country": "POL", "city": "Łódź"}"#, "POL - Łódź - -"),
        (r#"{"lat": 51.5, "lon": -0.1}"#, "DEU - - - 51.5,-0.1"),
        (r#"{"region": "BB"}"#, "DEU BB - - -"),
        (r#"{"country": " "}"#, "DEU BE Berlin 10115 52.53,13.38"),
    ] {
        let device = format!(r#"{{"ip": "192.0.2.7", "geo": {geo}}}"#);
        assert_eq!(located(&database, &device, "{}"), expected, "{geo}");
    }
}

#[test]
fn a_user_who_may_not_be_known_is_placed_in_a_region_at_most() {
    let database = GeoIp::new(places()).unwrap();
    for (device, regs) in [
        (r#"{"ip": "192.0.2.7"}"#, r#"{"coppa": 1}"#),
        (r#"{"ip": "192.0.2.7"}"#, r#"{"gdpr": 1}"#),
        (r#"{"ip": "192.0.2.7", "lmt": 1}"#, "{}"),
    ] {
        assert_eq!(
            located(&database, device, regs),
            "DEU BE - - -",
            "{device} {regs}"
        );
    }
}

#[test]
fn every_country_has_a_code_and_nothing_else_has() {
    assert_eq!(
        (alpha_3("AD"), alpha_3("DE"), alpha_3("ZW")),
        (Some("AND"), Some("DEU"), Some("ZWE"))
    );
    for none in ["", "D", "DEU", "ZZ", "de", "éé", "  "] {
        assert_eq!(alpha_3(none), None, "{none}");
    }
    let codes: Vec<&str> = COUNTRIES
        .as_bytes()
        .chunks(5)
        .map(|pair| std::str::from_utf8(pair).unwrap())
        .collect();
    assert!(codes.is_sorted_by(|one, next| one[..2] < next[..2]));
    assert!(codes.iter().all(|pair| alpha_3(&pair[..2]) == Some(&pair[2..])));
    assert_eq!(codes.len(), 250);
}

#[test]
fn what_is_no_database_is_refused() {
    assert!(GeoIp::new(Vec::new()).is_err());
    assert!(GeoIp::new(b"no database".to_vec()).is_err());
    let whole = places();
    assert!(GeoIp::new(whole[..whole.len() / 4].to_vec()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// A damaged file may place devices anywhere or nowhere; it must not break a bid.
    #[test]
    fn a_damaged_database_is_refused_or_harmless(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        address in any::<u32>(),
    ) {
        let mut bytes = places();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(database) = GeoIp::new(bytes) {
            for address in [std::net::Ipv4Addr::from(address).to_string(), "192.0.2.7".to_owned(), "2001:db8::1".to_owned()] {
                let _ = located(&database, &format!(r#"{{"ip": "{address}"}}"#), "{}");
            }
        }
    }
}

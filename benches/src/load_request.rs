//! The load's bid request: of the fields, the size and the oddities that AWS's real-time-bidder generator sends, which
//! puts new ids, a new `tagid`, new user ids, a new timestamp and a new `device.ifa` into each.

use serde_json::{Value, json};

/// The `number`th request of the load, the same in every run.
pub(crate) fn biddable(number: usize) -> Vec<u8> {
    with_floor(number, 3.58)
}

/// The same with a floor that no campaign reaches.
pub(crate) fn beyond_everybody(number: usize) -> Vec<u8> {
    with_floor(number, 1_000.0)
}

fn with_floor(number: usize, floor: f64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(number as u64);
    let mut request = fixed();
    request["id"] = uuid(&mut random);
    request["imp"][0]["id"] = uuid(&mut random);
    request["imp"][0]["tagid"] = uuid(&mut random);
    request["imp"][0]["bidfloor"] = json!(floor);
    request["user"]["id"] = uuid(&mut random);
    request["user"]["buyeruid"] = uuid(&mut random);
    request["device"]["ifa"] = json!(format!("{:032x}", random.u128(..)));
    request["source"]["ext"]["ts"] = json!(1_700_000_000_000_u64 + number as u64);
    request.to_string().into_bytes()
}

fn uuid(random: &mut fastrand::Rng) -> Value {
    let hex = format!("{:032x}", random.u128(..));
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    json!(parts.join("-"))
}

fn fixed() -> Value {
    json!({
        "at": 1,
        "badv": ["blocked-one.example", "blocked-two.example", "blocked-three.example", "search.example", "video.example"],
        "bcat": ["11", "144", "33", "888", "121", "998", "1022", "14", "3", "566", "921", "223", "858", "1321"],
        "cur": ["USD"],
        "device": {
            "devicetype": 2, "ifa": "", "ip": "192.0.2.67", "language": "en", "make": "desktop", "model": "browser",
            "os": "iOS", "osv": "10",
            "ua": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
                   Chrome/87.0.4280.88 Safari/537.36",
        },
        "ext": {"cattax": 2},
        "id": "",
        "imp": [{
            // A text where OpenRTB wants an array.
            "banner": {"ext": {"qty": 2, "unit": 1}, "h": 1092, "mimes": "text/html", "w": 1767},
            "bidfloor": 0, "bidfloorcur": "USD", "exp": 4, "ext": {"ssai": 1}, "id": "", "tagid": "",
        }],
        "regs": {"coppa": 0, "ext": {"gdpr": 0, "sb568": 0}},
        "site": {
            "cat": ["1", "35", "546", "767", "1220", "1122", "787", "993", "131", "47", "78", "93"],
            "domain": "news.example", "page": "http://easy.news.example/easy?cu=13824;cre=mu;target=_blank",
            "publisher": {"domain": "my.publisher.example", "id": "qqwer1234xgfd", "name": "site_name"},
            "ref": "http://frames.example/pagead/js/loader12.html?http://sdk.player.example/vpaid/js/668/sam.js",
        },
        "source": {
            "ext": {"ts": 0}, "pchain": "1lmo0cdhb6woJTWl0Bouj5dXR5b", "tid": "1lmo0hJYZX5eH3BPmqHSVzYfSGa",
        },
        "tmax": 51,
        "user": {
            "buyeruid": "", "id": "", "gender": "F", "yob": 1961,
            "data": [{"id": "pub-demographics", "name": "data_name", "segment": [
                {"id": "345qw245wfrtgwertrt56765wert", "name": "segment_name", "value": "segment_value"},
            ]}],
            "geo": {
                "city": "San Francisco", "country": "USA", "ext": {"continent": "north america", "dma": 650, "state": "oklahoma"},
                "lat": 37.789, "lon": -122.394, "region": "CA", "type": 2, "zip": "94105",
            },
        },
    })
}

//! A believable stream of OpenRTB 2.6 bid requests: skewed sites, apps, devices, countries, formats and floors.
//!
//! Seeded: the same seed gives the same stream.

mod supply;

use serde_json::{Value, json};
use supply::{APPS, BROWSING_DEVICES, COUNTRIES, Country, Device, Place, SITES, skewed};

/// How many people there are; each comes back as often as the skew says.
const PEOPLE: usize = 50_000;

/// Writes bid requests, one after the other.
pub(crate) struct Traffic {
    random: fastrand::Rng,
    seed: u64,
    written: u64,
}

impl Traffic {
    #[must_use]
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            random: fastrand::Rng::with_seed(seed),
            seed,
            written: 0,
        }
    }

    /// The next request, as JSON.
    pub(crate) fn next_request(&mut self) -> Vec<u8> {
        self.written += 1;
        let in_app = self.random.f64() < 0.55;
        let country = &COUNTRIES[skewed(&mut self.random, COUNTRIES.len())];
        let device = self.pick_device(in_app);
        let imps: Vec<Value> = (0..self.imp_count())
            .map(|index| self.imp(index, in_app))
            .collect();
        let mut request = json!({
            "id": format!("{:08x}-{:012x}", self.seed & 0xffff_ffff, self.written),
            "imp": imps,
            "at": if self.random.f64() < 0.6 { 1 } else { 2 },
            "tmax": 120 + 20 * self.random.i64(0..6),
            "cur": ["USD"],
            "device": self.device(device, country),
            "user": {"id": format!("u{}", skewed(&mut self.random, PEOPLE))},
            "source": {"tid": format!("{:032x}", self.random.u128(..))},
        });
        let (kind, place) = if in_app {
            ("app", self.app())
        } else {
            ("site", self.site())
        };
        request[kind] = place;
        self.block_something(&mut request);
        self.say_privacy(&mut request, country);
        request.to_string().into_bytes()
    }

    fn imp_count(&mut self) -> usize {
        if self.random.f64() < 0.04 { 2 } else { 1 }
    }

    fn pick_device(&mut self, in_app: bool) -> &'static Device {
        loop {
            let device = &BROWSING_DEVICES[skewed(&mut self.random, BROWSING_DEVICES.len())];
            // A desktop has no apps of ours.
            if !in_app || device.device_type != 2 {
                return device;
            }
        }
    }

    fn device(&mut self, device: &Device, country: &Country) -> Value {
        let person = skewed(&mut self.random, PEOPLE);
        let mut object = json!({
            "ua": device.user_agent,
            // TEST-NET-3 of RFC 5737: nobody's address.
            "ip": format!("203.0.113.{}", self.random.u8(1..255)),
            "devicetype": device.device_type,
            "os": device.os,
            "language": country.language,
            "connectiontype": if self.random.f64() < 0.6 { 2 } else { 6 },
            "geo": {"country": country.code, "region": country.region, "city": country.city, "type": 2},
        });
        if !device.make.is_empty() {
            object["make"] = json!(device.make);
        }
        if device.device_type != 2 {
            let limited = self.random.f64() < 0.25;
            object["lmt"] = json!(i64::from(limited));
            if !limited {
                object["ifa"] = json!(format!("00000000-0000-4000-8000-{person:012x}"));
            }
        }
        object
    }

    fn site(&mut self) -> Value {
        let Place { name, category } = SITES[skewed(&mut self.random, SITES.len())];
        json!({
            "id": format!("site-{name}"), "domain": name, "cat": [category],
            "page": format!("https://{name}/article/{}", self.random.u32(1..2_000)),
            "publisher": {"id": format!("pub-{name}"), "domain": name},
        })
    }

    fn app(&mut self) -> Value {
        let Place { name, category } = APPS[skewed(&mut self.random, APPS.len())];
        json!({
            "id": format!("app-{name}"), "bundle": name, "cat": [category],
            "storeurl": format!("https://apps.example/{name}"),
            "publisher": {"id": format!("pub-{name}")},
        })
    }

    fn imp(&mut self, index: usize, in_app: bool) -> Value {
        let mut imp = json!({
            "id": (index + 1).to_string(),
            "tagid": format!("slot-{}", self.random.u32(1..40)),
            "secure": 1,
            "bidfloor": self.floor(),
            "bidfloorcur": "USD",
        });
        let dice = self.random.f64();
        if dice < 0.62 {
            imp["banner"] = self.banner();
            imp["instl"] = json!(i64::from(in_app && self.random.f64() < 0.15));
        } else if dice < 0.82 {
            imp["video"] = self.video(in_app);
        } else if dice < 0.93 {
            imp["native"] = json!({"request": native_request(), "ver": "1.2"});
        } else {
            imp["audio"] = json!({
                "mimes": ["audio/mpeg", "audio/mp4"], "minduration": 5, "maxduration": 30,
                "protocols": [2, 3, 5, 6, 7, 8],
            });
        }
        imp
    }

    /// CPM in dollars: most are low, a few are high.
    fn floor(&mut self) -> f64 {
        let scale = (self.random.f64() * 3.2).exp() * 0.08;
        (scale * 100.0).round() / 100.0
    }

    fn banner(&mut self) -> Value {
        const SIZES: &[(i64, i64)] = &[
            (300, 250),
            (320, 50),
            (728, 90),
            (300, 600),
            (160, 600),
            (970, 250),
        ];
        let (w, h) = SIZES[skewed(&mut self.random, SIZES.len())];
        let mut format = vec![json!({"w": w, "h": h})];
        if self.random.f64() < 0.3 {
            format.push(json!({"w": 300, "h": 250}));
        }
        json!({"w": w, "h": h, "format": format, "pos": self.random.i64(0..4)})
    }

    fn video(&mut self, in_app: bool) -> Value {
        json!({
            "mimes": ["video/mp4", "video/webm"], "minduration": 5, "maxduration": 30,
            "protocols": [2, 3, 5, 6, 7, 8], "w": 1280, "h": 720, "linearity": 1,
            "startdelay": 0, "plcmt": if in_app { 3 } else { 1 }, "playbackmethod": [2],
            "api": [7],
        })
    }

    fn block_something(&mut self, request: &mut Value) {
        if self.random.f64() < 0.35 {
            request["bcat"] = json!(["IAB25", "IAB26", "IAB7-39"]);
        }
        if self.random.f64() < 0.15 {
            request["badv"] = json!(["casino.example", "fast-loans.example"]);
        }
    }

    fn say_privacy(&mut self, request: &mut Value, country: &Country) {
        if country.gdpr {
            request["regs"] = json!({"gdpr": 1});
        } else if country.code == "USA" {
            let opted_out = self.random.f64() < 0.1;
            request["regs"] = json!({"us_privacy": if opted_out { "1YYN" } else { "1YNN" }});
        }
        if self.random.f64() < 0.01 {
            request["regs"]["coppa"] = json!(1);
        }
    }
}

/// OpenRTB Native 1.2: a title, a main image, an icon perhaps, a sponsor and a text perhaps.
fn native_request() -> String {
    json!({
        "ver": "1.2", "context": 1, "plcmttype": 1,
        "assets": [
            {"id": 1, "required": 1, "title": {"len": 90}},
            {"id": 2, "required": 1, "img": {"type": 3, "wmin": 600, "hmin": 314}},
            {"id": 3, "required": 0, "img": {"type": 1, "wmin": 64, "hmin": 64}},
            {"id": 4, "required": 1, "data": {"type": 1, "len": 40}},
            {"id": 5, "required": 0, "data": {"type": 2, "len": 140}},
        ],
        "eventtrackers": [{"event": 1, "methods": [1]}],
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bumpalo::Bump;

    #[test]
    fn the_same_seed_gives_the_same_requests() {
        let (mut one, mut other) = (Traffic::new(7), Traffic::new(7));
        for _ in 0..50 {
            assert_eq!(one.next_request(), other.next_request());
        }
    }

    #[test]
    fn every_request_is_good_openrtb() {
        let mut traffic = Traffic::new(1);
        let mut arena = Bump::new();
        for _ in 0..2_000 {
            let body = traffic.next_request();
            if let Err(refused) = openrtb::read_request(&body, &arena) {
                panic!("{refused}: {}", String::from_utf8_lossy(&body));
            }
            arena.reset();
        }
    }
}

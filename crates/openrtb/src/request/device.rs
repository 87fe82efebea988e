use crate::Malformed;
use crate::json::{FromObject, Reader};

/// The device (3.2.18). An absent one reads as one of which nothing is known.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Device<'a> {
    pub ua: Option<&'a str>,
    /// The structured user agent, to be preferred to `ua`; `ext.sua` read too.
    pub sua: Option<&'a UserAgent<'a>>,
    pub geo: Geo<'a>,
    /// Do not track.
    pub dnt: Option<bool>,
    /// Limit ad tracking.
    pub lmt: Option<bool>,
    pub ip: Option<&'a str>,
    pub ipv6: Option<&'a str>,
    /// See [`crate::codes::device_type`].
    pub devicetype: Option<u16>,
    pub make: Option<&'a str>,
    pub model: Option<&'a str>,
    pub os: Option<&'a str>,
    pub osv: Option<&'a str>,
    /// Screen, physical pixels.
    pub w: Option<u32>,
    pub h: Option<u32>,
    pub js: Option<bool>,
    /// ISO-639-1.
    pub language: Option<&'a str>,
    /// IETF BCP 47.
    pub langb: Option<&'a str>,
    pub carrier: Option<&'a str>,
    /// See [`crate::codes::connection_type`].
    pub connectiontype: Option<u16>,
    /// Advertising id, in the clear.
    pub ifa: Option<&'a str>,
}

/// The structured user agent (3.2.29), as far as browser and system go.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UserAgent<'a> {
    pub browsers: &'a [BrandVersion<'a>],
    pub platform: Option<BrandVersion<'a>>,
    pub mobile: Option<bool>,
    pub model: Option<&'a str>,
}

/// A brand and the parts of its version, most significant first (3.2.30).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BrandVersion<'a> {
    pub brand: Option<&'a str>,
    pub version: &'a [&'a str],
}

/// A place (3.2.19): of the device, or the home of the user.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Geo<'a> {
    /// Degrees north.
    pub lat: Option<f64>,
    /// Degrees east.
    pub lon: Option<f64>,
    /// Where it comes from: 1 GPS, 2 IP address, 3 the user.
    pub kind: Option<u16>,
    /// Metres.
    pub accuracy: Option<u32>,
    /// ISO-3166-1 alpha-3.
    pub country: Option<&'a str>,
    /// ISO-3166-2.
    pub region: Option<&'a str>,
    pub metro: Option<&'a str>,
    pub city: Option<&'a str>,
    pub zip: Option<&'a str>,
    /// Minutes from UTC.
    pub utcoffset: Option<i32>,
}

impl<'a> FromObject<'a> for Device<'a> {
    fn from_object(json: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut device = Self::default();
        let mut ext_sua = None;
        json.members(|json, key| {
            match key {
                b"ua" => device.ua = json.text()?,
                b"sua" => device.sua = json.object_ref()?,
                b"geo" => device.geo = json.object_or_default()?,
                b"dnt" => device.dnt = json.flag()?,
                b"lmt" => device.lmt = json.flag()?,
                b"ip" => device.ip = json.text()?,
                b"ipv6" => device.ipv6 = json.text()?,
                b"devicetype" => device.devicetype = json.integer()?,
                b"make" => device.make = json.text()?,
                b"model" => device.model = json.text()?,
                b"os" => device.os = json.text()?,
                b"osv" => device.osv = json.text()?,
                b"w" => device.w = json.size("device.w")?,
                b"h" => device.h = json.size("device.h")?,
                b"js" => device.js = json.flag()?,
                b"language" => device.language = json.text()?,
                b"langb" => device.langb = json.text()?,
                b"carrier" => device.carrier = json.text()?,
                b"connectiontype" => device.connectiontype = json.integer()?,
                b"ifa" => device.ifa = json.text()?,
                b"ext" => {
                    json.members(|json, key| {
                        match key {
                            b"sua" => ext_sua = json.object_ref()?,
                            _ => json.skip()?,
                        }
                        Ok(())
                    })?;
                }
                _ => json.skip()?,
            }
            Ok(())
        })?;
        device.sua = device.sua.or(ext_sua);
        Ok(device)
    }
}

impl<'a> FromObject<'a> for UserAgent<'a> {
    fn from_object(json: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut agent = Self::default();
        json.members(|json, key| {
            match key {
                b"browsers" => agent.browsers = json.objects()?,
                b"platform" => agent.platform = json.object()?,
                b"mobile" => agent.mobile = json.flag()?,
                b"model" => agent.model = json.text()?,
                _ => json.skip()?,
            }
            Ok(())
        })?;
        Ok(agent)
    }
}

impl<'a> FromObject<'a> for BrandVersion<'a> {
    fn from_object(json: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut product = Self::default();
        json.members(|json, key| {
            match key {
                b"brand" => product.brand = json.text()?,
                b"version" => product.version = json.texts()?,
                _ => json.skip()?,
            }
            Ok(())
        })?;
        Ok(product)
    }
}

impl<'a> FromObject<'a> for Geo<'a> {
    fn from_object(json: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut geo = Self::default();
        json.members(|json, key| {
            match key {
                b"lat" => geo.lat = json.float()?,
                b"lon" => geo.lon = json.float()?,
                b"type" => geo.kind = json.integer()?,
                b"accuracy" => geo.accuracy = json.integer()?,
                b"country" => geo.country = json.text()?,
                b"region" => geo.region = json.text()?,
                b"metro" => geo.metro = json.text()?,
                b"city" => geo.city = json.text()?,
                b"zip" => geo.zip = json.text()?,
                b"utcoffset" => geo.utcoffset = json.integer()?,
                _ => json.skip()?,
            }
            Ok(())
        })?;
        Ok(geo)
    }
}

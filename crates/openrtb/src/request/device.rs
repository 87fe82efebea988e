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

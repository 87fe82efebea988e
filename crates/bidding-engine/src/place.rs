//! Geography, compiled: places to allow and to block.

use crate::hash::folded;
use crate::list::NewList;
use domain::targeting::{GeoTargeting, Place, Radius};

const EARTH_RADIUS_METERS: f64 = 6_371_008.8;

/// Where the device is, as far as it may be known.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Whereabouts {
    pub(crate) country: Option<u64>,
    pub(crate) region: Option<u64>,
    pub(crate) city: Option<u64>,
    pub(crate) zip: Option<u64>,
    /// Latitude and longitude, degrees.
    pub(crate) point: Option<(f64, f64)>,
}

#[derive(Debug, Default)]
pub(crate) struct Geo {
    allow: Box<[CompiledPlace]>,
    block: Box<[CompiledPlace]>,
}

#[derive(Debug)]
struct CompiledPlace {
    country: Option<u64>,
    region: Option<u64>,
    city: Option<u64>,
    zip: Option<u64>,
    radius: Option<Radius>,
}

impl Geo {
    pub(crate) fn compile(geo: &GeoTargeting) -> Self {
        Self {
            allow: geo.allow.iter().map(CompiledPlace::compile).collect(),
            block: geo.block.iter().map(CompiledPlace::compile).collect(),
        }
    }

    /// Admits whatever comes from its [`Geo::countries`].
    pub(crate) fn is_anywhere_in_its_countries(&self) -> bool {
        self.allow.iter().all(CompiledPlace::is_country) && self.block.is_empty()
    }

    pub(crate) fn admits(&self, whereabouts: &Whereabouts) -> bool {
        (self.allow.is_empty() || self.allow.iter().any(|place| place.holds(whereabouts)))
            && !self.block.iter().any(|place| place.holds(whereabouts))
    }

    /// The countries outside of which nothing is allowed; anything when a place to allow names none.
    pub(crate) fn countries(&self) -> NewList {
        let countries: Option<Vec<u64>> = self.allow.iter().map(|place| place.country).collect();
        NewList::allowing(countries.unwrap_or_default())
    }
}

impl CompiledPlace {
    fn compile(place: &Place) -> Self {
        let hash = |text: &Option<String>| text.as_deref().map(folded);
        Self {
            country: hash(&place.country),
            region: place.region.as_deref().map(region),
            city: hash(&place.city),
            zip: hash(&place.zip),
            radius: place.radius,
        }
    }

    /// And no place within.
    fn is_country(&self) -> bool {
        let Self {
            country,
            region,
            city,
            zip,
            radius,
        } = self;
        country.is_some() && [region, city, zip].iter().all(|part| part.is_none()) && radius.is_none()
    }

    /// Every part that is given must match; what is not known matches nothing.
    fn holds(&self, whereabouts: &Whereabouts) -> bool {
        let matches = |wanted: Option<u64>, actual: Option<u64>| wanted.is_none() || wanted == actual;
        matches(self.country, whereabouts.country)
            && matches(self.region, whereabouts.region)
            && matches(self.city, whereabouts.city)
            && matches(self.zip, whereabouts.zip)
            && self
                .radius
                .is_none_or(|circle| whereabouts.point.is_some_and(|point| contains(circle, point)))
    }
}

/// A subdivision with or without its country: `US-CA` is `CA`.
pub(crate) fn region(text: &str) -> u64 {
    folded(text.split_once('-').map_or(text, |(_, region)| region))
}

/// Great-circle distance by the haversine formula.
fn contains(circle: Radius, (latitude, longitude): (f64, f64)) -> bool {
    let degrees = |micros: i64| micros as f64 / 1e6;
    let centre_latitude = degrees(circle.latitude_micros).to_radians();
    let latitude = latitude.to_radians();
    let north = latitude - centre_latitude;
    let east = longitude.to_radians() - degrees(circle.longitude_micros).to_radians();
    let chord =
        (north / 2.0).sin().powi(2) + centre_latitude.cos() * latitude.cos() * (east / 2.0).sin().powi(2);
    let meters = 2.0 * EARTH_RADIUS_METERS * chord.clamp(0.0, 1.0).sqrt().asin();
    meters <= circle.radius_meters as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_holds_what_is_near_across_the_date_line_too() {
        let fiji = Radius {
            latitude_micros: -16_500_000,
            longitude_micros: 179_900_000,
            radius_meters: 30_000,
        };
        assert!(contains(fiji, (-16.5, -179.95)));
        assert!(!contains(fiji, (-16.5, -179.0)));
    }

    #[test]
    fn countries_are_open_when_a_place_names_none() {
        let place = |country: Option<&str>| Place {
            country: country.map(str::to_owned),
            ..Place::default()
        };
        let of = |allow: Vec<Place>| {
            let geo = GeoTargeting {
                allow,
                ..GeoTargeting::default()
            };
            Geo::compile(&geo)
        };
        let usa = of(vec![place(Some("USA"))]);
        assert_eq!(usa.countries().as_list().allow, [folded("usa")]);
        assert!(usa.is_anywhere_in_its_countries());
        let anywhere = of(vec![place(Some("USA")), place(None)]);
        assert!(anywhere.countries().as_list().is_any() && !anywhere.is_anywhere_in_its_countries());
    }
}

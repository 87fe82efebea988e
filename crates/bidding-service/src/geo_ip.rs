//! Where a device is, by its address, when the request does not say: from a file in MaxMind's format.

use bidding_engine::is_identifiable;
use bumpalo::Bump;
use maxminddb::{LookupResult, MaxMindDbError, PathElement, Reader};
use openrtb::BidRequest;
use openrtb::request::Geo;
use serde::Deserialize;
use std::net::IpAddr;

/// `geo.type`: derived from the address.
const FROM_ADDRESS: u16 = 2;

pub(crate) struct GeoIp {
    reader: Reader<Vec<u8>>,
}

impl std::fmt::Debug for GeoIp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("GeoIp")
            .field(&self.reader.metadata().database_type)
            .finish()
    }
}

/// One record, as far as it is asked.
struct Found<'d>(LookupResult<'d, Vec<u8>>);

impl<'d> Found<'d> {
    /// What is not there or not of this type is nothing; so is a part of a file that is damaged.
    fn get<T: Deserialize<'d>>(&self, path: &[PathElement<'_>]) -> Option<T> {
        self.0.decode_path(path).ok().flatten()
    }

    fn text(&self, path: &[PathElement<'_>]) -> Option<&'d str> {
        self.get(path).filter(|text: &&str| !text.is_empty())
    }
}

impl GeoIp {
    /// # Errors
    /// When the bytes are no database of that format.
    pub(crate) fn new(bytes: Vec<u8>) -> Result<Self, MaxMindDbError> {
        Reader::from_source(bytes).map(|reader| Self { reader })
    }

    /// Of its search tree.
    pub(crate) fn nodes(&self) -> usize {
        usize::try_from(self.reader.metadata().node_count).unwrap_or(usize::MAX)
    }

    /// Fills in the device's country and region, and, where the user may be known and the request says nothing at all of
    /// the place, what is more precise. A request that names a country stays as it is.
    pub(crate) fn locate<'a>(&self, request: &mut BidRequest<'a>, arena: &'a Bump) {
        let geo = &request.device.geo;
        if has_text(geo.country) {
            return;
        }
        let says_nothing =
            !has_text(geo.region) && !has_text(geo.city) && !has_text(geo.zip) && geo.lat.is_none();
        let Some(found) = self.find(request) else {
            return;
        };
        let Some(country) = found
            .text(&["country".into(), "iso_code".into()])
            .and_then(alpha_3)
        else {
            return;
        };
        let is_precise = says_nothing && is_identifiable(request);
        let keep = |text: &str| -> &'a str { arena.alloc_str(text) };
        let geo = &mut request.device.geo;
        geo.country = Some(country);
        if !says_nothing {
            return;
        }
        geo.kind = Some(FROM_ADDRESS);
        geo.region = found
            .text(&["subdivisions".into(), 0.into(), "iso_code".into()])
            .map(keep);
        if is_precise {
            locate_precisely(&found, geo, keep);
        }
    }

    fn find(&self, request: &BidRequest<'_>) -> Option<Found<'_>> {
        let addresses = [request.device.ip, request.device.ipv6].into_iter().flatten();
        addresses
            .filter_map(|text| text.trim().parse::<IpAddr>().ok())
            .filter_map(|address| self.reader.lookup(address.to_canonical()).ok())
            .find(LookupResult::has_data)
            .map(Found)
    }
}

fn locate_precisely<'a>(found: &Found<'_>, geo: &mut Geo<'a>, keep: impl Fn(&str) -> &'a str) {
    geo.city = found
        .text(&["city".into(), "names".into(), "en".into()])
        .map(&keep);
    geo.zip = found.text(&["postal".into(), "code".into()]).map(&keep);
    let latitude = found.get::<f64>(&["location".into(), "latitude".into()]);
    let longitude = found.get::<f64>(&["location".into(), "longitude".into()]);
    let is_point = |(latitude, longitude): &(f64, f64)| latitude.abs() <= 90.0 && longitude.abs() <= 180.0;
    if let Some((latitude, longitude)) = latitude.zip(longitude).filter(is_point) {
        geo.lat = Some(latitude);
        geo.lon = Some(longitude);
        let kilometers = found.get::<u16>(&["location".into(), "accuracy_radius".into()]);
        geo.accuracy = kilometers.map(|kilometers| u32::from(kilometers) * 1_000);
    }
}

fn has_text(text: Option<&str>) -> bool {
    text.is_some_and(|text| !text.trim().is_empty())
}

/// ISO 3166-1: alpha-2, then alpha-3, in the order of the first. With XK, which is Kosovo to those who make such files.
const COUNTRIES: &str = "\
    ADANDAEAREAFAFGAGATGAIAIAALALBAMARMAOAGOAQATAARARGASASMATAUTAUAUSAWABWAXALAAZAZEBABIHBBBRBBDBGDBEBEL\
    BFBFABGBGRBHBHRBIBDIBJBENBLBLMBMBMUBNBRNBOBOLBQBESBRBRABSBHSBTBTNBVBVTBWBWABYBLRBZBLZCACANCCCCKCDCOD\
    CFCAFCGCOGCHCHECICIVCKCOKCLCHLCMCMRCNCHNCOCOLCRCRICUCUBCVCPVCWCUWCXCXRCYCYPCZCZEDEDEUDJDJIDKDNKDMDMA\
    DODOMDZDZAECECUEEESTEGEGYEHESHERERIESESPETETHFIFINFJFJIFKFLKFMFSMFOFROFRFRAGAGABGBGBRGDGRDGEGEOGFGUF\
    GGGGYGHGHAGIGIBGLGRLGMGMBGNGINGPGLPGQGNQGRGRCGSSGSGTGTMGUGUMGWGNBGYGUYHKHKGHMHMDHNHNDHRHRVHTHTIHUHUN\
    IDIDNIEIRLILISRIMIMNININDIOIOTIQIRQIRIRNISISLITITAJEJEYJMJAMJOJORJPJPNKEKENKGKGZKHKHMKIKIRKMCOMKNKNA\
    KPPRKKRKORKWKWTKYCYMKZKAZLALAOLBLBNLCLCALILIELKLKALRLBRLSLSOLTLTULULUXLVLVALYLBYMAMARMCMCOMDMDAMEMNE\
    MFMAFMGMDGMHMHLMKMKDMLMLIMMMMRMNMNGMOMACMPMNPMQMTQMRMRTMSMSRMTMLTMUMUSMVMDVMWMWIMXMEXMYMYSMZMOZNANAM\
    NCNCLNENERNFNFKNGNGANINICNLNLDNONORNPNPLNRNRUNUNIUNZNZLOMOMNPAPANPEPERPFPYFPGPNGPHPHLPKPAKPLPOLPMSPM\
    PNPCNPRPRIPSPSEPTPRTPWPLWPYPRYQAQATREREUROROURSSRBRURUSRWRWASASAUSBSLBSCSYCSDSDNSESWESGSGPSHSHNSISVN\
    SJSJMSKSVKSLSLESMSMRSNSENSOSOMSRSURSSSSDSTSTPSVSLVSXSXMSYSYRSZSWZTCTCATDTCDTFATFTGTGOTHTHATJTJKTKTKL\
    TLTLSTMTKMTNTUNTOTONTRTURTTTTOTVTUVTWTWNTZTZAUAUKRUGUGAUMUMIUSUSAUYURYUZUZBVAVATVCVCTVEVENVGVGBVIVIR\
    VNVNMVUVUTWFWLFWSWSMXKXKXYEYEMYTMYTZAZAFZMZMBZWZWE";

/// OpenRTB has three letters where MaxMind has two.
fn alpha_3(alpha_2: &str) -> Option<&'static str> {
    const PAIR_BYTES: usize = 5;
    let (mut low, mut high) = (0, COUNTRIES.len() / PAIR_BYTES);
    while low < high {
        let middle = low.midpoint(high);
        let pair = &COUNTRIES[middle * PAIR_BYTES..(middle + 1) * PAIR_BYTES];
        match pair[..2].cmp(alpha_2) {
            std::cmp::Ordering::Equal => return Some(&pair[2..]),
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Greater => high = middle,
        }
    }
    None
}

#[cfg(test)]
mod tests;

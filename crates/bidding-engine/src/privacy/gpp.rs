//! IAB Global Privacy Platform: what a string of many laws' sections permits.
//!
//! The sections of the United States are decoded by `iab_gpp`. The header is read here: the library expands its ranges
//! (which a short text can make endless) and counts wrongly from the third section on.

use super::{bit, tcf_consents, us_privacy_permits};
use iab_gpp::sections::us_common::{Consent, OptOut};
use iab_gpp::sections::usca::UsCa;
use iab_gpp::sections::usco::UsCo;
use iab_gpp::sections::usct::UsCt;
use iab_gpp::sections::usde::UsDe;
use iab_gpp::sections::usfl::UsFl;
use iab_gpp::sections::usia::UsIa;
use iab_gpp::sections::usmn::UsMn;
use iab_gpp::sections::usmt::UsMt;
use iab_gpp::sections::usnat::{self, UsNat};
use iab_gpp::sections::usne::UsNe;
use iab_gpp::sections::usnh::UsNh;
use iab_gpp::sections::usnj::UsNj;
use iab_gpp::sections::usor::UsOr;
use iab_gpp::sections::ustn::UsTn;
use iab_gpp::sections::ustx::UsTx;
use iab_gpp::sections::usut::UsUt;
use iab_gpp::sections::usva::UsVa;

/// Whether every section that applies is there, can be read and refuses nothing of what identification covers:
/// sale, sharing, targeted advertising, precise geography, a known child's data, uses beyond the notice. A signal
/// of Global Privacy Control refuses as well. `0` applies to nobody.
pub(super) fn permits(gpp: Option<&str>, sections_that_apply: &[u16]) -> bool {
    sections_that_apply
        .iter()
        .filter(|id| **id != 0)
        .all(|id| section(gpp.unwrap_or_default(), *id).is_some_and(|text| section_permits(*id, text)))
}

trait Answer {
    fn refuses(&self) -> bool;
}

impl Answer for OptOut {
    fn refuses(&self) -> bool {
        *self == Self::OptedOut
    }
}

impl Answer for Consent {
    fn refuses(&self) -> bool {
        *self == Self::NoConsent
    }
}

macro_rules! permits {
    ($core:expr, [$($($field:ident).+),+]) => {
        !($($core.$($field).+.refuses())||+)
    };
}

/// Ids of the GPP register of sections; those that are not here forbid.
fn section_permits(id: u16, text: &str) -> bool {
    match id {
        2 => tcf_consents(text),
        6 => !text.is_empty() && us_privacy_permits(text),
        7 => text
            .parse()
            .is_ok_and(|section: UsNat| section.gpc != Some(true) && national_permits(&section.core)),
        8 => text.parse().is_ok_and(|section: UsCa| {
            section.gpc != Some(true)
                && permits!(
                    section.core,
                    [
                        sale_opt_out,
                        sharing_opt_out,
                        sensitive_data_processing.precise_geolocation,
                        known_child_sensitive_data_consents.sell_personal_information,
                        known_child_sensitive_data_consents.share_personal_information,
                        personal_data_consent
                    ]
                )
        }),
        9 => text.parse().is_ok_and(|section: UsVa| {
            permits!(
                section.core,
                [
                    sale_opt_out,
                    targeted_advertising_opt_out,
                    sensitive_data_processing.precise_geolocation_data,
                    known_child_sensitive_data_consents
                ]
            )
        }),
        10 => text.parse().is_ok_and(|section: UsCo| {
            section.gpc != Some(true)
                && permits!(
                    section.core,
                    [
                        sale_opt_out,
                        targeted_advertising_opt_out,
                        known_child_sensitive_data_consents
                    ]
                )
        }),
        11 => text.parse().is_ok_and(|section: UsUt| {
            permits!(
                section.core,
                [
                    sale_opt_out,
                    targeted_advertising_opt_out,
                    sensitive_data_processing.specific_geolocation_data,
                    known_child_sensitive_data_consents
                ]
            )
        }),
        12 => text.parse().is_ok_and(|section: UsCt| {
            section.gpc != Some(true)
                && permits!(
                    section.core,
                    [
                        sale_opt_out,
                        targeted_advertising_opt_out,
                        sensitive_data_processing.precise_geolocation_data,
                        known_child_sensitive_data_consents.process_sensitive_data_from_known_child,
                        known_child_sensitive_data_consents.sell_personal_data_from_13_to_16,
                        known_child_sensitive_data_consents.process_personal_data_from_13_to_16
                    ]
                )
        }),
        13 => text.parse().is_ok_and(|section: UsFl| {
            permits!(
                section.core,
                [
                    sale_opt_out,
                    targeted_advertising_opt_out,
                    sensitive_data_processing.precise_geolocation_data,
                    known_child_sensitive_data_consents.under_13,
                    known_child_sensitive_data_consents.from_13_to_16,
                    known_child_sensitive_data_consents.from_16_to_18,
                    additional_data_processing_consent
                ]
            )
        }),
        14 => text.parse().is_ok_and(|section: UsMt| {
            section.gpc != Some(true)
                && permits!(
                    section.core,
                    [
                        sale_opt_out,
                        targeted_advertising_opt_out,
                        sensitive_data_processing.precise_geolocation_data,
                        known_child_sensitive_data_consents.process_sensitive_data_from_known_child,
                        known_child_sensitive_data_consents.sell_personal_data_from_13_to_16,
                        known_child_sensitive_data_consents.process_personal_data_from_13_to_16,
                        additional_data_processing_consent
                    ]
                )
        }),
        15 => text.parse().is_ok_and(|section: UsOr| {
            section.gpc != Some(true)
                && permits!(
                    section.core,
                    [
                        sale_opt_out,
                        targeted_advertising_opt_out,
                        sensitive_data_processing.precise_geolocation_data,
                        known_child_sensitive_data_consents.process_sensitive_data_from_known_child,
                        known_child_sensitive_data_consents.sell_personal_data_from_13_to_16,
                        known_child_sensitive_data_consents.process_personal_data_from_13_to_16,
                        additional_data_processing_consent
                    ]
                )
        }),
        16 => text.parse().is_ok_and(|section: UsTx| {
            section.gpc != Some(true)
                && permits!(
                    section.core,
                    [
                        sale_opt_out,
                        targeted_advertising_opt_out,
                        sensitive_data_processing.precise_geolocation_data,
                        known_child_sensitive_data_consents,
                        additional_data_processing_consent
                    ]
                )
        }),
        17 => text.parse().is_ok_and(|section: UsDe| {
            section.gpc != Some(true)
                && permits!(
                    section.core,
                    [
                        sale_opt_out,
                        targeted_advertising_opt_out,
                        sensitive_data_processing.precise_geolocation_data,
                        known_child_sensitive_data_consents.process_sensitive_data_from_known_child,
                        known_child_sensitive_data_consents.sell_personal_data_from_13_to_16,
                        known_child_sensitive_data_consents.process_personal_data_from_13_to_16,
                        known_child_sensitive_data_consents.sell_personal_data_from_16_to_18,
                        known_child_sensitive_data_consents.process_personal_data_from_16_to_18,
                        additional_data_processing_consent
                    ]
                )
        }),
        18 => text.parse().is_ok_and(|section: UsIa| {
            section.gpc != Some(true)
                && permits!(
                    section.core,
                    [
                        sale_opt_out,
                        targeted_advertising_opt_out,
                        sensitive_data_processing.precise_geolocation_data,
                        known_child_sensitive_data_consents
                    ]
                )
        }),
        19 => text.parse().is_ok_and(|section: UsNe| {
            section.gpc != Some(true)
                && permits!(
                    section.core,
                    [
                        sale_opt_out,
                        targeted_advertising_opt_out,
                        sensitive_data_processing.precise_geolocation_data,
                        known_child_sensitive_data_consents,
                        additional_data_processing_consent
                    ]
                )
        }),
        20 => text.parse().is_ok_and(|section: UsNh| {
            section.gpc != Some(true)
                && permits!(
                    section.core,
                    [
                        sale_opt_out,
                        targeted_advertising_opt_out,
                        sensitive_data_processing.precise_geolocation_data,
                        known_child_sensitive_data_consents.process_sensitive_data_from_known_child,
                        known_child_sensitive_data_consents.sell_personal_data_from_13_to_16,
                        known_child_sensitive_data_consents.process_personal_data_from_13_to_16,
                        additional_data_processing_consent
                    ]
                )
        }),
        21 => text.parse().is_ok_and(|section: UsNj| {
            section.gpc != Some(true)
                && permits!(
                    section.core,
                    [
                        sale_opt_out,
                        targeted_advertising_opt_out,
                        sensitive_data_processing.precise_geolocation_data,
                        known_child_sensitive_data_consents.process_sensitive_data_from_known_child,
                        known_child_sensitive_data_consents.sell_personal_data_from_13_to_16,
                        known_child_sensitive_data_consents.process_personal_data_from_13_to_16,
                        known_child_sensitive_data_consents.sell_personal_data_from_16_to_17,
                        known_child_sensitive_data_consents.process_personal_data_from_16_to_17,
                        additional_data_processing_consent
                    ]
                )
        }),
        22 => text.parse().is_ok_and(|section: UsTn| {
            section.gpc != Some(true)
                && permits!(
                    section.core,
                    [
                        sale_opt_out,
                        targeted_advertising_opt_out,
                        sensitive_data_processing.precise_geolocation_data,
                        known_child_sensitive_data_consents,
                        additional_data_processing_consent
                    ]
                )
        }),
        23 => text.parse().is_ok_and(|section: UsMn| {
            section.gpc != Some(true)
                && permits!(
                    section.core,
                    [
                        sale_opt_out,
                        targeted_advertising_opt_out,
                        sensitive_data_processing.precise_geolocation_data,
                        known_child_sensitive_data_consents,
                        additional_data_processing_consent
                    ]
                )
        }),
        _ => false,
    }
}

fn national_permits(core: &usnat::Core) -> bool {
    match core {
        usnat::Core::V1(core) => permits!(
            core,
            [
                sale_opt_out,
                sharing_opt_out,
                targeted_advertising_opt_out,
                sensitive_data_processing.precise_geolocation_data,
                known_child_sensitive_data_consents.from_13_to_16,
                known_child_sensitive_data_consents.under_13,
                personal_data_consent
            ]
        ),
        usnat::Core::V2(core) => permits!(
            core,
            [
                sale_opt_out,
                sharing_opt_out,
                targeted_advertising_opt_out,
                sensitive_data_processing.precise_geolocation_data,
                known_child_sensitive_data_consents.process_sensitive_data_from_13_to_16,
                known_child_sensitive_data_consents.process_sensitive_data_under_13,
                known_child_sensitive_data_consents.process_personal_data_from_16_to_17,
                personal_data_consent
            ]
        ),
        _ => false,
    }
}

/// The text of a section: the header names the ids in ascending order, the sections follow in the same.
fn section(gpp: &str, wanted: u16) -> Option<&str> {
    let mut parts = gpp.split('~');
    let position = Header::new(parts.next()?)?.position_of(u32::from(wanted))?;
    parts.nth(position)
}

/// Six bits of type (3), six of version (1), twelve that count the ranges, then the ranges in Fibonacci code.
struct Header<'a> {
    letters: &'a [u8],
    next_bit: usize,
}

impl<'a> Header<'a> {
    fn new(text: &'a str) -> Option<Self> {
        text.starts_with("DB").then_some(Self {
            letters: text.as_bytes(),
            next_bit: 12,
        })
    }

    fn position_of(mut self, wanted: u32) -> Option<usize> {
        let mut ranges = 0_u32;
        for _ in 0..12 {
            ranges = ranges << 1 | u32::from(self.bit()?);
        }
        let (mut position, mut last) = (0_u32, 0_u32);
        for _ in 0..ranges {
            let is_group = self.bit()?;
            let first = last.checked_add(self.fibonacci()?)?;
            last = if is_group {
                first.checked_add(self.fibonacci()?)?
            } else {
                first
            };
            if (first..=last).contains(&wanted) {
                return usize::try_from(position.checked_add(wanted - first)?).ok();
            }
            position = position.checked_add(last - first)?.checked_add(1)?;
        }
        None
    }

    fn bit(&mut self) -> Option<bool> {
        let bit = (self.next_bit / 6 < self.letters.len()).then(|| bit(self.letters, self.next_bit));
        self.next_bit += 1;
        bit
    }

    /// A sum of Fibonacci numbers 1, 2, 3, 5, ..., a bit each; two ones in a row end it.
    fn fibonacci(&mut self) -> Option<u32> {
        let (mut value, mut following) = (1_u32, 2_u32);
        let (mut total, mut was_set) = (0_u32, false);
        loop {
            let is_set = self.bit()?;
            if is_set && was_set {
                return Some(total);
            }
            if is_set {
                total = total.checked_add(value)?;
            }
            was_set = is_set;
            (value, following) = (following, value.checked_add(following)?);
        }
    }
}

#[cfg(test)]
mod tests;

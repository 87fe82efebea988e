//! Whether the user behind a request may be known.

mod gpp;

use openrtb::BidRequest;

/// Whether the request's privacy signals allow a user id, stored state, frequency and audience use, and
/// precise geography. Without a lawful signal none of them is used (OpenRTB 2.6, 3.2.3, 3.2.18).
///
/// - `coppa`, `device.lmt`, `device.dnt`: no.
/// - `gdpr: 1`: only with a TCF 2 string in `user.consent` that consents to purposes 1 (store and access),
///   2 (basic ads: what capping needs) and 4 (personalised ads: what audiences need).
/// - `us_privacy`: not after an opt-out of sale (`1-Y-`), nor when it cannot be read.
/// - `gpp_sid`: only if each section that it names is in `gpp` and refuses nothing.
#[must_use]
pub fn is_identifiable(request: &BidRequest<'_>) -> bool {
    let regs = &request.regs;
    !regs.coppa
        && request.device.lmt != Some(true)
        && request.device.dnt != Some(true)
        && (regs.gdpr != Some(true) || request.user.consent.is_some_and(tcf_consents))
        && regs.us_privacy.is_none_or(us_privacy_permits)
        && gpp::permits(regs.gpp, regs.gpp_sid)
}

/// "US Privacy String", version 1: version, notice given, opted out of sale, LSPA; each `Y`, `N` or `-`.
/// An empty one says nothing.
fn us_privacy_permits(text: &str) -> bool {
    match text.as_bytes() {
        [] => true,
        [b'1', _, opted_out, _] => matches!(opted_out, b'N' | b'n' | b'-'),
        _ => false,
    }
}

/// IAB TCF 2, core string: bits in base64url; the version is the first six, purposes begin at 152.
fn tcf_consents(consent: &str) -> bool {
    const PURPOSES_START: usize = 152;
    const NEEDED: [usize; 3] = [1, 2, 4];
    let version = consent.bytes().next().and_then(sextet);
    version == Some(2)
        && NEEDED
            .iter()
            .all(|purpose| bit(consent.as_bytes(), PURPOSES_START + purpose - 1))
}

/// The bit at a position of the core segment, which ends at the first dot; `false` beyond its end.
fn bit(text: &[u8], position: usize) -> bool {
    let core_len = text.iter().position(|byte| *byte == b'.').unwrap_or(text.len());
    text[..core_len]
        .get(position / 6)
        .and_then(|letter| sextet(*letter))
        .is_some_and(|value| value >> (5 - position % 6) & 1 == 1)
}

fn sextet(letter: u8) -> Option<u8> {
    match letter {
        b'A'..=b'Z' => Some(letter - b'A'),
        b'a'..=b'z' => Some(letter - b'a' + 26),
        b'0'..=b'9' => Some(letter - b'0' + 52),
        b'-' => Some(62),
        b'_' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use openrtb::request::{Device, Regs, User};

    /// Bits 152 to 175 are letters 25 (its last four bits) to 29 (its first two).
    fn tcf(purposes_1_to_4: &str) -> String {
        format!("C{}{purposes_1_to_4}AAAAAA.YAAAAAAAAAAA", "A".repeat(24))
    }

    fn with(regs: Regs<'_>, consent: Option<&str>) -> bool {
        let user = User {
            consent,
            ..User::default()
        };
        is_identifiable(&BidRequest {
            regs,
            user,
            ..BidRequest::default()
        })
    }

    #[test]
    fn without_any_signal_a_user_may_be_known() {
        assert!(is_identifiable(&BidRequest::default()));
    }

    #[test]
    fn children_and_those_who_opted_out_on_the_device_are_not_identified() {
        assert!(!with(
            Regs {
                coppa: true,
                ..Regs::default()
            },
            None
        ));
        for (lmt, dnt) in [(Some(true), None), (None, Some(true))] {
            let device = Device {
                lmt,
                dnt,
                ..Device::default()
            };
            assert!(!is_identifiable(&BidRequest {
                device,
                ..BidRequest::default()
            }));
        }
    }

    #[test]
    fn gdpr_needs_a_readable_consent_to_what_we_do() {
        let gdpr = || Regs {
            gdpr: Some(true),
            ..Regs::default()
        };
        // Purposes 1 to 4 are the last four bits: P = 001111, N = 001101, L = 001011, O = 001110, H = 000111.
        assert!(with(gdpr(), Some(&tcf("P"))));
        assert!(with(gdpr(), Some(&tcf("N"))));
        for refusing in ["L", "O", "H", "A"] {
            assert!(!with(gdpr(), Some(&tcf(refusing))), "{refusing}");
        }
        for unreadable in [
            None,
            Some(""),
            Some("C"),
            Some("C.P"),
            Some("BOEFEAyOEFEAyAHABDENAI4AAAB9vABAASA"),
        ] {
            assert!(!with(gdpr(), unreadable), "{unreadable:?}");
        }
        assert!(with(
            Regs {
                gdpr: Some(false),
                ..Regs::default()
            },
            None
        ));
    }

    #[test]
    fn us_privacy_is_obeyed_and_so_is_one_that_cannot_be_read() {
        for (text, expected) in [
            ("1YNN", true),
            ("1---", true),
            ("", true),
            ("1YYN", false),
            ("2YNN", false),
            ("yes", false),
        ] {
            let regs = Regs {
                us_privacy: Some(text),
                ..Regs::default()
            };
            assert_eq!(with(regs, None), expected, "{text}");
        }
    }

    #[test]
    fn a_gpp_section_that_applies_and_is_not_there_is_no_consent() {
        assert!(!with(
            Regs {
                gpp_sid: &[7],
                ..Regs::default()
            },
            None
        ));
        assert!(with(
            Regs {
                gpp_sid: &[0],
                ..Regs::default()
            },
            None
        ));
    }
}

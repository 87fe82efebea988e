//! How single texts must look. Each check's error says, for people, what would be right.

use std::net::IpAddr;

type Check = Result<(), &'static str>;

/// A path segment of the bid URL: `default`.
pub fn exchange_id(text: &str) -> Check {
    let fits = (1..=32).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
    require(
        fits,
        "must be 1 to 32 lower-case letters, digits, - and _, a letter first",
    )
}

/// `example.com`: ASCII (international names in their punycode form), lower case, at least two labels.
pub fn domain(text: &str) -> Check {
    require(
        is_domain(text),
        "must be a domain in lower case, such as example.com",
    )
}

fn is_domain(text: &str) -> bool {
    let labels: Vec<&str> = text.split('.').collect();
    let is_label = |label: &&str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && labels.len() >= 2 && labels.iter().all(is_label)
}

/// An absolute http(s) URL without blanks; may hold macros in braces.
pub fn web_url(text: &str) -> Check {
    require(
        is_web_url(text),
        "must be an absolute http or https URL of at most 2048 bytes",
    )
}

fn is_web_url(text: &str) -> bool {
    if text.len() > 2_048 || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return false;
    }
    let Some(rest) = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))
    else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // Credentials in a landing page or tracker are someone's accident.
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let is_host =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'[' | b']' | b':');
    !host.is_empty() && host.bytes().all(is_host) && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// `300x250`.
pub fn size(text: &str) -> Check {
    let is_side = |side: &str| {
        !side.starts_with(['0', '+'])
            && side
                .parse::<u32>()
                .is_ok_and(|pixels| (1..=10_000).contains(&pixels))
    };
    let fits = text
        .split_once('x')
        .is_some_and(|(width, height)| is_side(width) && is_side(height));
    require(fits, "must be a size such as 300x250, sides from 1 to 10000")
}

/// ISO 3166-1 alpha-3.
pub fn country(text: &str) -> Check {
    let fits = text.len() == 3 && text.bytes().all(|b| b.is_ascii_uppercase());
    require(
        fits,
        "must be three upper-case letters of ISO 3166-1, such as USA",
    )
}

/// ISO 639-1.
pub fn language(text: &str) -> Check {
    let fits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_lowercase());
    require(fits, "must be two lower-case letters of ISO 639-1, such as en")
}

/// ISO 4217.
pub fn currency(text: &str) -> Check {
    let fits = text.parse::<crate::currency::Currency>().is_ok();
    require(fits, "must be three upper-case letters of ISO 4217, such as USD")
}

/// `IAB1-2` or the number of another taxonomy.
pub fn category(text: &str) -> Check {
    let fits = (1..=30).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    require(fits, "must be the id of a category, such as IAB1-2")
}

pub fn operating_system(text: &str) -> Check {
    let fits = (1..=50).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
        && !text.bytes().any(|b| b.is_ascii_uppercase());
    require(
        fits,
        "must be the lower-case name of an operating system, such as ios",
    )
}

/// `aud_…` or `segment:PROVIDER:ID`.
pub fn audience(text: &str) -> Check {
    let is_part = |part: &str| !part.is_empty() && !part.contains(char::is_control);
    let is_segment = text
        .strip_prefix("segment:")
        .and_then(|rest| rest.split_once(':'))
        .is_some_and(|(provider, id)| is_part(provider) && is_part(id));
    let is_own = text.strip_prefix("aud_").is_some_and(is_part);
    require(
        text.len() <= 200 && (is_own || is_segment),
        "must be aud_… or segment:PROVIDER:ID",
    )
}

/// Free text of a list: a carrier, a bundle, a keyword, the id of a deal.
pub fn phrase(text: &str) -> Check {
    let fits = (1..=200).contains(&text.chars().count()) && !text.contains(char::is_control);
    require(
        fits && text.trim() == text,
        "must be 1 to 200 characters without blanks around them",
    )
}

/// `video/mp4`.
pub fn mime(text: &str) -> Check {
    let is_part = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
    };
    let fits = text.len() <= 100
        && text
            .split_once('/')
            .is_some_and(|(kind, sub)| is_part(kind) && is_part(sub));
    require(fits, "must be a media type such as video/mp4")
}

/// `192.0.2.0/24` or `2001:db8::/32`.
pub fn network(text: &str) -> Check {
    let fits = text.split_once('/').is_some_and(|(address, prefix)| {
        let widest = match address.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => 32,
            Ok(IpAddr::V6(_)) => 128,
            Err(_) => return false,
        };
        prefix.bytes().all(|b| b.is_ascii_digit()) && prefix.parse::<u8>().is_ok_and(|bits| bits <= widest)
    });
    require(fits, "must be a network in CIDR notation, such as 192.0.2.0/24")
}

/// An advertising system's domain, or one seller's account there: `reseller.example/1234`.
pub fn seller(text: &str) -> Check {
    let (system, account) = match text.split_once('/') {
        Some((system, account)) => (system, Some(account)),
        None => (text, None),
    };
    let is_account = |account: &str| {
        (1..=128).contains(&account.len()) && !account.contains(|c: char| c.is_control() || c.is_whitespace())
    };
    require(
        domain(system).is_ok() && account.is_none_or(is_account),
        "must be a domain, such as reseller.example, or an account there, such as reseller.example/1234",
    )
}

/// Hexadecimal SHA-256, lower case.
pub fn sha256(text: &str) -> Check {
    let fits = text.len() == 64
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    require(
        fits,
        "must be a SHA-256 digest: 64 hexadecimal digits in lower case",
    )
}

/// The name of a secret in the settings.
pub fn key_name(text: &str) -> Check {
    let fits = (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    require(fits, "must be 1 to 64 letters, digits, - and _")
}

/// `OXCRYPT`, as it stands in `${AUCTION_PRICE:OXCRYPT}`.
pub fn macro_suffix(text: &str) -> Check {
    let fits = (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    require(fits, "must be 1 to 32 letters, digits and _")
}

/// A header's name in lower case.
pub fn header_name(text: &str) -> Check {
    let fits = (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
    require(
        fits,
        "must be the name of a header in lower case, such as x-exchange-key",
    )
}

/// An IANA name.
pub fn time_zone(text: &str) -> Check {
    require(
        jiff::tz::TimeZone::get(text).is_ok(),
        "must be a time zone of the IANA database, such as Europe/Berlin",
    )
}

fn require(fits: bool, message: &'static str) -> Check {
    if fits { Ok(()) } else { Err(message) }
}

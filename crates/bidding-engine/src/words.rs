//! Texts of requests and campaigns as hashes that can be compared: domains, languages, sizes.

use crate::hash::{exact, folded, mix};

/// A domain and every domain above it: `a.b.com` gives `a.b.com`, `b.com`, `com`. A leading `www.` and
/// a trailing dot are dropped.
pub(crate) fn domain_and_parents(domain: &str) -> impl Iterator<Item = u64> {
    let mut rest = Some(bare_domain(domain)).filter(|domain| !domain.is_empty());
    std::iter::from_fn(move || {
        let current = rest?;
        rest = current.split_once('.').map(|(_, parent)| parent);
        Some(folded(current))
    })
}

/// One domain as it stands in an allow or block list.
pub(crate) fn domain(domain: &str) -> u64 {
    folded(bare_domain(domain))
}

fn bare_domain(domain: &str) -> &str {
    let domain = domain.trim().trim_end_matches('.');
    match domain.get(..4) {
        Some(www) if www.eq_ignore_ascii_case("www.") => &domain[4..],
        _ => domain,
    }
}

/// The host of a URL, without port and credentials.
pub(crate) fn host(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    Some(host.split(':').next().unwrap_or(host)).filter(|host| !host.is_empty())
}

/// The primary language of an ISO 639-1 code or a BCP 47 tag: `en-US` is `en`.
pub(crate) fn language(tag: &str) -> u64 {
    folded(tag.split(['-', '_']).next().unwrap_or(tag))
}

/// A size as one value.
pub(crate) fn size(width: i64, height: i64) -> u64 {
    mix(width.unsigned_abs(), height.unsigned_abs())
}

/// A size as targeting has it, `300x250`.
pub(crate) fn size_of_text(text: &str) -> u64 {
    text.split_once(['x', 'X'])
        .and_then(|(width, height)| Some(size(width.trim().parse().ok()?, height.trim().parse().ok()?)))
        .unwrap_or_else(|| exact(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_has_all_its_parents() {
        let found: Vec<u64> = domain_and_parents("www.News.Example.com.").collect();
        assert_eq!(found, ["news.example.com", "example.com", "com"].map(exact));
        assert_eq!(domain_and_parents("").count(), 0);
    }

    #[test]
    fn a_host_is_what_stands_between_scheme_and_path() {
        assert_eq!(host("https://u:p@a.example:8080/x?y"), Some("a.example"));
        assert_eq!(host("a.example/x"), None);
    }
}

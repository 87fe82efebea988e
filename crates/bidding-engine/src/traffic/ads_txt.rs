//! The ads.txt or app-ads.txt of many publishers, as a crawl of them leaves it.

use super::{BadList, entries, seller};
use crate::hash::{HashedBy, exact, mix};
use crate::words::domain;
use std::collections::HashSet;

const MOST: usize = 30_000_000;
const EXPECTED: &str = "publisher, advertising system, account, DIRECT or RESELLER";

/// Which sellers each publisher names.
#[derive(Debug, Default)]
pub struct AdsTxt {
    publishers: HashSet<u64, HashedBy>,
    /// Of publisher and seller.
    named: HashSet<u64, HashedBy>,
    records: usize,
}

impl AdsTxt {
    /// One record a line, the publisher before the fields of ads.txt: `news.example, exchange.example, pub-1, DIRECT`.
    /// The publisher is a domain in the list of sites; in that of apps a bundle, or the domain of an inventory partner. A
    /// line of a publisher alone says that its file names nobody; variables (`contact=`) are passed over.
    ///
    /// # Errors
    /// At the first line that is no record; when there is none, or too many.
    pub fn sites(text: &str) -> Result<Self, BadList> {
        Self::parse(text, |publisher| [domain(publisher); 2])
    }

    /// As [`AdsTxt::sites`].
    ///
    /// # Errors
    /// The same.
    pub fn apps(text: &str) -> Result<Self, BadList> {
        Self::parse(text, |publisher| [exact(publisher), domain(publisher)])
    }

    fn parse(text: &str, hashes: impl Fn(&str) -> [u64; 2]) -> Result<Self, BadList> {
        let mut list = Self::default();
        for (line, entry) in entries(text) {
            let mut fields = entry.split(',').map(str::trim);
            let publisher = fields.next().filter(|publisher| !publisher.is_empty());
            let bad = BadList::Line {
                line,
                expected: EXPECTED,
            };
            let publishers = hashes(publisher.ok_or(bad)?);
            list.publishers.extend(publishers);
            list.records += 1;
            if list.records > MOST {
                return Err(BadList::TooLong(MOST));
            }
            let system = match fields.next() {
                None => continue,
                Some(variable) if variable.contains('=') => continue,
                Some(system) => system,
            };
            let account = fields.next().unwrap_or_default();
            let relation = fields.next().unwrap_or("DIRECT");
            let is_relation = ["DIRECT", "RESELLER"]
                .iter()
                .any(|known| relation.eq_ignore_ascii_case(known));
            if system.is_empty() || account.is_empty() || !is_relation {
                return Err(bad);
            }
            let seller = seller(system, account);
            list.named
                .extend(publishers.map(|publisher| mix(publisher, seller)));
        }
        if list.publishers.is_empty() {
            return Err(BadList::Empty);
        }
        Ok(list)
    }

    pub(crate) fn knows(&self, publisher: u64) -> bool {
        self.publishers.contains(&publisher)
    }

    pub(crate) fn names(&self, publisher: u64, seller: u64) -> bool {
        self.named.contains(&mix(publisher, seller))
    }

    /// Records, those that name nobody included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.publishers.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publishers_name_their_sellers() {
        let list = "# crawl\nnews.example, Exchange.example, pub-1, DIRECT, f08c47 # comment\n\
                    news.example,reseller.example,7,reseller\nnews.example, contact=ads@news.example\nmute.example\n";
        let list = AdsTxt::sites(list).unwrap();
        let news = domain("www.News.example");
        assert!(list.names(news, seller("exchange.example", "pub-1")));
        assert!(list.names(news, seller("reseller.example", "7")));
        assert!(
            !list.names(news, seller("exchange.example", "PUB-1")),
            "accounts have a case"
        );
        assert!(list.knows(domain("mute.example")) && !list.knows(domain("other.example")));
        assert_eq!(list.len(), 4);
    }

    #[test]
    fn apps_are_known_by_their_bundle_as_it_is() {
        let list = AdsTxt::apps("com.News.app, exchange.example, pub-1, DIRECT").unwrap();
        assert!(list.names(exact("com.News.app"), seller("exchange.example", "pub-1")));
        assert!(!list.knows(exact("com.news.other")));
    }

    #[test]
    fn what_is_no_record_is_named_by_its_line() {
        for wrong in [
            ", exchange.example, 1, DIRECT",
            "a.example, exchange.example",
            "a.example, x.example, 1, MAYBE",
        ] {
            let expected = BadList::Line {
                line: 2,
                expected: EXPECTED,
            };
            assert_eq!(
                AdsTxt::sites(&format!("b.example\n{wrong}")).err(),
                Some(expected),
                "{wrong}"
            );
        }
        assert_eq!(AdsTxt::sites("").err(), Some(BadList::Empty));
    }
}

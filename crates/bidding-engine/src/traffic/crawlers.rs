//! Known crawlers, by what their user agents say.

use super::{BadList, entries};
use aho_corasick::AhoCorasick;
use aho_corasick::automaton::OverlappingState;

const MOST: usize = 50_000;
const LONGEST_BYTES: usize = 256;
/// What is found in nearly every user agent is a slip of the pen.
const SHORTEST_BYTES: usize = 3;
/// Of a user agent, what is looked at.
const LOOKED_AT_BYTES: usize = 1_024;
const EXPECTED: &str = "a text of 3 to 256 bytes, or the fields of the IAB list: text|1|exceptions|…|…|0";

/// Texts that user agents of crawlers have in them, without regard to case.
#[derive(Debug)]
pub struct Crawlers {
    texts: AhoCorasick,
    /// Parallel to the texts.
    rules: Box<[Rule]>,
}

#[derive(Debug, Default)]
struct Rule {
    /// The user agent begins with the text.
    at_start: bool,
    /// User agents that have one of these are none; lower case.
    exceptions: Box<[String]>,
}

impl Crawlers {
    /// One text a line; or the fields of the IAB/ABC International Spiders and Bots List: the text, 1 if it is in force,
    /// exceptions separated by commas, two fields that are not looked at, 1 if the user agent begins with it.
    ///
    /// # Errors
    /// At the first line that is neither; when there is none, or too many.
    pub fn parse(text: &str) -> Result<Self, BadList> {
        let (mut texts, mut rules) = (Vec::new(), Vec::new());
        for (line, entry) in entries(text) {
            let mut fields = entry.split('|').map(str::trim);
            let pattern = fields.next().unwrap_or_default();
            if !(SHORTEST_BYTES..=LONGEST_BYTES).contains(&pattern.len()) {
                return Err(BadList::Line {
                    line,
                    expected: EXPECTED,
                });
            }
            match fields.next() {
                None | Some("1") => {}
                Some("0") => continue,
                Some(_) => {
                    return Err(BadList::Line {
                        line,
                        expected: EXPECTED,
                    });
                }
            }
            let exceptions = fields.next().unwrap_or_default().split(',').map(str::trim);
            texts.push(pattern);
            rules.push(Rule {
                exceptions: exceptions
                    .filter(|text| !text.is_empty())
                    .map(str::to_ascii_lowercase)
                    .collect(),
                at_start: fields.nth(2) == Some("1"),
            });
            if texts.len() > MOST {
                return Err(BadList::TooLong(MOST));
            }
        }
        if texts.is_empty() {
            return Err(BadList::Empty);
        }
        let built = AhoCorasick::builder().ascii_case_insensitive(true).build(texts);
        Ok(Self {
            texts: built.map_err(|_| BadList::TooLarge)?,
            rules: rules.into(),
        })
    }

    /// Whether a user agent is a crawler's.
    #[must_use]
    pub fn names(&self, user_agent: &str) -> bool {
        let looked_at = &user_agent[..user_agent.floor_char_boundary(LOOKED_AT_BYTES)];
        let mut found = OverlappingState::start();
        loop {
            self.texts.find_overlapping(looked_at, &mut found);
            let Some(text) = found.get_match() else {
                return false;
            };
            let rule = self.rules.get(text.pattern().as_usize());
            if rule.is_some_and(|rule| rule.holds(looked_at, text.start())) {
                return true;
            }
        }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

impl Rule {
    fn holds(&self, user_agent: &str, found_at: usize) -> bool {
        (!self.at_start || found_at == 0)
            && !self.exceptions.iter().any(|exception| has(user_agent, exception))
    }
}

/// Without regard to case; `text` is in lower case.
fn has(user_agent: &str, text: &str) -> bool {
    let mut windows = user_agent.as_bytes().windows(text.len().max(1));
    windows.any(|window| window.eq_ignore_ascii_case(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIST: &str =
        "# crawlers\nGooglebot\nbot|1|cubot,Robot phone|1|0|0\nfetch|1||1|0|1\nold-spider|0||1|0|0\n";

    #[test]
    fn a_crawler_is_known_whatever_its_case_and_unless_it_is_excepted() {
        let crawlers = Crawlers::parse(LIST).unwrap();
        for (user_agent, expected) in [
            ("Mozilla/5.0 (compatible; GOOGLEBOT/2.1)", true),
            ("Mozilla/5.0 (Linux; CUBOT X18) Chrome/120", false),
            ("Mozilla/5.0 (robot phone) Chrome", false),
            ("Mozilla/5.0 (Linux; CUBOT X18) Googlebot", true),
            ("Fetch/1.0", true),
            ("Mozilla/5.0 prefetch", false),
            ("old-spider", false),
            ("", false),
        ] {
            assert_eq!(crawlers.names(user_agent), expected, "{user_agent}");
        }
        assert_eq!(crawlers.len(), 3);
        let hidden = "é".repeat(LOOKED_AT_BYTES) + "googlebot";
        assert!(!crawlers.names(&hidden));
    }

    #[test]
    fn what_is_no_pattern_is_named_by_its_line() {
        for wrong in ["ab", "spider|yes", &"x".repeat(LONGEST_BYTES + 1)] {
            let expected = BadList::Line {
                line: 2,
                expected: EXPECTED,
            };
            assert_eq!(Crawlers::parse(&format!("spider\n{wrong}")).err(), Some(expected));
        }
        assert_eq!(Crawlers::parse("spider|0").err(), Some(BadList::Empty));
    }

    proptest! {
        /// As a look at each text in turn.
        #[test]
        fn a_user_agent_is_a_crawlers_where_one_of_the_texts_is_in_it(
            rules in prop::collection::vec(("[abC]{3,4}", prop::option::of("[abC]{1,5}"), any::<bool>()), 1..5),
            user_agent in "[aAbBcC]{0,14}",
        ) {
            let lines: Vec<String> = rules.iter().map(|(text, exception, at_start)| {
                format!("{text}|1|{}|1|0|{}", exception.clone().unwrap_or_default(), u8::from(*at_start))
            }).collect();
            let lower = user_agent.to_lowercase();
            let expected = rules.iter().any(|(text, exception, at_start)| {
                let text = text.to_lowercase();
                let is_there = if *at_start { lower.starts_with(&text) } else { lower.contains(&text) };
                is_there && !exception.as_ref().is_some_and(|exception| lower.contains(&exception.to_lowercase()))
            });
            prop_assert_eq!(Crawlers::parse(&lines.join("\n")).unwrap().names(&user_agent), expected);
        }
    }
}

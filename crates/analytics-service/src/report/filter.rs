//! The grammar of `filter`: `campaign:cmp_1|cmp_2,country:USA`.
//!
//! Conditions are separated by commas and must all hold; a condition names a dimension and, behind the first colon, the
//! values it may have, separated by bars. A backslash makes the comma, bar or backslash after it an
//! ordinary letter. An empty value is one (`deal:` is the open auction).

use super::request::dimension;
use domain::mistake::Mistakes;
use storage::report_store::Dimension;

const POINTER: &str = "filter";
/// Each value is a parameter of the store's statement.
const MAX_VALUES: usize = 500;

/// Reads the whole text; what is wrong with it goes to `mistakes`.
pub(super) fn parse(text: &str, mistakes: &mut Mistakes) -> Vec<(Dimension, Vec<String>)> {
    let mut filters = Vec::new();
    for condition in split_unescaped(text, ',') {
        let Some((name, values)) = condition.split_once(':') else {
            mistakes.add(
                POINTER,
                "malformed",
                format!("{condition:?} has no colon: expected dimension:value|value"),
            );
            continue;
        };
        match dimension(name) {
            Some(dimension) => {
                let values = split_unescaped(values, '|');
                filters.push((dimension, values.into_iter().map(unescape).collect::<Vec<_>>()));
            }
            None => mistakes.add(POINTER, "unknown_value", format!("{name:?} is no dimension")),
        }
    }
    let values: usize = filters.iter().map(|(_, values)| values.len()).sum();
    mistakes.require(
        values <= MAX_VALUES,
        POINTER,
        "too_many",
        "expected at most 500 values",
    );
    filters
}

fn split_unescaped(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut escaped = false;
    for (index, letter) in text.char_indices() {
        if letter == separator && !escaped {
            parts.push(&text[start..index]);
            start = index + letter.len_utf8();
        }
        escaped = letter == '\\' && !escaped;
    }
    parts.push(&text[start..]);
    parts
}

fn unescape(text: &str) -> String {
    let mut letters = text.chars();
    let mut plain = String::with_capacity(text.len());
    while let Some(letter) = letters.next() {
        // A backslash at the very end stands for itself.
        plain.push(if letter == '\\' {
            letters.next().unwrap_or(letter)
        } else {
            letter
        });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &str) -> Vec<(Dimension, Vec<String>)> {
        let mut mistakes = Mistakes::default();
        let filters = parse(text, &mut mistakes);
        mistakes.finish().unwrap();
        filters
    }

    #[test]
    fn conditions_name_a_dimension_and_its_values() {
        let filters = parsed("campaign:cmp_1|cmp_2,deal:,site_or_bundle:a:b");
        assert_eq!(
            filters[0],
            (Dimension::Campaign, vec!["cmp_1".to_owned(), "cmp_2".to_owned()])
        );
        assert_eq!(filters[1], (Dimension::Deal, vec![String::new()]));
        assert_eq!(filters[2], (Dimension::SiteOrBundle, vec!["a:b".to_owned()]));
    }

    #[test]
    fn each_mistake_is_told() {
        let mut mistakes = Mistakes::default();
        parse("campaign,planet:mars,", &mut mistakes);
        let mistakes = mistakes.finish().unwrap_err();
        assert_eq!(
            mistakes.iter().map(|mistake| mistake.code).collect::<Vec<_>>(),
            ["malformed", "unknown_value", "malformed"]
        );
        let mut mistakes = Mistakes::default();
        parse(&format!("country:{}", "|".repeat(500)), &mut mistakes);
        assert_eq!(mistakes.finish().unwrap_err()[0].code, "too_many");
    }

    proptest! {
        #[test]
        fn any_value_can_be_asked_for_when_escaped(value in ".{0,12}") {
            let mut escaped = String::new();
            for letter in value.chars() {
                if matches!(letter, ',' | '|' | '\\') {
                    escaped.push('\\');
                }
                escaped.push(letter);
            }
            let filters = parsed(&format!("campaign:{escaped}|x,country:y"));
            prop_assert_eq!(&filters[0].1, &vec![value, "x".to_owned()]);
        }
    }
}

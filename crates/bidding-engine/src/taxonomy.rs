//! Categories in the taxonomies of AdCOM's list "Category Taxonomies" (`cattax`): what lies above each, and what it is in
//! another taxonomy, so that a parent stands for its children and lists of different taxonomies can be compared.
//!
//! Content 2.0 to 3.1 (2, 5, 6, 7, 9) share their ids and are one space here; each has its own parents.

use crate::hash::{HashedBy, folded, mix};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

/// A space of ids, as a bit.
pub(crate) type Space = u8;

/// AdCOM numbers: Content 1.0, 2.0, 2.1, 2.2, 3.0 and 3.1, Ad Product 1.0 and 2.0.
const CONTENT_1: i64 = 1;
const CONTENT_2: [i64; 3] = [2, 5, 6];
const CONTENT_3: [i64; 2] = [7, 9];
const AD_PRODUCT_1: i64 = 3;
const AD_PRODUCT_2: i64 = 8;

/// Deeper than any taxonomy goes.
const MOST_LEVELS: usize = 8;

#[derive(Default)]
struct Tables {
    /// Of the taxonomies 6, 9, 3 and 8: a category's parent.
    parents: [HashMap<u64, u64, HashedBy>; 4],
    children: HashMap<u64, Vec<u64>, HashedBy>,
    /// Taxonomy and name of the same in others.
    equivalents: HashMap<u64, Vec<(i64, &'static str)>, HashedBy>,
    /// Every category that is named, under the taxonomy that it is named in.
    names: HashSet<(i64, &'static str)>,
}

static TABLES: LazyLock<Tables> = LazyLock::new(Tables::read);

/// The categories of the tables: creatives share them, since a million of them may be in memory.
static KNOWN: LazyLock<HashMap<u64, Category, HashedBy>> = LazyLock::new(|| {
    let names = TABLES.names.iter();
    let known = names.map(|(taxonomy, name)| (key(*taxonomy, name), Category::compute(*taxonomy, name)));
    known.collect()
});

/// Of a category and the parents that its taxonomy gives it.
fn key(taxonomy: i64, name: &str) -> u64 {
    let parents = table_of(taxonomy).map_or(0, |table| table as u64 + 1);
    mix(word(taxonomy, name), parents)
}

impl Tables {
    fn read() -> Self {
        let mut tables = Self::default();
        let lines = |text: &'static str| text.lines().filter(|line| !line.starts_with('#'));
        for line in lines(include_str!("taxonomy/parents.txt")) {
            let mut fields = line.split(' ');
            let taxonomy = fields.next().and_then(|number| number.parse().ok());
            let Some(((taxonomy, table), parent)) = taxonomy
                .and_then(|taxonomy| Some((taxonomy, table_of(taxonomy)?)))
                .zip(fields.next())
            else {
                continue;
            };
            tables.names.insert((taxonomy, parent));
            for child in fields {
                tables.names.insert((taxonomy, child));
                tables.parents[table].insert(word(taxonomy, child), word(taxonomy, parent));
                tables.add_child(taxonomy, parent, child);
            }
        }
        for line in lines(include_str!("taxonomy/mappings.txt")) {
            let mut fields = line.split(' ');
            let mut category = || Some((fields.next()?.parse().ok()?, fields.next()?));
            let Some(((from, name), (to, other))) = category().zip(category()) else {
                continue;
            };
            tables.names.extend([(from, name), (to, other)]);
            tables.add_equivalent((from, name), (to, other));
            // Back from Content 2 there is no mapping of its own.
            if to != AD_PRODUCT_2 && from == CONTENT_1 {
                tables.add_equivalent((to, other), (from, name));
            }
            if let Some((parent, _)) = name.split_once('-').filter(|_| from == CONTENT_1) {
                tables.add_child(from, parent, name);
            }
        }
        tables
    }

    fn add_child(&mut self, taxonomy: i64, parent: &str, child: &str) {
        let child = word(taxonomy, child);
        let children = self.children.entry(word(taxonomy, parent)).or_default();
        if !children.contains(&child) {
            children.push(child);
        }
    }

    fn add_equivalent(&mut self, (from, name): (i64, &str), to: (i64, &'static str)) {
        let known = self.equivalents.entry(word(from, name)).or_default();
        if !known.contains(&to) {
            known.push(to);
        }
    }

    /// Of the category, else of the nearest above it that has any.
    fn nearest_equivalents(&self, levels: impl Iterator<Item = u64>) -> &[(i64, &'static str)] {
        let mut found = levels.filter_map(|level| self.equivalents.get(&level));
        found.next().map(Vec::as_slice).unwrap_or_default()
    }
}

pub(crate) fn space(taxonomy: i64) -> Space {
    match taxonomy {
        CONTENT_1 => 1,
        _ if CONTENT_2.contains(&taxonomy) || CONTENT_3.contains(&taxonomy) => 2,
        AD_PRODUCT_1 => 4,
        AD_PRODUCT_2 => 8,
        _ => 0,
    }
}

fn table_of(taxonomy: i64) -> Option<usize> {
    match taxonomy {
        _ if CONTENT_2.contains(&taxonomy) => Some(0),
        _ if CONTENT_3.contains(&taxonomy) => Some(1),
        AD_PRODUCT_1 => Some(2),
        AD_PRODUCT_2 => Some(3),
        _ => None,
    }
}

/// One category as one value.
pub(crate) fn word(taxonomy: i64, name: &str) -> u64 {
    let number = if space(taxonomy) == 2 {
        CONTENT_2[0]
    } else {
        taxonomy
    };
    mix(folded(name), number.unsigned_abs())
}

/// The category and those above it, up to the top. In Content 1.0 names show it (`IAB1-2` lies in `IAB1`).
pub(crate) fn levels(taxonomy: i64, name: &str) -> impl Iterator<Item = u64> {
    let table = table_of(taxonomy).map(|table| &TABLES.parents[table]);
    let prefix = name.split_once('-').filter(|_| taxonomy == CONTENT_1);
    let mut above_own = prefix.map(|(top, _)| word(CONTENT_1, top));
    let next = move |level: &u64| match table {
        Some(table) => table.get(level).copied(),
        None => above_own.take(),
    };
    std::iter::successors(Some(word(taxonomy, name)), next).take(MOST_LEVELS)
}

/// What a list of targeting stands for: the category, and what it and those below it are in other taxonomies.
pub(crate) fn spread(taxonomy: i64, name: &str) -> Vec<u64> {
    let own = word(taxonomy, name);
    let mut below = vec![own];
    let mut at = 0;
    while let Some(category) = below.get(at).copied() {
        at += 1;
        let children = TABLES.children.get(&category).into_iter().flatten();
        below.extend(
            children
                .filter(|child| !below.contains(child))
                .copied()
                .collect::<Vec<_>>(),
        );
    }
    let others = below
        .iter()
        .filter_map(|category| TABLES.equivalents.get(category))
        .flatten();
    let others = others.filter(|(other, _)| space(*other) != space(taxonomy));
    std::iter::once(own)
        .chain(others.map(|(other, name)| word(*other, name)))
        .collect()
}

/// A creative's category, as far as lists of any taxonomy may ask for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Category {
    /// Its own and those above it, and the same of its equivalents.
    pub(crate) words: Cow<'static, [u64]>,
    /// The one above all, in Content 1.0 where it has an equivalent there.
    pub(crate) top: u64,
    /// Of the taxonomies that it is in, or has an equivalent in.
    pub(crate) spaces: Space,
}

impl Category {
    pub(crate) fn new(taxonomy: i64, name: &str) -> Self {
        match KNOWN.get(&key(taxonomy, name)) {
            Some(known) => Self {
                words: Cow::Borrowed(&known.words),
                ..*known
            },
            None => Self::compute(taxonomy, name),
        }
    }

    fn compute(taxonomy: i64, name: &str) -> Self {
        let mut category = Parts {
            spaces: space(taxonomy),
            ..Parts::default()
        };
        category.add(taxonomy, name);
        let own_top = levels(taxonomy, name).last();
        for (other, name) in TABLES.nearest_equivalents(levels(taxonomy, name)) {
            category.add(*other, name);
            for (third, name) in TABLES.nearest_equivalents(levels(*other, name)) {
                if space(*third) != space(taxonomy) {
                    category.add(*third, name);
                }
            }
        }
        Self {
            top: category.content_1_top.or(own_top).unwrap_or_default(),
            words: category.words.into(),
            spaces: category.spaces,
        }
    }

    /// Whether a list of that taxonomy can say anything of it; of one that has another creatives cannot be shown to be
    /// allowed.
    pub(crate) fn is_comparable(&self, own_taxonomy: i64, taxonomy: i64) -> bool {
        own_taxonomy == taxonomy || self.spaces & space(taxonomy) != 0
    }
}

#[derive(Default)]
struct Parts {
    words: Vec<u64>,
    content_1_top: Option<u64>,
    spaces: Space,
}

impl Parts {
    fn add(&mut self, taxonomy: i64, name: &str) {
        self.spaces |= space(taxonomy);
        // A list of the other Content taxonomy with the same ids looks at its own parents.
        let others = match space(taxonomy) {
            2 => [CONTENT_2[0], CONTENT_3[0]],
            _ => [taxonomy; 2],
        };
        for level in others.into_iter().flat_map(|taxonomy| levels(taxonomy, name)) {
            if !self.words.contains(&level) {
                self.words.push(level);
            }
        }
        if taxonomy == CONTENT_1 && self.content_1_top.is_none() {
            self.content_1_top = levels(taxonomy, name).last();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(category: &Category, taxonomy: i64, name: &str) -> bool {
        category.words.contains(&word(taxonomy, name))
    }

    #[test]
    fn names_of_content_1_show_their_parent() {
        let celebrities = Category::new(1, "IAB1-2");
        assert!(has(&celebrities, 1, "iab1-2") && has(&celebrities, 1, "IAB1"));
        assert_eq!(celebrities.top, word(1, "IAB1"));
        assert_ne!(word(1, "IAB1"), word(4, "IAB1"));
    }

    /// Automotive, auto body styles, commercial trucks.
    #[test]
    fn numbered_categories_have_all_their_parents() {
        let trucks: Vec<u64> = levels(6, "3").collect();
        assert_eq!(trucks, ["3", "2", "1"].map(|name| word(2, name)));
        let bars: Vec<u64> = levels(8, "1003").collect();
        assert_eq!(bars, ["1003", "1002"].map(|name| word(8, name)));
        assert_eq!(levels(6, "nobody's").count(), 1);
        assert_eq!(levels(4, "7").count(), 1);
    }

    #[test]
    fn a_category_is_known_in_other_taxonomies_and_so_are_its_parents() {
        // Books & Literature is 42 in Content 2, 1422 (Media, Books and Audio Books) in Ad Product 2.
        let books = Category::new(1, "IAB1-1");
        assert!(has(&books, 7, "42") && has(&books, 8, "1422") && has(&books, 8, "1419"));
        assert!(books.is_comparable(1, 9) && books.is_comparable(1, 8) && !books.is_comparable(1, 4));
        let numbered = Category::new(6, "42");
        assert!(has(&numbered, 1, "IAB1-1") && has(&numbered, 1, "IAB1"));
        assert_eq!(numbered.top, books.top);
        // Young adult literature has no equivalent of its own: its parent's counts.
        assert!(has(&Category::new(6, "51"), 1, "IAB1-1"));
        let alcohol = Category::new(8, "1003");
        assert!(has(&alcohol, 1, "IAB8") && alcohol.is_comparable(8, 6));
    }

    #[test]
    fn what_the_tables_name_is_held_once_and_other_names_are_as_good() {
        for (taxonomy, name) in [(1, "IAB1-1"), (2, "51"), (9, "51"), (3, "7"), (8, "1003")] {
            let (one, computed) = (Category::new(taxonomy, name), Category::compute(taxonomy, name));
            assert!(matches!(one.words, Cow::Borrowed(_)), "{taxonomy} {name}");
            assert_eq!(
                (&one.words, one.top, one.spaces),
                (&computed.words, computed.top, computed.spaces)
            );
        }
        let new = Category::new(1, "IAB1-99");
        assert!(matches!(new.words, Cow::Owned(_)) && has(&new, 1, "IAB1"));
    }

    #[test]
    fn one_of_no_known_taxonomy_is_comparable_with_its_own_alone() {
        let own = Category::new(500, "a");
        assert!(own.is_comparable(500, 500) && !own.is_comparable(500, 1));
        assert_eq!((own.top, own.words.len()), (word(500, "a"), 1));
    }

    #[test]
    fn targeting_a_parent_covers_what_its_children_are_elsewhere() {
        let arts = spread(1, "IAB1");
        assert!(
            arts.contains(&word(1, "IAB1"))
                && arts.contains(&word(6, "42"))
                && arts.contains(&word(6, "432"))
        );
        assert!(
            !arts.contains(&word(1, "IAB1-1")),
            "the request names the parents of its own"
        );
        assert!(spread(6, "42").contains(&word(1, "IAB1-1")));
    }
}

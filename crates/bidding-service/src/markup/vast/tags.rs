//! Where the tags of an XML document are, as far as inserting elements needs it: comments, CDATA sections and processing
//! instructions are passed over, entities and namespaces are not looked at. What is no XML ends the list early.

use std::ops::Range;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Open,
    Close,
    /// `<MediaFiles/>`.
    Empty,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tag<'d> {
    /// Without a namespace's prefix.
    pub(super) name: &'d str,
    pub(super) kind: Kind,
    /// In the document, `<` and `>` included.
    pub(super) bytes: Range<usize>,
}

impl Tag<'_> {
    /// Whether an element of this name begins here.
    pub(super) fn begins(&self, name: &str) -> bool {
        self.name == name && self.kind != Kind::Close
    }
}

pub(super) fn tags(document: &str) -> Vec<Tag<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = document[at..].find('<').map(|offset| at + offset) {
        let rest = &document[start..];
        let passed_over = [("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", "?>"), ("<!", ">")];
        let section = passed_over.iter().find(|(open, _)| rest.starts_with(open));
        let len = match section {
            Some((open, close)) => rest[open.len()..]
                .find(close)
                .map(|inside_len| open.len() + inside_len + close.len()),
            None => tag_len(rest),
        };
        let Some(end) = len.map(|len| start + len) else {
            break;
        };
        if section.is_none() {
            found.extend(tag(document, start..end));
        }
        at = end;
    }
    found
}

/// Up to the `>` that stands in no attribute's value.
fn tag_len(rest: &str) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in rest.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(at + 1),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
    }
    None
}

fn tag(document: &str, bytes: Range<usize>) -> Option<Tag<'_>> {
    let inside = document.get(bytes.start + 1..bytes.end - 1)?;
    let (inside, kind) = match (inside.strip_prefix('/'), inside.strip_suffix('/')) {
        (Some(inside), _) => (inside, Kind::Close),
        (None, Some(inside)) => (inside, Kind::Empty),
        (None, None) => (inside, Kind::Open),
    };
    let name = inside.split(|letter: char| letter.is_ascii_whitespace()).next()?;
    let name = name.rsplit(':').next()?;
    let is_name = name.starts_with(|letter: char| letter.is_alphabetic() || letter == '_');
    is_name.then_some(Tag { name, kind, bytes })
}

/// The tags from `open` to the one that closes it, both included; `open` alone when it is empty.
pub(super) fn element<'t, 'd>(tags: &'t [Tag<'d>], open: usize) -> Option<&'t [Tag<'d>]> {
    let first = tags.get(open)?;
    if first.kind == Kind::Empty {
        return tags.get(open..=open);
    }
    let mut depth = 0_usize;
    for (at, tag) in tags
        .iter()
        .enumerate()
        .skip(open)
        .filter(|(_, tag)| tag.name == first.name)
    {
        match tag.kind {
            Kind::Open => depth += 1,
            Kind::Close => depth -= 1,
            Kind::Empty => {}
        }
        if depth == 0 {
            return tags.get(open..=at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_looks_like_a_tag_is_passed_over() {
        let text = "<?xml version=\"1.0\"?><!DOCTYPE x><v:A b='1>0' c=\"<D>\"><!-- <B> --><![CDATA[<C> a:b]]><E f=\"/\"/></v:A><";
        let found: Vec<(&str, Kind)> = tags(text).iter().map(|tag| (tag.name, tag.kind)).collect();
        assert_eq!(found, [("A", Kind::Open), ("E", Kind::Empty), ("A", Kind::Close)]);
    }

    #[test]
    fn an_element_ends_where_its_own_tag_closes() {
        let text = "<a><a></a><b/></a><a></a>";
        let tags = tags(text);
        assert_eq!(element(&tags, 0).unwrap().len(), 5);
        assert_eq!(element(&tags, 3).unwrap().len(), 1);
        assert_eq!(element(&tags[..2], 0), None);
    }
}

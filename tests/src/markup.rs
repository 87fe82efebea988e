//! What a browser would call, found in markup of any kind.

/// The first URL in `text` with the path `path`.
pub fn url(text: &str, path: &str) -> String {
    let at = text.find(path).unwrap_or_else(|| panic!("no {path} in {text}"));
    let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '[' | ']' | '\\');
    let begin = text[..at].rfind(ends).map_or(0, |index| index + 1);
    let end = text[at..].find(ends).map_or(text.len(), |length| at + length);
    text[begin..end].replace("&amp;", "&")
}

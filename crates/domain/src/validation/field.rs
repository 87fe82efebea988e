//! The cursor of the walk: the members of an object, and one value with its place.

use crate::mistake::Mistakes;
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::ops::RangeInclusive;

/// Set by the platform: representations show them, bodies must not.
const READ_ONLY: &[&str] = &[
    "id",
    "campaign_id",
    "created_at",
    "updated_at",
    "version",
    "reviews",
    "serving_status",
    "serving_reasons",
    "uploads",
];

/// The members of an object. What the walk never asks for is reported as unknown.
pub struct Fields<'v, 'm> {
    members: &'v Map<String, Value>,
    pointer: String,
    asked: Vec<&'static str>,
    mistakes: &'m mut Mistakes,
}

/// One value, or its absence, and where it belongs. Each reader consumes it, adds what is wrong, and answers with
/// the value only when it is right.
pub struct Field<'v, 'm> {
    value: Option<&'v Value>,
    pointer: String,
    mistakes: &'m mut Mistakes,
}

impl<'v> Fields<'v, '_> {
    /// A member whose absence is a mistake.
    pub fn required(&mut self, name: &'static str) -> Field<'v, '_> {
        let field = self.optional(name);
        if field.value.is_none() {
            field
                .mistakes
                .add(field.pointer.as_str(), "required", "is required");
        }
        field
    }

    pub fn optional(&mut self, name: &'static str) -> Field<'v, '_> {
        self.asked.push(name);
        Field {
            value: self.members.get(name).filter(|value| !value.is_null()),
            pointer: join(&self.pointer, name),
            mistakes: self.mistakes,
        }
    }

    /// A member that has no place here, for the reason given.
    pub fn absent(&mut self, name: &'static str, reason: &str) {
        let field = self.optional(name);
        if field.value.is_some() {
            field.mistakes.add(field.pointer.as_str(), "not_allowed", reason);
        }
    }

    /// A mistake in the object itself (`name` empty) or in the member of that name.
    pub fn mistake(&mut self, name: &str, code: &'static str, message: &str) {
        let pointer = if name.is_empty() {
            self.pointer.clone()
        } else {
            join(&self.pointer, name)
        };
        self.mistakes.add(pointer, code, message);
    }

    /// Every member as (name, value): for objects that are maps.
    pub fn each_member(&mut self, mut read: impl FnMut(&'v str, Field<'v, '_>)) {
        for (name, value) in self.members {
            let pointer = join(&self.pointer, name);
            let mistakes = &mut *self.mistakes;
            read(
                name,
                Field {
                    value: Some(value),
                    pointer,
                    mistakes,
                },
            );
        }
    }

    fn report_unknown(&mut self) {
        for name in self
            .members
            .keys()
            .filter(|name| !self.asked.contains(&name.as_str()))
        {
            let pointer = join(&self.pointer, name);
            if self.pointer.is_empty() && READ_ONLY.contains(&name.as_str()) {
                self.mistakes.add(pointer, "read_only", "is set by the platform");
            } else {
                self.mistakes
                    .add(pointer, "unknown_field", "is no field of this object");
            }
        }
    }
}

impl<'v, 'm> Field<'v, 'm> {
    /// The whole body.
    pub fn whole(body: &'v Value, mistakes: &'m mut Mistakes) -> Self {
        Self {
            value: Some(body),
            pointer: String::new(),
            mistakes,
        }
    }

    #[must_use]
    pub fn is_given(&self) -> bool {
        self.value.is_some()
    }

    /// Notes that the value is wrong.
    pub fn refuse(self, code: &'static str, message: impl Into<String>) {
        self.mistakes.add(self.pointer, code, message);
    }

    /// An object, all of whose members `walk` asks for.
    pub fn object(self, walk: impl FnOnce(&mut Fields<'v, '_>)) {
        let Some(mut fields) = self.members() else { return };
        walk(&mut fields);
        fields.report_unknown();
    }

    /// An object whose member names are data.
    pub fn map(self, read: impl FnMut(&'v str, Field<'v, '_>)) {
        if let Some(mut fields) = self.members() {
            fields.each_member(read);
        }
    }

    fn members(self) -> Option<Fields<'v, 'm>> {
        match self.value? {
            Value::Object(members) => Some(Fields {
                members,
                pointer: self.pointer,
                asked: Vec::new(),
                mistakes: self.mistakes,
            }),
            _ => {
                self.refuse("invalid_type", "must be an object");
                None
            }
        }
    }

    /// A list, each item read by `read`. The items of one that is too long are not looked at.
    pub fn list(
        self,
        lengths: RangeInclusive<usize>,
        mut read: impl FnMut(&'v Value, Field<'v, '_>),
    ) -> usize {
        let Some(value) = self.value else { return 0 };
        let Value::Array(items) = value else {
            self.refuse("invalid_type", "must be a list");
            return 0;
        };
        if items.len() < *lengths.start() {
            let message = format!("must have at least {}", count(*lengths.start(), "item"));
            self.mistakes.add(self.pointer.as_str(), "too_short", message);
        } else if items.len() > *lengths.end() {
            let message = format!("must have at most {}", count(*lengths.end(), "item"));
            self.refuse("too_long", message);
            return items.len();
        }
        for (index, item) in items.iter().enumerate() {
            let pointer = format!("{}/{index}", self.pointer);
            read(
                item,
                Field {
                    value: Some(item),
                    pointer,
                    mistakes: &mut *self.mistakes,
                },
            );
        }
        items.len()
    }

    /// A list of texts that each pass `check`, whose error says what would be right.
    pub fn texts(self, lengths: RangeInclusive<usize>, check: fn(&str) -> Result<(), &'static str>) -> usize {
        self.list(lengths, |_, item| {
            item.checked(check);
        })
    }

    /// Text of so many characters, without control characters.
    pub fn text(self, chars: RangeInclusive<usize>) -> Option<&'v str> {
        self.lettered(chars, |c| c.is_control(), "must not hold control characters")
    }

    /// Text that may have lines.
    pub fn document(self, chars: RangeInclusive<usize>) -> Option<&'v str> {
        let is_bad = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
        self.lettered(
            chars,
            is_bad,
            "must not hold control characters but line ends and tabs",
        )
    }

    fn lettered(self, chars: RangeInclusive<usize>, is_bad: fn(char) -> bool, bad: &str) -> Option<&'v str> {
        let (text, field) = self.string()?;
        let found = text.chars().count();
        if found < *chars.start() {
            field.refuse(
                "too_short",
                format!("must have at least {}", count(*chars.start(), "character")),
            );
        } else if found > *chars.end() {
            field.refuse(
                "too_long",
                format!("must have at most {}", count(*chars.end(), "character")),
            );
        } else if text.contains(is_bad) {
            field.refuse("invalid_value", bad);
        } else {
            return Some(text);
        }
        None
    }

    /// Text that passes `check`, whose error says what would be right.
    pub fn checked(self, check: fn(&str) -> Result<(), &'static str>) -> Option<&'v str> {
        let (text, field) = self.string()?;
        match check(text) {
            Ok(()) => Some(text),
            Err(message) => {
                field.refuse("invalid_value", message);
                None
            }
        }
    }

    /// One of `words`.
    pub fn word(self, words: &[&str]) -> Option<&'v str> {
        let (text, field) = self.string()?;
        if words.contains(&text) {
            return Some(text);
        }
        field.refuse("unknown_value", format!("must be one of {}", words.join(", ")));
        None
    }

    /// A whole number within `bounds`.
    pub fn integer(self, bounds: RangeInclusive<i64>) -> Option<i64> {
        let Some(number) = self.value?.as_i64() else {
            self.refuse("invalid_type", "must be a whole number");
            return None;
        };
        if number < *bounds.start() {
            self.refuse("too_small", format!("must be at least {}", bounds.start()));
        } else if number > *bounds.end() {
            self.refuse("too_large", format!("must be at most {}", bounds.end()));
        } else {
            return Some(number);
        }
        None
    }

    pub fn flag(self) -> Option<bool> {
        let flag = self.value?.as_bool();
        if flag.is_none() {
            self.refuse("invalid_type", "must be true or false");
        }
        flag
    }

    /// An RFC 3339 instant from 1970 to 2199.
    pub fn timestamp(self) -> Option<Timestamp> {
        const LATEST_SECOND: i64 = 7_258_118_399;
        let (text, field) = self.string()?;
        match text.parse::<Timestamp>() {
            Ok(instant) if (0..=LATEST_SECOND).contains(&instant.as_second()) => Some(instant),
            Ok(_) => {
                field.refuse("invalid_value", "must lie between the years 1970 and 2199");
                None
            }
            Err(_) => {
                field.refuse(
                    "invalid_value",
                    "must be a time of RFC 3339, such as 2026-11-23T00:00:00Z",
                );
                None
            }
        }
    }

    fn string(self) -> Option<(&'v str, Self)> {
        match self.value?.as_str() {
            Some(text) => Some((text, self)),
            None => {
                self.refuse("invalid_type", "must be text");
                None
            }
        }
    }
}

fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

fn join(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

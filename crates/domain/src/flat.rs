//! Reading an object that is flat in JSON and two things in Rust: what a client may set, and what the platform keeps
//! beside it.
//!
//! `#[serde(flatten)]` reads such an object into a list of owned values first, and the two from that. Here each value
//! is read once, straight into its field. As there, a field that neither knows is passed over: a record of a later
//! version may have more of them.

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};
use std::fmt;
use std::marker::PhantomData;

/// `deserialize_flat!(Record { spec: Spec, id: Id, notes: Vec<Note> = Vec::new() })`: every field of `Record`, those with
/// a default may be missing.
macro_rules! deserialize_flat {
    ($record:ident { spec: $spec:ty, $($field:ident: $type:ty $(= $default:expr)?),* $(,)? }) => {
        impl<'de> serde::Deserialize<'de> for $record {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                #[derive(Default)]
                struct Beside {
                    $($field: Option<$type>,)*
                }

                impl<'de> $crate::flat::Beside<'de> for Beside {
                    const FIELDS: &'static [&'static str] = &[$(stringify!($field)),*];

                    fn read<A: serde::de::MapAccess<'de>>(
                        &mut self,
                        field: &'static str,
                        map: &mut A,
                    ) -> Result<(), A::Error> {
                        match field {
                            $(stringify!($field) => $crate::flat::once(field, &mut self.$field, map),)*
                            _ => Ok(()),
                        }
                    }
                }

                let (spec, beside): ($spec, Beside) = $crate::flat::read(deserializer)?;
                Ok(Self {
                    spec,
                    $($field: match beside.$field {
                        Some(value) => value,
                        None => deserialize_flat!(@missing $field $(, $default)?),
                    },)*
                })
            }
        }
    };
    (@missing $field:ident, $default:expr) => { $default };
    (@missing $field:ident) => { return Err(serde::de::Error::missing_field(stringify!($field))) };
}
pub(crate) use deserialize_flat;

/// What stands beside a spec.
pub(crate) trait Beside<'de>: Default {
    const FIELDS: &'static [&'static str];

    /// Reads the value of one of its fields.
    fn read<A: MapAccess<'de>>(&mut self, field: &'static str, map: &mut A) -> Result<(), A::Error>;
}

pub(crate) fn once<'de, T: Deserialize<'de>, A: MapAccess<'de>>(
    field: &'static str,
    place: &mut Option<T>,
    map: &mut A,
) -> Result<(), A::Error> {
    if place.is_some() {
        return Err(A::Error::duplicate_field(field));
    }
    *place = Some(map.next_value()?);
    Ok(())
}

pub(crate) fn read<'de, D, S, B>(deserializer: D) -> Result<(S, B), D::Error>
where
    D: Deserializer<'de>,
    S: Deserialize<'de>,
    B: Beside<'de>,
{
    deserializer.deserialize_map(Both(PhantomData))
}

struct Both<S, B>(PhantomData<(S, B)>);

impl<'de, S: Deserialize<'de>, B: Beside<'de>> Visitor<'de> for Both<S, B> {
    type Value = (S, B);

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(S, B), A::Error> {
        let mut beside = B::default();
        let spec = S::deserialize(Spec {
            map,
            beside: &mut beside,
        })?;
        Ok((spec, beside))
    }
}

/// The object as the spec is to see it.
struct Spec<'a, A, B> {
    map: A,
    beside: &'a mut B,
}

impl<'de, A: MapAccess<'de>, B: Beside<'de>> Deserializer<'de> for Spec<'_, A, B> {
    type Error = A::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        visitor.visit_map(Fields {
            map: self.map,
            beside: self.beside,
            fields,
        })
    }

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, A::Error> {
        Err(A::Error::custom("only a struct has fields to tell apart"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// The entries of the spec; those beside it are read on the way, and what is nobody's is passed over.
struct Fields<'a, A, B> {
    map: A,
    beside: &'a mut B,
    fields: &'static [&'static str],
}

impl<'de, A: MapAccess<'de>, B: Beside<'de>> MapAccess<'de> for Fields<'_, A, B> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        let key = Key {
            spec: self.fields,
            beside: B::FIELDS,
        };
        loop {
            match self.map.next_key_seed(key)? {
                None => return Ok(None),
                Some(Owner::Beside(field)) => self.beside.read(field, &mut self.map)?,
                Some(Owner::Nobody) => drop(self.map.next_value::<IgnoredAny>()?),
                Some(Owner::Spec(field)) => {
                    let field: StrDeserializer<'_, A::Error> = field.into_deserializer();
                    return seed.deserialize(field).map(Some);
                }
            }
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

/// Whose an entry is, told by its key.
enum Owner {
    Spec(&'static str),
    Beside(&'static str),
    Nobody,
}

#[derive(Clone, Copy)]
struct Key {
    spec: &'static [&'static str],
    beside: &'static [&'static str],
}

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Owner;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Owner, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Key {
    type Value = Owner;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the name of a field")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Owner, E> {
        let named = |fields: &'static [&'static str]| fields.iter().copied().find(|field| *field == key);
        Ok(match (named(self.beside), named(self.spec)) {
            (Some(field), _) => Owner::Beside(field),
            (None, Some(field)) => Owner::Spec(field),
            (None, None) => Owner::Nobody,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Spec {
        name: String,
        #[serde(default)]
        weight: u32,
    }

    #[derive(Debug, PartialEq)]
    struct Record {
        id: u64,
        spec: Spec,
        notes: Vec<String>,
    }

    deserialize_flat!(Record { spec: Spec, id: u64, notes: Vec<String> = Vec::new() });

    fn read(text: &str) -> Result<Record, serde_json::Error> {
        let from_text = serde_json::from_str(text);
        // A store's document is read from a value, where keys are owned.
        let from_value = serde_json::from_str(text).and_then(serde_json::from_value);
        assert_eq!(from_text.as_ref().ok(), from_value.as_ref().ok());
        from_text
    }

    #[test]
    fn fields_go_to_whom_they_belong_in_any_order_and_those_of_nobody_are_passed_over() {
        let record = read(r#"{"weight": 3, "id": 7, "later": {"x": [1]}, "na\u006de": "n", "notes": ["a"]}"#);
        let spec = Spec {
            name: "n".to_owned(),
            weight: 3,
        };
        let notes = vec!["a".to_owned()];
        assert_eq!(record.unwrap(), Record { id: 7, spec, notes });
    }

    #[test]
    fn what_has_a_default_may_be_missing_and_nothing_else() {
        assert!(read(r#"{"id": 7, "name": "n"}"#).is_ok());
        let lacks = |text| read(text).unwrap_err().to_string();
        assert!(lacks(r#"{"name": "n"}"#).starts_with("missing field `id`"));
        assert!(lacks(r#"{"id": 7}"#).starts_with("missing field `name`"));
        assert!(lacks("[]").starts_with("invalid type"));
    }

    #[test]
    fn a_field_twice_is_an_error_on_either_side() {
        let twice = |text| serde_json::from_str::<Record>(text).unwrap_err().to_string();
        assert!(twice(r#"{"id": 7, "id": 8, "name": "n"}"#).starts_with("duplicate field `id`"));
        assert!(twice(r#"{"id": 7, "name": "n", "name": "m"}"#).starts_with("duplicate field `name`"));
    }
}

//! API keys: their text, what is stored of them, and what they allow.
//!
//! A key reads `adp_<key id>_<secret>`. The id is looked up; of the secret only the SHA-256 is stored, which
//! is enough for a secret of 160 random bits or more: there is nothing to guess.

use crate::id::{AdvertiserId, KeyId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use subtle::ConstantTimeEq;

const PREFIX: &str = "adp_";
/// Far above any key's length; longer texts are not looked at.
const MAX_TEXT_BYTES: usize = 256;

/// What a key allows. An advertiser's key is a viewer's or an editor's; an administrator's belongs to no advertiser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyRole {
    /// Reads its advertiser's objects.
    Viewer,
    /// Changes them too.
    Editor,
    /// Everything of everyone.
    Admin,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyStatus {
    #[default]
    Active,
    /// Revoked, for good.
    Archived,
}

/// The stored half of a key: the body of its document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    pub id: KeyId,
    pub name: String,
    pub role: KeyRole,
    /// `None` for administrators alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advertiser_id: Option<AdvertiserId>,
    pub status: KeyStatus,
    /// Lower-case hex. Never shown.
    pub secret_sha256: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// Whose objects a key opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyScope {
    /// Everything of everyone: an administrator's.
    Everyone,
    Advertiser {
        advertiser_id: AdvertiserId,
        may_write: bool,
    },
}

impl ApiKey {
    /// Gives the key a secret in place of the one it had, and answers the key's whole text, for the one time it is
    /// shown. `random` is 160 bits or more of entropy.
    pub fn renew_secret(&mut self, random: &[u8]) -> String {
        let secret = hex(random);
        self.secret_sha256 = sha256_hex(secret.as_bytes());
        format!("{PREFIX}{}_{secret}", self.id)
    }

    /// `None` when role and advertiser do not fit, which validation does not let in: too much would be opened.
    #[must_use]
    pub fn scope(&self) -> Option<KeyScope> {
        match (self.role, &self.advertiser_id) {
            (KeyRole::Admin, None) => Some(KeyScope::Everyone),
            (role @ (KeyRole::Viewer | KeyRole::Editor), Some(advertiser_id)) => Some(KeyScope::Advertiser {
                advertiser_id: advertiser_id.clone(),
                may_write: role == KeyRole::Editor,
            }),
            (KeyRole::Admin, Some(_)) | (KeyRole::Viewer | KeyRole::Editor, None) => None,
        }
    }

    /// Whether the secret is this key's, and the key not revoked.
    #[must_use]
    pub fn accepts(&self, secret: &str) -> bool {
        self.status == KeyStatus::Active && same_text(&sha256_hex(secret.as_bytes()), &self.secret_sha256)
    }
}

/// A key as a caller presents it. Shows its secret to nobody by accident.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PresentedKey<'a> {
    pub id: &'a str,
    pub secret: &'a str,
}

impl<'a> PresentedKey<'a> {
    /// `None` for a text that no key has. The id contains underscores, the secret none.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        if text.len() > MAX_TEXT_BYTES {
            return None;
        }
        let (id, secret) = text.strip_prefix(PREFIX)?.rsplit_once('_')?;
        (!id.is_empty() && !secret.is_empty()).then_some(Self { id, secret })
    }
}

impl fmt::Debug for PresentedKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresentedKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// SHA-256 in lower-case hex.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Whether two secrets are equal, in a time that tells nothing of where they differ, nor of their lengths.
#[must_use]
pub fn same_secret(presented: &str, expected: &str) -> bool {
    Sha256::digest(presented.as_bytes())
        .as_slice()
        .ct_eq(Sha256::digest(expected.as_bytes()).as_slice())
        .into()
}

fn same_text(left: &str, right: &str) -> bool {
    left.as_bytes().ct_eq(right.as_bytes()).into()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(secret: &str) -> ApiKey {
        ApiKey {
            id: KeyId::mint(0, 7),
            name: "reports".to_owned(),
            role: KeyRole::Viewer,
            advertiser_id: Some("adv_1".into()),
            status: KeyStatus::Active,
            secret_sha256: sha256_hex(secret.as_bytes()),
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_key_s_text_names_its_id_and_carries_its_secret() {
        let mut key = key("old");
        let text = key.renew_secret(&[0xab; 20]);
        let presented = PresentedKey::parse(&text).unwrap();
        assert_eq!(presented.id, key.id.as_str());
        assert!(key.accepts(presented.secret) && !key.accepts("old"));
        assert!(!format!("{presented:?}").contains("abab"));
    }

    #[test]
    fn a_key_opens_what_its_role_says_and_nothing_when_that_does_not_fit() {
        let scope = |role, advertiser_id: Option<&str>| {
            let advertiser_id = advertiser_id.map(AdvertiserId::from);
            ApiKey {
                role,
                advertiser_id,
                ..key("s")
            }
            .scope()
        };
        assert_eq!(scope(KeyRole::Admin, None), Some(KeyScope::Everyone));
        for (role, may_write) in [(KeyRole::Viewer, false), (KeyRole::Editor, true)] {
            let advertiser_id = "adv_1".into();
            let expected = KeyScope::Advertiser {
                advertiser_id,
                may_write,
            };
            assert_eq!(scope(role, Some("adv_1")), Some(expected));
            assert_eq!(scope(role, None), None);
        }
        assert_eq!(scope(KeyRole::Admin, Some("adv_1")), None);
    }

    #[test]
    fn texts_that_no_key_has_are_refused() {
        let long = format!("adp_key_1_{}", "x".repeat(300));
        for text in ["", "adp_", "adp_x", "adp_x_", "adp__x", "key_1_2", &long] {
            assert_eq!(PresentedKey::parse(text), None, "{text}");
        }
    }

    #[test]
    fn another_secret_or_a_revoked_key_is_refused() {
        let mut key = key("s");
        assert!(key.accepts("s") && !key.accepts("t") && !key.accepts(""));
        key.status = KeyStatus::Archived;
        assert!(!key.accepts("s"));
    }

    #[test]
    fn secrets_are_compared_whole() {
        assert!(same_secret("abc", "abc") && !same_secret("abc", "abcd") && !same_secret("", "a"));
    }
}

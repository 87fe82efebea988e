//! Seals and opens tokens.
//!
//! base64url( length of kid | kid | bid id | ciphertext | tag ). Everything before the ciphertext is
//! authenticated with it. The nonce comes from the bid id, which is unique; should one ever repeat, SIV gives
//! away no more than that two equal tokens are equal.

use super::wire::Reader;
use super::{BadToken, BidToken, Click, TokenKind, layout};
use aes_gcm_siv::aead::{AeadInOut, KeyInit};
use aes_gcm_siv::{Aes256GcmSiv, Nonce, Tag};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::id::BidId;
use hkdf::Hkdf;
use sha2::Sha256;

const TAG_BYTES: usize = 16;
const BID_ID_BYTES: usize = 16;

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("at least one notice secret is needed, each with a name of 1 to 255 bytes")]
pub(crate) struct NoSigningKey;

/// The first secret signs, all verify: secrets can be replaced while tokens are out.
pub(crate) struct TokenSealer {
    secrets: Vec<Secret>,
}

struct Secret {
    kid: String,
    /// One of each kind, in the order of [`TokenKind::ALL`].
    ciphers: [Aes256GcmSiv; TokenKind::ALL.len()],
}

impl std::fmt::Debug for TokenSealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.secrets.iter().map(|secret| &secret.kid))
            .finish()
    }
}

impl Secret {
    fn derive(kid: &str, key: &[u8]) -> Self {
        let root = Hkdf::<Sha256>::new(Some(b"adplatform notice token"), key);
        let ciphers = TokenKind::ALL.map(|kind| {
            let mut derived = [0_u8; 32];
            root.expand(kind.label().as_bytes(), &mut derived)
                .expect("32 bytes are within what HKDF-SHA256 gives");
            Aes256GcmSiv::new(&derived.into())
        });
        Self {
            kid: kid.to_owned(),
            ciphers,
        }
    }

    fn cipher(&self, kind: TokenKind) -> &Aes256GcmSiv {
        &self.ciphers[kind as usize]
    }
}

impl TokenSealer {
    /// Secrets as (kid, key), in order of preference.
    ///
    /// # Errors
    /// When there is none, or a kid is empty or longer than 255 bytes.
    pub(crate) fn new<K: AsRef<str>, S: AsRef<[u8]>>(secrets: &[(K, S)]) -> Result<Self, NoSigningKey> {
        if secrets.is_empty()
            || secrets
                .iter()
                .any(|(kid, _)| !(1..=255).contains(&kid.as_ref().len()))
        {
            return Err(NoSigningKey);
        }
        let secrets = secrets
            .iter()
            .map(|(kid, key)| Secret::derive(kid.as_ref(), key.as_ref()))
            .collect();
        Ok(Self { secrets })
    }

    /// Appends the token to `out`, in characters that need no escaping in a URL.
    pub(crate) fn seal(&self, kind: TokenKind, token: &BidToken, out: &mut String) {
        self.seal_body(kind, token.bid_id, |bytes| layout::write(kind, token, bytes), out);
    }

    /// Appends what goes to the landing page.
    pub(crate) fn seal_click(&self, click: &Click, out: &mut String) {
        let write = |bytes: &mut Vec<u8>| click.write(bytes);
        self.seal_body(TokenKind::Conversion, click.bid.bid_id, write, out);
    }

    fn seal_body(&self, kind: TokenKind, bid_id: BidId, write: impl FnOnce(&mut Vec<u8>), out: &mut String) {
        let secret = &self.secrets[0];
        let mut bytes = Vec::with_capacity(512);
        bytes.push(secret.kid.len() as u8);
        bytes.extend_from_slice(secret.kid.as_bytes());
        bytes.extend_from_slice(&bid_id.0.to_be_bytes());
        let header_bytes = bytes.len();
        write(&mut bytes);
        let (header, body) = bytes.split_at_mut(header_bytes);
        let tag = secret
            .cipher(kind)
            .encrypt_inout_detached(&nonce(bid_id), header, body.into())
            .expect("a token is far below the 64 GiB that AES-GCM-SIV takes");
        bytes.extend_from_slice(&tag);
        URL_SAFE_NO_PAD.encode_string(&bytes, out);
    }

    /// What was sealed for this kind, while it is valid. Takes any text; altered by one bit it is [`BadToken::Forged`].
    pub(crate) fn open(&self, kind: TokenKind, now_ms: i64, text: &str) -> Result<BidToken, BadToken> {
        let mut bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| BadToken::Forged)?;
        let (bid_id, body) = self.decrypt(kind, &mut bytes).ok_or(BadToken::Forged)?;
        let token = layout::read(kind, bid_id, body).map_err(|_| BadToken::Forged)?;
        if now_ms < token.expires_at_ms(kind) {
            Ok(token)
        } else {
            Err(BadToken::Expired)
        }
    }

    /// What [`TokenSealer::seal_click`] sealed, while the click counts.
    pub(crate) fn open_click(&self, now_ms: i64, text: &str) -> Result<Click, BadToken> {
        let mut bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| BadToken::Forged)?;
        let (bid_id, body) = self
            .decrypt(TokenKind::Conversion, &mut bytes)
            .ok_or(BadToken::Forged)?;
        let click = Click::read(bid_id, body).map_err(|_| BadToken::Forged)?;
        if now_ms < click.counts_until_ms {
            Ok(click)
        } else {
            Err(BadToken::Expired)
        }
    }

    fn decrypt<'a>(&self, kind: TokenKind, bytes: &'a mut [u8]) -> Option<(BidId, &'a [u8])> {
        let mut reader = Reader(bytes);
        let kid_bytes = usize::from(reader.byte().ok()?);
        let kid = reader.bytes(kid_bytes).ok()?;
        let secret = self.secrets.iter().find(|secret| secret.kid.as_bytes() == kid)?;
        let bid_id = BidId(u128::from_be_bytes(
            reader.bytes(BID_ID_BYTES).ok()?.try_into().ok()?,
        ));
        let body_bytes = reader.0.len().checked_sub(TAG_BYTES)?;
        let (header, rest) = bytes.split_at_mut(1 + kid_bytes + BID_ID_BYTES);
        let (body, tag) = rest.split_at_mut(body_bytes);
        let tag = Tag::try_from(&*tag).ok()?;
        secret
            .cipher(kind)
            .decrypt_inout_detached(&nonce(bid_id), header, (&mut *body).into(), &tag)
            .ok()?;
        Some((bid_id, body))
    }
}

/// The bidder's random half of the bid id and the low half of its counter.
fn nonce(bid_id: BidId) -> Nonce {
    let id = bid_id.0.to_be_bytes();
    let mut nonce = [0_u8; 12];
    nonce[..8].copy_from_slice(&id[..8]);
    nonce[8..].copy_from_slice(&id[12..]);
    nonce.into()
}

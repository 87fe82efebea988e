//! Seals and opens tokens.
//!
//! base64url( length of kid | kid | bid id | ciphertext | tag ), and behind a notice's base64url( proof ). Everything before
//! the ciphertext is authenticated with it. The nonce comes from the bid id, which is unique; should one ever repeat, SIV
//! gives away no more than that two equal envelopes are equal. The proof is of the notice's kind, over the tag, which stands
//! for all before it.

use super::wire::Reader;
use super::{BadToken, BidToken, Click, Envelope, PROOFS, TokenKind, layout};
use aes_gcm_siv::aead::{AeadInOut, KeyInit};
use aes_gcm_siv::{Aes256GcmSiv, Nonce, Tag};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bumpalo::Bump;
use domain::id::BidId;
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;

const TAG_BYTES: usize = 16;
/// Of HMAC-SHA256, the first half.
const PROOF_BYTES: usize = 16;
const PROOF_CHARACTERS: usize = 22;
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
    /// In the order of [`Envelope::ALL`].
    ciphers: [Aes256GcmSiv; Envelope::ALL.len()],
    /// In the order of [`PROOFS`].
    proofs: [Hmac<Sha256>; PROOFS.len()],
}

/// An envelope in an arena, to which the proof of one of its kinds is still to be added.
#[derive(Clone, Copy)]
pub(crate) struct Sealed<'a> {
    text: &'a str,
    tag: Tag,
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
        let derived = |label: &str| {
            let mut derived = [0_u8; 32];
            root.expand(label.as_bytes(), &mut derived)
                .expect("32 bytes are within what HKDF-SHA256 gives");
            derived
        };
        Self {
            kid: kid.to_owned(),
            ciphers: Envelope::ALL.map(|envelope| Aes256GcmSiv::new(&derived(envelope.label()).into())),
            proofs: PROOFS.map(|(_, label)| {
                Hmac::new_from_slice(&derived(label)).expect("HMAC takes keys of any length")
            }),
        }
    }

    fn cipher(&self, envelope: Envelope) -> &Aes256GcmSiv {
        &self.ciphers[envelope as usize]
    }

    /// `None`: the kind needs none.
    fn proof(&self, kind: TokenKind, tag: &Tag) -> Option<Hmac<Sha256>> {
        Some(self.proofs[kind.proof()?].clone().chain_update(tag))
    }

    fn proves(&self, kind: TokenKind, tag: &Tag, proof: &[u8]) -> bool {
        match self.proof(kind, tag) {
            Some(computed) => proof.len() == PROOF_BYTES && computed.verify_truncated_left(proof).is_ok(),
            None => proof.is_empty(),
        }
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

    /// For every kind of the envelope, in characters that need no escaping in a URL.
    pub(crate) fn seal_in<'a>(&self, arena: &'a Bump, envelope: Envelope, token: &BidToken) -> Sealed<'a> {
        let (bytes, tag) = self.seal_bytes(envelope, token.bid_id, |bytes| {
            layout::write(envelope, token, bytes);
        });
        let text = encoded_in(arena, &bytes);
        Sealed { text, tag }
    }

    /// The two parts of the token.
    pub(crate) fn token_in<'a>(&self, arena: &'a Bump, kind: TokenKind, sealed: Sealed<'a>) -> [&'a str; 2] {
        let proof = self.secrets[0].proof(kind, &sealed.tag);
        let proof = proof.map(|proof| encoded_in(arena, &proof.finalize().into_bytes()[..PROOF_BYTES]));
        [sealed.text, proof.unwrap_or_default()]
    }

    /// As an answer has it.
    #[cfg(test)]
    pub(crate) fn seal(&self, kind: TokenKind, token: &BidToken) -> String {
        let arena = Bump::new();
        let sealed = self.seal_in(&arena, kind.envelope(), token);
        self.token_in(&arena, kind, sealed).concat()
    }

    /// Appends what goes to the landing page.
    pub(crate) fn seal_click(&self, click: &Click, out: &mut String) {
        let write = |bytes: &mut Vec<u8>| click.write(bytes);
        let (bytes, _tag) = self.seal_bytes(Envelope::Conversion, click.bid.bid_id, write);
        URL_SAFE_NO_PAD.encode_string(&bytes, out);
    }

    fn seal_bytes(
        &self,
        envelope: Envelope,
        bid_id: BidId,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> (Vec<u8>, Tag) {
        let secret = &self.secrets[0];
        let mut bytes = Vec::with_capacity(512);
        bytes.push(secret.kid.len() as u8);
        bytes.extend_from_slice(secret.kid.as_bytes());
        bytes.extend_from_slice(&bid_id.0.to_be_bytes());
        let header_bytes = bytes.len();
        write(&mut bytes);
        let (header, body) = bytes.split_at_mut(header_bytes);
        let tag = secret
            .cipher(envelope)
            .encrypt_inout_detached(&nonce(bid_id), header, body.into())
            .expect("a token is far below the 64 GiB that AES-GCM-SIV takes");
        bytes.extend_from_slice(&tag);
        (bytes, tag)
    }

    /// What was sealed for this kind, while it is valid. Takes any text; altered by one bit it is [`BadToken::Forged`].
    pub(crate) fn open(&self, kind: TokenKind, now_ms: i64, text: &str) -> Result<BidToken, BadToken> {
        let read = |bid_id, body: &[u8]| layout::read(kind.envelope(), bid_id, body).ok();
        let token = self.decrypted(kind, text, read).ok_or(BadToken::Forged)?;
        if now_ms < token.expires_at_ms(kind) {
            Ok(token)
        } else {
            Err(BadToken::Expired)
        }
    }

    /// What [`TokenSealer::seal_click`] sealed, while the click counts.
    pub(crate) fn open_click(&self, now_ms: i64, text: &str) -> Result<Click, BadToken> {
        let read = |bid_id, body: &[u8]| Click::read(bid_id, body).ok();
        let click = self
            .decrypted(TokenKind::Conversion, text, read)
            .ok_or(BadToken::Forged)?;
        if now_ms < click.counts_until_ms {
            Ok(click)
        } else {
            Err(BadToken::Expired)
        }
    }

    fn decrypted<T>(
        &self,
        kind: TokenKind,
        text: &str,
        read: impl FnOnce(BidId, &[u8]) -> Option<T>,
    ) -> Option<T> {
        let behind = kind.proof().map_or(0, |_| PROOF_CHARACTERS);
        let (envelope, proof) = text.split_at_checked(text.len().checked_sub(behind)?)?;
        let mut bytes = URL_SAFE_NO_PAD.decode(envelope).ok()?;
        let proof = URL_SAFE_NO_PAD.decode(proof).ok()?;
        let mut reader = Reader(&bytes);
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
        if !secret.proves(kind, &tag, &proof) {
            return None;
        }
        secret
            .cipher(kind.envelope())
            .decrypt_inout_detached(&nonce(bid_id), header, (&mut *body).into(), &tag)
            .ok()?;
        read(bid_id, body)
    }
}

fn encoded_in<'a>(arena: &'a Bump, bytes: &[u8]) -> &'a str {
    let length = base64::encoded_len(bytes.len(), false).expect("a token is far below what memory holds");
    let text = arena.alloc_slice_fill_copy(length, 0_u8);
    let written = URL_SAFE_NO_PAD
        .encode_slice(bytes, text)
        .expect("the text is as long as that");
    std::str::from_utf8(&text[..written]).expect("base64 is ASCII")
}

/// The bidder's random half of the bid id and the low half of its counter.
fn nonce(bid_id: BidId) -> Nonce {
    let id = bid_id.0.to_be_bytes();
    let mut nonce = [0_u8; 12];
    nonce[..8].copy_from_slice(&id[..8]);
    nonce[8..].copy_from_slice(&id[12..]);
    nonce.into()
}

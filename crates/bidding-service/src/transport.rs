//! From the bytes on the wire to the bytes of the request, with bounds (OpenRTB 2.6, 2.2 to 2.4).
//!
//! `Content-Type` is not looked at: a missing one means JSON, exchanges send `text/plain` and worse, and whatever
//! is no JSON fails as such.

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_ENCODING;
use bytes::{Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use http_body_util::BodyExt;
use std::io::Read;

/// The longest compressed body.
pub(crate) const ENCODED_LIMIT_BYTES: usize = 256 << 10;
/// The longest request, as sent plain or after decompression.
pub(crate) const DECODED_LIMIT_BYTES: usize = 1 << 20;
/// RFC 8878 asks decoders for windows of 8 MiB; a frame that wants more is refused before it gets it.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Plain,
    Gzip,
    Zstd,
}

/// A body that is no request whatever it holds: 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadBody {
    #[error("content-encoding is neither gzip nor zstd")]
    UnknownEncoding,
    #[error("body is too large")]
    TooLarge,
    #[error("body ended early")]
    CutOff,
    #[error("body cannot be decompressed")]
    NotDecompressible,
}

impl Encoding {
    /// # Errors
    /// [`BadBody::UnknownEncoding`], several of them included.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, BadBody> {
        let mut named = headers.get_all(CONTENT_ENCODING).iter();
        let (first, second) = (named.next(), named.next());
        match (first.map(|value| value.as_bytes().trim_ascii()), second) {
            (None, _) => Ok(Self::Plain),
            (Some(name), None) if name.is_empty() || name.eq_ignore_ascii_case(b"identity") => {
                Ok(Self::Plain)
            }
            (Some(name), None)
                if name.eq_ignore_ascii_case(b"gzip") || name.eq_ignore_ascii_case(b"x-gzip") =>
            {
                Ok(Self::Gzip)
            }
            (Some(name), None) if name.eq_ignore_ascii_case(b"zstd") => Ok(Self::Zstd),
            _ => Err(BadBody::UnknownEncoding),
        }
    }

    fn limit_bytes(self) -> usize {
        match self {
            Self::Plain => DECODED_LIMIT_BYTES,
            Self::Gzip | Self::Zstd => ENCODED_LIMIT_BYTES,
        }
    }

    /// Takes time: compressed bodies are bounded, and so is what comes out.
    ///
    /// # Errors
    /// [`BadBody::TooLarge`] for a bomb, [`BadBody::NotDecompressible`].
    pub(crate) fn decode(self, body: Bytes) -> Result<Bytes, BadBody> {
        match self {
            Self::Plain => Ok(body),
            Self::Gzip => read_bounded(MultiGzDecoder::new(&body[..])),
            Self::Zstd => {
                let mut decoder =
                    zstd::Decoder::with_buffer(&body[..]).map_err(|_| BadBody::NotDecompressible)?;
                decoder
                    .window_log_max(ZSTD_WINDOW_LOG_MAX)
                    .map_err(|_| BadBody::NotDecompressible)?;
                read_bounded(decoder)
            }
        }
    }
}

fn read_bounded(reader: impl Read) -> Result<Bytes, BadBody> {
    let mut decoded = Vec::with_capacity(8 << 10);
    reader
        .take(DECODED_LIMIT_BYTES as u64 + 1)
        .read_to_end(&mut decoded)
        .map_err(|_| BadBody::NotDecompressible)?;
    if decoded.len() > DECODED_LIMIT_BYTES {
        return Err(BadBody::TooLarge);
    }
    Ok(decoded.into())
}

/// Reads the body as it was sent. The caller bounds the time.
///
/// # Errors
/// [`BadBody::TooLarge`] as soon as it is known, [`BadBody::CutOff`].
pub(crate) async fn read(mut body: Body, encoding: Encoding) -> Result<Bytes, BadBody> {
    let limit_bytes = encoding.limit_bytes();
    let announced_bytes = axum::body::HttpBody::size_hint(&body).lower();
    if announced_bytes > limit_bytes as u64 {
        return Err(BadBody::TooLarge);
    }
    let mut first = Bytes::new();
    let mut joined = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| BadBody::CutOff)?.into_data() else {
            continue;
        };
        if first.len().max(joined.len()) + data.len() > limit_bytes {
            return Err(BadBody::TooLarge);
        }
        // Nearly every request comes in one piece, which is then used as it is.
        if first.is_empty() && joined.is_empty() {
            first = data;
            continue;
        }
        if joined.is_empty() {
            joined.extend_from_slice(&first);
        }
        joined.extend_from_slice(&data);
    }
    Ok(if joined.is_empty() { first } else { joined.freeze() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;
    use std::io::Write;

    fn gzip(plain: &[u8]) -> Bytes {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap().into()
    }

    fn zstd(plain: &[u8]) -> Bytes {
        zstd::encode_all(plain, 3).unwrap().into()
    }

    #[test]
    fn what_was_compressed_comes_out_again() {
        let plain = br#"{"id":"1"}"#;
        assert_eq!(&Encoding::Gzip.decode(gzip(plain)).unwrap()[..], plain);
        assert_eq!(&Encoding::Zstd.decode(zstd(plain)).unwrap()[..], plain);
    }

    #[test]
    fn a_bomb_is_cut_at_the_limit() {
        let zeros = vec![0; DECODED_LIMIT_BYTES * 16];
        for (encoding, bomb) in [(Encoding::Gzip, gzip(&zeros)), (Encoding::Zstd, zstd(&zeros))] {
            assert!(bomb.len() < ENCODED_LIMIT_BYTES);
            assert_eq!(encoding.decode(bomb), Err(BadBody::TooLarge));
        }
        let full = vec![0; DECODED_LIMIT_BYTES];
        assert_eq!(
            Encoding::Gzip.decode(gzip(&full)).unwrap().len(),
            DECODED_LIMIT_BYTES
        );
    }

    #[test]
    fn a_frame_that_wants_a_huge_window_is_refused() {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(27).unwrap();
        encoder.write_all(b"{}").unwrap();
        let frame = encoder.finish().unwrap();
        assert_eq!(
            Encoding::Zstd.decode(frame.into()),
            Err(BadBody::NotDecompressible)
        );
    }

    #[test]
    fn a_truncated_body_is_refused() {
        let plain = vec![b'x'; 1_000];
        for (encoding, whole) in [(Encoding::Gzip, gzip(&plain)), (Encoding::Zstd, zstd(&plain))] {
            let half = whole.slice(..whole.len() / 2);
            assert_eq!(encoding.decode(half), Err(BadBody::NotDecompressible));
        }
    }

    #[test]
    fn only_known_encodings_are_taken() {
        let of = |name: &'static str| {
            Encoding::of(&HeaderMap::from_iter([(
                CONTENT_ENCODING,
                HeaderValue::from_static(name),
            )]))
        };
        assert_eq!(Encoding::of(&HeaderMap::new()), Ok(Encoding::Plain));
        assert_eq!(of("identity"), Ok(Encoding::Plain));
        assert_eq!(of("GZIP"), Ok(Encoding::Gzip));
        assert_eq!(of("zstd"), Ok(Encoding::Zstd));
        assert_eq!(of("br"), Err(BadBody::UnknownEncoding));
        assert_eq!(of("gzip, gzip"), Err(BadBody::UnknownEncoding));
    }

    #[tokio::test]
    async fn a_body_in_pieces_is_joined_and_one_too_large_refused() {
        let pieces = |sizes: &'static [usize]| {
            let chunks = sizes
                .iter()
                .map(|size| Ok::<_, std::io::Error>(Bytes::from(vec![b'a'; *size])));
            Body::from_stream(futures_util::stream::iter(chunks))
        };
        assert_eq!(
            read(pieces(&[1, 0, 2, 3]), Encoding::Plain).await.unwrap().len(),
            6
        );
        let limit = read(pieces(&[ENCODED_LIMIT_BYTES, 1]), Encoding::Gzip).await;
        assert_eq!(limit, Err(BadBody::TooLarge));
        let announced = read(Body::from(vec![0; DECODED_LIMIT_BYTES + 1]), Encoding::Plain).await;
        assert_eq!(announced, Err(BadBody::TooLarge));
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            for encoding in [Encoding::Gzip, Encoding::Zstd] {
                let _ = encoding.decode(bytes.clone().into());
            }
        }
    }
}

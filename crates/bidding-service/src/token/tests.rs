use super::*;
use bidding_engine::Market;
use domain::exchange::PriceUnit;
use proptest::prelude::*;

const KINDS: [TokenKind; 7] = [
    TokenKind::Win,
    TokenKind::Billing,
    TokenKind::Loss,
    TokenKind::Impression,
    TokenKind::Click,
    TokenKind::Video,
    TokenKind::Conversion,
];

fn sealer() -> TokenSealer {
    TokenSealer::new(&[("2026b", [7_u8; 32]), ("2026a", [3_u8; 32])]).unwrap()
}

fn sealed(kind: TokenKind, token: &BidToken) -> String {
    sealer().seal(kind, token)
}

/// What of a token is expected back from a kind: the groups of fields that its envelope carries.
fn kept_by(kind: TokenKind, token: &BidToken) -> BidToken {
    let envelope = kind.envelope();
    let mut kept = token.clone();
    let blank = BidToken::blank();
    if envelope != Envelope::Notices {
        kept.market = None;
        if envelope != Envelope::Impression || token.billing != Billing::Pixel {
            kept.day = blank.day;
            kept.bid_currency = blank.bid_currency;
            kept.currency = blank.currency;
            kept.terms = blank.terms;
            kept.price_form = blank.price_form;
            kept.price_cpm_micros = 0;
            kept.bidder_id = blank.bidder_id;
            kept.reserved_nanos = 0;
            kept.billing_window_ms = 0;
        }
    }
    if envelope != Envelope::Impression {
        kept.user_key = None;
        kept.counters = Vec::new();
    }
    if envelope != Envelope::Click {
        kept.landing_url = String::new();
    }
    kept
}

fn kinds() -> impl Strategy<Value = TokenKind> {
    prop::sample::select(KINDS.to_vec())
}

fn currencies() -> impl Strategy<Value = Currency> {
    "[A-Z]{3}".prop_map(|code| code.parse().unwrap())
}

fn price_forms() -> impl Strategy<Value = PriceForm> {
    prop_oneof![
        Just(PriceForm::Plain),
        Just(PriceForm::Base64),
        (
            "[a-z]{0,9}",
            prop::sample::select(vec![PriceUnit::CpiMicros, PriceUnit::CpmMicros])
        )
            .prop_map(|(key_name, unit)| PriceForm::Encrypted {
                key_name,
                unit,
                suffix: None
            }),
    ]
}

prop_compose! {
    fn dimensions()(words in prop::collection::vec(".{0,12}", 12)) -> Dimensions {
        let [advertiser, campaign, creative, exchange, deal, country, device, os, format, size, placement, site_or_bundle] =
            words.try_into().unwrap();
        Dimensions {
            advertiser, campaign, creative, exchange, deal, country, device, os, format, size, placement, site_or_bundle,
        }
    }
}

prop_compose! {
    fn tokens()(
        dimensions in dimensions(),
        (bid_id, bid_at_ms, creative_version, same_ids) in (any::<u128>(), any::<i64>(), any::<i64>(), any::<bool>()),
        (date, start_ms, end_ms) in (".{0,10}", any::<i64>(), any::<i64>()),
        (price_cpm_micros, reserved_nanos, billing_window_ms) in (any::<i64>(), any::<i64>(), any::<i64>()),
        (rate_e9, multiplier_micros, fee_ppm) in (any::<i64>(), any::<i64>(), any::<i64>()),
        (bid_currency, currency, price_form) in (currencies(), currencies(), price_forms()),
        (user_key, landing_url, bidder_id) in (prop::option::of(".{0,40}"), ".{0,80}", "bdr_[a-z0-9]{0,26}"),
        counters in prop::collection::vec((".{0,9}", any::<i64>()), 0..4),
        (pixel, test, market) in (any::<bool>(), any::<bool>(), prop::option::of(any::<u64>())),
    ) -> BidToken {
        BidToken {
            bid_id: BidId(bid_id),
            bid_at_ms,
            campaign_id: if same_ids { dimensions.campaign.as_str().into() } else { "cmp_1".into() },
            creative_id: if same_ids { dimensions.creative.as_str().into() } else { "crv_1".into() },
            creative_version,
            day: Day { date, start_ms, end_ms },
            bidder_id: BidderId(bidder_id),
            price_cpm_micros, bid_currency, currency,
            terms: Terms { rate_e9, multiplier_micros, fee_ppm },
            reserved_nanos, billing_window_ms, user_key, dimensions,
            billing: if pixel { Billing::Pixel } else { Billing::Notice },
            price_form,
            counters: counters.into_iter().map(|(scope_id, window_ms)| CounterKey { scope_id, window_ms }).collect(),
            landing_url, test,
            market: market.map(Market),
        }
    }
}

proptest! {
    #[test]
    fn a_token_reads_back_what_its_kind_needs(kind in kinds(), token in tokens()) {
        let opened = sealer().open(kind, i64::MIN, &sealed(kind, &token));
        prop_assert_eq!(opened, Ok(kept_by(kind, &token)));
    }

    #[test]
    fn a_click_reads_back_and_opens_as_nothing_else(
        bid in tokens(), times in any::<(i64, i64)>(), currency in prop::option::of(currencies()), kind in kinds(),
    ) {
        let (clicked_at_ms, counts_until_ms) = times;
        let bid = kept_by(TokenKind::Conversion, &bid);
        let click = Click { bid, clicked_at_ms, counts_until_ms, currency };
        let mut text = String::new();
        sealer().seal_click(&click, &mut text);
        prop_assert_eq!(sealer().open(kind, i64::MIN, &text), Err(BadToken::Forged));
        let at_its_end = sealer().open_click(counts_until_ms, &text);
        prop_assert_eq!(at_its_end, Err(BadToken::Expired));
        if counts_until_ms > i64::MIN {
            prop_assert_eq!(sealer().open_click(i64::MIN, &text), Ok(click.clone()));
        }
        prop_assert_eq!(sealer().open_click(i64::MIN, &sealed(kind, &click.bid)), Err(BadToken::Forged));
    }

    #[test]
    fn a_token_altered_in_one_character_is_forged(token in tokens(), kind in kinds(), at in any::<prop::sample::Index>()) {
        let mut text = sealed(kind, &token).into_bytes();
        let at = at.index(text.len());
        text[at] = if text[at] == b'A' { b'B' } else { b'A' };
        let text = String::from_utf8(text).unwrap();
        prop_assert_eq!(sealer().open(kind, i64::MIN, &text), Err(BadToken::Forged));
    }

    #[test]
    fn a_token_opens_as_no_other_kind(token in tokens(), kind in kinds(), other in kinds()) {
        prop_assume!(kind != other);
        prop_assert_eq!(sealer().open(other, i64::MIN, &sealed(kind, &token)), Err(BadToken::Forged));
    }

    #[test]
    fn no_text_is_a_token_or_a_panic(text in ".{0,200}", bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        use base64::Engine;
        let encoded = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&bytes);
        for kind in KINDS {
            prop_assert_eq!(sealer().open(kind, 0, &text), Err(BadToken::Forged));
            prop_assert_eq!(sealer().open_click(0, &text), Err(BadToken::Forged));
            prop_assert_eq!(sealer().open(kind, 0, &encoded), Err(BadToken::Forged));
            let _ = Click::read(BidId(0), &bytes);
            // What a forger with the key could write: garbled, but no panic.
            let _ = layout::read(kind.envelope(), BidId(0), &bytes);
        }
    }
}

#[test]
fn an_old_secret_still_verifies_and_an_unknown_one_does_not() {
    let token = BidToken::blank();
    let seal_with = |kid: &str, key: [u8; 32]| {
        TokenSealer::new(&[(kid, key)])
            .unwrap()
            .seal(TokenKind::Win, &token)
    };
    let open = |text: &str| sealer().open(TokenKind::Win, 0, text);
    assert_eq!(open(&seal_with("2026a", [3; 32])), Ok(token.clone()));
    assert_eq!(open(&seal_with("2026a", [4; 32])), Err(BadToken::Forged));
    assert_eq!(open(&seal_with("2025", [3; 32])), Err(BadToken::Forged));
}

#[test]
fn a_notice_expires_with_the_billing_window_and_a_click_after_a_day() {
    let token = BidToken {
        bid_at_ms: 1_000,
        billing_window_ms: 60_000,
        ..BidToken::blank()
    };
    let open = |kind, now_ms| sealer().open(kind, now_ms, &sealed(kind, &token)).map(drop);
    let notice_end_ms = 1_000 + 60_000 + SLACK_MS;
    for kind in [TokenKind::Win, TokenKind::Billing, TokenKind::Loss] {
        assert_eq!(open(kind, notice_end_ms - 1), Ok(()));
        assert_eq!(open(kind, notice_end_ms), Err(BadToken::Expired));
    }
    let click_end_ms = 1_000 + CREATIVE_EVENT_LIFE_MS;
    assert_eq!(open(TokenKind::Click, click_end_ms - 1), Ok(()));
    assert_eq!(open(TokenKind::Click, click_end_ms), Err(BadToken::Expired));
}

#[test]
fn without_a_secret_there_is_no_sealer() {
    assert!(TokenSealer::new::<&str, &[u8]>(&[]).is_err());
    assert!(TokenSealer::new(&[("", [0; 32])]).is_err());
}

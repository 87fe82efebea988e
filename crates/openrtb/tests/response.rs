use std::fmt::Write as _;

use bumpalo::Bump;
use openrtb::request::DsaTransparency;
use openrtb::response::{Bid, BidDsa, BidResponse, JsonText, SeatBid, read_response, write_response};
use openrtb::{Malformed, codes};
use proptest::prelude::*;
use serde_json::{Value, json};

fn written(response: &BidResponse<'_>) -> String {
    let mut out = Vec::new();
    write_response(response, &mut out);
    String::from_utf8(out).expect("a response is text")
}

fn full_bid() -> Bid<'static> {
    Bid {
        id: "bid-1",
        impid: "imp-1",
        price_micros: 1_250_000,
        nurl: &["https://bid.example/notice/win?p=${AUCTION_PRICE}"],
        burl: &["https://bid.example/notice/billing"],
        lurl: &["https://bid.example/notice/loss"],
        adm: &["<a href=\"x\">\n\u{1}é</a>"],
        adid: Some("ad"),
        adomain: &["shop.example"],
        bundle: Some("com.shop"),
        iurl: Some("https://img.example/1"),
        cid: Some("campaign"),
        crid: Some("creative"),
        tactic: Some("tactic"),
        cat: &["IAB1", "IAB2"],
        cattax: Some(1),
        attr: &[1, 2],
        apis: &[5],
        protocol: Some(3),
        qagmediarating: Some(1),
        language: Some("en"),
        dealid: Some("deal"),
        w: Some(300),
        h: Some(250),
        dur: Some(15),
        slotinpod: Some(-1),
        mtype: Some(codes::mtype::BANNER),
        exp: Some(60),
        dsa: Some(BidDsa {
            behalf: Some("Shop"),
            paid: Some("Agency"),
            transparency: &[DsaTransparency {
                domain: Some("t.example"),
                dsaparams: &[1, 2],
            }],
            adrender: Some(1),
        }),
    }
}

#[test]
fn every_field_is_written_by_its_name() {
    let bids = [full_bid()];
    let response = BidResponse {
        id: "req-1",
        seatbid: &[SeatBid {
            bid: &bids,
            seat: Some("seat"),
        }],
        bidid: Some("answer"),
        cur: Some("EUR"),
        nbr: None,
    };
    let text = written(&response);
    let bid = json!({
        "id": "bid-1", "impid": "imp-1", "price": 1.25,
        "nurl": "https://bid.example/notice/win?p=${AUCTION_PRICE}",
        "burl": "https://bid.example/notice/billing", "lurl": "https://bid.example/notice/loss",
        "adm": "<a href=\"x\">\n\u{1}é</a>", "adid": "ad", "adomain": ["shop.example"], "bundle": "com.shop",
        "iurl": "https://img.example/1", "cid": "campaign", "crid": "creative", "tactic": "tactic",
        "cat": ["IAB1", "IAB2"], "cattax": 1, "attr": [1, 2], "apis": [5], "protocol": 3, "qagmediarating": 1,
        "language": "en", "dealid": "deal", "w": 300, "h": 250, "dur": 15, "slotinpod": -1, "mtype": 1, "exp": 60,
        "ext": {"dsa": {"behalf": "Shop", "paid": "Agency", "adrender": 1,
            "transparency": [{"domain": "t.example", "dsaparams": [1, 2]}]}},
    });
    let expected = json!({
        "id": "req-1", "bidid": "answer", "cur": "EUR", "seatbid": [{"seat": "seat", "bid": [bid]}],
    });
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
    assert_eq!(read_response(text.as_bytes(), &Bump::new()), Ok(response));
    assert!(text.contains("${AUCTION_PRICE}"), "macros stay as they are");
}

#[test]
fn what_is_absent_is_left_out() {
    let nbr = Some(codes::no_bid_reason::UNMATCHED_USER);
    assert_eq!(
        written(&BidResponse {
            id: "1",
            nbr,
            ..BidResponse::default()
        }),
        r#"{"id":"1","nbr":8}"#
    );
    let bid = Bid {
        id: "b",
        impid: "i",
        price_micros: 1,
        ..Bid::default()
    };
    let seatbid = [SeatBid {
        bid: &[bid],
        seat: None,
    }];
    assert_eq!(
        written(&BidResponse {
            id: "1",
            seatbid: &seatbid,
            ..BidResponse::default()
        }),
        r#"{"id":"1","seatbid":[{"bid":[{"id":"b","impid":"i","price":0.000001}]}]}"#
    );
}

#[test]
fn a_text_in_pieces_is_one_text() {
    let bid = Bid {
        adm: &["<b>\"", "", "\\", "</b>"],
        ..full_bid()
    };
    let text = written(&BidResponse {
        id: "1",
        seatbid: &[SeatBid {
            bid: &[bid],
            seat: None,
        }],
        ..BidResponse::default()
    });
    assert!(text.contains(r#""adm":"<b>\"\\</b>","#), "{text}");
}

#[test]
fn formatted_text_is_escaped_in_place() {
    let mut out = Vec::new();
    write!(JsonText(&mut out), "{}-{:?}", 7, "q\t").unwrap();
    assert_eq!(out, br#"7-\"q\\t\""#);
}

#[test]
fn a_response_that_cannot_be_read() {
    let arena = Bump::new();
    assert_eq!(read_response(b"{}", &arena), Err(Malformed::MissingId));
    assert_eq!(read_response(b"", &arena), Err(Malformed::Syntax { offset: 0 }));
    assert_eq!(read_response(b"\xff", &arena), Err(Malformed::NotUtf8));
}

proptest! {
    #[test]
    fn any_text_and_any_price_survive(
        texts in proptest::collection::vec(any::<String>(), 4),
        pieces in proptest::collection::vec(any::<String>(), 0..4),
        price_micros in any::<i64>(),
        numbers in proptest::collection::vec(any::<u16>(), 0..4),
        slotinpod in any::<i32>(),
    ) {
        let borrowed: Vec<&str> = pieces.iter().map(String::as_str).collect();
        let bids = [Bid {
            id: &texts[0], impid: &texts[1], price_micros, adm: &borrowed, adomain: &borrowed,
            crid: Some(&texts[2]), attr: &numbers, slotinpod: Some(slotinpod), ..Bid::default()
        }];
        let response = BidResponse {
            id: &texts[3], seatbid: &[SeatBid { bid: &bids, seat: None }], ..BidResponse::default()
        };
        let text = written(&response);

        let value: Value = serde_json::from_str(&text).expect("a response is json");
        let bid = &value["seatbid"][0]["bid"][0];
        prop_assert_eq!(&value["id"], &json!(texts[3]));
        prop_assert_eq!(&bid["id"], &json!(texts[0]));
        prop_assert_eq!(bid.get("adm").cloned(), (!pieces.is_empty()).then(|| json!(pieces.concat())));
        prop_assert_eq!(bid.get("adomain").cloned(), (!pieces.is_empty()).then(|| json!(pieces)));
        prop_assert_eq!(bid.get("attr").cloned(), (!numbers.is_empty()).then(|| json!(numbers)));
        let price = price_micros as f64 / 1e6;
        prop_assert!(bid["price"].as_f64().is_some_and(|read| (read - price).abs() <= price.abs() * 1e-12));

        let arena = Bump::new();
        let read = read_response(text.as_bytes(), &arena).expect("ours is readable");
        let bid = &read.seatbid[0].bid[0];
        prop_assert_eq!(bid.price_micros, price_micros);
        prop_assert_eq!((bid.id, bid.impid, bid.crid), (&*texts[0], &*texts[1], Some(&*texts[2])));
        prop_assert_eq!(bid.slotinpod, Some(slotinpod));
    }
}

//! What is tolerated, and how it is read then.

use bumpalo::Bump;
use openrtb::read_request;
use openrtb::request::{BidRequest, Imp};

fn with_request(members: &str, check: impl FnOnce(&BidRequest<'_>)) {
    let body = format!(r#"{{"id":"1","imp":[{{"id":"1"}}],{members}}}"#);
    let arena = Bump::new();
    check(&read_request(body.as_bytes(), &arena).expect("the sample is served"));
}

fn with_imp(members: &str, check: impl FnOnce(&Imp<'_>)) {
    let body = format!(r#"{{"id":"1","imp":[{{"id":"1",{members}}}]}}"#);
    let arena = Bump::new();
    check(
        &read_request(body.as_bytes(), &arena)
            .expect("the sample is served")
            .imp[0],
    );
}

#[test]
fn numbers_as_strings_and_strings_as_numbers() {
    with_imp(
        r#""bidfloor":"1.5","exp":"30","banner":{"w":"300","battr":["1",2]}"#,
        |imp| {
            assert_eq!((imp.bidfloor_micros, imp.exp), (1_500_000, Some(30)));
            let banner = imp.banner.unwrap();
            assert_eq!((banner.w, banner.battr), (Some(300), &[1, 2][..]));
        },
    );
    let arena = Bump::new();
    let request = read_request(br#"{"id":17,"imp":[{"id":3}],"bcat":[12,"143"]}"#, &arena).unwrap();
    assert_eq!(
        (request.id, request.imp[0].id, request.bcat),
        ("17", "3", &["12", "143"][..])
    );
}

#[test]
fn floats_for_integers_and_booleans_for_flags() {
    with_imp(
        r#""secure":true,"instl":false,"clickbrowser":2,"banner":{"w":300.0,"h":2.5e2}"#,
        |imp| {
            assert_eq!((imp.secure, imp.instl, imp.clickbrowser), (true, false, true));
            assert_eq!(
                imp.banner.map(|banner| (banner.w, banner.h)),
                Some((Some(300), Some(250)))
            );
        },
    );
}

#[test]
fn a_lone_value_for_an_array() {
    with_imp(
        r#""banner":{"mimes":"image/png","battr":1,"format":{"w":1,"h":2}}"#,
        |imp| {
            let banner = imp.banner.unwrap();
            assert_eq!((banner.mimes, banner.battr), (&["image/png"][..], &[1][..]));
            assert_eq!((banner.format.len(), banner.format[0].h), (1, Some(2)));
        },
    );
    let arena = Bump::new();
    assert_eq!(
        read_request(br#"{"id":"1","imp":{"id":"only"}}"#, &arena)
            .unwrap()
            .imp[0]
            .id,
        "only"
    );
}

#[test]
fn null_is_absent_and_takes_the_default() {
    with_request(
        r#""at":null,"cur":null,"cattax":null,"device":null,"user":{"id":null}"#,
        |request| {
            assert_eq!((request.at, request.cattax, request.cur), (None, 1, &["USD"][..]));
            assert_eq!((request.device.ip, request.user.id), (None, None));
        },
    );
    with_imp(r#""bidfloorcur":null,"banner":null"#, |imp| {
        assert_eq!((imp.bidfloorcur, imp.banner), ("USD", None));
    });
}

#[test]
fn a_wrong_type_is_absent() {
    with_request(
        r#""device":"x","tmax":{"a":[1]},"cur":{},"badv":[{},[],true,"a.example"],"user":{"yob":[1980],"gender":{}}"#,
        |request| {
            assert_eq!(
                (request.device.ua, request.tmax_ms, request.cur),
                (None, None, &["USD"][..])
            );
            assert_eq!(request.badv, ["a.example"]);
            assert_eq!((request.user.yob, request.user.gender), (None, None));
        },
    );
}

#[test]
fn of_a_repeated_key_the_last() {
    with_request(r#""tmax":1,"tmax":2,"at":1,"at":3"#, |request| {
        assert_eq!((request.tmax_ms, request.at), (Some(2), Some(3)));
    });
}

#[test]
fn unknown_members_are_skipped_at_every_level() {
    with_request(
        r#""x":{"id":[{}]},"device":{"x":[[]],"ip":"192.0.2.1","ext":{"x":1}},"ext":"text""#,
        |request| {
            assert_eq!((request.id, request.device.ip), ("1", Some("192.0.2.1")));
        },
    );
}

#[test]
fn fields_of_2_5_in_ext() {
    with_request(
        r#""regs":{"ext":{"gdpr":1,"us_privacy":"1YYN","gpp":"D","gpp_sid":[2],"dsa":{"dsarequired":2}}},
           "user":{"ext":{"consent":"C","eids":[{"source":"s"}]}},
           "source":{"ext":{"schain":{"complete":0}}},
           "device":{"ext":{"sua":{"mobile":1}}},
           "site":{"ext":{"cattax":2,"inventorypartnerdomain":"p.example"}},
           "ext":{"cattax":2}"#,
        |request| {
            assert_eq!(
                (request.regs.gdpr, request.regs.us_privacy),
                (Some(true), Some("1YYN"))
            );
            assert_eq!((request.regs.gpp, request.regs.gpp_sid), (Some("D"), &[2][..]));
            assert_eq!(request.regs.dsa.as_ref().and_then(|dsa| dsa.dsarequired), Some(2));
            assert_eq!(
                (request.user.consent, request.user.eids[0].source),
                (Some("C"), Some("s"))
            );
            assert_eq!(
                request.source.schain.as_ref().map(|chain| chain.complete),
                Some(false)
            );
            assert_eq!(request.device.sua.and_then(|agent| agent.mobile), Some(true));
            assert_eq!((request.cattax, request.inventory.cattax), (2, Some(2)));
            assert_eq!(request.inventory.inventorypartnerdomain, Some("p.example"));
        },
    );
    with_imp(
        r#""ext":{"is_rewarded_inventory":1,"ssai":3},"video":{"ext":{"plcmt":4}}"#,
        |imp| {
            assert_eq!(
                (imp.rwdd, imp.ssai, imp.video.and_then(|video| video.plcmt)),
                (true, 3, Some(4))
            );
        },
    );
    with_imp(r#""ext":{"rewarded":1}"#, |imp| assert!(imp.rwdd));
}

#[test]
fn first_class_wins_over_ext_whichever_comes_first() {
    let members = r#""regs":{"ext":{"gdpr":1,"us_privacy":"ext"},"gdpr":0,"us_privacy":"first"},
        "user":{"consent":"first","eids":[{"source":"first"}],"ext":{"consent":"ext","eids":[{"source":"ext"}]}},
        "source":{"ext":{"schain":{"ver":"ext"}},"schain":{"ver":"first"}},"ext":{"cattax":2},"cattax":7"#;
    with_request(members, |request| {
        assert_eq!(
            (request.regs.gdpr, request.regs.us_privacy),
            (Some(false), Some("first"))
        );
        assert_eq!(
            (request.user.consent, request.user.eids[0].source),
            (Some("first"), Some("first"))
        );
        assert_eq!(
            request.source.schain.as_ref().and_then(|chain| chain.ver),
            Some("first")
        );
        assert_eq!(request.cattax, 7);
    });
    with_imp(r#""rwdd":0,"ext":{"rewarded":1}"#, |imp| assert!(!imp.rwdd));
}

#[test]
fn a_flag_of_law_that_is_neither_0_nor_1_applies() {
    with_request(r#""regs":{"gdpr":2,"coppa":"1"}"#, |request| {
        assert_eq!((request.regs.gdpr, request.regs.coppa), (Some(true), true));
    });
}

#[test]
fn floors_round_up_and_never_below_zero() {
    for (wire, micros) in [
        ("0.0000001", 1),
        ("1.2345670", 1_234_567),
        ("1.2345671", 1_234_568),
        ("3.58", 3_580_000),
        ("-2", 0),
        ("1e-2", 10_000),
        ("1e300", i64::MAX),
    ] {
        with_imp(
            &format!(r#""bidfloor":{wire},"video":{{"mincpmpersec":{wire}}}"#),
            |imp| {
                assert_eq!(imp.bidfloor_micros, micros, "{wire}");
                assert_eq!(
                    imp.video.and_then(|video| video.mincpmpersec_micros),
                    Some(micros),
                    "{wire}"
                );
            },
        );
    }
}

#[test]
fn a_deal_inherits_no_currency_and_one_without_id_is_left_out() {
    with_imp(
        r#""bidfloorcur":"EUR","pmp":{"deals":[{"bidfloor":9},{"id":"d"},{"id":7}]}"#,
        |imp| {
            let deals: Vec<_> = imp
                .pmp
                .deals
                .iter()
                .map(|deal| (deal.id, deal.bidfloor_micros, deal.bidfloorcur))
                .collect();
            assert_eq!(deals, [("d", None, "USD"), ("7", None, "USD")]);
        },
    );
}

#[test]
fn the_deprecated_lone_protocol_stands_in_for_the_list() {
    with_imp(r#""video":{"protocol":2}"#, |imp| {
        assert_eq!(imp.video.unwrap().protocols, [2])
    });
    with_imp(r#""video":{"protocol":2,"protocols":[3]}"#, |imp| {
        assert_eq!(imp.video.unwrap().protocols, [3])
    });
}

#[test]
fn texts_are_unescaped_and_keys_too() {
    with_request(
        r#""site":{"na\u006de":"a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00 \ud800x é😀"}"#,
        |request| {
            let expected = "a\"\\/\u{8}\u{c}\n\r\té😀 \u{fffd}x é😀";
            assert_eq!(request.inventory.name, Some(expected));
        },
    );
}

#[test]
fn a_text_without_escapes_is_a_slice_of_the_body() {
    let body = br#"{"id":"plain","imp":[{"id":"1"}]}"#;
    let arena = Bump::new();
    let request = read_request(body, &arena).unwrap();
    assert!(body.as_ptr_range().contains(&request.id.as_ptr()));
}

//! Every field of a request lands where it belongs.

use bumpalo::Bump;
use openrtb::read_request;
use openrtb::request::*;

const FULL: &[u8] = include_bytes!("samples/full-2.6.json");

#[test]
fn request_level_fields() {
    let arena = Bump::new();
    let request = read_request(FULL, &arena).unwrap();
    assert_eq!(request.id, "req-1");
    assert!(request.test && request.allimps);
    assert_eq!(
        (request.at, request.tmax_ms, request.cattax),
        (Some(1), Some(120), 6)
    );
    assert_eq!((request.wseat, request.bseat), (&["seat-a"][..], &["seat-b"][..]));
    assert_eq!(request.cur, ["EUR", "USD"]);
    assert_eq!((request.wlang, request.wlangb), (&["en"][..], &["en-GB"][..]));
    assert_eq!(
        (request.acat, request.bcat),
        (&["IAB1"][..], &["IAB7", "IAB8"][..])
    );
    assert_eq!(
        (request.badv, request.bapp),
        (&["rival.example"][..], &["com.rival"][..])
    );
}

#[test]
fn banner_native_and_deals() {
    let arena = Bump::new();
    let request = read_request(FULL, &arena).unwrap();
    let banner = Banner {
        format: &[
            Format {
                w: Some(300),
                h: Some(250),
                ..Format::default()
            },
            Format {
                wratio: Some(16),
                hratio: Some(9),
                wmin: Some(320),
                ..Format::default()
            },
        ],
        w: Some(728),
        h: Some(90),
        btype: &[4],
        battr: &[1, 3],
        pos: Some(1),
        mimes: &["image/png"],
        topframe: Some(true),
        expdir: &[2, 4],
        api: &[3, 5],
        id: Some("b1"),
        vcm: Some(true),
    };
    let native = Native {
        request: Some(r#"{"ver":"1.2","assets":[]}"#),
        ver: Some("1.2"),
        api: &[7],
        battr: &[13],
    };
    let deal = Deal {
        id: "deal-1",
        bidfloor_micros: Some(4_250_000),
        bidfloorcur: "GBP",
        at: Some(3),
        wseat: &["seat-a"],
        wadomain: &["shop.example"],
        guar: true,
        mincpmpersec_micros: Some(100_000),
        durfloors: &[DurFloor {
            mindur: Some(1),
            maxdur: Some(15),
            bidfloor_micros: 5_000_000,
        }],
    };
    let expected = Imp {
        id: "imp-1",
        banner: Some(&banner),
        native: Some(&native),
        pmp: Pmp {
            private_auction: true,
            deals: &[deal],
        },
        displaymanager: Some("sdk"),
        displaymanagerver: Some("1.0"),
        instl: true,
        tagid: Some("tag-1"),
        bidfloor_micros: 1_234_567,
        bidfloorcur: "EUR",
        clickbrowser: true,
        secure: true,
        rwdd: true,
        ssai: 2,
        exp: Some(300),
        ..Imp::default()
    };
    assert_eq!(request.imp[0], expected);
}

#[test]
fn video_audio_and_dooh_quantity() {
    let arena = Bump::new();
    let request = read_request(FULL, &arena).unwrap();
    let video = AudioVideo {
        mimes: &["video/mp4"],
        minduration: Some(5),
        maxduration: Some(30),
        rqddurs: &[15, 30],
        protocols: &[3, 7],
        w: Some(640),
        h: Some(360),
        startdelay: Some(-1),
        placement: Some(1),
        plcmt: Some(2),
        linearity: Some(1),
        skip: Some(true),
        skipmin: Some(6),
        skipafter: Some(5),
        battr: &[2],
        maxextended: Some(-1),
        minbitrate: Some(300),
        maxbitrate: Some(1500),
        boxingallowed: Some(false),
        playbackmethod: &[2],
        delivery: &[1],
        pos: Some(7),
        api: &[1],
        podid: Some("pod-1"),
        podseq: Some(1),
        poddur: Some(60),
        maxseq: Some(4),
        slotinpod: Some(-1),
        mincpmpersec_micros: Some(250_000),
        durfloors: &[DurFloor {
            mindur: Some(16),
            maxdur: Some(30),
            bidfloor_micros: 8_500_000,
        }],
        companiontype: &[1, 2],
        poddedupe: &[1],
        ..AudioVideo::default()
    };
    let audio = AudioVideo {
        mimes: &["audio/mpeg"],
        maxduration: Some(20),
        feed: Some(3),
        stitched: true,
        nvol: Some(2),
        ..AudioVideo::default()
    };
    let expected = Imp {
        id: "imp-2",
        video: Some(&video),
        audio: Some(&audio),
        bidfloorcur: "USD",
        qty: Some(Qty {
            multiplier_micros: Some(14_200_000),
            sourcetype: Some(1),
            vendor: Some("measure.example"),
        }),
        dt_ms: Some(1_700_000_000_123),
        ..Imp::default()
    };
    assert_eq!(request.imp[1], expected);
}

#[test]
fn site_publisher_and_content() {
    let arena = Bump::new();
    let content = Content {
        id: Some("c-1"),
        episode: Some(3),
        title: Some("T"),
        series: Some("S"),
        season: Some("1"),
        genre: Some("drama"),
        url: Some("https://c.example"),
        cat: &["IAB1"],
        cattax: Some(2),
        context: Some(1),
        contentrating: Some("PG"),
        qagmediarating: Some(1),
        keywords: Some("k"),
        kwarray: &["k"],
        livestream: Some(true),
        len: Some(3600),
        language: Some("en"),
        langb: Some("en-US"),
    };
    let expected = Inventory {
        kind: InventoryKind::Site,
        id: Some("site-1"),
        name: Some("News"),
        domain: Some("news.example"),
        cat: &["IAB12"],
        sectioncat: &["IAB12-1"],
        pagecat: &["IAB12-2"],
        cattax: Some(1),
        page: Some("https://news.example/a"),
        referrer: Some("https://search.example/"),
        search: Some("words"),
        mobile: Some(true),
        keywords: Some("a,b"),
        kwarray: &["a", "b"],
        content: Some(&content),
        publisher: Publisher {
            id: Some("pub-1"),
            name: Some("Press"),
            domain: Some("press.example"),
            cat: &["IAB12"],
            cattax: None,
        },
        inventorypartnerdomain: Some("partner.example"),
        ..Inventory::default()
    };
    assert_eq!(read_request(FULL, &arena).unwrap().inventory, expected);
}

#[test]
fn app_and_dooh() {
    let arena = Bump::new();
    let app =
        br#"{"id":"1","imp":[{"id":"1"}],"app":{"bundle":"com.game","storeurl":"https://store.example/1"}}"#;
    let expected = Inventory {
        kind: InventoryKind::App,
        bundle: Some("com.game"),
        storeurl: Some("https://store.example/1"),
        ..Inventory::default()
    };
    assert_eq!(read_request(app, &arena).unwrap().inventory, expected);
    let dooh = br#"{"id":"1","imp":[{"id":"1"}],"dooh":{"id":"d","venuetype":["transit.airports"],"venuetypetax":2}}"#;
    let expected = Inventory {
        kind: InventoryKind::Dooh,
        id: Some("d"),
        venuetype: &["transit.airports"],
        venuetypetax: Some(2),
        ..Inventory::default()
    };
    assert_eq!(read_request(dooh, &arena).unwrap().inventory, expected);
}

#[test]
fn device_with_its_geo_and_structured_user_agent() {
    let arena = Bump::new();
    let agent = UserAgent {
        browsers: &[BrandVersion {
            brand: Some("Chrome"),
            version: &["120", "0"],
        }],
        platform: Some(BrandVersion {
            brand: Some("Android"),
            version: &["14"],
        }),
        mobile: Some(true),
        model: Some("X"),
    };
    let expected = Device {
        ua: Some("Mozilla/5.0"),
        sua: Some(&agent),
        geo: Geo {
            lat: Some(52.52),
            lon: Some(-13.405),
            kind: Some(2),
            accuracy: Some(100),
            country: Some("DEU"),
            region: Some("DE-BE"),
            metro: Some("500"),
            city: Some("Berlin"),
            zip: Some("10115"),
            utcoffset: Some(60),
        },
        dnt: Some(false),
        lmt: Some(true),
        ip: Some("192.0.2.1"),
        ipv6: Some("2001:db8::1"),
        devicetype: Some(4),
        make: Some("M"),
        model: Some("X"),
        os: Some("Android"),
        osv: Some("14"),
        w: Some(1080),
        h: Some(2400),
        js: Some(true),
        language: Some("en"),
        langb: Some("en-GB"),
        carrier: Some("C"),
        connectiontype: Some(6),
        ifa: Some("0c9d2e3f-1b5a-4c7d-8e9f-0a1b2c3d4e5f"),
    };
    assert_eq!(read_request(FULL, &arena).unwrap().device, expected);
}

#[test]
fn user_source_and_regs() {
    let arena = Bump::new();
    let request = read_request(FULL, &arena).unwrap();
    let user = User {
        id: Some("u-1"),
        buyeruid: Some("our-1"),
        yob: Some(1980),
        gender: Some("O"),
        keywords: Some("x"),
        kwarray: &["x", "y"],
        consent: Some("CPX"),
        eids: &[Eid {
            source: Some("id.example"),
            uids: &[Uid {
                id: Some("e-1"),
                atype: Some(1),
            }],
        }],
        data: &[Data {
            id: Some("d-1"),
            name: Some("D"),
            segment: &[Segment {
                id: Some("s-1"),
                name: Some("S"),
                value: Some("v"),
            }],
        }],
        geo: Geo {
            country: Some("FRA"),
            ..Geo::default()
        },
    };
    assert_eq!(request.user, user);
    let node = SupplyChainNode {
        asi: Some("ssp.example"),
        sid: Some("77"),
        rid: Some("r"),
        hp: Some(true),
    };
    let source = Source {
        fd: Some(true),
        tid: Some("t-1"),
        pchain: Some("p"),
        schain: Some(SupplyChain {
            complete: true,
            ver: Some("1.0"),
            nodes: &[node],
        }),
    };
    assert_eq!(request.source, source);
    let regs = Regs {
        coppa: true,
        gdpr: Some(true),
        us_privacy: Some("1YNN"),
        gpp: Some("DBAA"),
        gpp_sid: &[7, 8],
        dsa: Some(Dsa {
            dsarequired: Some(3),
            pubrender: Some(1),
            datatopub: Some(2),
            transparency: &[DsaTransparency {
                domain: Some("t.example"),
                dsaparams: &[1, 2],
            }],
        }),
    };
    assert_eq!(request.regs, regs);
}

/// What is billed is multiplied by it: what cannot be held must not look like one.
#[test]
fn a_multiplier_beyond_its_type_is_the_greatest_and_a_negative_one_nothing() {
    for (text, expected) in [
        ("14.2", Some(14_200_000)),
        ("\"0.5\"", Some(500_000)),
        ("0", Some(0)),
        ("-3", Some(0)),
        ("1e300", Some(i64::MAX)),
        ("null", None),
    ] {
        let body = format!(r#"{{"id": "1", "imp": [{{"id": "1", "qty": {{"multiplier": {text}}}}}]}}"#);
        let arena = Bump::new();
        let request = openrtb::read_request(body.as_bytes(), &arena).unwrap();
        let qty = request.imp[0].qty.as_ref().unwrap();
        assert_eq!(qty.multiplier_micros, expected, "{text}");
    }
}

use bumpalo::Bump;
use openrtb::Malformed;
use openrtb::native::*;

const REQUEST: &str = r#"{
    "ver": "1.2", "context": 1, "contextsubtype": 11, "plcmttype": 2, "plcmtcnt": 3, "privacy": 1,
    "assets": [
        {"id": 1, "required": 1, "title": {"len": 90}},
        {"id": 2, "img": {"type": 3, "w": 1200, "h": 627, "wmin": 600, "hmin": 314, "mimes": ["image/jpeg"]}},
        {"id": 3, "video": {"mimes": ["video/mp4"], "minduration": 5, "maxduration": 30, "protocols": [3]}},
        {"id": "4", "data": {"type": 12, "len": 15}}
    ],
    "eventtrackers": [{"event": 1, "methods": [1, 2]}]
}"#;

fn expect_sample(request: &NativeRequest<'_>) {
    let image = Image {
        kind: Some(3),
        w: Some(1200),
        h: Some(627),
        wmin: Some(600),
        hmin: Some(314),
        mimes: &["image/jpeg"],
    };
    let video = Video {
        mimes: &["video/mp4"],
        minduration: Some(5),
        maxduration: Some(30),
        protocols: &[3],
    };
    let assets = [
        Asset {
            id: Some(1),
            required: true,
            title: Some(Title { len: Some(90) }),
            ..Asset::default()
        },
        Asset {
            id: Some(2),
            img: Some(image),
            ..Asset::default()
        },
        Asset {
            id: Some(3),
            video: Some(video),
            ..Asset::default()
        },
        Asset {
            id: Some(4),
            data: Some(DataAsset {
                kind: Some(12),
                len: Some(15),
            }),
            ..Asset::default()
        },
    ];
    let expected = NativeRequest {
        ver: Some("1.2"),
        context: Some(1),
        contextsubtype: Some(11),
        plcmttype: Some(2),
        plcmtcnt: 3,
        assets: &assets,
        eventtrackers: &[EventTracker {
            event: Some(1),
            methods: &[1, 2],
        }],
        privacy: true,
    };
    assert_eq!(*request, expected);
}

#[test]
fn bare_and_wrapped() {
    let arena = Bump::new();
    expect_sample(&read_request(REQUEST, &arena).unwrap());
    let wrapped = format!(r#"{{"native":{REQUEST}}}"#);
    expect_sample(&read_request(&wrapped, &arena).unwrap());
}

#[test]
fn found_in_a_bid_request_as_a_string_or_as_an_object() {
    let arena = Bump::new();
    let quoted = serde_json::to_string(REQUEST).unwrap();
    for request in [quoted.as_str(), REQUEST] {
        let body = format!(r#"{{"id":"1","imp":[{{"id":"1","native":{{"request": {request}}}}}]}}"#);
        let bid_request = openrtb::read_request(body.as_bytes(), &arena).unwrap();
        let text = bid_request.imp[0]
            .native
            .and_then(|native| native.request)
            .unwrap();
        expect_sample(&read_request(text, &arena).unwrap());
    }
}

#[test]
fn placements_default_to_one() {
    assert_eq!(read_request("{}", &Bump::new()).unwrap().plcmtcnt, 1);
}

#[test]
fn an_unusable_one_is_an_error() {
    let arena = Bump::new();
    assert!(matches!(
        read_request("not json", &arena),
        Err(Malformed::Syntax { offset: 0 })
    ));
    assert_eq!(read_request("[]", &arena), Err(Malformed::NotAnObject));
    let negative = r#"{"assets":[{"img":{"wmin":-20}}]}"#;
    assert_eq!(
        read_request(negative, &arena),
        Err(Malformed::NegativeSize("assets.img.wmin"))
    );
}

use super::*;

/// 2026-11-23T10:20:00Z.
const NOW_MS: i64 = 1_795_429_200_000;

fn parse(pairs: &[(&str, &str)]) -> Result<ReportRequest, Vec<Mistake>> {
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    ReportRequest::parse(&pairs, NOW_MS)
}

fn span_of(pairs: &[(&str, &str)]) -> (String, String) {
    let span = parse(pairs).unwrap().span;
    (span::utc(span.start_ms), span::utc(span.end_ms))
}

fn pointers_and_codes(pairs: &[(&str, &str)]) -> Vec<(String, &'static str)> {
    let mistakes = parse(pairs).unwrap_err();
    mistakes
        .into_iter()
        .map(|mistake| (mistake.pointer, mistake.code))
        .collect()
}

#[test]
fn nothing_asked_is_the_last_day_in_total() {
    let request = parse(&[]).unwrap();
    assert_eq!(request.metrics, Metric::DEFAULT);
    assert_eq!(
        (request.granularity, request.page_size, request.offset),
        (Granularity::Total, 1_000, 0)
    );
    assert_eq!(
        span_of(&[]),
        ("2026-11-22T10:15:00Z".into(), "2026-11-23T10:30:00Z".into())
    );
}

#[test]
fn by_day_nothing_asked_is_today_in_the_zone() {
    let today = span_of(&[("granularity", "day"), ("time_zone", "Asia/Kolkata")]);
    assert_eq!(
        today,
        ("2026-11-22T18:30:00Z".into(), "2026-11-23T10:30:00Z".into())
    );
    let that_day = span_of(&[("granularity", "day"), ("to", "2026-11-02")]);
    assert_eq!(
        that_day,
        ("2026-11-01T00:00:00Z".into(), "2026-11-02T00:00:00Z".into())
    );
}

#[test]
fn dates_are_local_and_the_end_is_exclusive() {
    let day = span_of(&[
        ("from", "2026-03-29"),
        ("to", "2026-03-30"),
        ("time_zone", "Europe/Berlin"),
    ]);
    assert_eq!(
        day,
        ("2026-03-28T23:00:00Z".into(), "2026-03-29T22:00:00Z".into())
    );
}

#[test]
fn all_mistakes_are_told_at_once() {
    let found = pointers_and_codes(&[
        ("from", "yesterday"),
        ("to", "2026-13-01"),
        ("time_zone", "Mars/Olympus"),
        ("granularity", "week"),
        ("dimensions", "campaign,planet,campaign"),
        ("metrics", "bids,"),
        ("filter", "country"),
        ("page_size", "0"),
        ("page_token", "zz"),
        ("page_size", "10001"),
        ("a/b", "1"),
    ]);
    let expected = [
        ("page_size", "repeated"),
        ("a/b", "unknown_parameter"),
        ("time_zone", "unknown_value"),
        ("granularity", "unknown_value"),
        ("dimensions", "unknown_value"),
        ("dimensions", "repeated"),
        ("metrics", "unknown_value"),
        ("filter", "malformed"),
        ("page_size", "out_of_range"),
        ("page_token", "invalid_token"),
        ("from", "invalid_time"),
        ("to", "invalid_time"),
    ];
    assert_eq!(found, expected.map(|(pointer, code)| (pointer.to_owned(), code)));
}

#[test]
fn a_range_has_bounds() {
    let code = |from, to| pointers_and_codes(&[("from", from), ("to", to)])[0].1;
    assert_eq!(code("2026-01-02", "2026-01-01"), "empty_range");
    assert_eq!(code("2026-01-01", "2027-03-01"), "too_long");
    assert_eq!(code("1970-01-01", "1970-01-02"), "out_of_range");
    // Exactly 400 days, over a spring's clock change, by the hour.
    let longest = parse(&[
        ("from", "2025-11-01"),
        ("to", "2026-12-06"),
        ("time_zone", "Europe/Berlin"),
        ("granularity", "hour"),
    ]);
    let longest = longest.unwrap();
    assert_eq!(
        longest.span.buckets(Granularity::Hour, &longest.zone).len(),
        9_600
    );
}

#[test]
fn a_token_keeps_the_end_of_a_report_up_to_now() {
    let token = parse(&[]).unwrap().next_page_token(1_000).unwrap();
    let later = vec![("page_token".to_owned(), token.clone())];
    let next = ReportRequest::parse(&later, NOW_MS + 3_600_000).unwrap();
    assert_eq!((next.offset, next.span), (1_000, parse(&[]).unwrap().span));
    let other = [("page_token", token.as_str()), ("from", "2026-11-01")];
    assert_eq!(
        pointers_and_codes(&other),
        [("page_token".to_owned(), "another_query")]
    );
}

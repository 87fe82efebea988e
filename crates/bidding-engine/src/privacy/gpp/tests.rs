use super::*;

#[test]
fn a_section_is_found_by_its_place_in_the_header() {
    assert_eq!(section("DBABLA~BAAAAAAAAQA", 7), Some("BAAAAAAAAQA"));
    let two = "DBACNYA~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA~1YNN";
    assert_eq!(section(two, 6), Some("1YNN"));
    assert_eq!(section(two, 7), None);
    // Ids 2, 6 and 7: 000000000011, then 0 011, 0 1011, 0 11.
    assert_eq!(section("DBADNb~tcf~usp~nat", 7), Some("nat"));
    // A group, 7 to 9: 000000000001, then 1 01011 011.
    assert_eq!(section("DBABrY~a~b~c", 8), Some("b"));
    assert_eq!(section("DBABrY~a~b~c", 9), Some("c"));
}

#[test]
fn sections_of_the_states_and_the_nation_permit_until_something_is_refused() {
    for (gpp, id, expected) in [
        ("DBABLA~BAAAAAAAAQA", 7, true),
        ("DBABLA~BVVVVVVVVWA", 7, false),
        ("DBABBg~BAAAAACA", 8, true),
        ("DBABBg~BVVVVVVY", 8, false),
        ("DBABBg~BVqqqqpY", 8, true),
        ("DBABRg~BAAAABA", 9, true),
        ("DBABRg~BVVVVWY", 9, false),
    ] {
        assert_eq!(permits(Some(gpp), &[id]), expected, "{gpp}");
    }
}

#[test]
fn global_privacy_control_refuses_what_the_section_itself_allows() {
    assert!(!permits(Some("DBABBg~BVqqqqpY.YA"), &[8]));
}

#[test]
fn older_signals_mean_the_same_inside_a_gpp_string() {
    assert!(permits(Some("DBABTA~1YNN"), &[6]));
    assert!(!permits(Some("DBABTA~1YYN"), &[6]));
    let without_consent = "DBACNYA~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA~1YNN";
    assert!(!permits(Some(without_consent), &[2]));
    let all_purposes = format!("DBABMA~C{}PAAAAAA", "A".repeat(24));
    assert!(permits(Some(&all_purposes), &[2]));
}

#[test]
fn what_applies_and_cannot_be_read_is_no_consent() {
    for gpp in [
        None,
        Some(""),
        Some("gppString"),
        Some("DBABLA"),
        Some("DBABLA~"),
        Some("DBABLA~B"),
        Some("DBABBg~BAAAAACA"),
    ] {
        assert!(!permits(gpp, &[7]), "{gpp:?}");
    }
    assert!(!permits(Some("DBABLA~BAAAAAAAAQA"), &[7, 8]));
    assert!(permits(None, &[]));
    assert!(permits(None, &[0]));
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "(DB)?[A-Za-z0-9_~.-]{0,80}", id in 0_u16..30) {
        let _ = permits(Some(&text), &[id]);
    }
}

//! The README's first command, shortened.

use adplatform_tests::program;
use serde_json::Value;

#[test]
fn the_demo_trades_and_its_books_agree() {
    let output = program::command("adplatform")
        .args([
            "demo",
            "--duration",
            "10s",
            "--rate",
            "150",
            "--seed",
            "7",
            "--json",
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let verdict: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    for (name, held) in verdict["checks"].as_object().unwrap() {
        // The machine of a test run is busy with other tests.
        assert!(
            held == true || name == "answered_in_time",
            "{name}: {verdict:#}\n{said}"
        );
    }
    for name in [
        "requests",
        "bids",
        "wins",
        "notices_nanos",
        "ledger_nanos",
        "report_nanos",
    ] {
        assert!(verdict[name].as_i64().unwrap() > 0, "{name}: {verdict:#}");
    }
}

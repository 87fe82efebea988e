//! The service's settings.

use crate::lists::ListFiles;
use crate::price_keys::PriceKeys;
use platform::traces::Share;
use platform::{Backend, Backends, Environment, Secret, SettingHelp, Settings};
use std::path::PathBuf;
use std::time::Duration;

/// Keys shorter than this are a mistake.
pub(crate) const NOTICE_KEY_MIN_BYTES: usize = 32;

/// What this process needs to know besides what every process does ([`platform::ProcessSettings`]).
#[derive(Clone, Debug)]
pub struct Config {
    pub environment: Environment,
    /// The longest from the arrival of a request to its answer.
    pub bid_timeout: Duration,
    /// What the network takes of `tmax`.
    pub network_margin: Duration,
    /// The longest wait for the user's state; the deadline may cut it shorter.
    pub user_state_timeout: Duration,
    /// Bids that wait for a user's state at once; one more is shed.
    pub max_bids_in_flight: usize,
    /// Of bid requests, where traces are taken at all.
    pub bid_trace_share: Share,
    /// Added to each decision, to see an overload sooner. Of benchmarks alone.
    pub slower_decision: Duration,
    /// Base of notice and click URLs, without a slash at its end.
    pub public_bidding_url: String,
    /// The first seals, all open. `None` (development alone): kept in a file of `data_dir`.
    pub notice_keys: Option<Vec<NoticeKey>>,
    /// Of exchanges that encrypt the prices of their notices.
    pub price_keys: PriceKeys,
    /// Who may ask for explanations and forecasts; `None`: nobody.
    pub admin_api_key: Option<Secret>,
    pub backends: Backends,
    pub data_dir: PathBuf,
    /// Money events that neither topic nor ledger could take wait here.
    pub spool_dir: PathBuf,
    pub(crate) lists: ListFiles,
}

/// One key of `NOTICE_SECRET`: `kid:key`.
#[derive(Clone, Debug)]
pub struct NoticeKey {
    /// Names the key inside a token. Letters, digits, `-` and `_`, at most 16.
    pub kid: String,
    /// At least 32 bytes.
    pub key: Secret,
}

impl Config {
    /// What this service keeps its state in.
    pub const NEEDED: [Backend; 2] = [Backend::Redis, Backend::Kafka];

    /// The settings that [`Config::read`] asks for, as `--help` tells them.
    pub const HELP: &'static [&'static [SettingHelp]] = &[
        Backends::DATABASE_HELP,
        Backends::REDIS_HELP,
        Backends::KAFKA_HELP,
        &[
            (
                "SPOOL_DIR",
                "folder of notices that neither ledger nor log could take yet (spool in DATA_DIR)",
            ),
            (
                "BID_TIMEOUT_MS",
                "the longest from a bid request to its answer (100)",
            ),
            (
                "ADMIN_API_KEY",
                "opens POST /openrtb2/explain and /openrtb2/forecast (without it nobody may ask)",
            ),
            ("NETWORK_MARGIN_MS", "what the network takes of tmax (10)"),
            (
                "BID_TRACE_RATIO",
                "share of bid requests that are traced, where traces are taken (0.0001)",
            ),
            (
                "PUBLIC_BIDDING_URL",
                "base of notice and click URLs (in development: http://127.0.0.1 at the port of HTTP_ADDR)",
            ),
            (
                "NOTICE_SECRET",
                "kid:key of 32 bytes or more, or several with commas: the first seals (in development: kept in DATA_DIR)",
            ),
            (
                "EXCHANGE_PRICE_KEYS",
                "name:encryption key:integrity key in base64, or several with commas, for exchanges that encrypt prices",
            ),
        ],
        ListFiles::HELP,
    ];

    /// Reads them; mistakes stay in `settings` until its `finish`.
    pub fn read(settings: &mut Settings) -> Self {
        let backends = Backends::read(settings, &Self::NEEDED);
        let data_dir = backends.data_dir.clone();
        let spool_dir = settings
            .optional("SPOOL_DIR")
            .map_or_else(|| data_dir.join("spool"), PathBuf::from);
        Self {
            environment: settings.environment().clone(),
            bid_timeout: Duration::from_millis(settings.parse_within("BID_TIMEOUT_MS", 100, 1..=10_000)),
            network_margin: Duration::from_millis(settings.parse_within("NETWORK_MARGIN_MS", 10, 0..=1_000)),
            user_state_timeout: Duration::from_millis(10),
            max_bids_in_flight: 1_024,
            bid_trace_share: Share::new(settings.parse_within("BID_TRACE_RATIO", 0.000_1, 0.0..=1.0)),
            slower_decision: slower_decision(settings),
            public_bidding_url: public_bidding_url(settings),
            notice_keys: notice_keys(settings),
            price_keys: price_keys(settings),
            admin_api_key: settings.optional_secret("ADMIN_API_KEY"),
            backends,
            data_dir,
            spool_dir,
            lists: ListFiles::read(settings),
        }
    }

    /// How often the files of lists are looked at for changes, where whole seconds are too long.
    pub fn look_for_lists_every(&mut self, interval: Duration) {
        self.lists.look_every(interval);
    }

    /// What may be meant so but seldom is, for the log at the start.
    pub(crate) fn doubt(&self) -> Option<&'static str> {
        let is_plain_http = self.public_bidding_url.starts_with("http://");
        (is_plain_http && !self.environment.is_development()).then_some(
            "PUBLIC_BIDDING_URL is http: pages of https will not load its pixels, imps with secure = 1 need https",
        )
    }
}

/// Default, in development alone: this machine, at the port of `HTTP_ADDR`. Elsewhere an address that no exchange
/// reaches would cost every notice, and with it the spend, so it has to be said.
fn public_bidding_url(settings: &mut Settings) -> String {
    const NAME: &str = "PUBLIC_BIDDING_URL";
    let port = settings
        .socket_addr("HTTP_ADDR", ([0, 0, 0, 0], 8080).into())
        .port();
    let default = format!("http://127.0.0.1:{port}");
    let Some(url) = settings.optional(NAME) else {
        if !settings.environment().is_development() {
            settings.missing(
                NAME,
                "required outside development: where exchanges and browsers reach this service, https://host",
            );
        }
        return default;
    };
    let url = url.trim_end_matches('/');
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    // It is written into markup and XML as it stands.
    let is_plain = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._~:/[]%".contains(&byte))
    };
    if !rest.is_some_and(is_plain) {
        settings.mistake(NAME, url, "expected http(s)://host[:port][/path]");
    }
    url.to_owned()
}

/// For `benches`, and told in no help: outside development it is a mistake.
fn slower_decision(settings: &mut Settings) -> Duration {
    const NAME: &str = "BENCH_SLOWER_DECISION_US";
    let slower_us: u64 = settings.parse_within(NAME, 0, 0..=10_000);
    if slower_us > 0 && !settings.environment().is_development() {
        settings.mistake(NAME, slower_us, "for benchmarks in development alone");
        return Duration::ZERO;
    }
    Duration::from_micros(slower_us)
}

fn notice_keys(settings: &mut Settings) -> Option<Vec<NoticeKey>> {
    const NAME: &str = "NOTICE_SECRET";
    let secret = settings.secret(NAME)?;
    let mut keys: Vec<NoticeKey> = Vec::new();
    for part in secret
        .expose()
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        let Some((kid, key)) = part.split_once(':').filter(|(kid, _)| is_kid(kid)) else {
            settings.mistake(NAME, "", "expected kid:key, several separated by commas");
            continue;
        };
        if key.len() < NOTICE_KEY_MIN_BYTES {
            settings.mistake(
                NAME,
                "",
                format_args!("the key {kid} is shorter than {NOTICE_KEY_MIN_BYTES} bytes"),
            );
        }
        if keys.iter().any(|known| known.kid == kid) {
            settings.mistake(NAME, "", format_args!("two keys are named {kid}"));
        }
        keys.push(NoticeKey {
            kid: kid.to_owned(),
            key: Secret::new(key),
        });
    }
    Some(keys)
}

fn price_keys(settings: &mut Settings) -> PriceKeys {
    const NAME: &str = "EXCHANGE_PRICE_KEYS";
    let Some(secret) = settings.optional_secret(NAME) else {
        return PriceKeys::default();
    };
    PriceKeys::parse(secret.expose()).unwrap_or_else(|expected| {
        settings.mistake(NAME, "", expected);
        PriceKeys::default()
    })
}

fn is_kid(kid: &str) -> bool {
    (1..=16).contains(&kid.len())
        && kid
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Config, String> {
        let mut settings = Settings::from_pairs(pairs.iter().copied());
        let config = Config::read(&mut settings);
        settings
            .finish()
            .map(|()| config)
            .map_err(|mistakes| mistakes.to_string())
    }

    #[test]
    fn a_laptop_needs_no_settings() {
        let config = read(&[]).unwrap();
        assert_eq!(config.bid_timeout, Duration::from_millis(100));
        assert_eq!(config.public_bidding_url, "http://127.0.0.1:8080");
        assert_eq!(config.backends.embedded_url, "sqlite:./data/adplatform.sqlite");
        assert_eq!(config.spool_dir, PathBuf::from("./data/spool"));
        assert!(config.notice_keys.is_none());
    }

    #[test]
    fn outside_development_every_gap_is_told_at_once() {
        let mistakes = read(&[
            ("ENVIRONMENT", "production"),
            ("BID_TIMEOUT_MS", "0"),
            ("KAFKA_BROKERS", "k"),
        ]);
        let mistakes = mistakes.unwrap_err();
        for name in [
            "NOTICE_SECRET",
            "REDIS_HOST",
            "BID_TIMEOUT_MS",
            "KAFKA_BROKERS",
            "PUBLIC_BIDDING_URL",
        ] {
            assert!(mistakes.contains(name), "{name} in {mistakes}");
        }
    }

    #[test]
    fn decisions_are_slowed_down_in_development_alone() {
        let slower = ("BENCH_SLOWER_DECISION_US", "100");
        assert_eq!(read(&[]).unwrap().slower_decision, Duration::ZERO);
        assert_eq!(
            read(&[slower]).unwrap().slower_decision,
            Duration::from_micros(100)
        );
        for environment in ["production", "staging"] {
            let mistakes = read(&[slower, ("ENVIRONMENT", environment)]).unwrap_err();
            assert!(mistakes.contains("BENCH_SLOWER_DECISION_US"), "{mistakes}");
        }
    }

    #[test]
    fn several_keys_are_read_in_their_order() {
        let long = "k".repeat(NOTICE_KEY_MIN_BYTES);
        let keys = read(&[("NOTICE_SECRET", &format!("b:{long},a:{long}:x"))])
            .unwrap()
            .notice_keys
            .unwrap();
        assert_eq!((keys[0].kid.as_str(), keys[1].kid.as_str()), ("b", "a"));
        assert_eq!(keys[1].key.expose(), format!("{long}:x"));
    }

    #[test]
    fn a_bad_key_is_a_mistake_that_does_not_show_it() {
        let long = "k".repeat(NOTICE_KEY_MIN_BYTES);
        for bad in [
            "a:short".to_owned(),
            long.clone(),
            format!("a:{long},a:{long}"),
            format!("a b:{long}"),
        ] {
            let mistakes = read(&[("NOTICE_SECRET", &bad)]).unwrap_err();
            assert!(
                mistakes.contains("NOTICE_SECRET") && !mistakes.contains(&long),
                "{mistakes}"
            );
            assert!(!mistakes.contains("short,"), "{mistakes}");
        }
    }

    #[test]
    fn bad_price_keys_are_a_mistake_that_does_not_show_them() {
        let key = "skU7Ax_NL5pPAFyKdkfZjZz2-VhIN8bjj1rVFOaJ_5o=";
        let good = read(&[("EXCHANGE_PRICE_KEYS", &format!("google:{key}:{key}"))]).unwrap();
        assert!(!format!("{good:?}").contains("skU7"));
        let mistakes = read(&[("EXCHANGE_PRICE_KEYS", &format!("google:{key}"))]).unwrap_err();
        assert!(
            mistakes.contains("EXCHANGE_PRICE_KEYS") && !mistakes.contains("skU7"),
            "{mistakes}"
        );
    }

    #[test]
    fn notices_over_plain_http_are_doubted_outside_development_alone() {
        let doubt = |environment: &str, url: &str| {
            let secret = format!("k1:{}", "k".repeat(NOTICE_KEY_MIN_BYTES));
            read(&[
                ("ENVIRONMENT", environment),
                ("DATABASE_URL", "sqlite::memory:"),
                ("NOTICE_SECRET", &secret),
                ("PUBLIC_BIDDING_URL", url),
            ])
            .unwrap()
            .doubt()
        };
        let told = doubt("production", "http://b.example").unwrap();
        assert!(told.starts_with("PUBLIC_BIDDING_URL"), "{told}");
        assert_eq!(doubt("production", "https://b.example"), None);
        assert_eq!(doubt("development", "http://b.example"), None);
    }

    #[test]
    fn a_public_url_that_would_break_markup_is_a_mistake() {
        for bad in ["ftp://x", "https://", "https://x\"y", "bidding.example"] {
            assert!(read(&[("PUBLIC_BIDDING_URL", bad)]).is_err(), "{bad}");
        }
        assert_eq!(
            read(&[("PUBLIC_BIDDING_URL", "https://b.example/")])
                .unwrap()
                .public_bidding_url,
            "https://b.example"
        );
    }
}

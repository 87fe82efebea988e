use std::path::Path;

use super::*;

const ALL: [Backend; 3] = [Backend::Database, Backend::Redis, Backend::Kafka];
const PRODUCTION: (&str, &str) = ("ENVIRONMENT", "production");
const POSTGRES: (&str, &str) = ("DATABASE_URL", "postgres://ads:hunter2@db-0,db-1:5433/ads");

fn read_for(needed: &[Backend], pairs: &[(&str, &str)]) -> Result<Backends, String> {
    let mut settings = Settings::from_pairs(pairs.iter().copied());
    let backends = Backends::read(&mut settings, needed);
    settings
        .finish()
        .map(|()| backends)
        .map_err(|mistakes| mistakes.to_string())
}

fn read(pairs: &[(&str, &str)]) -> Result<Backends, String> {
    read_for(&ALL, pairs)
}

/// Names of the settings that are refused, in the order they are told.
fn refused(pairs: &[(&str, &str)]) -> Vec<String> {
    let told = read(pairs).expect_err("a mistake");
    assert!(!told.contains("hunter2"), "{told}");
    told.lines()
        .filter_map(|line| Some(line.split_once(':')?.0.to_owned()))
        .collect()
}

#[test]
fn a_laptop_needs_no_settings() {
    let backends = read(&[]).unwrap();
    assert_eq!(backends.embedded_url, "sqlite:./data/adplatform.sqlite");
    assert_eq!(backends.data_dir, Path::new("./data"));
    assert!(backends.postgres.is_none() && backends.redis.is_none() && backends.kafka.is_none());
    assert!(backends.are_embedded(&[Backend::Kafka]));
}

#[test]
fn the_embedded_file_is_in_the_data_folder_unless_it_is_named() {
    let folder = ("DATA_DIR", "/var/lib/ads");
    let backends = read(&[folder]).unwrap();
    assert_eq!(backends.embedded_url, "sqlite:/var/lib/ads/adplatform.sqlite");
    let backends = read(&[folder, ("DATABASE_URL", "sqlite:/fast/a.sqlite")]).unwrap();
    assert_eq!(backends.embedded_url, "sqlite:/fast/a.sqlite");
    assert_eq!(backends.data_dir, Path::new("/var/lib/ads"));
    assert!(read(&[("DATABASE_URL", "sqlite::memory:")]).is_ok());
}

#[test]
fn the_variables_of_the_manifests_choose_every_backend() {
    let backends = read(&[
        PRODUCTION,
        POSTGRES,
        ("DATABASE_REPLICA_URL", "postgresql://ads:hunter2@db-ro/ads"),
        ("REDIS_HOST", "redis-service.ad-platform.svc.cluster.local"),
        ("REDIS_CLUSTER", "true"),
        ("REDIS_PASSWORD", "hunter2"),
        (
            "KAFKA_BROKERS",
            "kafka-service.ad-platform.svc.cluster.local:9092",
        ),
    ])
    .unwrap();
    let postgres = backends.postgres.clone().unwrap();
    assert_eq!(postgres.database_url, POSTGRES.1);
    assert_eq!(postgres.pool_size, 10);
    assert!(postgres.replica_url.is_some());
    let redis = backends.redis.clone().unwrap();
    assert_eq!(redis.nodes, ["redis-service.ad-platform.svc.cluster.local:6379"]);
    assert!(redis.cluster && redis.password.is_some());
    assert_eq!(backends.users_redis, backends.redis);
    assert_eq!(backends.kafka.as_ref().unwrap().security_protocol, "PLAINTEXT");
    assert!(!backends.are_embedded(&ALL));
    let shown = format!("{backends:?}");
    assert!(!shown.contains("hunter2") && !shown.contains("db-0"), "{shown}");
}

#[test]
fn outside_development_every_backend_that_is_needed_must_be_named() {
    assert_eq!(
        refused(&[PRODUCTION]),
        ["DATABASE_URL", "REDIS_HOST", "KAFKA_BROKERS"]
    );
    assert_eq!(refused(&[PRODUCTION, POSTGRES]), ["REDIS_HOST", "KAFKA_BROKERS"]);
    // One that needs no database is not asked for it.
    let bidder = [Backend::Redis, Backend::Kafka];
    let settings = [PRODUCTION, ("REDIS_HOST", "r"), ("KAFKA_BROKERS", "k:9092")];
    assert!(read_for(&bidder, &settings).is_ok());
    assert!(read(&settings).is_err());
}

#[test]
fn an_embedded_file_that_is_named_stands_for_all_that_is_absent() {
    let sqlite = ("DATABASE_URL", "sqlite:/data/a.sqlite");
    let backends = read(&[PRODUCTION, sqlite]).unwrap();
    assert_eq!(backends.embedded_url, "sqlite:/data/a.sqlite");
    let backends = read(&[PRODUCTION, sqlite, ("REDIS_HOST", "r")]).unwrap();
    assert!(backends.redis.is_some() && backends.kafka.is_none());
}

#[test]
fn a_database_url_of_another_kind_is_a_mistake_told_once() {
    for url in [
        "/data/a.sqlite",
        "sqlite:",
        "sqlite://",
        "sqlite:?mode=rwc",
        "host=db password=hunter2",
        "mysql://ads:hunter2@db/ads",
        "postgres:",
        "postgres://",
    ] {
        let named = [
            PRODUCTION,
            ("DATABASE_URL", url),
            ("REDIS_HOST", "r"),
            ("KAFKA_BROKERS", "k:9092"),
        ];
        assert_eq!(refused(&named), ["DATABASE_URL"], "{url}");
    }
}

#[test]
fn numbers_out_of_range_are_mistakes() {
    for (name, value) in [
        ("DATABASE_POOL_SIZE", "0"),
        ("DATABASE_POOL_SIZE", "many"),
        ("REDIS_PORT", "0"),
        ("REDIS_PORT", "65536"),
    ] {
        assert_eq!(refused(&[("REDIS_HOST", "r"), (name, value)]), [name], "{value}");
    }
    let of_a_service = [("REDIS_HOST", "r"), ("REDIS_PORT", "tcp://10.0.0.1:6379")];
    assert!(read(&of_a_service).unwrap_err().contains("enableServiceLinks"));
}

#[test]
fn what_belongs_to_a_backend_that_is_not_there_is_a_mistake() {
    assert_eq!(
        refused(&[
            ("DATABASE_REPLICA_URL", "postgres://ads:hunter2@db/ads"),
            ("REDIS_PORT", "6379"),
            ("REDIS_CLUSTER", "true"),
            ("REDIS_PASSWORD", "hunter2"),
            ("REDIS_CA_FILE", "/ca.pem"),
            ("REDIS_USERS_CLUSTER", "true"),
            ("KAFKA_SECURITY_PROTOCOL", "SSL"),
            ("KAFKA_SASL_PASSWORD", "hunter2"),
            ("KAFKA_CA_FILE", "/ca.pem"),
        ]),
        [
            "DATABASE_REPLICA_URL",
            "REDIS_PORT",
            "REDIS_CLUSTER",
            "REDIS_PASSWORD",
            "REDIS_CA_FILE",
            "REDIS_USERS_CLUSTER",
            "KAFKA_SECURITY_PROTOCOL",
            "KAFKA_SASL_PASSWORD",
            "KAFKA_CA_FILE",
        ]
    );
}

#[test]
fn several_nodes_are_a_cluster_and_share_scheme_and_credentials_of_the_first() {
    let redis = read(&[(
        "REDIS_URL",
        "rediss://me:hunter2@a:7000, b:7001,rediss://[::1]:7002",
    )])
    .unwrap()
    .redis
    .unwrap();
    assert!(redis.cluster);
    assert_eq!(
        redis.nodes,
        [
            "rediss://me:hunter2@a:7000",
            "rediss://me:hunter2@b:7001",
            "rediss://[::1]:7002"
        ]
    );
    let two = ("REDIS_URL", "redis://a,b");
    assert_eq!(refused(&[two, ("REDIS_CLUSTER", "false")]), ["REDIS_CLUSTER"]);
    // A Cluster behind one name.
    let one = read(&[("REDIS_URL", "redis://a"), ("REDIS_CLUSTER", "true")]).unwrap();
    assert_eq!(one.redis.unwrap().kind(), "redis cluster");
}

#[test]
fn a_url_wins_over_host_and_port() {
    let redis = read(&[
        ("REDIS_URL", "redis://a:1"),
        ("REDIS_HOST", "b"),
        ("REDIS_PORT", "tcp://10.0.0.1:6379"),
    ]);
    assert_eq!(redis.unwrap().redis.unwrap().nodes, ["redis://a:1"]);
}

#[test]
fn addresses_of_redis_that_are_none_are_mistakes() {
    for url in [
        "http://me:hunter2@a",
        "a:6379",
        "redis://",
        "redis://:hunter2@",
        "redis://me:hunter2@a:port",
        "redis://me:hunter2@a:0",
        "unix:///run/redis.sock",
        "redis://a,,b",
    ] {
        assert_eq!(refused(&[("REDIS_URL", url)]), ["REDIS_URL"], "{url}");
        assert_eq!(refused(&[("REDIS_USERS_URL", url)]), ["REDIS_USERS_URL"], "{url}");
    }
    for host in ["redis://:hunter2@a", "a:6379", "a,b", "a b"] {
        assert_eq!(refused(&[("REDIS_HOST", host)]), ["REDIS_HOST"], "{host}");
    }
    assert_eq!(
        read(&[("REDIS_HOST", "::1")]).unwrap().redis.unwrap().nodes,
        ["[::1]:6379"]
    );
}

#[test]
fn certificates_beside_an_address_without_tls_are_a_mistake() {
    let ca = ("REDIS_CA_FILE", "/ca.pem");
    assert_eq!(refused(&[ca, ("REDIS_URL", "redis://a")]), ["REDIS_URL"]);
    assert!(read(&[ca, ("REDIS_URL", "rediss://a")]).is_ok());
    assert!(read(&[ca, ("REDIS_HOST", "a")]).is_ok());
    let kafka = ("KAFKA_BROKERS", "k:9092");
    assert_eq!(refused(&[kafka, ("KAFKA_CA_FILE", "/ca.pem")]), ["KAFKA_CA_FILE"]);
}

#[test]
fn user_states_may_be_elsewhere_with_credentials_of_their_own() {
    let backends = read(&[
        ("REDIS_HOST", "ledger"),
        ("REDIS_PASSWORD", "hunter2"),
        ("REDIS_USERS_URL", "redis://users"),
    ])
    .unwrap();
    let users = backends.users_redis.unwrap();
    assert_eq!(users.nodes, ["redis://users"]);
    assert_eq!(users.password, None);
    assert!(!users.cluster);
}

#[test]
fn sasl_needs_who_and_password_and_nothing_else_may_have_them() {
    let kafka = ("KAFKA_BROKERS", "a:9092, b:9093 ,");
    let sasl = ("KAFKA_SECURITY_PROTOCOL", "sasl_ssl");
    assert_eq!(
        refused(&[kafka, sasl]),
        ["KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"]
    );
    let who = ("KAFKA_SASL_USERNAME", "ads");
    let password = ("KAFKA_SASL_PASSWORD", "hunter2");
    assert_eq!(
        refused(&[kafka, who, password]),
        ["KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"]
    );
    let settings = read(&[kafka, sasl, who, password]).unwrap().kafka.unwrap();
    assert_eq!(settings.brokers, "a:9092,b:9093");
    assert_eq!(settings.security_protocol, "SASL_SSL");
    assert_eq!(settings.sasl_mechanism.as_deref(), Some("PLAIN"));
    for (name, value) in [
        ("KAFKA_SECURITY_PROTOCOL", "TLS"),
        ("KAFKA_SASL_MECHANISM", "GSSAPI"),
    ] {
        let told = refused(&[kafka, sasl, who, password, (name, value)]);
        assert!(told.contains(&name.to_owned()), "{told:?}");
    }
}

#[test]
fn brokers_that_are_none_are_a_mistake() {
    for brokers in [
        ",",
        "kafka",
        "[::1]",
        "kafka://a:9092",
        "a:9092;b:9092",
        "a:port",
        ":9092",
    ] {
        assert_eq!(
            refused(&[("KAFKA_BROKERS", brokers)]),
            ["KAFKA_BROKERS"],
            "{brokers}"
        );
    }
}

#[test]
fn services_of_one_process_tell_the_same_mistake_once() {
    let mut settings = Settings::from_pairs([("DATABASE_URL", "mysql:"), ("KAFKA_BROKERS", ",")]);
    Backends::read(&mut settings, &ALL);
    Backends::read(&mut settings, &ALL[1..]);
    assert_eq!(settings.finish().unwrap_err().iter().count(), 2);
}

proptest::proptest! {
    #[test]
    fn no_text_panics_and_none_is_shown(text in "(redis://|rediss://|postgres://|)?\\PC*hunter2\\PC*") {
        for name in ["DATABASE_URL", "DATABASE_REPLICA_URL", "REDIS_URL", "REDIS_HOST", "REDIS_USERS_URL", "REDIS_PASSWORD", "KAFKA_SASL_PASSWORD"] {
            let told = read(&[PRODUCTION, (name, &text)]).unwrap_err();
            proptest::prop_assert!(!told.contains("hunter2"), "{told}");
        }
    }
}

//! Every backend and every service lost and found, while an exchange trades and an advertiser works. No acknowledged
//! change and no money event may be lost or counted twice, budgets hold, and bids keep inside their time.

use crate::weather::Weather;
use std::time::Duration;
use test_servers::proxy::Fault;
use tokio::time::sleep;

/// How long the broker is away.
const KAFKA_AWAY: Duration = Duration::from_secs(60);
const AWAY: Duration = Duration::from_secs(5);
/// Each way: an answer from another continent.
const SLOW: Duration = Duration::from_millis(40);
const SLOW_FOR: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_whatever_goes_away() {
    let _alone = crate::ALONE.write().await;
    let Some(mut weather) = Weather::fair().await else {
        return;
    };
    weather.passed("fair weather");

    weather.deployment.backends.set_network(Fault::Delay(SLOW));
    weather.takes_changes_again("the network is slow").await;
    weather.bids_again("the network is slow").await;
    sleep(SLOW_FOR).await;
    weather.passed_with_every_bidder_up("slow network");

    let killed = weather.deployment.backends.kill_a_redis_master().await;
    weather
        .bids_again("a Redis master was killed on a slow network")
        .await;
    weather.deployment.backends.set_network(Fault::None);
    weather.deployment.backends.ledger.node(killed).restart().await;
    weather.deployment.backends.ledger.wait_until_ok().await;
    weather.passed_with_every_bidder_up("a Redis master killed on a slow network");

    weather.deployment.backends.lose_connections();
    weather.takes_changes_again("every connection was lost").await;
    weather.bids_again("every connection was lost").await;
    weather.passed_with_every_bidder_up("every connection lost");

    weather.deployment.backends.postgres.stop();
    weather.bids_again("PostgreSQL went away").await;
    weather.puts_changes_off("PostgreSQL went away").await;
    sleep(AWAY).await;
    weather.deployment.backends.postgres.resume().await;
    weather.takes_changes_again("PostgreSQL was away").await;
    weather.passed_with_every_bidder_up("PostgreSQL away");

    weather.deployment.backends.lose_the_primary().await;
    weather.takes_changes_again("the standby was promoted").await;
    weather.passed_with_every_bidder_up("standby promoted");

    let killed = weather.deployment.backends.kill_a_redis_master().await;
    sleep(AWAY).await;
    weather.deployment.backends.ledger.node(killed).restart().await;
    weather.deployment.backends.ledger.wait_until_ok().await;
    weather.bids_again("a Redis master was killed").await;
    weather.passed_with_every_bidder_up("a Redis master killed");

    weather.deployment.backends.users.kill();
    weather.caps_withhold_bids("user states went away").await;
    weather.deployment.backends.users.restart().await;
    weather.known_users_are_bid_for("user states were away").await;
    weather.passed_with_every_bidder_up("user states away");

    weather.deployment.backends.kafka.stop().await;
    weather.bids_again("Kafka went away").await;
    weather.is_paid_again("Kafka went away").await;
    sleep(KAFKA_AWAY).await;
    weather.deployment.backends.kafka.restart().await;
    weather.bids_again("Kafka was away").await;
    weather.passed_with_every_bidder_up("Kafka away for a minute");

    weather.deployment.backends.kafka.kill();
    weather.deployment.backends.ledger.kill_all();
    weather.is_paid_again("Kafka and Redis went away together").await;
    weather.kill_a_bidder_with_a_spool().await;
    sleep(AWAY).await;
    weather.deployment.backends.kafka.restart().await;
    weather.deployment.backends.ledger.restart_all().await;
    weather.deployment.ready().await;
    weather.bids_again("Kafka and Redis were away together").await;
    weather.passed("Kafka and Redis away together, and a bidder killed");

    for number in 0..weather.deployment.services().count() {
        let service = weather.deployment.services().nth(number).unwrap();
        service.kill_9();
        sleep(Duration::from_secs(1)).await;
        weather.deployment.services().nth(number).unwrap().start();
        weather.deployment.ready().await;
    }
    weather.bids_again("every service was killed").await;
    weather.passed("every service killed");

    weather.settle().await;
}

//! What holds of every run, whatever fails in it.

use super::*;

#[tokio::test]
async fn whatever_fails_nothing_is_charged_beyond_the_limit_and_the_topic_equals_the_ledger() {
    for seed in seeds(4) {
        let _named = Seed(seed);
        let campaigns = vec![
            campaign(1, Pacing::Asap, limits(60, 100)),
            campaign(2, Pacing::Even, limits(50_000, 100_000)),
        ];
        let mut world = World::new(seed, false, campaigns).await;
        for step in 0..180 {
            if step % 12 == 0 {
                let away = world.dice.u8(..10);
                world.ledger_fate.fail(match away {
                    0 | 1 => 100,
                    2 | 3 => 30,
                    _ => 0,
                });
                world.log_fate.fail(if world.dice.u8(..10) < 3 { 40 } else { 0 });
            }
            if world.dice.u8(..100) < 2 {
                let crashed = world.dice.usize(..world.bidders.len());
                world.bidders[crashed] = world.bidder();
            }
            if step == 120 {
                world.cut_limits(limits(30, 60));
            }
            world.step(4).await;
        }
        world.calm_down().await;
        let told = world.reconcile().await;
        assert!(told.0 > 0, "seed {seed}: nothing was spent");
        world.replay_everything().await;
        assert_eq!(world.reconcile().await, told);
    }
}

#[tokio::test]
async fn while_the_exchange_keeps_its_times_every_billing_is_backed_and_the_budget_is_spent() {
    for seed in seeds(2) {
        let _named = Seed(seed);
        let mut world = World::new(seed, true, vec![campaign(1, Pacing::Asap, limits(60, 150))]).await;
        for _ in 0..400 {
            world.step(4).await;
        }
        world.calm_down().await;
        assert_eq!(world.reconcile().await.1, 0, "seed {seed}: over-delivered");
        let balances = world.balances().await;
        let second_day = balances
            .iter()
            .filter_map(|of| of.day.as_ref().map(|_| of))
            .next_back()
            .unwrap();
        let (spent, limit) = (second_day.account.spent_nanos, 60 * PRICE_NANOS);
        assert!(
            spent > limit / 100 * 90 && spent <= limit,
            "seed {seed}: {spent} of {limit}"
        );
    }
}

#[tokio::test]
async fn billings_at_the_same_time_leave_the_outbox_together() {
    let mut world = World::new(1, true, vec![campaign(1, Pacing::Asap, limits(60, 150))]).await;
    world.step(0).await;
    world.clock.advance(1_000);
    world.bidders[0].keeper.beat().await.unwrap();
    let tokens = (1..=20).map(|bid| {
        world.bids = bid;
        world.token(0, 0, PRICE_NANOS)
    });
    let tokens: Vec<BidToken> = tokens.collect();
    let settlement = &world.bidders[0].settlement;
    let bills = tokens.iter().map(|token| settlement.bill(token, None));
    for applied in futures_util::future::join_all(bills).await {
        assert_eq!(applied.unwrap(), Applied::First);
    }
    let removals = world.ledger_fate.removals.load(Ordering::Relaxed);
    assert!(removals <= 3, "{removals} removals of 20 verdicts");
    world.clock.advance(10_000);
    settlement.sweep_once(false).await.unwrap();
    assert_eq!(world.store.outbox(i64::MAX, 100).await.unwrap(), []);
    assert_eq!(
        world.store.end_offset(Topic::Spend, 0).await.unwrap(),
        20,
        "none twice"
    );
}

use std::sync::mpsc;

use tokio::time::Instant;

use super::*;

fn shutdown(drain_seconds: u64, grace_seconds: u64) -> Shutdown {
    let timing = ShutdownTiming {
        drain: Duration::from_secs(drain_seconds),
        grace: Duration::from_secs(grace_seconds),
    };
    Shutdown::new(timing, Readiness::new())
}

#[tokio::test(start_paused = true)]
async fn a_soft_stop_drains_then_ends_the_tasks_then_runs_the_hooks_in_order() {
    let shutdown = shutdown(5, 25);
    let (log, steps) = mpsc::channel();
    let start = Instant::now();
    let at = move |what: &str| format!("{what} at {} s", start.elapsed().as_secs());

    let (background, from_task) = (shutdown.background().clone(), log.clone());
    shutdown.spawn("relay", async move {
        background.cancelled().await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        from_task.send(at("task")).unwrap();
    });
    for hook in ["flush", "leases"] {
        let log = log.clone();
        shutdown.on_stop(hook, async move { log.send(at(hook)).unwrap() });
    }
    assert!(!shutdown.is_requested());
    shutdown.request("test");
    assert!(shutdown.is_requested());
    assert!(!shutdown.0.readiness.is_ready());
    assert_eq!(shutdown.finished().await, Ended::Clean);
    assert_eq!(
        steps.try_iter().collect::<Vec<_>>(),
        ["task at 7 s", "flush at 7 s", "leases at 7 s"]
    );
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_grace_ends_it_at_once() {
    let shutdown = shutdown(5, 25);
    shutdown.spawn("stuck", std::future::pending());
    let start = Instant::now();
    shutdown.request("test");
    assert_eq!(shutdown.finished().await, Ended::Forced);
    assert_eq!(start.elapsed(), Duration::from_secs(25));
    assert!(shutdown.hard().is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn a_second_request_ends_it_at_once() {
    let shutdown = shutdown(5, 25);
    shutdown.on_stop("never", async { panic!("no hook runs after a hard end") });
    let start = Instant::now();
    shutdown.request("first");
    shutdown.request("second");
    assert_eq!(shutdown.finished().await, Ended::Forced);
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_background_task_stops_the_process_with_a_failure() {
    let shutdown = shutdown(0, 25);
    let (log, steps) = mpsc::channel();
    shutdown.on_stop("leases", async move { log.send("hook").unwrap() });
    shutdown.spawn("relay", async { panic!("broken") });
    assert_eq!(shutdown.finished().await, Ended::Failed);
    assert_eq!(steps.try_recv(), Ok("hook"));
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_hook_keeps_no_other_from_running() {
    let shutdown = shutdown(0, 25);
    let (log, steps) = mpsc::channel();
    shutdown.on_stop("broken", async { panic!("broken") });
    shutdown.on_stop("leases", async move { log.send("hook").unwrap() });
    shutdown.request("test");
    assert_eq!(shutdown.finished().await, Ended::Failed);
    assert_eq!(steps.try_recv(), Ok("hook"));
}

use super::*;
use parking_lot::Mutex;
use std::sync::atomic::AtomicUsize;
use std::thread::yield_now;
use std::time::Duration;

static NEVER: AtomicBool = AtomicBool::new(false);

fn acquire(scheduler: &Scheduler) -> RunPermit<'_> {
    scheduler.acquire_live(Lane::Fast, &Turns::default(), &NEVER).expect("nothing stops it")
}

/// Requests a run of an exact query.
fn ask_idle(scheduler: &Scheduler, until: Option<Instant>) -> Result<RunPermit<'_>, Status> {
    scheduler.acquire_idle(Lane::Fast, &Turns::default(), &NEVER, until)
}

fn soon() -> Option<Instant> {
    Instant::now().checked_add(Duration::from_millis(1))
}

/// Requests runs in the order of `asks` while another run is in progress. Returns the order in
/// which the runs start.
fn order_of_runs(asks: &[&'static str]) -> Vec<&'static str> {
    let (scheduler, log) = (Scheduler::default(), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        let first = acquire(&scheduler);
        let mut waiting = 0;
        for &name in asks {
            let (scheduler, log) = (&scheduler, &log);
            scope.spawn(move || {
                let _running = if name == "exact" {
                    ask_idle(scheduler, None).ok()
                } else {
                    Some(acquire(scheduler))
                };
                log.lock().push(name);
            });
            waiting += u64::from(name != "exact");
            while scheduler.waiting() < waiting {
                yield_now();
            }
        }
        drop(first);
    });
    log.into_inner()
}

#[test]
fn live_streams_run_in_the_order_they_asked() {
    let asks = ["a", "b", "c", "d", "e", "f", "g", "h"];
    for _ in 0..20 {
        assert_eq!(order_of_runs(&asks), asks);
    }
}

#[test]
fn an_exact_query_runs_after_every_waiting_live_stream() {
    for _ in 0..20 {
        assert_eq!(order_of_runs(&["exact", "a", "exact", "b"]), ["a", "b", "exact", "exact"]);
    }
}

#[test]
fn an_exact_query_gives_up_at_its_deadline() {
    let scheduler = Scheduler::default();
    let running = acquire(&scheduler);
    assert_eq!(ask_idle(&scheduler, soon()).err(), Some(Status::TimedOut));
    drop(running);
    assert!(ask_idle(&scheduler, Some(Instant::now())).is_ok());
}

/// Gives other threads time to continue if they can.
fn let_others_run() {
    std::thread::sleep(Duration::from_millis(30));
}

#[test]
fn pause_waits_for_the_current_run_and_blocks_later_ones() {
    let (scheduler, runs) = (Scheduler::default(), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let first = acquire(&scheduler);
        let pause = scope.spawn(|| scheduler.pause());
        for _ in 0..3 {
            scope.spawn(|| {
                let _running = acquire(&scheduler);
                runs.fetch_add(1, Relaxed);
            });
        }
        while scheduler.waiting() < 3 {
            yield_now();
        }
        let_others_run();
        assert!(!pause.is_finished(), "paused during a run");
        drop(first);
        assert_eq!(pause.join().unwrap(), Ok(()));
        assert_eq!(ask_idle(&scheduler, soon()).err(), Some(Status::TimedOut));
        let_others_run();
        assert_eq!((runs.load(Relaxed), scheduler.waiting()), (0, 3));
        assert_eq!(scheduler.pause(), Ok(()), "pausing twice is allowed");
        scheduler.resume();
    });
    assert_eq!(runs.load(Relaxed), 3);
}

#[test]
fn streams_keep_their_order_through_a_pause() {
    let (scheduler, log) = (Scheduler::default(), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        scheduler.pause().unwrap();
        for name in 0..5 {
            let (scheduler, log) = (&scheduler, &log);
            scope.spawn(move || {
                let _running = acquire(scheduler);
                log.lock().push(name);
            });
            while scheduler.waiting() <= name {
                yield_now();
            }
        }
        scheduler.resume();
    });
    assert_eq!(log.into_inner(), [0, 1, 2, 3, 4]);
}

#[test]
fn a_stopped_stream_leaves_the_queue_during_a_pause() {
    let (scheduler, stop) = (Scheduler::default(), AtomicBool::new(false));
    scheduler.pause().unwrap();
    std::thread::scope(|scope| {
        let leaves =
            scope.spawn(|| scheduler.acquire_live(Lane::Fast, &Turns::default(), &stop).is_none());
        while scheduler.waiting() < 1 {
            yield_now();
        }
        let stays = scope.spawn(|| drop(acquire(&scheduler)));
        while scheduler.waiting() < 2 {
            yield_now();
        }
        stop.store(true, Relaxed);
        scheduler.wake_all();
        assert!(leaves.join().unwrap());
        assert!(!stays.is_finished());
        scheduler.resume();
        stays.join().unwrap();
    });
}

#[test]
fn an_exact_query_of_a_stopped_stream_gives_up_in_a_pause() {
    let (scheduler, stop) = (Scheduler::default(), AtomicBool::new(false));
    scheduler.pause().unwrap();
    std::thread::scope(|scope| {
        let ask = || scheduler.acquire_idle(Lane::Fast, &Turns::default(), &stop, None).err();
        let asking = scope.spawn(ask);
        while scheduler.state.lock().sleeping < 1 {
            yield_now();
        }
        stop.store(true, Relaxed);
        scheduler.wake_all();
        assert_eq!(asking.join().unwrap(), Some(Status::Cancelled));
        assert_eq!(ask(), Some(Status::Cancelled), "a later run fails at once");
    });
    scheduler.resume();
    assert!(ask_idle(&scheduler, None).is_ok(), "other streams continue");
}

#[test]
fn pause_lets_a_driving_thread_finish() {
    let scheduler = Scheduler::default();
    std::thread::scope(|scope| {
        let inside = scheduler.begin_driving().expect("not paused");
        assert_eq!(scheduler.pause().unwrap_err().status(), Status::WrongThread);
        // The thread `other` makes its request first, but must not delay the driving thread.
        let other = scope.spawn(|| {
            let scheduler = &scheduler;
            while !scheduler.state.lock().is_paused {
                yield_now();
            }
            drop(acquire(scheduler));
        });
        let pause = scope.spawn(|| scheduler.pause());
        while scheduler.waiting() < 1 {
            yield_now();
        }
        assert!(scheduler.begin_driving().is_none(), "another call begins while pause waits");
        drop(acquire(&scheduler));
        assert!(ask_idle(&scheduler, None).is_ok());
        assert!(!pause.is_finished());
        drop(inside);
        assert_eq!(pause.join().unwrap(), Ok(()));
        assert!(!other.is_finished());
        scheduler.resume();
    });
}

#[test]
fn resume_ends_a_waiting_pause() {
    let scheduler = Scheduler::default();
    std::thread::scope(|scope| {
        let running = acquire(&scheduler);
        let pause = scope.spawn(|| scheduler.pause());
        while !scheduler.state.lock().is_paused {
            yield_now();
        }
        assert_eq!(
            scheduler.acquire_unless_paused(Lane::Fast).err().unwrap().status(),
            Status::WrongState
        );
        scheduler.resume();
        assert_eq!(pause.join().unwrap().unwrap_err().status(), Status::WrongState);
        drop(running);
    });
    drop(scheduler.acquire_unless_paused(Lane::Fast).unwrap());
    assert_eq!(scheduler.waiting(), 0);
}

#[test]
fn threads_that_ask_again_at_once_never_wait_for_each_other() {
    let (scheduler, running) = (Scheduler::default(), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let turns = Turns::default();
                for _ in 0..3000 {
                    let permit = scheduler
                        .acquire_live(Lane::Fast, &turns, &NEVER)
                        .expect("nothing stops it");
                    assert_eq!(running.fetch_add(1, Relaxed), 0, "two runs at the same time");
                    running.fetch_sub(1, Relaxed);
                    drop(permit);
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..200 {
                scheduler.pause().expect("nothing else resumes");
                scheduler.resume();
                drop(ask_idle(&scheduler, Some(Instant::now())));
            }
        });
    });
    assert_eq!(scheduler.waiting(), 0);
}

#[test]
fn a_session_uses_another_turn_while_threads_visit_one() {
    let (scheduler, turns) = (Scheduler::default(), Turns::default());
    for turn in &turns.0 {
        let permit = scheduler.acquire_live(Lane::Fast, &turns, &NEVER).expect("nothing stops it");
        assert!(Arc::ptr_eq(&permit.turn, turn), "a visited or a new turn");
        turn.visitors.fetch_add(1, Relaxed);
    }
    let is_new = |turn| !turns.0.iter().any(|other| Arc::ptr_eq(other, turn));
    let permit = scheduler.acquire_live(Lane::Fast, &turns, &NEVER).expect("nothing stops it");
    assert!(is_new(&permit.turn));
    drop(permit);
    turns.0[3].visitors.fetch_sub(1, Relaxed);
    let permit =
        scheduler.acquire_idle(Lane::Fast, &turns, &NEVER, None).expect("nothing stops it");
    assert!(Arc::ptr_eq(&permit.turn, &turns.0[3]));
}

use super::*;

/// Explores every interleaving with up to three preemptions.
#[test]
fn a_waiting_thread_gets_its_result() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let mailbox = loom::sync::Arc::new(Mailbox::new(1).unwrap());
        let worker = mailbox.clone();
        let thread = loom::thread::spawn(move || {
            let result = ViewResult { flags: ResultFlags::FINAL, ..ViewResult::new(1) };
            worker.publish(&result, &[0.5]);
        });
        // The words of the result are not read, because loom would try every combination of old
        // and new words. The tests of the records cover them.
        assert_eq!(mailbox.wait_through(1, None, &mut []), Ok(()));
        thread.join().unwrap();
    });
}

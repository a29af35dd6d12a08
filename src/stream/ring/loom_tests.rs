use super::*;

#[test]
fn three_messages_pass_two_slots_in_order() {
    loom::model(|| {
        let (mut producer, mut consumer) = create_ring(2, |_| Ok(0_u32)).unwrap();
        let filler = loom::thread::spawn(move || {
            for message in 1..=3 {
                loop {
                    if let Some(slot) = producer.slot() {
                        *slot = message;
                        break;
                    }
                    loom::thread::yield_now();
                }
                producer.commit();
            }
        });
        for message in 1..=3 {
            while consumer.peek(0).is_none() {
                loom::thread::yield_now();
            }
            assert_eq!(consumer.peek(0), Some(&message));
            if let Some(&next) = consumer.peek(1) {
                assert_eq!(next, message + 1);
            }
            consumer.release();
        }
        filler.join().unwrap();
        assert_eq!(consumer.len(), 0);
    });
}

#[test]
fn a_dropping_producer_does_not_disturb_the_reader() {
    loom::model(|| {
        let (mut producer, mut consumer) = create_ring(2, |_| Ok(0_u32)).unwrap();
        let filler = loom::thread::spawn(move || {
            let mut sent = 0;
            for message in 1..=3 {
                assert!(producer.free() <= 2);
                if let Some(slot) = producer.slot() {
                    *slot = message;
                    producer.commit();
                    sent += 1;
                }
            }
            sent
        });
        let (mut received, mut last) = (0, 0);
        for _ in 0..2 {
            if let Some(&message) = consumer.peek(0) {
                assert!(message > last);
                last = message;
                received += 1;
                consumer.release();
            }
        }
        let sent: usize = filler.join().unwrap();
        assert!(sent >= 2);
        assert_eq!(consumer.len(), sent - received);
    });
}

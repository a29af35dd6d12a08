use super::*;

fn push(producer: &mut Producer<u64>, value: u64) -> bool {
    let Some(slot) = producer.slot() else { return false };
    *slot = value;
    producer.commit();
    true
}

fn pop(consumer: &mut Consumer<u64>) -> Option<u64> {
    let value = *consumer.peek(0)?;
    consumer.release();
    Some(value)
}

#[test]
fn every_slot_can_be_filled() {
    for slots in [1, 2, 3, 4, 7] {
        let (mut producer, mut consumer) = create_ring(slots, |_| Ok(0)).unwrap();
        for filled in 0..slots {
            assert_eq!((producer.free(), consumer.len()), (slots - filled, filled));
            assert!(push(&mut producer, filled as u64));
        }
        assert_eq!((producer.free(), consumer.len()), (0, slots));
        assert!(producer.slot().is_none());
        producer.commit();
        assert_eq!(consumer.len(), slots, "a commit without a free slot has an effect");
        assert_eq!(pop(&mut consumer), Some(0));
        assert_eq!((producer.free(), consumer.len()), (1, slots - 1));
    }
}

#[test]
fn an_empty_ring_has_nothing_to_read() {
    let (mut producer, mut consumer) = create_ring(3, |_| Ok(0)).unwrap();
    assert!(consumer.peek(0).is_none());
    consumer.release();
    assert_eq!((producer.free(), consumer.len()), (3, 0));
    assert!(push(&mut producer, 5));
    assert_eq!(pop(&mut consumer), Some(5));
    consumer.release();
    assert_eq!((producer.free(), consumer.len()), (3, 0));
}

#[test]
fn a_slot_stays_the_same_until_commit() {
    let (mut producer, consumer) = create_ring(2, |index| Ok(index as u64)).unwrap();
    *producer.slot().unwrap() = 7;
    assert_eq!(producer.slot().copied(), Some(7));
    assert_eq!(consumer.len(), 0);
    producer.commit();
    assert_eq!(producer.slot().copied(), Some(1), "the next slot has its initial content");
    assert_eq!(consumer.peek(0), Some(&7));
}

#[test]
fn values_stay_in_order_through_many_wraps() {
    for slots in [1, 2, 3, 5, 8] {
        let (mut producer, mut consumer) = create_ring(slots, |_| Ok(0)).unwrap();
        let (mut sent, mut received) = (0, 0);
        for round in 0..100 {
            for _ in 0..=round % slots {
                sent += u64::from(push(&mut producer, sent));
            }
            let readable = consumer.len();
            for index in 0..readable {
                assert_eq!(consumer.peek(index), Some(&(received + index as u64)));
            }
            assert!(consumer.peek(readable).is_none());
            for _ in 0..readable.div_ceil(2) {
                assert_eq!(pop(&mut consumer), Some(received));
                received += 1;
            }
        }
        assert!(received > 3 * slots as u64 && received <= sent);
    }
}

#[test]
fn slots_are_dropped_once_after_both_ends() {
    let token = std::sync::Arc::new(());
    let (mut producer, consumer) = create_ring(3, |_| Ok(std::sync::Arc::clone(&token))).unwrap();
    producer.commit();
    drop(producer);
    assert_eq!(std::sync::Arc::strong_count(&token), 4);
    drop(consumer);
    assert_eq!(std::sync::Arc::strong_count(&token), 1);
}

/// Number of words in a message. If the words of a slot belong to different messages, both sides
/// accessed the slot at the same time.
const WORDS: usize = 8;

#[test]
fn two_threads_pass_every_message_whole_and_in_order() {
    let handovers = match std::env::var("TTEVIEW_STRESS_HANDOVERS") {
        Ok(text) => text.parse().expect("TTEVIEW_STRESS_HANDOVERS is a number"),
        Err(_) => 2_000_000_u64,
    };
    let (mut producer, mut consumer) = create_ring(5, |_| Ok([0_u64; WORDS])).unwrap();
    let filler = std::thread::spawn(move || {
        for message in 1..=handovers {
            loop {
                if let Some(slot) = producer.slot() {
                    for (index, word) in slot.iter_mut().enumerate() {
                        *word =
                            message.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(index as u32);
                    }
                    break;
                }
                std::thread::yield_now();
            }
            producer.commit();
        }
    });
    for message in 1..=handovers {
        let words = loop {
            if let Some(words) = consumer.peek(0) {
                break words;
            }
            assert!(!filler.is_finished() || consumer.len() > 0, "message {message} was lost");
            std::thread::yield_now();
        };
        for (index, &word) in words.iter().enumerate() {
            assert_eq!(word, message.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(index as u32));
        }
        consumer.release();
    }
    filler.join().unwrap();
    assert_eq!(consumer.len(), 0);
}

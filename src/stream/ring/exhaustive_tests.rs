//! Tests of every state of rings with up to eight slots.

use super::*;

/// Largest ring that is checked. Miri is slow, so it checks smaller rings.
const MAX_SLOTS: usize = if cfg!(miri) { 3 } else { 8 };

/// A ring whose positions and remembered counts are set directly. Each slot contains its index.
fn create_state(
    slots: usize,
    head: usize,
    len: usize,
    free_seen: usize,
    len_seen: usize,
) -> (Producer<usize>, Consumer<usize>) {
    let (mut producer, mut consumer) = create_ring(slots, Ok).unwrap();
    let tail = (head + 2 * slots - len) % (2 * slots);
    producer.shared.head.store(head, Ordering::Relaxed);
    producer.shared.tail.store(tail, Ordering::Relaxed);
    (producer.head, consumer.tail) = (head, tail);
    producer.free_seen.set(free_seen);
    consumer.len_seen.set(len_seen);
    (producer, consumer)
}

/// Calls `check` for every reachable state: every number of slots, every position of the producer,
/// every number of committed slots, and every count that each side may remember.
fn for_every_state(mut check: impl FnMut(usize, usize, usize, Producer<usize>, Consumer<usize>)) {
    for slots in 1..=MAX_SLOTS {
        for head in 0..2 * slots {
            for len in 0..=slots {
                // What a side remembers may be out of date, but never too large.
                for free_seen in 0..=slots - len {
                    for len_seen in 0..=len {
                        let (producer, consumer) =
                            create_state(slots, head, len, free_seen, len_seen);
                        check(slots, head, len, producer, consumer);
                    }
                }
            }
        }
    }
}

/// Returns the index of the slot at a position, from the definition of positions.
fn index_of(position: usize, slots: usize) -> usize {
    position % slots
}

#[test]
fn counts_are_exact_in_every_state() {
    let mut states = 0;
    for_every_state(|slots, _, len, mut producer, consumer| {
        states += 1;
        assert_eq!((producer.free(), consumer.len()), (slots - len, len));
        assert_eq!((producer.free_seen.get(), consumer.len_seen.get()), (slots - len, len));
    });
    let states_of = |slots: usize| {
        (0..=slots).map(|len| 2 * slots * (slots - len + 1) * (len + 1)).sum::<usize>()
    };
    assert_eq!(states, (1..=MAX_SLOTS).map(states_of).sum::<usize>());
}

#[test]
fn the_producer_fills_the_slot_at_its_position() {
    for_every_state(|slots, head, len, mut producer, consumer| {
        let is_full = len == slots;
        let expected = (!is_full).then(|| index_of(head, slots));
        assert_eq!(producer.slot().copied(), expected, "{slots} slots, {head}, {len}");
        producer.commit();
        let next = if is_full { head } else { (head + 1) % (2 * slots) };
        assert_eq!((producer.head, producer.shared.head.load(Ordering::Relaxed)), (next, next));
        assert_eq!(consumer.len(), if is_full { slots } else { len + 1 });
        assert_eq!(producer.free(), slots - consumer.len());
    });
}

#[test]
fn the_consumer_reads_committed_slots_in_order() {
    for_every_state(|slots, head, len, producer, mut consumer| {
        let tail = (head + 2 * slots - len) % (2 * slots);
        for index in 0..=slots {
            let expected = (index < len).then(|| index_of(tail + index, slots));
            assert_eq!(consumer.peek(index).copied(), expected, "{slots} slots, {head}, {len}");
        }
        consumer.release();
        let next = if len == 0 { tail } else { (tail + 1) % (2 * slots) };
        assert_eq!((consumer.tail, producer.shared.tail.load(Ordering::Relaxed)), (next, next));
        assert_eq!(consumer.len(), len.saturating_sub(1));
    });
}

#[test]
fn producer_and_consumer_never_use_the_same_slot() {
    for_every_state(|slots, head, len, mut producer, consumer| {
        let filled = producer.slot().copied();
        let read: Vec<usize> =
            (0..slots).filter_map(|index| consumer.peek(index).copied()).collect();
        assert_eq!(read.len(), len);
        assert!(filled.is_none_or(|slot| !read.contains(&slot)), "{slots} slots, {head}, {len}");
        let mut distinct = read.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), len, "a slot is read twice");
    });
}

//! Tests of the reserve. The functions that replace `malloc` are not part of the tests' program, so
//! the tests call the functions below them. Hosts in C test the whole.

use super::arena::{SMALL_SLOTS, count_used_slots, slot_bytes};
use super::mapping::count_blocks;
use super::*;
use std::sync::Mutex;

/// The process has one reserve, so one test runs at a time.
static TURN: Mutex<()> = Mutex::new(());

fn take(bytes: usize) -> *mut u8 {
    allocate(bytes, 16, null_mut)
}

#[test]
fn small_requests_get_slots_that_do_not_overlap() {
    let _turn = TURN.lock().unwrap();
    let uses = count_uses();
    let sizes = [1, 64, 65, 500, 512, 513, 4096];
    let blocks = sizes.map(|bytes| (take(bytes), bytes));
    for (index, &(memory, bytes)) in blocks.iter().enumerate() {
        assert!(slot_bytes(memory).is_some_and(|slot| slot >= bytes));
        assert!(memory.addr().is_multiple_of(16));
        // SAFETY: the block has `bytes` bytes and belongs to this test.
        unsafe { std::slice::from_raw_parts_mut(memory, bytes) }.fill(index as u8 + 1);
    }
    for (index, &(memory, bytes)) in blocks.iter().enumerate() {
        // SAFETY: as above.
        let block = unsafe { std::slice::from_raw_parts(memory, bytes) };
        assert!(block.iter().all(|&value| value == index as u8 + 1), "block {index}");
        assert!(free(memory));
    }
    assert_eq!((count_uses() - uses, count_used_slots()), (sizes.len() as u64, 0));
}

#[test]
fn full_classes_and_large_requests_use_mappings() {
    let _turn = TURN.lock().unwrap();
    let small: Vec<_> = (0..SMALL_SLOTS + 5).map(|_| take(48)).collect();
    assert_eq!(count_blocks(), 5);
    let large = take(3 << 20);
    assert_eq!((find_size(large), count_blocks()), (Some(3 << 20), 6));
    // SAFETY: the block has 3 MiB and belongs to this test.
    unsafe { large.add((3 << 20) - 1).write(7) };
    let unique: std::collections::HashSet<_> = small.iter().copied().collect();
    assert_eq!(unique.len(), small.len());
    small.iter().chain([&large]).for_each(|&memory| assert!(free(memory)));
    assert_eq!((count_blocks(), count_used_slots()), (0, 0));
    let own = Box::new(0u64);
    assert!(!free((&raw const *own).cast_mut().cast()), "other memory is not freed");
}

#[test]
fn large_alignments_are_served_up_to_a_page() {
    let _turn = TURN.lock().unwrap();
    for alignment in [16, 64, 512, 4096] {
        let memory = allocate(8, alignment, null_mut);
        assert!(memory.addr().is_multiple_of(alignment) && !memory.is_null());
        assert!(free(memory));
    }
    assert!(allocate(8, 8192, null_mut).is_null());
}

#[test]
fn threads_never_share_a_slot() {
    let _turn = TURN.lock().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            scope.spawn(move || {
                for round in 0..2000u64 {
                    let memory = take(64).cast::<[u64; 8]>();
                    let value = [thread << 32 | round; 8];
                    // SAFETY: the slot has 64 bytes and belongs to this thread.
                    unsafe {
                        memory.write(value);
                        assert_eq!(memory.read(), value);
                    }
                    assert!(free(memory.cast()));
                }
            });
        }
    });
    assert_eq!(count_used_slots(), 0);
}

#[test]
fn the_system_refuses_more_than_its_address_space() {
    assert!(can_map(1 << 20));
    assert!(!can_map(1 << 60));
}

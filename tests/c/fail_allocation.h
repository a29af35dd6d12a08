/* Allocation functions that take the place of those of the C library, and fail on request. They
 * also count the blocks that the program's own code has allocated and not freed. Include this file
 * in one source file of a program that links the library statically. It needs glibc. */
#ifndef TTEVIEW_TESTS_FAIL_ALLOCATION_H
#define TTEVIEW_TESTS_FAIL_ALLOCATION_H

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

/* Bounds of the program's code, from the linker. */
extern char __executable_start, etext;

/* Number of the request that fails, counted from 0. */
static atomic_long fail_at;
/* Whether all later requests fail, too. */
static atomic_int fail_is_sticky;
/* Whether requests are counted. */
static atomic_int fail_is_armed;
/* Whether only requests of the program's own code count, and not those of shared libraries. */
static atomic_int fail_only_own;
static atomic_long fail_requests, fail_hits;
/* Number of failed requests that shared libraries made, such as the C library for a new thread. */
static atomic_long fail_foreign_hits;

/* Addresses of the blocks that the program's own code has allocated, as a hash table. */
#define LIVE_PLACES ((size_t)1 << 17)
static _Atomic(uintptr_t) live_places[LIVE_PLACES];
static atomic_long live_blocks;

static size_t live_place(uintptr_t address) {
  return (size_t)((address >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 40) % LIVE_PLACES;
}

static void *keep_block(void *block, int is_own) {
  if (!block || !is_own) return block;
  for (size_t at = live_place((uintptr_t)block);; at = (at + 1) % LIVE_PLACES) {
    uintptr_t seen = atomic_load(&live_places[at]);
    /* 1 marks a place whose block was freed. */
    if (seen <= 1 && atomic_compare_exchange_strong(&live_places[at], &seen, (uintptr_t)block)) {
      atomic_fetch_add(&live_blocks, 1);
      return block;
    }
  }
}

static void forget_block(void *block) {
  if (!block) return;
  size_t at = live_place((uintptr_t)block);
  for (size_t tries = 0; tries < LIVE_PLACES; tries++, at = (at + 1) % LIVE_PLACES) {
    uintptr_t seen = atomic_load(&live_places[at]);
    if (seen == 0) return;
    if (seen == (uintptr_t)block) {
      atomic_store(&live_places[at], 1);
      atomic_fetch_sub(&live_blocks, 1);
      return;
    }
  }
}

/* Returns whether this address is in the program's own code. */
static int is_own_code(void *caller) {
  return (char *)caller >= &__executable_start && (char *)caller < &etext;
}

static int must_fail(int is_own) {
  if (!atomic_load(&fail_is_armed) || (atomic_load(&fail_only_own) && !is_own)) return 0;
  long request = atomic_fetch_add(&fail_requests, 1), at = atomic_load(&fail_at);
  if (request != at && !(atomic_load(&fail_is_sticky) && request > at)) return 0;
  atomic_fetch_add(&fail_hits, 1);
  if (!is_own) atomic_fetch_add(&fail_foreign_hits, 1);
  errno = ENOMEM;
  return 1;
}

#define CALLER_IS_OWN is_own_code(__builtin_return_address(0))

void *malloc(size_t size) {
  int is_own = CALLER_IS_OWN;
  return must_fail(is_own) ? NULL : keep_block(__libc_malloc(size), is_own);
}

void *calloc(size_t count, size_t size) {
  int is_own = CALLER_IS_OWN;
  return must_fail(is_own) ? NULL : keep_block(__libc_calloc(count, size), is_own);
}

void *realloc(void *block, size_t size) {
  int is_own = CALLER_IS_OWN;
  if (must_fail(is_own)) return NULL;
  forget_block(block);
  void *moved = __libc_realloc(block, size);
  if (!moved && size > 0) keep_block(block, is_own);
  return keep_block(moved, is_own);
}

void *memalign(size_t alignment, size_t size) {
  int is_own = CALLER_IS_OWN;
  return must_fail(is_own) ? NULL : keep_block(__libc_memalign(alignment, size), is_own);
}

void *aligned_alloc(size_t alignment, size_t size) {
  int is_own = CALLER_IS_OWN;
  return must_fail(is_own) ? NULL : keep_block(__libc_memalign(alignment, size), is_own);
}

int posix_memalign(void **place, size_t alignment, size_t size) {
  int is_own = CALLER_IS_OWN;
  void *block = must_fail(is_own) ? NULL : keep_block(__libc_memalign(alignment, size), is_own);
  if (!block) return ENOMEM;
  *place = block;
  return 0;
}

void free(void *block) {
  forget_block(block);
  __libc_free(block);
}

/* Lets request number `at` fail, and all later ones if `is_sticky` is not 0. */
static void arm_failure(long at, int is_sticky) {
  atomic_store(&fail_requests, 0);
  atomic_store(&fail_hits, 0);
  atomic_store(&fail_foreign_hits, 0);
  atomic_store(&fail_at, at);
  atomic_store(&fail_is_sticky, is_sticky);
  atomic_store(&fail_is_armed, 1);
}

static void disarm_failure(void) { atomic_store(&fail_is_armed, 0); }

#endif

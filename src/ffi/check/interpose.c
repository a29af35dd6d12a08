/* Replacements of functions that allocate or sleep. They report a call that a rule forbids and then
 * call the function of the system or of the host's allocator. The symbols are weak, so that a host
 * with its own allocator can be linked; the checker then does not see its allocations. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

#define WEAK __attribute__((weak))

/* Memory for allocations that dlsym makes while the functions are being looked up. */
static _Alignas(16) unsigned char early_memory[4096];
static atomic_size_t early_bytes;

static struct {
  void *(*malloc)(size_t);
  void *(*calloc)(size_t, size_t);
  void *(*realloc)(void *, size_t);
  void (*free)(void *);
  int (*posix_memalign)(void **, size_t, size_t);
  void *(*aligned_alloc)(size_t, size_t);
  int (*nanosleep)(const struct timespec *, struct timespec *);
  int (*clock_nanosleep)(clockid_t, int, const struct timespec *, struct timespec *);
  unsigned (*sleep)(unsigned);
  int (*usleep)(useconds_t);
  int (*poll)(struct pollfd *, nfds_t, int);
} next;

static _Thread_local bool is_looking_up __attribute__((tls_model("initial-exec")));

static void find_next(const char *name, void *place) {
  void *function = dlsym(RTLD_NEXT, name);
  memcpy(place, &function, sizeof function);
}

static bool prepare(void) {
  if (next.poll) return true;
  if (is_looking_up) return false;
  is_looking_up = true;
  find_next("malloc", &next.malloc);
  find_next("calloc", &next.calloc);
  find_next("realloc", &next.realloc);
  find_next("free", &next.free);
  find_next("posix_memalign", &next.posix_memalign);
  find_next("aligned_alloc", &next.aligned_alloc);
  find_next("nanosleep", &next.nanosleep);
  find_next("clock_nanosleep", &next.clock_nanosleep);
  find_next("sleep", &next.sleep);
  find_next("usleep", &next.usleep);
  find_next("poll", &next.poll);
  is_looking_up = false;
  return true;
}

static void check_call(const char *function, bool allocates) {
  if (limits.library_depth > 0 || is_looking_up) return;
  if (limits.callback) {
    report(allocates ? "allocation-in-callback" : "sleep-in-callback", function, limits.lent,
           allocates ? "a callback or hook of the library allocates or frees memory; it must not "
                       "block the thread of the library"
                     : "a callback or hook of the library sleeps; it must not block the thread of "
                       "the library");
  } else if (limits.lent) {
    report(allocates ? "allocation-during-loan" : "sleep-during-loan", function, limits.lent,
           allocates ? "the thread allocates or frees memory between loan and commit; allocate "
                       "before the acquisition"
                     : "the thread sleeps between loan and commit; take the slot when the frame "
                       "is there");
  }
}

static void *allocate_early(size_t bytes) {
  size_t start = atomic_fetch_add(&early_bytes, (bytes + 15) / 16 * 16);
  return start + bytes <= sizeof early_memory ? early_memory + start : NULL;
}

static bool is_early(const void *pointer) {
  const unsigned char *byte = pointer;
  return byte >= early_memory && byte < early_memory + sizeof early_memory;
}

WEAK void *malloc(size_t bytes) {
  if (!prepare()) return allocate_early(bytes);
  check_call("malloc", true);
  return next.malloc(bytes);
}

WEAK void *calloc(size_t count, size_t bytes) {
  if (!prepare()) return bytes && count > SIZE_MAX / bytes ? NULL : allocate_early(count * bytes);
  check_call("calloc", true);
  return next.calloc(count, bytes);
}

WEAK void *realloc(void *pointer, size_t bytes) {
  if (!prepare() || is_early(pointer)) {
    void *copy = malloc(bytes);
    if (copy && pointer) {
      const unsigned char *start = pointer;
      size_t rest = (size_t)(early_memory + sizeof early_memory - start);
      memcpy(copy, pointer, bytes < rest ? bytes : rest);
    }
    return copy;
  }
  check_call("realloc", true);
  return next.realloc(pointer, bytes);
}

WEAK void free(void *pointer) {
  if (!pointer || is_early(pointer) || !prepare()) return;
  check_call("free", true);
  next.free(pointer);
}

WEAK int posix_memalign(void **place, size_t alignment, size_t bytes) {
  if (!prepare()) return ENOMEM;
  check_call("posix_memalign", true);
  return next.posix_memalign(place, alignment, bytes);
}

WEAK void *aligned_alloc(size_t alignment, size_t bytes) {
  if (!prepare()) return NULL;
  check_call("aligned_alloc", true);
  return next.aligned_alloc(alignment, bytes);
}

WEAK int nanosleep(const struct timespec *time, struct timespec *rest) {
  prepare();
  check_call("nanosleep", false);
  return next.nanosleep(time, rest);
}

WEAK int clock_nanosleep(clockid_t clock, int flags, const struct timespec *time,
                         struct timespec *rest) {
  prepare();
  check_call("clock_nanosleep", false);
  return next.clock_nanosleep(clock, flags, time, rest);
}

WEAK unsigned sleep(unsigned seconds) {
  prepare();
  check_call("sleep", false);
  return next.sleep(seconds);
}

WEAK int usleep(useconds_t microseconds) {
  prepare();
  check_call("usleep", false);
  return next.usleep(microseconds);
}

WEAK int poll(struct pollfd *descriptors, nfds_t count, int timeout) {
  prepare();
  if (timeout != 0) check_call("poll", false);
  return next.poll(descriptors, count, timeout);
}

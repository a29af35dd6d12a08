/* A library that replaces NVIDIA's driver in tests. It reports two GPUs called "Orin", whose memory
 * is host memory. If VERSION is defined, the library also replaces TensorRT's function
 * getInferLibVersion.
 *
 * The library is strict, so that callers do not work by chance: new memory is not zero, copies to
 * the host become visible only when the host waits for the stream, and functions that need a
 * current context fail without one. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#ifndef INIT
#define INIT 0
#endif

int cuInit(unsigned flags) { return flags ? 1 : INIT; }
int cuDeviceGetCount(int *count) { return *count = 2, 0; }
int cuDeviceGet(int *device, int ordinal) { return *device = 40 + ordinal, 0; }

int cuDeviceGetName(char *name, int length, int device) {
  if (device < 40) return 101;
  strncpy(name, "Orin\n", (size_t)length);
  return 0;
}

#ifndef WITHOUT_ATTRIBUTE
int cuDeviceGetAttribute(int *value, int attribute, int device) {
  if (device < 40) return 101;
  *value = attribute == 16 ? 8 : attribute == 75 ? 8 : attribute == 76 ? 7 : -1;
  return 0;
}
#endif

#ifdef VERSION
int getInferLibVersion(void) { return VERSION; }
#endif

/* `fake_alive` is the number of contexts, streams and memory blocks that exist. `fake_copies` is
 * the number of copies so far. If a test sets `fake_fails` to N, the Nth of the following
 * allocations, copies, fills and waits fails. If `fake_fails` is 0, no call fails. While
 * `fake_captures` is not 0, as during the capture of a graph, allocations and releases are wrong,
 * and `fake_wrong` counts them. */
_Atomic int fake_alive, fake_copies, fake_fails, fake_captures, fake_wrong;

#define STREAMS 8
#define LATE 16
typedef struct {
  _Atomic int exists;
  int late_count;
  struct { void *to; const void *from; size_t size; } late[LATE];
} Stream;

static _Thread_local int current; /* number of pushed contexts */
static char context;
static Stream streams[STREAMS];

/* Several threads may use a stream at the same time. The lock orders their calls. */
static atomic_flag stream_lock = ATOMIC_FLAG_INIT;
static void lock(void) { while (atomic_flag_test_and_set(&stream_lock)); }
static void unlock(void) { atomic_flag_clear(&stream_lock); }

static int is_stream(const void *handle) {
  for (int i = 0; i < STREAMS; ++i)
    if (handle == &streams[i]) return streams[i].exists;
  return 0;
}

int fake_contexts(void) { return current; }

static int fails_now(void) { return fake_fails && --fake_fails == 0; }

int cuDevicePrimaryCtxRetain(void **pointer, int device) {
  if (device < 40) return 101;
  ++fake_alive;
  return *pointer = &context, 0;
}
int cuDevicePrimaryCtxRelease_v2(int device) { return device < 40 ? 101 : (--fake_alive, 0); }
int cuCtxPushCurrent_v2(void *pushed) { return pushed != &context ? 201 : (++current, 0); }
int cuCtxPopCurrent_v2(void **popped) { return !current ? 201 : (--current, *popped = &context, 0); }

int cuStreamCreate(void **pointer, unsigned flags) {
  if (!current || flags != 1) return 1;
  for (int i = 0; i < STREAMS; ++i)
    if (!atomic_exchange(&streams[i].exists, 1)) return ++fake_alive, *pointer = &streams[i], 0;
  return 2;
}
int cuStreamDestroy_v2(void *gone) {
  if (!current || !is_stream(gone)) return 1;
  ((Stream *)gone)->exists = 0;
  return --fake_alive, 0;
}

int cuStreamSynchronize(void *waited) {
  if (!current || !is_stream(waited)) return 400;
  Stream *stream = waited;
  lock();
  for (; stream->late_count > 0; --stream->late_count) {
    const int last = stream->late_count - 1;
    memcpy(stream->late[last].to, stream->late[last].from, stream->late[last].size);
  }
  unlock();
  return fails_now() ? 719 : 0;
}

static int allocate(void **pointer, size_t size) {
  if (!current) return 201;
  if (fake_captures) return ++fake_wrong, 900;
  if (!size || size > ((size_t)1 << 32)) return size ? 2 : 1;
  if (fails_now()) return 2;
  *pointer = aligned_alloc(256, (size + 255) / 256 * 256);
  memset(*pointer, 0xff, size); /* As floats, these bytes are NaN. */
  ++fake_alive;
  return 0;
}
static int release(void *memory) {
  if (!current) return 201;
  if (fake_captures) ++fake_wrong;
  free(memory);
  --fake_alive;
  return 0;
}
int cuMemAlloc_v2(void **pointer, size_t size) { return allocate(pointer, size); }
int cuMemFree_v2(void *memory) { return release(memory); }
int cuMemAllocHost_v2(void **pointer, size_t size) { return allocate(pointer, size); }
int cuMemFreeHost(void *memory) { return release(memory); }

static int copy(void *to, const void *from, size_t size, void *queue, int arrives_late) {
  if (!current || !is_stream(queue)) return 400;
  if (fails_now()) return 700;
  ++fake_copies;
  Stream *stream = queue;
  lock();
  if (!arrives_late)
    memcpy(to, from, size);
  else
    stream->late[stream->late_count].to = to, stream->late[stream->late_count].from = from,
    stream->late[stream->late_count++].size = size;
  unlock();
  return 0;
}
int cuMemcpyHtoDAsync_v2(void *to, const void *from, size_t size, void *queue) { return copy(to, from, size, queue, 0); }
int cuMemcpyDtoDAsync_v2(void *to, void *from, size_t size, void *queue) { return copy(to, from, size, queue, 0); }
int cuMemcpyDtoHAsync_v2(void *to, void *from, size_t size, void *queue) { return copy(to, from, size, queue, 1); }

int cuMemsetD32Async(void *to, unsigned value, size_t count, void *queue) {
  if (!current || !is_stream(queue)) return 400;
  if (fails_now()) return 700;
  for (size_t i = 0; i < count; ++i) ((unsigned *)to)[i] = value;
  return 0;
}

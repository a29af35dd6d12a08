/* A library that replaces NVIDIA's driver in tests. It reports two GPUs called "Orin", whose memory
 * is host memory. If VERSION is defined, the library also replaces TensorRT's function
 * getInferLibVersion.
 *
 * The library is strict, so that callers do not work by chance: new memory is not zero, copies to
 * the host become visible only when the host waits for the stream, and functions that need a
 * current context fail without one. */
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
 * allocations, copies and waits fails. If `fake_fails` is 0, no call fails. */
int fake_alive, fake_copies, fake_fails;

static _Thread_local int current; /* number of pushed contexts */
static char context, stream;
static struct { void *to; const void *from; size_t size; } late[16];
static int late_count;

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
  ++fake_alive;
  return *pointer = &stream, 0;
}
int cuStreamDestroy_v2(void *gone) { return !current || gone != &stream ? 1 : (--fake_alive, 0); }

int cuStreamSynchronize(void *waited) {
  if (!current || waited != &stream) return 400;
  for (; late_count > 0; --late_count)
    memcpy(late[late_count - 1].to, late[late_count - 1].from, late[late_count - 1].size);
  return fails_now() ? 719 : 0;
}

static int allocate(void **pointer, size_t size) {
  if (!current) return 201;
  if (!size || size > ((size_t)1 << 32)) return size ? 2 : 1;
  if (fails_now()) return 2;
  *pointer = aligned_alloc(256, (size + 255) / 256 * 256);
  memset(*pointer, 0xff, size); /* As floats, these bytes are NaN. */
  ++fake_alive;
  return 0;
}
static int release(void *memory) {
  if (!current) return 201;
  free(memory);
  --fake_alive;
  return 0;
}
int cuMemAlloc_v2(void **pointer, size_t size) { return allocate(pointer, size); }
int cuMemFree_v2(void *memory) { return release(memory); }
int cuMemAllocHost_v2(void **pointer, size_t size) { return allocate(pointer, size); }
int cuMemFreeHost(void *memory) { return release(memory); }

static int copy(void *to, const void *from, size_t size, void *queue, int arrives_late) {
  if (!current || queue != &stream) return 400;
  if (fails_now()) return 700;
  ++fake_copies;
  if (!arrives_late) return memcpy(to, from, size), 0;
  late[late_count].to = to, late[late_count].from = from, late[late_count].size = size;
  return ++late_count, 0;
}
int cuMemcpyHtoDAsync_v2(void *to, const void *from, size_t size, void *queue) { return copy(to, from, size, queue, 0); }
int cuMemcpyDtoDAsync_v2(void *to, void *from, size_t size, void *queue) { return copy(to, from, size, queue, 0); }
int cuMemcpyDtoHAsync_v2(void *to, void *from, size_t size, void *queue) { return copy(to, from, size, queue, 1); }

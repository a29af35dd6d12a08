/* Stands for NVIDIA's driver in tests: two GPUs that are an Orin, whose memory is the host's; and for TensorRT, which says
 * its version. What a test must not rely on fails here: memory holds no zeros, what is copied to the host arrives with the
 * next wait and no sooner, and whatever needs a current context looks for one. */
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

/* For the test: what lives of contexts, streams and memory; copies made; and which call from now on fails, the first being
 * 1. */
int fake_alive, fake_copies, fake_fails;

static _Thread_local int current; /* contexts pushed */
static char context, stream;
static struct { void *to; const void *from; size_t size; } late[16];
static int late_count;

int fake_contexts(void) { return current; }

static int failing(void) { return fake_fails && --fake_fails == 0; }

int cuDevicePrimaryCtxRetain(void **made, int device) {
  if (device < 40) return 101;
  ++fake_alive;
  return *made = &context, 0;
}
int cuDevicePrimaryCtxRelease_v2(int device) { return device < 40 ? 101 : (--fake_alive, 0); }
int cuCtxPushCurrent_v2(void *pushed) { return pushed != &context ? 201 : (++current, 0); }
int cuCtxPopCurrent_v2(void **popped) { return !current ? 201 : (--current, *popped = &context, 0); }

int cuStreamCreate(void **made, unsigned flags) {
  if (!current || flags != 1) return 1;
  ++fake_alive;
  return *made = &stream, 0;
}
int cuStreamDestroy_v2(void *gone) { return !current || gone != &stream ? 1 : (--fake_alive, 0); }

int cuStreamSynchronize(void *waited) {
  if (!current || waited != &stream) return 400;
  for (; late_count > 0; --late_count)
    memcpy(late[late_count - 1].to, late[late_count - 1].from, late[late_count - 1].size);
  return failing() ? 719 : 0;
}

static int allocate(void **made, size_t size) {
  if (!current) return 201;
  if (!size || size > ((size_t)1 << 32)) return size ? 2 : 1;
  if (failing()) return 2;
  *made = aligned_alloc(256, (size + 255) / 256 * 256);
  memset(*made, 0xff, size); /* floats that are no numbers */
  ++fake_alive;
  return 0;
}
static int freed(void *memory) {
  if (!current) return 201;
  free(memory);
  --fake_alive;
  return 0;
}
int cuMemAlloc_v2(void **made, size_t size) { return allocate(made, size); }
int cuMemFree_v2(void *memory) { return freed(memory); }
int cuMemAllocHost_v2(void **made, size_t size) { return allocate(made, size); }
int cuMemFreeHost(void *memory) { return freed(memory); }

static int copied(void *to, const void *from, size_t size, void *in, int arrives_late) {
  if (!current || in != &stream) return 400;
  if (failing()) return 700;
  ++fake_copies;
  if (!arrives_late) return memcpy(to, from, size), 0;
  late[late_count].to = to, late[late_count].from = from, late[late_count].size = size;
  return ++late_count, 0;
}
int cuMemcpyHtoDAsync_v2(void *to, const void *from, size_t size, void *in) { return copied(to, from, size, in, 0); }
int cuMemcpyDtoDAsync_v2(void *to, void *from, size_t size, void *in) { return copied(to, from, size, in, 0); }
int cuMemcpyDtoHAsync_v2(void *to, void *from, size_t size, void *in) { return copied(to, from, size, in, 1); }

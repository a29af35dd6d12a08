/* Tests of the shared library: dlopen and dlclose, and several copies in one process.
 *
 *   shared_copies LIBRARY COPY MODEL.onnx
 *
 * COPY is a copy of the file LIBRARY. If STATIC_COPY is defined, the program also contains the
 * static library. The exit status is 0 if every check passed. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tteview/tteview.h"

static int checks, failures;

#define CHECK(condition)                                                                           \
  do {                                                                                             \
    checks++;                                                                                      \
    if (!(condition)) {                                                                            \
      failures++;                                                                                  \
      fprintf(stderr, "%s:%d: %s must hold for %s\n", __FILE__, __LINE__, #condition, copy->name); \
    }                                                                                              \
  } while (0)

/* A copy of the library. */
struct copy {
  const char *name;
  void *handle;
  atomic_int threads; /* Number of calls of this copy's hook. */
  uint32_t (*abi_version)(void);
  size_t (*last_error)(char *, size_t);
  ttv_status (*runtime_init)(const ttv_runtime_config *);
  ttv_status (*engine_create)(const ttv_engine_config *, ttv_engine **);
  ttv_status (*engine_prepare)(ttv_engine *);
  void (*engine_destroy)(ttv_engine *);
  ttv_status (*stream_open)(ttv_engine *, const ttv_stream_config *, ttv_stream **);
  void (*stream_destroy)(ttv_stream *);
};

#define MAX_COPIES 4
static struct copy copies[MAX_COPIES];
static int copy_count;

static void *find(void *handle, const char *name) {
  void *symbol = dlsym(handle, name);
  if (!symbol) {
    fprintf(stderr, "%s\n", dlerror());
    exit(1);
  }
  return symbol;
}

static struct copy *load(const char *name, void *handle) {
  if (!handle) {
    fprintf(stderr, "%s: %s\n", name, dlerror());
    exit(1);
  }
  struct copy *copy = &copies[copy_count++];
  copy->name = name;
  copy->handle = handle;
  *(void **)&copy->abi_version = find(handle, "ttv_abi_version");
  *(void **)&copy->last_error = find(handle, "ttv_last_error");
  *(void **)&copy->runtime_init = find(handle, "ttv_runtime_init");
  *(void **)&copy->engine_create = find(handle, "ttv_engine_create");
  *(void **)&copy->engine_prepare = find(handle, "ttv_engine_prepare");
  *(void **)&copy->engine_destroy = find(handle, "ttv_engine_destroy");
  *(void **)&copy->stream_open = find(handle, "ttv_stream_create");
  *(void **)&copy->stream_destroy = find(handle, "ttv_stream_destroy");
  return copy;
}

static void count_thread(void *user, const char *role) {
  (void)role;
  atomic_fetch_add(&((struct copy *)user)->threads, 1);
}

/* Sets the hooks. Another copy that has set its own hooks must not matter. */
static void init(struct copy *copy) {
  ttv_runtime_config config = TTV_RUNTIME_CONFIG_INIT;
  config.user = copy;
  config.thread_start = count_thread;
  CHECK(copy->abi_version() == TTV_ABI_VERSION);
  CHECK(copy->last_error(NULL, 0) == 0);
  CHECK(copy->runtime_init(&config) == TTV_OK);
  CHECK(copy->runtime_init(&config) == TTV_ERR_WRONG_STATE);
  CHECK(copy->last_error(NULL, 0) > 0);
}

/* Creates an engine and a stream, whose worker thread must call only the hook of this copy. */
static void use(struct copy *copy, const char *model) {
  int others = 0;
  for (int i = 0; i < copy_count; i++) others += atomic_load(&copies[i].threads);
  others -= atomic_load(&copy->threads);
  int before = atomic_load(&copy->threads);
  ttv_engine_config config = TTV_ENGINE_CONFIG_INIT;
  config.model_path = model;
  ttv_engine *engine = NULL;
  CHECK(copy->engine_create(&config, &engine) == TTV_OK);
  CHECK(copy->engine_prepare(engine) == TTV_OK);
  ttv_stream_config options = TTV_STREAM_CONFIG_INIT;
  ttv_stream *stream = NULL;
  CHECK(copy->stream_open(engine, &options, &stream) == TTV_OK);
  copy->stream_destroy(stream);
  copy->engine_destroy(engine);
  CHECK(atomic_load(&copy->threads) > before);
  int now = 0;
  for (int i = 0; i < copy_count; i++) now += atomic_load(&copies[i].threads);
  CHECK(now - atomic_load(&copy->threads) == others);
}

static pthread_barrier_t barrier;

/* Leaves a thread-local error message, which the thread frees when it ends, after dlclose. */
static void *outlive_dlclose(void *argument) {
  struct copy *copy = argument;
  ttv_engine *engine;
  CHECK(copy->engine_create(NULL, &engine) == TTV_ERR_NULL_ARGUMENT);
  pthread_barrier_wait(&barrier);
  pthread_barrier_wait(&barrier);
  CHECK(copy->last_error(NULL, 0) > 0);
  return NULL;
}

/* Closes and opens the library again. It stays in memory, with its hooks. */
static void reopen(struct copy *copy, const char *model) {
  pthread_t thread;
  pthread_barrier_init(&barrier, NULL, 2);
  pthread_create(&thread, NULL, outlive_dlclose, copy);
  pthread_barrier_wait(&barrier);
  CHECK(dlclose(copy->handle) == 0);
  pthread_barrier_wait(&barrier);
  pthread_join(thread, NULL);
  CHECK(copy->abi_version() == TTV_ABI_VERSION);
  void *mapped = dlopen(copy->name, RTLD_NOW | RTLD_NOLOAD);
  CHECK(mapped != NULL);
  copy->handle = dlopen(copy->name, RTLD_NOW | RTLD_LOCAL);
  CHECK(copy->handle == mapped);
  CHECK(find(copy->handle, "ttv_abi_version") == *(void **)&copy->abi_version);
  ttv_runtime_config config = TTV_RUNTIME_CONFIG_INIT;
  CHECK(copy->runtime_init(&config) == TTV_ERR_WRONG_STATE);
  use(copy, model);
}

int main(int argument_count, char **arguments) {
  if (argument_count != 4) return 2;
  const char *model = arguments[3];
#ifdef STATIC_COPY
  copies[copy_count++] = (struct copy){
      .name = "the static copy",
      .abi_version = ttv_abi_version,
      .last_error = ttv_last_error,
      .runtime_init = ttv_runtime_init,
      .engine_create = ttv_engine_create,
      .engine_prepare = ttv_engine_prepare,
      .engine_destroy = ttv_engine_destroy,
      .stream_open = ttv_stream_create,
      .stream_destroy = ttv_stream_destroy,
  };
#endif
  load(arguments[1], dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL));
  load(arguments[2], dlopen(arguments[2], RTLD_NOW | RTLD_GLOBAL));
  load("a copy in its own namespace", dlmopen(LM_ID_NEWLM, arguments[1], RTLD_NOW));
  for (int i = 0; i < copy_count; i++) {
    for (int j = 0; j < i; j++) {
      struct copy *copy = &copies[i];
      CHECK(copy->abi_version != copies[j].abi_version);
    }
  }
  for (int i = 0; i < copy_count; i++) init(&copies[i]);
  for (int i = 0; i < copy_count; i++) use(&copies[i], model);
  for (int i = 0; i < copy_count; i++) {
    if (copies[i].handle && copies[i].name == arguments[1]) reopen(&copies[i], model);
  }
  printf("%d checks passed, %d failed\n", checks - failures, failures);
  return failures ? 1 : 0;
}

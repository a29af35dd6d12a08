/* Tests that every control call survives a failed allocation. For each call and each n, the n-th
 * allocation in the call fails, or all from the n-th on. The call must return TTV_OK or
 * TTV_ERR_OUT_OF_MEMORY, must leave nothing allocated after an error, and the handles must work.
 *
 * Arguments: a model package; the number of requests from one n to the next (1 tests every n);
 * optionally a provider and the library of ONNX Runtime. With a provider of ONNX Runtime, only
 * allocations of this library's own code fail, because ONNX Runtime handles its own. */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "fail_allocation.h"
#include "posix.h"

#define SECOND_NS INT64_C(1000000000)

static const char *model, *provider, *library;
static void *model_data;
static size_t model_bytes;
static ttv_engine *engine;
static ttv_stream *stream;
/* Handles that the tested call creates. */
static ttv_engine *new_engine;
static ttv_stream *new_stream;

/* Progress of the child process, which the parent reads if the child dies. */
static struct {
  long at, refused;
  int is_sticky;
} *progress;

static ttv_engine_config engine_settings(void) {
  ttv_engine_config config = TTV_ENGINE_CONFIG_INIT;
  if (provider) {
    config.providers = &provider;
    config.provider_count = 1;
  }
  return config;
}

static ttv_stream_config stream_settings(void) {
  ttv_stream_config config = small_stream();
  config.exact_history_ns = 2 * SECOND_NS;
  config.view_change_margin = 0.5f;
  config.early_stop_margin = 0.9f;
  return config;
}

static ttv_status create_from_path(void) {
  ttv_engine_config config = engine_settings();
  config.model_path = model;
  return ttv_engine_create(&config, &new_engine);
}

static ttv_status create_from_memory(void) {
  ttv_engine_config config = engine_settings();
  config.model_data = model_data;
  config.model_size = model_bytes;
  return ttv_engine_create(&config, &new_engine);
}

static ttv_status prepare(void) { return ttv_engine_prepare(engine); }

static int go_on(void *user, ttv_stage stage, int64_t elapsed_ns) {
  (void)user, (void)stage, (void)elapsed_ns;
  return 0;
}

static ttv_status prepare_with(void) {
  ttv_prepare_config config = TTV_PREPARE_CONFIG_INIT;
  config.progress = go_on;
  return ttv_engine_prepare_with(engine, &config);
}

static ttv_status create(void) {
  ttv_stream_config config = stream_settings();
  return ttv_stream_create(engine, &config, &new_stream);
}

static ttv_status get_memory(void) {
  size_t bytes;
  ttv_stream_config config = stream_settings();
  return ttv_stream_get_memory(engine, &config, &bytes);
}

static ttv_status query_with(ttv_query_flags flags) {
  float scores[64];
  ttv_result result = TTV_RESULT_INIT;
  result.scores = scores;
  result.scores_capacity = 64;
  return ttv_stream_query(stream, 0, SECOND_NS, flags, SECOND_NS, &result);
}

static ttv_status query(void) { return query_with(0); }
static ttv_status query_exact(void) { return query_with(TTV_QUERY_FLAG_EXACT); }

static ttv_status get_info(void) {
  ttv_engine_info info = TTV_ENGINE_INFO_INIT;
  return ttv_engine_get_info(engine, &info);
}

static ttv_status get_label(void) {
  ttv_label label = TTV_LABEL_INIT;
  return ttv_engine_get_label(engine, 0, &label);
}

/* Returns TTV_OK if a failing call keeps its message. */
static ttv_status expect_error(ttv_status want, ttv_status got, const char *text) {
  char message[512] = "";
  ttv_last_error(message, sizeof message);
  if (got == want && !strstr(message, text)) return TTV_ERR_INTERNAL;
  return got == want ? TTV_OK : got;
}

static ttv_status get_group(void) {
  ttv_group group = TTV_GROUP_INIT;
  return expect_error(TTV_ERR_INVALID_ARGUMENT, ttv_engine_get_group(engine, 0, &group),
                      "has no groups");
}

static ttv_status pause_and_resume(void) {
  ttv_status status = ttv_engine_pause(engine);
  ttv_status resumed = ttv_engine_resume(engine);
  return status ? status : resumed;
}

static ttv_status wait_for_nothing(void) {
  ttv_result result = TTV_RESULT_INIT;
  ttv_status status = ttv_stream_wait(stream, 1000000, 0, &result);
  return status == TTV_ERR_INVALID_ARGUMENT ? TTV_OK : status;
}

static ttv_status export_engine(void) {
  return expect_error(TTV_ERR_UNSUPPORTED, ttv_engine_export(engine, "/nowhere/x"), "builds no");
}

static ttv_status import_engine(void) {
  return expect_error(TTV_ERR_UNSUPPORTED, ttv_engine_import(engine, "/nowhere/x"), "builds no");
}

static ttv_status prepare_null(void) {
  return expect_error(TTV_ERR_NULL_ARGUMENT, ttv_engine_prepare(NULL), "engine must not be NULL");
}

/* The worker runs while allocations fail. */
static ttv_status acquire(void) { return try_acquisition(stream); }

static ttv_status destroy_both(void) {
  ttv_stream_destroy(new_stream);
  ttv_engine_destroy(new_engine);
  new_stream = NULL;
  new_engine = NULL;
  return TTV_OK;
}

static ttv_status init(void) {
  ttv_runtime_config config = TTV_RUNTIME_CONFIG_INIT;
  config.runtime_library = library ? library : "libonnxruntime.so";
  return ttv_runtime_init(&config);
}

/* Every control call. `makes` is 'e' or 's' if the call creates an engine or a stream, 'd' if the
 * call needs new handles to destroy, and 'i' if the call can succeed only once. */
static const struct {
  const char *name;
  ttv_status (*call)(void);
  char makes;
} calls[] = {
    {"ttv_runtime_init", init, 'i'},
    {"ttv_engine_create from a path", create_from_path, 'e'},
    {"ttv_engine_create from memory", create_from_memory, 'e'},
    {"ttv_engine_prepare", prepare, 0},
    {"ttv_engine_prepare_with", prepare_with, 0},
    {"ttv_stream_create", create, 's'},
    {"ttv_stream_get_memory", get_memory, 0},
    {"ttv_stream_query", query, 0},
    {"ttv_stream_query, exact", query_exact, 0},
    {"ttv_stream_wait", wait_for_nothing, 0},
    {"ttv_engine_get_info", get_info, 0},
    {"ttv_engine_get_label", get_label, 0},
    {"ttv_engine_get_group", get_group, 0},
    {"ttv_engine_pause and _resume", pause_and_resume, 0},
    {"ttv_engine_export", export_engine, 0},
    {"ttv_engine_import", import_engine, 0},
    {"a call that fails", prepare_null, 0},
    {"an acquisition", acquire, 0},
    {"ttv_stream_destroy, _engine_destroy", destroy_both, 'd'},
};
#define CALLS (sizeof calls / sizeof *calls)

/* Number of times that a call is repeated if it seems to leave blocks. */
#define REPEATS 12

/* Lets allocation `at` of a call fail. Writes the number of blocks that the call left to `left`.
 * Returns whether the call made that allocation. */
static int fail_once(size_t index, long at, int is_sticky, long *left) {
  char makes = calls[index].makes;
  if (makes == 'd') {
    EXPECT(TTV_OK, create_from_memory());
    EXPECT(TTV_OK, create());
  }
  long before = atomic_load(&live_blocks);
  arm_failure(at, is_sticky);
  ttv_status status = calls[index].call();
  disarm_failure();
  long hits = atomic_load(&fail_hits), foreign = atomic_load(&fail_foreign_hits);
  /* The C library may need memory to start a thread, which gives TTV_ERR_SYSTEM. */
  int is_allowed = status == TTV_OK || (hits > 0 && status == TTV_ERR_OUT_OF_MEMORY) ||
                   (foreign > 0 && status == TTV_ERR_SYSTEM);
  if (!is_allowed) printf("%s, allocation %ld, sticky %d\n", calls[index].name, at, is_sticky);
  EXPECT(1, is_allowed);
  progress->refused += status != TTV_OK;
  if (makes == 'e') EXPECT(status == TTV_OK, new_engine != NULL);
  if (makes == 's') EXPECT(status == TTV_OK, new_stream != NULL);
  if (makes != 'i') destroy_both();
  *left = atomic_load(&live_blocks) - before;
  /* A call that can succeed only once is not repeated after its success. */
  return hits > 0 && !(makes == 'i' && status == TTV_OK);
}

/* Lets allocation `at` of a call fail, and checks that nothing stays allocated. Threads of the
 * runtime free memory some time later, and a state that was in the reserve moves to the system, so
 * a call that leaves blocks is repeated, and then must not leave blocks each time. */
static int test_allocation(size_t index, long at, int is_sticky) {
  long left = 0;
  int was_hit = fail_once(index, at, is_sticky, &left);
  if (left <= 0 || calls[index].makes == 'i') return was_hit;
  long grown = REPEATS;
  for (int attempt = 0; attempt < 3 && grown >= REPEATS; attempt++) {
    long before = atomic_load(&live_blocks);
    for (int round = 0; round < REPEATS; round++) {
      fail_once(index, at, is_sticky, &left);
      sleep_ms(1);
    }
    grown = atomic_load(&live_blocks) - before;
  }
  if (grown >= REPEATS) {
    printf("%s, allocation %ld, leaves %ld blocks in %d calls\n", calls[index].name, at, grown,
           REPEATS);
  }
  EXPECT(1, grown < REPEATS);
  return was_hit;
}

/* Tests one call. This runs in a process of its own, which ends with it. */
static int test_call(size_t index, long stride) {
  char makes = calls[index].makes;
  if (makes != 'i') {
    EXPECT(TTV_OK, init());
    EXPECT(TTV_OK, create_from_memory());
    engine = new_engine;
    EXPECT(TTV_OK, prepare());
    EXPECT(TTV_OK, create());
    stream = new_stream;
    new_engine = NULL;
    new_stream = NULL;
    EXPECT(TTV_OK, acquire());
    if (failures) return 1;
    /* Before the measurement, everything that is allocated only once is allocated. */
    for (int round = 0; round < 3; round++) {
      if (makes == 'd') {
        EXPECT(TTV_OK, create_from_memory());
        EXPECT(TTV_OK, create());
      }
      calls[index].call();
      destroy_both();
    }
    /* Threads of destroyed engines must have ended. */
    sleep_ms(20);
  }
  for (int is_sticky = 0; is_sticky < 2; is_sticky++) {
    progress->is_sticky = is_sticky;
    for (long at = 0; failures < 10; at += stride) {
      /* A call that hangs ends the process. */
      alarm(300);
      progress->at = at;
      int was_hit = test_allocation(index, at, is_sticky);
      if (makes != 'i' && at / stride % 16 == 0) EXPECT(TTV_OK, acquire());
      if (!was_hit) break;
    }
    if (makes == 'i') break;
  }
  if (makes != 'i') {
    EXPECT(TTV_OK, prepare());
    EXPECT(TTV_OK, query_exact());
    EXPECT(TTV_OK, acquire());
    ttv_stream_destroy(stream);
    ttv_engine_destroy(engine);
  }
  return failures != 0;
}

static void read_model(void) {
  FILE *file = fopen(model, "rb");
  if (!file) exit(EXIT_FAILURE);
  fseek(file, 0, SEEK_END);
  model_bytes = (size_t)ftell(file);
  rewind(file);
  model_data = malloc(model_bytes);
  if (!model_data || fread(model_data, 1, model_bytes, file) != model_bytes) exit(EXIT_FAILURE);
  fclose(file);
}

int main(int count, char **arguments) {
  if (count < 3) return EXIT_FAILURE;
  model = arguments[1];
  long stride = atol(arguments[2]);
  provider = count > 3 ? arguments[3] : NULL;
  library = count > 4 ? arguments[4] : NULL;
  atomic_store(&fail_only_own, provider && strcmp(provider, "embedded") != 0);
  const char *only = count > 5 ? arguments[5] : NULL;
  if (stride < 1) return EXIT_FAILURE;
  read_model();
  progress = mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  int failed = 0;
  for (size_t index = 0; index < CALLS; index++) {
    if (only && !strstr(calls[index].name, only)) continue;
    memset(progress, 0, sizeof *progress);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
      alarm(600);
      int result = test_call(index, stride);
      fflush(stdout);
      _exit(result);
    }
    int status = 0;
    waitpid(child, &status, 0);
    printf("%-36s %ld allocations, refused %ld times", calls[index].name, progress->at,
           progress->refused);
    if (WIFSIGNALED(status)) {
      printf(", ended by signal %d (sticky %d)", WTERMSIG(status), progress->is_sticky);
    }
    puts(status ? ": FAILED" : "");
    failed |= status != 0;
  }
  return failed;
}

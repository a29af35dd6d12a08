/* Tests of the threads that compute: which threads exist, and where the CPU time is spent.
 *
 *   threads MODEL.onnx              checks the provider "embedded"
 *   threads MODEL.onnx LIBRARY      checks the provider "cpu" with this ONNX Runtime
 *
 * The exit status is 0 if every check passed. */
#define _GNU_SOURCE /* syscall */
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"
#include "posix.h"

enum { FRAMES = 900 };

/* Threads that have called the hook, by role. */
static atomic_int helpers, workers;
static atomic_int last_worker;

static void count_start(void *user, const char *role) {
  (void)user;
  if (strcmp(role, "tteview-helper") == 0) helpers++;
  if (strcmp(role, "tteview") == 0) {
    workers++;
    last_worker = (int)syscall(SYS_gettid);
  }
}

/* CPU time of the process and of the calling thread at the beginning of a measurement. */
static double process_start, caller_start;

static void start_measuring(void) {
  process_start = cpu_ms(CLOCK_PROCESS_CPUTIME_ID);
  caller_start = cpu_ms(CLOCK_THREAD_CPUTIME_ID);
}

/* Checks that the calling thread, together with `other_ms` of other known threads, has used the CPU
 * time of the process. With several threads, the helpers do at most half of the work. */
static void expect_caller_computes(const char *what, int threads, double other_ms) {
  double process = cpu_ms(CLOCK_PROCESS_CPUTIME_ID) - process_start;
  double known = cpu_ms(CLOCK_THREAD_CPUTIME_ID) - caller_start + other_ms;
  double share = threads == 1 ? 0.97 : 0.4;
  printf("  %s: %.0f ms in the process, %.0f ms in the thread that must compute\n", what, process,
         known);
  EXPECT(1, process > 1.0);
  EXPECT(1, known >= share * process - 1.0);
}

static void check_provider(const char *model, const char *provider, uint32_t threads) {
  printf("%s, %u threads\n", provider, threads);
  int before = count_threads(1);
  int helpers_before = helpers, workers_before = workers;
  ttv_engine *engine = create_engine_on(model, provider, threads);
  int with_engine = before + (int)threads - 1;
  EXPECT(with_engine, count_threads(with_engine));
  for (int i = 0; i < 200 && helpers - helpers_before < (int)threads - 1; i++) {
    sleep_ms(5);
  }
  EXPECT((int)threads - 1, helpers - helpers_before);

  start_measuring();
  EXPECT(TTV_OK, ttv_engine_prepare(engine));
  expect_caller_computes("prepare", (int)threads, 0);

  ttv_stream_config config = small_stream();
  config.ring_slots = FRAMES + 2;
  config.exact_history_ns = INT64_C(60000000000);
  config.drive = TTV_DRIVE_HOST;
  ttv_stream *stream = create_stream(engine, &config);
  uint64_t acquisition = acquire_frames(stream, FRAMES);
  ttv_result result = TTV_RESULT_INIT;
  start_measuring();
  process_all(stream);
  expect_caller_computes("host-driven stream", (int)threads, 0);
  EXPECT(TTV_OK, ttv_stream_wait(stream, acquisition, 0, &result));
  EXPECT(TTV_OK, result.status);
  start_measuring();
  int64_t end_ns = INT64_C(30000000000);
  EXPECT(TTV_OK, ttv_stream_query(stream, 0, end_ns, TTV_QUERY_FLAG_EXACT, -1, &result));
  expect_caller_computes("exact query", (int)threads, 0);
  EXPECT(with_engine, count_threads(with_engine));
  ttv_stream_destroy(stream);

  config.drive = TTV_DRIVE_WAKE;
  stream = create_stream(engine, &config);
  EXPECT(with_engine + 1, count_threads(with_engine + 1));
  start_measuring();
  acquisition = acquire_frames(stream, FRAMES);
  EXPECT(TTV_OK, ttv_stream_wait(stream, acquisition, TIMEOUT_NS, &result));
  EXPECT(TTV_OK, result.status);
  EXPECT(workers_before + 1, workers);
  expect_caller_computes("library-driven stream", (int)threads, thread_ms(last_worker));
  ttv_stream_destroy(stream);
  EXPECT(with_engine, count_threads(with_engine));
  ttv_engine_destroy(engine);
  EXPECT(before, count_threads(before));
  EXPECT((int)threads - 1, helpers - helpers_before);
}

int main(int argc, char **argv) {
  if (argc < 2 || argc > 3) return 2;
  ttv_runtime_config runtime = TTV_RUNTIME_CONFIG_INIT;
  runtime.thread_start = count_start;
  runtime.runtime_library = argc == 3 ? argv[2] : NULL;
  EXPECT(TTV_OK, ttv_runtime_init(&runtime));
  for (uint32_t threads = 1; threads <= 3; threads++) {
    check_provider(argv[1], argc == 3 ? "cpu" : "embedded", threads);
  }
  return finish_checks();
}

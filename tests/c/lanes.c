/* Tests of the two lanes of frame steps: which threads exist, where the CPU time is spent, and what
 * happens if a thread cannot start.
 *
 *   lanes FRAMES.onnx              checks the provider "embedded"
 *   lanes FRAMES.onnx LIBRARY      checks the provider "cpu" with this ONNX Runtime
 *
 * FRAMES.onnx is a package with frame steps and two pathways. The exit status is 0 if every check
 * passed. */
#define _GNU_SOURCE /* syscall, setresuid */
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"
#include "posix.h"

enum { FRAMES = 900 };

/* A user that has no other processes, for tests that run as root. */
enum { NO_PROCESSES = 54322 };

/* Threads that have called the hook, by role, and the last thread of each lane. */
static atomic_int helpers, workers, slow_lanes;
static atomic_int last_worker, last_slow_lane;
static atomic_int slow_policy;

static void count_start(void *user, const char *role) {
  (void)user;
  int thread = (int)syscall(SYS_gettid);
  if (strcmp(role, "tteview-helper") == 0) helpers++;
  if (strcmp(role, "tteview") == 0) {
    workers++;
    last_worker = thread;
  }
  if (strcmp(role, "tteview-slow") == 0) {
    slow_policy = sched_getscheduler(0);
    last_slow_lane = thread;
    slow_lanes++;
  }
}

/* Waits until `count` has the expected value, at most a second. */
static void expect_count(int expected, atomic_int *count) {
  for (int i = 0; i < 200 && *count != expected; i++) {
    sleep_ms(5);
  }
  EXPECT(expected, *count);
}

/* With the host's thread, one thread runs both lanes, and no thread is started. */
static void check_host_driven(ttv_engine *engine, int with_engine, int threads) {
  ttv_stream_config config = small_stream();
  config.ring_slots = FRAMES + 2;
  config.drive = TTV_DRIVE_HOST;
  ttv_stream *stream = create_stream(engine, &config);
  EXPECT(with_engine, count_threads(with_engine));
  uint64_t acquisition = acquire_frames(stream, FRAMES);
  double process = cpu_ms(CLOCK_PROCESS_CPUTIME_ID), caller = cpu_ms(CLOCK_THREAD_CPUTIME_ID);
  process_all(stream);
  process = cpu_ms(CLOCK_PROCESS_CPUTIME_ID) - process;
  caller = cpu_ms(CLOCK_THREAD_CPUTIME_ID) - caller;
  printf("  host-driven: %.0f ms in the process, %.0f ms in the caller\n", process, caller);
  EXPECT(1, caller >= (threads < 3 ? 0.97 : 0.4) * process - 1.0);
  ttv_result result = TTV_RESULT_INIT;
  EXPECT(TTV_OK, ttv_stream_wait(stream, acquisition, 0, &result));
  EXPECT(TTV_OK, result.status);
  EXPECT(1, result.slow_inference_ns > 0 && result.slow_inference_ns < result.inference_ns);
  ttv_stream_destroy(stream);
}

/* With threads of the library, each lane computes on its own thread. */
static void check_lanes(ttv_engine *engine, int with_engine, int threads) {
  ttv_stream_config config = small_stream();
  config.ring_slots = FRAMES + 2;
  int lanes_before = slow_lanes, workers_before = workers;
  ttv_stream *stream = create_stream(engine, &config);
  EXPECT(with_engine + 2, count_threads(with_engine + 2));
  expect_count(workers_before + 1, &workers);
  expect_count(lanes_before + 1, &slow_lanes);
  EXPECT(SCHED_BATCH, slow_policy);
  double process = cpu_ms(CLOCK_PROCESS_CPUTIME_ID), caller = cpu_ms(CLOCK_THREAD_CPUTIME_ID);
  double fast = thread_ms(last_worker), slow = thread_ms(last_slow_lane);
  uint64_t acquisition = acquire_frames(stream, FRAMES);
  ttv_result result = TTV_RESULT_INIT;
  EXPECT(TTV_OK, ttv_stream_wait(stream, acquisition, TIMEOUT_NS, &result));
  EXPECT(TTV_OK, result.status);
  process = cpu_ms(CLOCK_PROCESS_CPUTIME_ID) - process;
  caller = cpu_ms(CLOCK_THREAD_CPUTIME_ID) - caller;
  fast = thread_ms(last_worker) - fast;
  slow = thread_ms(last_slow_lane) - slow;
  printf("  lanes: %.0f ms in the process, %.0f ms in the fast lane, %.0f ms in the slow lane\n",
         process, fast, slow);
  EXPECT(1, fast > 1.0 && slow > 1.0);
  EXPECT(1, fast + slow + caller >= (threads < 3 ? 0.97 : 0.4) * process - 1.0);
  /* The slow runs were computed on the thread of the slow lane. They need about 0.4 of the time of
     the fast runs. The times in the result would not show it, because they grow with the load of
     the machine. */
  EXPECT(1, result.slow_inference_ns > 0);
  EXPECT(1, slow >= 0.15 * fast);
  ttv_stream_destroy(stream);
  EXPECT(with_engine, count_threads(with_engine));
}

static void check_provider(const char *model, const char *provider, int threads) {
  printf("%s, %d threads\n", provider, threads);
  int before = count_threads(1), helpers_before = helpers;
  int expected_helpers = threads < 3 ? 0 : threads - 2;
  ttv_engine *engine = create_engine_on(model, provider, (uint32_t)threads);
  int with_engine = before + expected_helpers;
  EXPECT(with_engine, count_threads(with_engine));
  expect_count(helpers_before + expected_helpers, &helpers);
  EXPECT(TTV_OK, ttv_engine_prepare(engine));
  check_host_driven(engine, with_engine, threads);
  check_lanes(engine, with_engine, threads);
  ttv_engine_destroy(engine);
  EXPECT(before, count_threads(before));
}

/* A stream of which only some threads can start is not created, and leaves no thread behind. */
static void check_limits(const char *model, const char *provider) {
  if (getuid() == 0 && (setresgid(NO_PROCESSES, NO_PROCESSES, NO_PROCESSES) ||
                        setresuid(NO_PROCESSES, NO_PROCESSES, NO_PROCESSES))) {
    puts("skipped: root cannot become another user here");
    return;
  }
  ttv_engine *engine = create_engine_on(model, provider, 1);
  int before = count_threads(1), created = 0, refused = 0;
  ttv_stream_config config = small_stream();
  for (rlim_t limit = 0; limit < 8; limit++) {
    ttv_stream *stream = NULL;
    EXPECT(0, limit_threads(limit));
    ttv_status status = ttv_stream_create(engine, &config, &stream);
    EXPECT(0, limit_threads(4096));
    if (status == TTV_OK) {
      created++;
      ttv_stream_destroy(stream);
    } else {
      EXPECT(TTV_ERR_SYSTEM, status);
      EXPECT(1, stream == NULL);
      refused++;
    }
    EXPECT(before, count_threads(before));
  }
  printf("  limits: %d streams created, %d refused\n", created, refused);
  if (refused == 0) puts("skipped: RLIMIT_NPROC does not limit this user");
  ttv_engine_destroy(engine);
}

int main(int argc, char **argv) {
  if (argc < 2 || argc > 3) return 2;
  const char *provider = argc == 3 ? "cpu" : "embedded";
  ttv_runtime_config runtime = TTV_RUNTIME_CONFIG_INIT;
  runtime.thread_start = count_start;
  runtime.runtime_library = argc == 3 ? argv[2] : NULL;
  EXPECT(TTV_OK, ttv_runtime_init(&runtime));
  for (int threads = 1; threads <= 4; threads++) {
    check_provider(argv[1], provider, threads);
  }
  check_limits(argv[1], provider);
  return finish_checks();
}

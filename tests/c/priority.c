/* Tests that a thread with a real-time priority is not held up by threads of lower priority that
 * use the same engine, although a thread with a priority in between computes on the same CPU.
 *
 *   priority MODEL.onnx [LIBRARY]      LIBRARY is an ONNX Runtime, for the provider "cpu"
 *
 * The exit status is 0 if every check passed, and 77 if the system grants no real-time priority. */
#define _GNU_SOURCE /* sched_setaffinity */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

#include "check.h"
#include "posix.h"

enum { HIGH = 30, MIDDLE = 20, BUSY_MS = 200, IDLE_MS = 100, SECONDS = 6 };

/* A turn of the high-priority thread consists of its own run and at most two runs of other threads:
 * a stream's and one of a query or of prepare. A run of the stand-in packages takes about 1 ms. */
enum { BOUND_MS = 100 };

static ttv_engine *engine;
static atomic_int stop;
static atomic_long low_runs, low_queries;

/* Pins the calling thread to the first CPU and sets its priority; 0 selects the normal policy. */
static int place_thread(int priority) {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(0, &cpus);
  if (sched_setaffinity(0, sizeof cpus, &cpus)) return -1;
  struct sched_param parameters = {.sched_priority = priority};
  return priority ? sched_setscheduler(0, SCHED_FIFO, &parameters) : 0;
}

static ttv_stream *create_host_driven(void) {
  ttv_stream_config config = small_stream();
  config.drive = TTV_DRIVE_HOST;
  config.ring_slots = 128;
  config.exact_history_ns = INT64_C(10000000000);
  return create_stream(engine, &config);
}

/* Pushes 100 frames and processes them. Returns the longest time in milliseconds that a frame took,
 * or the bound after an error. */
static double run_acquisition(ttv_stream *stream) {
  uint64_t acquisition = 0;
  double longest = 0;
  if (ttv_stream_begin(stream, &acquisition) != TTV_OK) return BOUND_MS;
  for (int i = 0; i < 100; i++) {
    ttv_frame frame = frame_at(i * STEP_NS);
    ttv_stream_push(stream, &frame);
    int64_t start = now_ns();
    process_all(stream);
    double milliseconds = (double)(now_ns() - start) / 1e6;
    if (milliseconds > longest) longest = milliseconds;
  }
  ttv_stream_end(stream);
  process_all(stream);
  return longest;
}

static void *process_with_low_priority(void *unused) {
  place_thread(0);
  ttv_stream *stream = create_host_driven();
  while (!stop) {
    run_acquisition(stream);
    low_runs++;
  }
  ttv_stream_destroy(stream);
  return unused;
}

static void *query_and_prepare_with_low_priority(void *unused) {
  place_thread(0);
  ttv_stream *stream = create_host_driven();
  run_acquisition(stream);
  ttv_result result = TTV_RESULT_INIT;
  while (!stop) {
    ttv_status status = ttv_stream_query(stream, 0, INT64_C(3000000000), TTV_QUERY_FLAG_EXACT,
                                         INT64_C(1000000000), &result);
    if (status == TTV_OK && ttv_engine_prepare(engine) == TTV_OK) low_queries++;
  }
  ttv_stream_destroy(stream);
  return unused;
}

static void *compute_with_middle_priority(void *unused) {
  if (place_thread(MIDDLE)) return unused;
  while (!stop) {
    sleep_ms(IDLE_MS);
    int64_t end = now_ns() + BUSY_MS * INT64_C(1000000);
    while (now_ns() < end) continue;
  }
  return unused;
}

static void *process_with_high_priority(void *longest) {
  if (place_thread(HIGH)) return NULL;
  ttv_stream *stream = create_host_driven();
  int64_t end = now_ns() + SECONDS * INT64_C(1000000000);
  double *worst = longest;
  while (now_ns() < end) {
    double milliseconds = run_acquisition(stream);
    if (milliseconds > *worst) *worst = milliseconds;
    sleep_ms(7);
  }
  ttv_stream_destroy(stream);
  return NULL;
}

static void *try_priority(void *result) {
  *(int *)result = place_thread(HIGH);
  return NULL;
}

int main(int argc, char **argv) {
  if (argc < 2 || argc > 3) return 2;
  pthread_t threads[4];
  int refused = 1;
  pthread_create(&threads[0], NULL, try_priority, &refused);
  pthread_join(threads[0], NULL);
  if (refused) {
    puts("skipped: the system grants no real-time priority (CAP_SYS_NICE or RLIMIT_RTPRIO)");
    return SKIPPED;
  }
  const char *provider = argc == 3 ? "cpu" : "embedded";
  init_runtime(argc == 3 ? argv[2] : NULL);
  engine = create_engine_on(argv[1], provider, 0);
  double longest = 0;
  pthread_create(&threads[0], NULL, process_with_high_priority, &longest);
  pthread_create(&threads[1], NULL, process_with_low_priority, NULL);
  pthread_create(&threads[2], NULL, query_and_prepare_with_low_priority, NULL);
  pthread_create(&threads[3], NULL, compute_with_middle_priority, NULL);
  pthread_join(threads[0], NULL);
  stop = 1;
  for (int i = 1; i < 4; i++) pthread_join(threads[i], NULL);
  printf("longest call with high priority: %.1f ms; other threads: %ld acquisitions, %ld queries\n",
         longest, (long)low_runs, (long)low_queries);
  EXPECT(1, longest > 0 && longest < BOUND_MS);
  EXPECT(1, low_runs > 0);
  ttv_engine_destroy(engine);
  return finish_checks();
}

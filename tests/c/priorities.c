/* Tests that a thread of one priority does not hold up a thread of another one in the library. The
 * threads run on the same processor with SCHED_FIFO.
 *
 *   priorities MODEL.onnx
 *
 * The exit status is 0 if every check passed, and 3 if the machine grants no real-time priorities.
 * Nothing is tested in that case. */
#define _GNU_SOURCE /* CPU_SET */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

#include "check.h"
#include "posix.h"

#define MS_NS INT64_C(1000000)

/* Duration of each check. */
#define CHECK_NS (3000 * MS_NS)

/* Time for which a thread of medium priority occupies the processor without a pause. */
#define BURST_NS (400 * MS_NS)

/* Limits for calls that take microseconds on a processor of their own. A thread that waits for
 * another one of lower priority would exceed them. */
#define WAIT_LIMIT_NS (500 * MS_NS)
#define PROCESS_LIMIT_NS (200 * MS_NS)

static int first_cpu, test_cpu;
static ttv_stream *stream;
static atomic_int is_over;
static atomic_ullong begun;

static void pin(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  EXPECT(0, sched_setaffinity(0, sizeof set, &set));
}

/* Moves the calling thread to the test processor. A priority of 0 leaves the scheduling policy. */
static void enter(int priority) {
  struct sched_param param = {.sched_priority = priority};
  pin(test_cpu);
  if (priority) EXPECT(0, sched_setscheduler(0, SCHED_FIFO, &param));
}

static void find_cpus(void) {
  cpu_set_t set;
  CPU_ZERO(&set);
  EXPECT(0, sched_getaffinity(0, sizeof set, &set));
  first_cpu = -1;
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (!CPU_ISSET(cpu, &set)) continue;
    if (first_cpu < 0) first_cpu = cpu;
    test_cpu = cpu;
  }
}

static pthread_t start(void *(*run)(void *)) {
  pthread_t thread;
  EXPECT(0, pthread_create(&thread, NULL, run, NULL));
  return thread;
}

/* Begin of the call that is in progress, or 0. */
static atomic_llong call_began;
static atomic_int calls;

/* Waits for final results that are being published, without a time limit of its own. */
static void *wait_often(void *unused) {
  (void)unused;
  enter(20);
  for (int i = 0; !atomic_load(&is_over); i++) {
    sleep_ns(20000);
    ttv_result result = TTV_RESULT_INIT;
    uint64_t acquisition = atomic_load(&begun);
    if (!acquisition) continue;
    atomic_store(&call_began, now_ns());
    ttv_status status = ttv_stream_wait(stream, acquisition, i % 2 * (MS_NS / 10), &result);
    atomic_store(&call_began, 0);
    if (status != TTV_OK && status != TTV_TIMED_OUT && status != TTV_EMPTY) EXPECT(TTV_OK, status);
    atomic_fetch_add(&calls, 1);
  }
  return NULL;
}

/* Begins and ends empty acquisitions, and processes them if the host drives the stream. */
static void publish(int is_host_driven) {
  uint64_t acquisition = 0;
  if (ttv_stream_begin(stream, &acquisition) != TTV_OK) return;
  atomic_store(&begun, acquisition);
  EXPECT(TTV_OK, ttv_stream_end(stream));
  if (is_host_driven) process_all(stream);
}

static void *publish_often(void *unused) {
  (void)unused;
  enter(10);
  while (!atomic_load(&is_over)) {
    for (int i = 0; i < 100; i++) publish(1);
    /* Real-time threads that never sleep would be throttled by the kernel. */
    sleep_ns(200000);
  }
  return NULL;
}

/* A thread that waits for a result does not keep a worker of lower priority from publishing it. */
static void check_waits(ttv_engine *engine, int is_host_driven) {
  ttv_stream_config config = small_stream();
  config.drive = is_host_driven ? TTV_DRIVE_HOST : TTV_DRIVE_WAKE;
  stream = create_stream(engine, &config);
  atomic_store(&is_over, 0);
  atomic_store(&begun, 0);
  atomic_store(&calls, 0);
  pthread_t waiter = start(wait_often), worker = waiter;
  if (is_host_driven) worker = start(publish_often);
  for (int64_t end = now_ns() + CHECK_NS; now_ns() < end;) {
    if (is_host_driven)
      sleep_ns(MS_NS);
    else
      publish(0);
    int64_t began = atomic_load(&call_began);
    if (began && now_ns() - began > WAIT_LIMIT_NS) {
      fprintf(stderr, "ttv_stream_wait has not returned for %lld ms (%s)\n",
              (long long)((now_ns() - began) / MS_NS), is_host_driven ? "host" : "wake");
      _exit(EXIT_FAILURE); /* The thread cannot be joined. */
    }
  }
  atomic_store(&is_over, 1);
  EXPECT(0, pthread_join(waiter, NULL));
  if (is_host_driven) EXPECT(0, pthread_join(worker, NULL));
  EXPECT(1, atomic_load(&calls) > 1000);
  EXPECT(1, atomic_load(&begun) > 1000);
  printf("%s: %d waits, %llu acquisitions\n", is_host_driven ? "host" : "wake",
         atomic_load(&calls), (unsigned long long)atomic_load(&begun));
  ttv_stream_destroy(stream);
}

static atomic_int queries;
static int64_t longest_ns;
static int processed;

static void *query_often(void *unused) {
  (void)unused;
  enter(0);
  while (!atomic_load(&is_over)) {
    ttv_result result = TTV_RESULT_INIT;
    EXPECT(TTV_PARTIAL, ttv_stream_query(stream, INT64_MIN, INT64_MAX, 0, 0, &result));
    atomic_fetch_add(&queries, 1);
  }
  return NULL;
}

static void *occupy(void *unused) {
  (void)unused;
  enter(20);
  while (!atomic_load(&is_over)) {
    sleep_ns(100 * MS_NS);
    for (int64_t end = now_ns() + BURST_NS; now_ns() < end;) continue;
  }
  return NULL;
}

static void *process_often(void *unused) {
  (void)unused;
  enter(30);
  while (!atomic_load(&is_over)) {
    int64_t began = now_ns();
    ttv_status status = ttv_stream_process(stream);
    int64_t time_ns = now_ns() - began;
    if (status != TTV_OK) {
      sleep_ns(MS_NS);
      continue;
    }
    processed++;
    if (time_ns > longest_ns) longest_ns = time_ns;
  }
  return NULL;
}

/* A query in a background thread does not hold up the worker while a thread of medium priority
 * occupies the processor. */
static void check_queries(ttv_engine *engine) {
  ttv_stream_config config = small_stream();
  config.drive = TTV_DRIVE_HOST;
  stream = create_stream(engine, &config);
  uint64_t acquisition = 0;
  EXPECT(TTV_OK, ttv_stream_begin(stream, &acquisition));
  int64_t time_ns = 0;
  for (int i = 0; i < 1500; i++) {
    ttv_frame frame = frame_at(time_ns += STEP_NS);
    EXPECT(TTV_OK, ttv_stream_push(stream, &frame));
    process_all(stream);
  }
  atomic_store(&is_over, 0);
  pthread_t threads[] = {start(process_often), start(occupy), start(query_often)};
  for (int64_t end = now_ns() + CHECK_NS; now_ns() < end; sleep_ns(5 * MS_NS)) {
    ttv_frame frame = frame_at(time_ns += STEP_NS);
    ttv_status status = ttv_stream_push(stream, &frame);
    if (status != TTV_RING_FULL) EXPECT(TTV_OK, status);
  }
  atomic_store(&is_over, 1);
  for (int i = 0; i < 3; i++) EXPECT(0, pthread_join(threads[i], NULL));
  printf("%d queries; the longest of %d calls of ttv_stream_process took %lld us\n",
         atomic_load(&queries), processed, (long long)(longest_ns / 1000));
  EXPECT(1, atomic_load(&queries) > 100);
  EXPECT(1, processed > 100);
  EXPECT(1, longest_ns < PROCESS_LIMIT_NS);
  ttv_stream_destroy(stream);
}

/* Whether the worker of the library runs on the test processor. */
static atomic_int enters;

/* Gives the worker of the library a lower priority than the waiting thread. */
static void start_library_thread(void *user, const char *role) {
  (void)user;
  if (atomic_load(&enters) && strcmp(role, "tteview") == 0) enter(10);
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  struct sched_param real_time = {.sched_priority = 30}, normal = {.sched_priority = 0};
  if (sched_setscheduler(0, SCHED_FIFO, &real_time)) {
    fprintf(stderr, "this machine grants no real-time priorities: %s\n", strerror(errno));
    return 3;
  }
  EXPECT(0, sched_setscheduler(0, SCHED_OTHER, &normal));
  find_cpus();
  /* This thread has no real-time priority, so it must not need the test processor. */
  pin(first_cpu);
  ttv_runtime_config runtime = TTV_RUNTIME_CONFIG_INIT;
  runtime.thread_start = start_library_thread;
  EXPECT(TTV_OK, ttv_runtime_init(&runtime));
  ttv_engine *engine = create_engine(argv[1]);
  check_waits(engine, 1);
  check_queries(engine);
  atomic_store(&enters, 1);
  check_waits(engine, 0);
  ttv_engine_destroy(engine);
  return finish_checks();
}

/* Tests of calls that wait for results or return none.
 *
 *   waits MODEL.onnx
 *
 * The exit status is 0 if every check passed. */
#define _POSIX_C_SOURCE 200809L /* clock_gettime */
#include <stdatomic.h>
#include <threads.h>

#include "check.h"
#include "posix.h"

#define LABELS 64

/* A result and scores with values that no call writes. */
typedef struct {
  ttv_result result;
  float scores[LABELS];
} answer;

static void reset(answer *to) {
  ttv_result init = TTV_RESULT_INIT;
  memset(to, 0x5a, sizeof *to);
  to->result.struct_size = init.struct_size;
  to->result.scores = to->scores;
  to->result.scores_capacity = LABELS;
}

/* Checks that a call returned no result and changed nothing. */
#define EXPECT_UNCHANGED(want, found, call)                                                        \
  do {                                                                                             \
    answer before_;                                                                                \
    reset(&found);                                                                                 \
    memcpy(&before_, &found, sizeof found);                                                        \
    EXPECT(want, call);                                                                            \
    EXPECT(0, memcmp(&before_, &found, sizeof found));                                             \
  } while (0)

static ttv_stream *create_host_driven(ttv_engine *engine, uint32_t ring_slots) {
  ttv_stream_config config = small_stream();
  config.drive = TTV_DRIVE_HOST;
  config.ring_slots = ring_slots;
  config.exact_history_ns = INT64_C(1000000000);
  return create_stream(engine, &config);
}

/* A call that returns no result leaves the result and the scores. */
static void check_unchanged(ttv_engine *engine) {
  static answer found;
  ttv_stream *stream = create_host_driven(engine, 16);
  EXPECT_UNCHANGED(TTV_NOT_READY, found, ttv_stream_poll(stream, &found.result));
  EXPECT_UNCHANGED(TTV_ERR_INVALID_ARGUMENT, found, ttv_stream_wait(stream, 1, -1, &found.result));
  for (uint64_t i = 1; i <= 5; i++) {
    EXPECT((long long)i, (long long)acquire_frame(stream));
    EXPECT_UNCHANGED(TTV_TIMED_OUT, found, ttv_stream_wait(stream, i, i % 2 * 1000, &found.result));
    process_all(stream);
  }
  EXPECT_UNCHANGED(TTV_EMPTY, found, ttv_stream_wait(stream, 1, -1, &found.result));
  EXPECT_UNCHANGED(TTV_ERR_INVALID_ARGUMENT, found, ttv_stream_wait(stream, 0, -1, &found.result));
  EXPECT_UNCHANGED(TTV_ERR_INVALID_ARGUMENT, found, ttv_stream_wait(stream, 6, -1, &found.result));
  for (ttv_query_flags flags = 0; flags <= TTV_QUERY_FLAG_EXACT; flags++) {
    EXPECT_UNCHANGED(TTV_EMPTY, found, ttv_stream_query(stream, 90, 99, flags, -1, &found.result));
    EXPECT_UNCHANGED(TTV_ERR_INVALID_ARGUMENT, found,
                     ttv_stream_query(stream, 9, 0, flags, -1, &found.result));
  }
  EXPECT_UNCHANGED(TTV_TIMED_OUT, found,
                   ttv_stream_query(stream, 0, 9, TTV_QUERY_FLAG_EXACT, 0, &found.result));
  reset(&found);
  EXPECT(TTV_OK, ttv_stream_wait(stream, 5, 0, &found.result));
  float sum = 0;
  for (uint32_t i = 0; i < found.result.scores_length; i++) sum += found.scores[i];
  EXPECT(1, sum > 0.999f && sum < 1.001f);
  ttv_stream_destroy(stream);
}

/* A query directly after the begin waits for the frames, but not longer than its timeout. */
static void check_query_after_begin(ttv_engine *engine) {
  static answer found;
  ttv_stream *stream = create_host_driven(engine, 16);
  uint64_t acquisition = 0;
  EXPECT(TTV_OK, ttv_stream_begin(stream, &acquisition));
  for (ttv_query_flags flags = 0; flags <= TTV_QUERY_FLAG_EXACT; flags++) {
    int64_t start_ns = now_ns();
    EXPECT_UNCHANGED(TTV_EMPTY, found,
                     ttv_stream_query(stream, 0, 99, flags, 20000000, &found.result));
    EXPECT(1, now_ns() - start_ns >= 20000000);
  }
  ttv_stream_destroy(stream);
}

/* If the ring is full, no acquisition begins, and nothing counts as dropped. */
static void check_full_ring(ttv_engine *engine) {
  ttv_stream *stream = create_host_driven(engine, 2);
  uint64_t acquisition = 0;
  ttv_status status = TTV_OK;
  while ((status = ttv_stream_begin(stream, &acquisition)) == TTV_OK)
    EXPECT(TTV_OK, ttv_stream_end(stream));
  EXPECT(TTV_RING_FULL, status);
  EXPECT(1, strstr(ttv_status_string(status), "the acquisition has not begun") != NULL);
  ttv_result result = TTV_RESULT_INIT;
  EXPECT(TTV_ERR_INVALID_ARGUMENT, ttv_stream_wait(stream, acquisition + 1, -1, &result));
  ttv_stats stats = TTV_STATS_INIT;
  EXPECT(TTV_OK, ttv_stream_get_stats(stream, &stats));
  EXPECT(0, (long long)stats.dropped);
  EXPECT(TTV_OK, ttv_stream_process(stream));
  EXPECT(TTV_OK, ttv_stream_begin(stream, &acquisition));
  ttv_stream_destroy(stream);
}

static ttv_stream *shared_stream;
static atomic_int entered;

static int wait_for_ever(void *unused) {
  (void)unused;
  ttv_result result = TTV_RESULT_INIT;
  atomic_fetch_add(&entered, 1);
  return ttv_stream_wait(shared_stream, 1, -1, &result);
}

static int query_for_ever(void *exact) {
  ttv_result result = TTV_RESULT_INIT;
  ttv_query_flags flags = exact ? TTV_QUERY_FLAG_EXACT : 0;
  atomic_fetch_add(&entered, 1);
  return ttv_stream_query(shared_stream, 0, 99, flags, -1, &result);
}

/* Destroying a stream ends the calls that wait. */
static void check_destroy(ttv_engine *engine, ttv_drive drive) {
  ttv_stream_config config = small_stream();
  config.drive = drive;
  config.exact_history_ns = INT64_C(1000000000);
  shared_stream = create_stream(engine, &config);
  uint64_t acquisition = 0;
  EXPECT(TTV_OK, ttv_stream_begin(shared_stream, &acquisition));
  thrd_t threads[3];
  atomic_store(&entered, 0);
  EXPECT(thrd_success, thrd_create(&threads[0], wait_for_ever, NULL));
  EXPECT(thrd_success, thrd_create(&threads[1], query_for_ever, NULL));
  EXPECT(thrd_success, thrd_create(&threads[2], query_for_ever, &entered));
  /* The threads must be waiting before the stream is destroyed. The library cannot show when this
   * is the case, so wait much longer than a thread needs. */
  while (atomic_load(&entered) < 3) thrd_yield();
  sleep_ms(300);
  ttv_stream_destroy(shared_stream);
  for (int i = 0; i < 3; i++) {
    int status = TTV_OK;
    EXPECT(thrd_success, thrd_join(threads[i], &status));
    EXPECT(TTV_ERR_CANCELLED, status);
  }
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  ttv_engine *engine = create_engine(argv[1]);
  check_unchanged(engine);
  check_query_after_begin(engine);
  check_full_ring(engine);
  check_destroy(engine, TTV_DRIVE_WAKE);
  check_destroy(engine, TTV_DRIVE_HOST);
  ttv_engine_destroy(engine);
  return finish_checks();
}

/* Tests of streams: invalid calls, results, loans and the values of `drive`.
 *
 *   stream MODEL.onnx
 *
 * The exit status is 0 if every check passed. */
#define _POSIX_C_SOURCE 200809L /* poll */
#include <poll.h>
#include <stdatomic.h>
#include <threads.h>

#include "check.h"

static void check_invalid_settings(ttv_engine *engine) {
  ttv_stream *stream = NULL;
  ttv_stream_config config = small_stream();
  EXPECT(TTV_ERR_NULL_ARGUMENT, ttv_stream_create(NULL, &config, &stream));
  EXPECT(TTV_ERR_NULL_ARGUMENT, ttv_stream_create(engine, NULL, &stream));
  EXPECT(TTV_ERR_NULL_ARGUMENT, ttv_stream_create(engine, &config, NULL));
  config.ring_slots = 1;
  EXPECT(TTV_ERR_INVALID_ARGUMENT, ttv_stream_create(engine, &config, &stream));
  expect_message("ring_slots must be 2 to 1024, got 1");
  config.ring_slots = 4;
  config.flags = 1u << 20;
  EXPECT(TTV_ERR_UNKNOWN_FLAGS, ttv_stream_create(engine, &config, &stream));
  config.flags = 0;
  config.drive = 3;
  EXPECT(TTV_ERR_INVALID_ARGUMENT, ttv_stream_create(engine, &config, &stream));
  expect_message("drive");
  config.drive = TTV_DRIVE_WAKE;
  config.partial_chunk = 9;
  EXPECT(TTV_ERR_INVALID_ARGUMENT, ttv_stream_create(engine, &config, &stream));
  expect_message("partial_chunk");
  config.partial_chunk = TTV_PARTIAL_CHUNK_AUTO;
  size_t bytes = 0;
  EXPECT(TTV_OK, ttv_stream_get_memory(engine, &config, &bytes));
  EXPECT(1, bytes > 4 * 64 * 64 && bytes < ((size_t)1 << 28));
  EXPECT(TTV_ERR_NULL_ARGUMENT, ttv_stream_get_memory(engine, &config, NULL));
  config.flags = TTV_STREAM_FLAG_LOCK_MEMORY;
  ttv_stream_destroy(create_stream(engine, &config));
  ttv_stream_destroy(NULL);
}

static void check_invalid_frames(ttv_stream *stream) {
  static uint8_t large[256 * 64];
#define EXPECT_REFUSED(status, change)               \
  do {                                               \
    ttv_frame invalid = frame_at(1);                 \
    change;                                          \
    EXPECT(status, ttv_stream_push(stream, &invalid)); \
  } while (0)
  EXPECT_REFUSED(TTV_ERR_STRUCT_SIZE, invalid.struct_size = 8);
  EXPECT_REFUSED(TTV_ERR_NULL_ARGUMENT, invalid.plane[0] = NULL);
  EXPECT_REFUSED(TTV_ERR_UNSUPPORTED_FORMAT, invalid.format = 0);
  EXPECT_REFUSED(TTV_ERR_UNSUPPORTED_FORMAT, invalid.format = 99);
  EXPECT_REFUSED(TTV_ERR_UNKNOWN_FLAGS, invalid.flags = 1u << 31);
  EXPECT_REFUSED(TTV_ERR_FRAME_GEOMETRY, invalid.width_px = 0);
  EXPECT_REFUSED(TTV_ERR_FRAME_GEOMETRY, invalid.height_px = 4097);
  EXPECT_REFUSED(TTV_ERR_FRAME_GEOMETRY,
                 invalid.roi_x_px = 60; invalid.roi_width_px = 8; invalid.roi_height_px = 8);
  EXPECT_REFUSED(TTV_ERR_FRAME_STRIDE, invalid.stride_bytes[0] = 63);
  EXPECT_REFUSED(TTV_ERR_FRAME_TOO_LARGE, invalid.format = TTV_FORMAT_RGBA32;
                 invalid.stride_bytes[0] = 256; invalid.plane[0] = large);
}

static void check_acquisition(ttv_stream *stream) {
  uint64_t acquisition = 0;
  ttv_frame frame = frame_at(1);
  EXPECT(TTV_ERR_WRONG_STATE, ttv_stream_push(stream, &frame));
  EXPECT(TTV_ERR_WRONG_STATE, ttv_stream_end(stream));
  EXPECT(TTV_ERR_WRONG_STATE, ttv_stream_mark(stream));
  EXPECT(TTV_ERR_NULL_ARGUMENT, ttv_stream_begin(stream, NULL));
  EXPECT(TTV_ERR_WRONG_STATE, ttv_stream_end(stream)); /* The failed call began no acquisition. */
  EXPECT(TTV_ERR_NULL_ARGUMENT, ttv_stream_begin(NULL, &acquisition));
  EXPECT(TTV_OK, ttv_stream_begin(stream, &acquisition));
  EXPECT(1, acquisition);
  EXPECT(TTV_ERR_WRONG_STATE, ttv_stream_begin(stream, &acquisition));
  EXPECT(TTV_ERR_NULL_ARGUMENT, ttv_stream_push(stream, NULL));
  check_invalid_frames(stream);
  EXPECT(TTV_OK, ttv_stream_push(stream, &frame));
  EXPECT(TTV_FRAME_REFUSED, ttv_stream_push(stream, &frame));
  EXPECT(TTV_OK, ttv_stream_end(stream));
  EXPECT(TTV_ERR_WRONG_STATE, ttv_stream_end(stream));

  ttv_result result = TTV_RESULT_INIT;
  EXPECT(TTV_OK, ttv_stream_wait(stream, acquisition, TIMEOUT_NS, &result));
  EXPECT(TTV_OK, result.status);
  EXPECT(1, (long long)result.frames_used);
  EXPECT(1, (long long)result.chunks);
  EXPECT(TTV_RESULT_FLAG_FINAL | TTV_RESULT_FLAG_SHORT | TTV_RESULT_FLAG_NO_NOVELTY,
         result.flags & ~(ttv_result_flags)TTV_RESULT_FLAG_ABSTAINED);
  EXPECT(1, result.novelty == 0.0);
  EXPECT(TTV_ERR_INVALID_ARGUMENT, ttv_stream_wait(stream, acquisition + 1, 0, &result));
  expect_message("acquisition must be");
  EXPECT(TTV_ERR_INVALID_ARGUMENT, ttv_stream_wait(stream, 0, -1, &result));
  EXPECT(TTV_ERR_NULL_ARGUMENT, ttv_stream_wait(stream, acquisition, 0, NULL));
  EXPECT(TTV_ERR_WRONG_STATE, ttv_stream_last_event(stream));
  EXPECT(TTV_ERR_NULL_ARGUMENT, ttv_stream_last_event(NULL));
  EXPECT(TTV_ERR_NULL_ARGUMENT, ttv_stream_poll(NULL, &result));
  EXPECT(TTV_OK, ttv_stream_poll(stream, &result));

  ttv_result past = TTV_RESULT_INIT;
  EXPECT(TTV_OK, ttv_stream_query(stream, 1, 1, 0, 0, &past));
  EXPECT((long long)result.chunks, (long long)past.chunks);
  EXPECT(result.label, past.label);
  EXPECT(TTV_EMPTY, ttv_stream_query(stream, 2, 1000, 0, 0, &past));
  EXPECT(TTV_ERR_INVALID_ARGUMENT, ttv_stream_query(stream, 2, 1, 0, 0, &past));
  EXPECT(TTV_ERR_UNKNOWN_FLAGS, ttv_stream_query(stream, 1, 2, TTV_QUERY_FLAG_EXACT | 2, 0, &past));
  EXPECT(TTV_ERR_UNSUPPORTED, ttv_stream_query(stream, 1, 2, TTV_QUERY_FLAG_EXACT, -1, &past));
  expect_message("exact_history_ns");
  EXPECT(TTV_ERR_NULL_ARGUMENT, ttv_stream_query(NULL, 1, 2, 0, 0, &past));
}

/* Acquires frames with a gap and a mark, in a burst that may fill the ring. */
static void check_discontinuities(ttv_stream *stream) {
  uint64_t acquisition = 0;
  ttv_result result = TTV_RESULT_INIT;
  EXPECT(TTV_OK, ttv_stream_begin(stream, &acquisition));
  int64_t times[] = {0, 33000000, 900000000, 933000000};
  long long accepted = 0, dropped = 0;
  for (int i = 0; i < 4; i++) {
    ttv_frame frame = frame_at(times[i]);
    if (i == 3) EXPECT(TTV_OK, ttv_stream_mark(stream));
    ttv_status status = ttv_stream_push(stream, &frame);
    accepted += status == TTV_OK;
    dropped += status == TTV_RING_FULL;
  }
  EXPECT(4, accepted + dropped);
  EXPECT(TTV_OK, ttv_stream_end(stream));
  EXPECT(TTV_OK, ttv_stream_wait(stream, acquisition, TIMEOUT_NS, &result));
  EXPECT(accepted, (long long)result.frames_used);
  EXPECT(dropped, (long long)result.frames_dropped);
  EXPECT(TTV_RESULT_FLAG_DISCONTINUITY, result.flags & TTV_RESULT_FLAG_DISCONTINUITY);
  ttv_stats stats = TTV_STATS_INIT;
  EXPECT(TTV_OK, ttv_stream_get_stats(stream, &stats));
  EXPECT(accepted + 1, (long long)stats.pushed);
  EXPECT(dropped, (long long)stats.dropped);
  EXPECT(1, (long long)stats.changes);
}

/* Checks that one frame far ahead in time does not silence the stream. */
static void check_clock_step(ttv_stream *stream) {
  uint64_t acquisition = 0;
  ttv_result result = TTV_RESULT_INIT;
  ttv_stats stats = TTV_STATS_INIT, before = TTV_STATS_INIT;
  EXPECT(TTV_OK, ttv_stream_get_stats(stream, &before));
  EXPECT(TTV_OK, ttv_stream_begin(stream, &acquisition));
  ttv_frame frame = frame_at(INT64_MAX);
  EXPECT(TTV_OK, ttv_stream_push(stream, &frame));
  for (int i = 0; i < 20; i++) { /* Equal times do not agree. */
    frame = frame_at(7);
    EXPECT(TTV_FRAME_REFUSED, ttv_stream_push(stream, &frame));
  }
  for (int i = 1; i <= 5; i++) {
    frame = frame_at(i * STEP_NS);
    /* The last frame at 7 ns is the first that agrees. */
    EXPECT(i < 4 ? TTV_FRAME_REFUSED : TTV_OK, ttv_stream_push(stream, &frame));
  }
  EXPECT(TTV_OK, ttv_stream_end(stream));
  EXPECT(TTV_OK, ttv_stream_wait(stream, acquisition, TIMEOUT_NS, &result));
  EXPECT(TTV_OK, result.status);
  EXPECT(3, (long long)result.frames_used);
  ttv_result_flags expected = TTV_RESULT_FLAG_CLOCK_STEP | TTV_RESULT_FLAG_DISCONTINUITY;
  EXPECT(expected, result.flags & expected);
  EXPECT(TTV_OK, ttv_stream_get_stats(stream, &stats));
  EXPECT(1, (long long)(stats.clock_steps - before.clock_steps));
  EXPECT(23, (long long)(stats.refused - before.refused));
  EXPECT(0, (long long)(stats.gaps - before.gaps));
  EXPECT(0, (long long)stats.failed_chunks + (long long)result.failed_chunks);
}

/* Checks that times at the limits of int64_t do not wrap. */
static void check_extreme_times(ttv_engine *engine) {
  ttv_stream_config config = small_stream();
  uint64_t acquisition = 0;
  ttv_result result = TTV_RESULT_INIT;
  for (int64_t period = 0; period <= INT64_MAX / 2; period += INT64_MAX / 2) {
    config.frame_period_ns = period;
    ttv_stream *stream = create_stream(engine, &config);
    EXPECT(TTV_OK, ttv_stream_begin(stream, &acquisition));
    for (int i = 0; i < 4; i++) {
      ttv_frame frame = frame_at(INT64_MAX - 3 + i);
      EXPECT(TTV_OK, ttv_stream_push(stream, &frame));
    }
    EXPECT(TTV_OK, ttv_stream_end(stream));
    EXPECT(TTV_OK, ttv_stream_wait(stream, acquisition, TIMEOUT_NS, &result));
    EXPECT(TTV_OK, result.status);
    EXPECT(period ? 0 : INT64_MAX - 3, (long long)result.first_time_ns);
    EXPECT(1, result.last_time_ns >= result.first_time_ns);
    ttv_stream_destroy(stream);
  }
}

static void check_geometry_change(ttv_stream *stream) {
  uint64_t acquisition = 0;
  ttv_result result = TTV_RESULT_INIT;
  EXPECT(TTV_OK, ttv_stream_begin(stream, &acquisition));
  ttv_frame frame = frame_at(1);
  EXPECT(TTV_OK, ttv_stream_push(stream, &frame));
  frame = frame_at(2);
  frame.width_px = frame.height_px = 48;
  EXPECT(TTV_OK, ttv_stream_push(stream, &frame));
  EXPECT(TTV_OK, ttv_stream_end(stream));
  EXPECT(TTV_OK, ttv_stream_wait(stream, acquisition, TIMEOUT_NS, &result));
  EXPECT(TTV_RESULT_FLAG_DISCONTINUITY, result.flags & TTV_RESULT_FLAG_DISCONTINUITY);
  EXPECT(1, (long long)result.chunks);
  EXPECT(2, (long long)result.first_time_ns);
  ttv_stats stats = TTV_STATS_INIT;
  EXPECT(TTV_OK, ttv_stream_get_stats(stream, &stats));
  EXPECT(2, (long long)stats.changes);
}

/* A struct of a later version is accepted if its unknown fields are 0. */
static void check_later_struct(const ttv_stream *stream) {
  struct {
    ttv_result known;
    uint64_t later[4];
  } result;
  memset(&result, 0, sizeof result);
  result.known.struct_size = sizeof result;
  EXPECT(TTV_OK, ttv_stream_poll(stream, &result.known));
  EXPECT(sizeof result, result.known.struct_size);
  result.later[3] = 1;
  EXPECT(TTV_ERR_STRUCT_SIZE, ttv_stream_poll(stream, &result.known));
}

static int results;

static void count_result(void *user, const ttv_result *result) {
  if (user == &results && result->scores_length > 0 && result->scores) results++;
}

/* In a host-driven stream, nothing happens until the host calls ttv_stream_process. */
static void check_host_drive(ttv_engine *engine) {
  ttv_stream_config config = small_stream();
  config.drive = TTV_DRIVE_HOST;
  config.on_result = count_result;
  config.user = &results;
  ttv_stream *stream = create_stream(engine, &config);
  ttv_result result = TTV_RESULT_INIT;
  EXPECT(TTV_NOT_READY, ttv_stream_process(stream));
  uint64_t acquisition = acquire_frame(stream);
  EXPECT(TTV_TIMED_OUT, ttv_stream_wait(stream, acquisition, 1000000, &result));
  struct pollfd event = {.fd = ttv_stream_event_fd(stream), .events = POLLIN};
  EXPECT(0, poll(&event, 1, 0));
  EXPECT(TTV_OK, ttv_stream_process(stream));
  EXPECT(TTV_OK, ttv_stream_process(stream));
  EXPECT(TTV_NOT_READY, ttv_stream_process(stream));
  EXPECT(1, poll(&event, 1, 0));
  EXPECT(TTV_OK, ttv_stream_wait(stream, acquisition, 0, &result));
  EXPECT(1, (long long)result.frames_used);
  EXPECT(1, results > 0);
  ttv_stream_destroy(stream);
  EXPECT(TTV_ERR_NULL_ARGUMENT, ttv_stream_process(NULL));
  EXPECT(-1, ttv_stream_event_fd(NULL));
}

static void check_poll_drive(ttv_engine *engine) {
  ttv_stream_config config = small_stream();
  config.drive = TTV_DRIVE_POLL;
  ttv_stream *stream = create_stream(engine, &config);
  ttv_result result = TTV_RESULT_INIT;
  uint64_t acquisition = acquire_frame(stream);
  EXPECT(TTV_OK, ttv_stream_wait(stream, acquisition, TIMEOUT_NS, &result));
  EXPECT(TTV_ERR_WRONG_STATE, ttv_stream_process(stream));
  ttv_stream_destroy(stream);
}

/* Writes frame `index` to a slot, after some invalid calls. */
static void write_to_slot(ttv_stream *stream, int index) {
  ttv_frame frame = frame_at(index * STEP_NS);
  ttv_slot slot = TTV_SLOT_INIT;
  EXPECT(TTV_OK, ttv_stream_loan(stream, &slot));
  EXPECT(64 * 64, slot.capacity_bytes);
  memset(slot.data, 20 * index, slot.capacity_bytes);
  EXPECT(TTV_ERR_WRONG_STATE, ttv_stream_push(stream, &frame));
  frame.plane[0] = NULL;
  frame.stride_bytes[0] = 0;
  slot.token++;
  EXPECT(TTV_ERR_WRONG_STATE, ttv_stream_commit(stream, &slot, &frame));
  slot.token--;
  frame.stride_bytes[0] = 65;
  EXPECT(TTV_ERR_FRAME_STRIDE, ttv_stream_commit(stream, &slot, &frame));
  frame.stride_bytes[0] = 64;
  EXPECT(TTV_OK, ttv_stream_commit(stream, &slot, &frame));
  EXPECT(TTV_ERR_WRONG_STATE, ttv_stream_commit(stream, &slot, &frame));
}

/* Copied frames and frames written to slots give the same scores. */
static void check_loans(ttv_engine *engine) {
  ttv_stream_config config = small_stream();
  ttv_stream *stream = create_stream(engine, &config);
  float scores[2][64] = {{0}};
  for (int uses_loan = 0; uses_loan < 2; uses_loan++) {
    uint64_t acquisition = 0;
    EXPECT(TTV_OK, ttv_stream_begin(stream, &acquisition));
    for (int i = 0; i < 10; i++) {
      if (uses_loan) {
        write_to_slot(stream, i);
        continue;
      }
      ttv_frame frame = frame_at(i * STEP_NS);
      memset(pixels, 20 * i, sizeof pixels);
      EXPECT(TTV_OK, ttv_stream_push(stream, &frame));
    }
    EXPECT(TTV_OK, ttv_stream_end(stream));
    ttv_result result = TTV_RESULT_INIT;
    result.scores = scores[uses_loan];
    result.scores_capacity = 64;
    EXPECT(TTV_OK, ttv_stream_wait(stream, acquisition, TIMEOUT_NS, &result));
    EXPECT(10, (long long)result.frames_used);
  }
  EXPECT(0, memcmp(scores[0], scores[1], sizeof scores[0]));
  ttv_slot slot = TTV_SLOT_INIT;
  EXPECT(TTV_ERR_WRONG_STATE, ttv_stream_loan(stream, &slot));
  EXPECT(TTV_ERR_NULL_ARGUMENT, ttv_stream_loan(stream, NULL));
  ttv_stream_destroy(stream);
}

static atomic_int may_start, wrong_thread, attempts;

static int push_until_refused(void *stream) {
  static uint8_t own[64 * 64];
  while (!atomic_load(&may_start)) thrd_yield();
  for (int i = 0; i < 50000000 && !atomic_load(&wrong_thread); i++) {
    ttv_frame frame = frame_at(i);
    atomic_fetch_add(&attempts, 1);
    frame.plane[0] = own;
    if (ttv_stream_push(stream, &frame) == TTV_ERR_WRONG_THREAD) atomic_fetch_add(&wrong_thread, 1);
  }
  return 0;
}

/* If two threads push at the same time, one of the calls returns an error, and the counters remain
 * correct. */
static void check_two_threads(ttv_engine *engine) {
  ttv_stream_config config = small_stream();
  config.drive = TTV_DRIVE_HOST;
  config.ring_slots = 1000;
  ttv_stream *stream = create_stream(engine, &config);
  uint64_t acquisition = 0;
  EXPECT(TTV_OK, ttv_stream_begin(stream, &acquisition));
  thrd_t threads[2];
  for (int i = 0; i < 2; i++)
    EXPECT(thrd_success, thrd_create(&threads[i], push_until_refused, stream));
  atomic_store(&may_start, 1);
  for (int i = 0; i < 2; i++) EXPECT(thrd_success, thrd_join(threads[i], NULL));
  EXPECT(1, atomic_load(&wrong_thread) > 0);
  EXPECT(TTV_OK, ttv_stream_end(stream));
  ttv_stats stats = TTV_STATS_INIT;
  EXPECT(TTV_OK, ttv_stream_get_stats(stream, &stats));
  EXPECT(atomic_load(&attempts),
         (long long)(stats.pushed + stats.dropped + stats.refused) + atomic_load(&wrong_thread));
  ttv_stream_destroy(stream);
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  ttv_engine *engine = create_engine(argv[1]);
  EXPECT(TTV_OK, ttv_engine_prepare(engine));
  check_invalid_settings(engine);
  check_host_drive(engine);
  check_poll_drive(engine);
  check_two_threads(engine);
  check_loans(engine);
  check_extreme_times(engine);

  ttv_stream_config config = small_stream();
  config.ring_slots = 4;
  ttv_stream *stream = create_stream(engine, &config);
  /* The stream stays valid after its engine is destroyed. */
  ttv_engine_destroy(engine);
  check_acquisition(stream);
  check_discontinuities(stream);
  check_geometry_change(stream);
  check_clock_step(stream);
  check_later_struct(stream);

  /* A stream can be destroyed during an acquisition. */
  uint64_t acquisition = 0;
  ttv_frame frame = frame_at(5);
  EXPECT(TTV_OK, ttv_stream_begin(stream, &acquisition));
  EXPECT(TTV_OK, ttv_stream_push(stream, &frame));
  ttv_stream_destroy(stream);
  return finish_checks();
}

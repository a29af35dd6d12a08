/* Tests of exact queries, early stop, view change and hop.
 *
 *   queries MODEL.onnx [MILLISECONDS]
 *
 * MILLISECONDS is the length of a pause after each frame. On a machine where the network cannot
 * keep up, the pause prevents the library from skipping chunks. The exit status is 0 if every check
 * passed. */
#define _POSIX_C_SOURCE 200809L /* nanosleep */
#include <stddef.h>

#include "check.h"
#include "posix.h"

static long pause_ms;

static void push(ttv_stream *stream, const ttv_frame *frame) {
  EXPECT(TTV_OK, ttv_stream_push(stream, frame));
  sleep_ms(pause_ms);
}

/* Acquires samples `from` to `to`. From sample 40 on, all samples have the same image. */
static void acquire_samples(ttv_stream *stream, int from, int to, ttv_result *result) {
  uint64_t acquisition = 0;
  EXPECT(TTV_OK, ttv_stream_begin(stream, &acquisition));
  for (int i = from; i <= to; i++) {
    ttv_frame frame = frame_at(i * STEP_NS);
    for (int p = 0; p < 64 * 64; p++)
      pixels[p] = (uint8_t)(i < 40 ? 7 * p * i : 200 - (p / 64) * 3);
    push(stream, &frame);
  }
  EXPECT(TTV_OK, ttv_stream_end(stream));
  EXPECT(TTV_OK, ttv_stream_wait(stream, acquisition, TIMEOUT_NS, result));
}

static ttv_result result_with(float *scores) {
  ttv_result result = TTV_RESULT_INIT;
  result.scores = scores;
  result.scores_capacity = 64;
  return result;
}

static ttv_status query(ttv_stream *stream, int from, int to, ttv_query_flags flags,
                        int64_t timeout_ns, ttv_result *result) {
  return ttv_stream_query(stream, from * STEP_NS, to * STEP_NS, flags, timeout_ns, result);
}

/* An exact query gives the same result as an acquisition of only the samples in the interval. */
static void check_exact_queries(ttv_engine *engine, int is_streaming) {
  const ttv_query_flags exact_flag = TTV_QUERY_FLAG_EXACT;
  ttv_stream_config config = small_stream();
  config.ring_slots = 100;
  size_t without = 0, with = 0;
  EXPECT(TTV_OK, ttv_stream_get_memory(engine, &config, &without));
  ttv_stream *other = create_stream(engine, &config), *stream = NULL;
  config.exact_history_ns = INT64_C(3600000000001);
  EXPECT(TTV_ERR_INVALID_ARGUMENT, ttv_stream_create(engine, &config, &stream));
  expect_message("exact_history_ns");
  config.exact_history_ns = 60 * STEP_NS;
  EXPECT(TTV_OK, ttv_stream_get_memory(engine, &config, &with));
  EXPECT(1, with > without + 60 * 112 * 112 * sizeof(float));
  stream = create_stream(engine, &config);

  float scores[3][64] = {{0}};
  ttv_result whole = result_with(scores[0]);
  ttv_result plain = result_with(scores[1]);
  ttv_result exact = result_with(scores[2]);
  acquire_samples(stream, 0, 59, &whole);
  EXPECT(TTV_ERR_UNSUPPORTED, query(other, 0, 1, exact_flag, -1, &exact));
  EXPECT(TTV_TIMED_OUT, query(stream, 0, 59, exact_flag, 0, &exact));
  EXPECT(0, (long long)exact.chunks);
  EXPECT(TTV_OK, query(stream, 0, 59, exact_flag, -1, &exact));
  EXPECT((long long)whole.chunks, (long long)exact.chunks);
  EXPECT(0, memcmp(scores[0], scores[2], sizeof scores[0]));
  /* The interval is shorter than a window, so a plain query in window mode finds no output. */
  EXPECT(is_streaming ? TTV_OK : TTV_EMPTY, query(stream, 40, 59, 0, 0, &plain));
  EXPECT(TTV_OK, query(stream, 40, 59, exact_flag, -1, &exact));
  EXPECT(is_streaming ? 5 : 0, (long long)plain.chunks);
  EXPECT(is_streaming ? 5 : 1, (long long)exact.chunks);
  EXPECT(40 * STEP_NS, exact.first_time_ns);
  EXPECT(59 * STEP_NS, exact.last_time_ns);
  EXPECT(1, memcmp(scores[1], scores[2], sizeof scores[1]) != 0);
  acquire_samples(other, 40, 59, &whole);
  EXPECT(0, memcmp(scores[0], scores[2], sizeof scores[0]));
  EXPECT(TTV_EMPTY, query(stream, 60, 70, exact_flag, -1, &exact));
  acquire_samples(stream, 60, 130, &whole);
  EXPECT(TTV_PARTIAL, query(stream, 0, 130, exact_flag, -1, &exact));
  EXPECT(69 * STEP_NS, exact.first_time_ns);
  ttv_stream_destroy(other);
  ttv_stream_destroy(stream);
}

/* Invalid settings of early stop and view change are refused. */
static void check_invalid_rules(ttv_engine *engine) {
  ttv_stream *stream = NULL;
#define EXPECT_INVALID(field, value)                                                 \
  do {                                                                               \
    ttv_stream_config config = small_stream();                                       \
    config.view_change_margin = 0.5f;                                                \
    config.field = value;                                                            \
    EXPECT(TTV_ERR_INVALID_ARGUMENT, ttv_stream_create(engine, &config, &stream));   \
  } while (0)
  EXPECT_INVALID(early_stop_margin, 1.5f);
  EXPECT_INVALID(early_stop_margin, -0.5f);
  EXPECT_INVALID(view_change_margin, 1.5f);
  EXPECT_INVALID(view_change_span, 2000);
  EXPECT_INVALID(view_change_outputs, 2000);
}

/* With a constant image, the label settles and the network stops running. */
static void check_early_stop(ttv_engine *engine) {
  ttv_stream_config config = small_stream();
  config.ring_slots = 300;
  config.early_stop_margin = 1e-6f;
  config.view_change_margin = 1;
  ttv_stream *stream = create_stream(engine, &config);
  uint64_t acquisition = 0;
  EXPECT(TTV_OK, ttv_stream_begin(stream, &acquisition));
  memset(pixels, 90, sizeof pixels);
  for (int i = 0; i < 200; i++) {
    ttv_frame frame = frame_at(i * STEP_NS);
    push(stream, &frame);
  }
  EXPECT(TTV_OK, ttv_stream_end(stream));
  ttv_result result = TTV_RESULT_INIT;
  EXPECT(TTV_OK, ttv_stream_wait(stream, acquisition, TIMEOUT_NS, &result));
  EXPECT(TTV_RESULT_FLAG_SETTLED,
         result.flags & (TTV_RESULT_FLAG_SETTLED | TTV_RESULT_FLAG_VIEW_CHANGED));
  EXPECT(1, result.last_time_ns < 199 * STEP_NS);
  EXPECT(200, (long long)result.frames_used);
  ttv_stats stats = TTV_STATS_INIT;
  EXPECT(TTV_OK, ttv_stream_get_stats(stream, &stats));
  EXPECT((long long)result.chunks, (long long)stats.chunks);
  EXPECT(200, (long long)stats.samples);
  EXPECT(0, (long long)stats.view_changes);
  stats.struct_size = offsetof(ttv_stats, view_changes);
  EXPECT(TTV_ERR_STRUCT_SIZE, ttv_stream_get_stats(stream, &stats));
  ttv_stream_destroy(stream);
}

/* Unless the host sets the hop, the library chooses it from the measured time of a window. */
static void check_hops(ttv_engine *engine, int is_streaming) {
  for (uint32_t hop = 0; hop <= 34; hop += 17) {
    ttv_stream *stream = NULL;
    ttv_stream_config config = small_stream();
    config.window_hop_samples = hop;
    /* A hop must not be longer than a clip, which has 32 samples. */
    EXPECT(hop == 34 && !is_streaming ? TTV_ERR_INVALID_ARGUMENT : TTV_OK,
           ttv_stream_create(engine, &config, &stream));
    if (!stream) continue;
    ttv_stats stats = TTV_STATS_INIT;
    EXPECT(TTV_OK, ttv_stream_get_stats(stream, &stats));
    if (is_streaming || hop > 0)
      EXPECT(is_streaming ? 0 : hop, (long long)stats.window_hop_samples);
    else
      EXPECT(1, stats.window_hop_samples >= 8 && stats.window_hop_samples <= 32);
    ttv_stream_destroy(stream);
  }
}

int main(int argc, char **argv) {
  if (argc != 2 && argc != 3) return 2;
  if (argc == 3) pause_ms = atol(argv[2]);
  ttv_engine *engine = create_engine(argv[1]);
  EXPECT(TTV_OK, ttv_engine_prepare(engine));
  ttv_engine_info info = TTV_ENGINE_INFO_INIT;
  EXPECT(TTV_OK, ttv_engine_get_info(engine, &info));
  check_exact_queries(engine, info.mode == TTV_MODE_STREAM);
  check_invalid_rules(engine);
  check_early_stop(engine);
  check_hops(engine, info.mode == TTV_MODE_STREAM);
  ttv_engine_destroy(engine);
  return finish_checks();
}

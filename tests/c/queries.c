/* Exact queries, early stop, view change and hop, from C: `queries PACKAGE [MILLISECONDS]`. Frames are pushed as fast as
 * the stream takes them, or with a rest after each, for a machine whose network takes longer than a chunk lasts: there chunks
 * of waiting frames would be skipped. Exit status 0: every check held. */
#define _POSIX_C_SOURCE 200809L

#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#include "check.h"

#define SAMPLE_NS INT64_C(33333333)

static long rest_ms;

static void push(ttv_stream *stream, const ttv_frame *frame) {
  struct timespec rest = {.tv_sec = rest_ms / 1000, .tv_nsec = rest_ms % 1000 * 1000000};
  EXPECT(TTV_OK, ttv_stream_push(stream, frame));
  nanosleep(&rest, NULL);
}

/* Samples `from` to `to` as an acquisition; the picture switches before sample 40. */
static void switched(ttv_stream *stream, int from, int to, ttv_result *result) {
  uint64_t id = 0;
  EXPECT(TTV_OK, ttv_stream_begin(stream, &id));
  for (int i = from; i <= to; i++) {
    ttv_frame frame = good_frame(i * SAMPLE_NS);
    for (int p = 0; p < 64 * 64; p++) pixels[p] = (uint8_t)(i < 40 ? 7 * p * i : 200 - (p / 64) * 3);
    push(stream, &frame);
  }
  EXPECT(TTV_OK, ttv_stream_end(stream));
  EXPECT(TTV_OK, ttv_stream_wait(stream, id, INT64_C(60000000000), result));
}

/* The beats after a switch of the view, as the network heard them and run again on their own. */
static void exact(ttv_engine *engine, int streams) {
  ttv_stream_config settings = {.struct_size = sizeof settings, .ring_slots = 100};
  settings.max_width_px = settings.max_height_px = 64;
  settings.max_frame_bytes = 64 * 64;
  size_t without = 0, with = 0;
  EXPECT(TTV_OK, ttv_stream_memory(engine, &settings, &without));
  settings.exact_history_ns = INT64_C(3600000000001);
  ttv_stream *stream = NULL, *other = NULL;
  EXPECT(TTV_INVALID_ARGUMENT, ttv_stream_create(engine, &settings, &stream));
  says("exact_history_ns");
  settings.exact_history_ns = 60 * SAMPLE_NS;
  EXPECT(TTV_OK, ttv_stream_memory(engine, &settings, &with));
  EXPECT(1, with > without + 60 * 112 * 112 * sizeof(float));
  EXPECT(TTV_OK, ttv_stream_create(engine, &settings, &stream));
  /* A host of the first version does not know the fields. */
  settings.struct_size = offsetof(ttv_stream_config, exact_history_ns);
  settings.exact_history_ns = -1;
  EXPECT(TTV_OK, ttv_stream_create(engine, &settings, &other));
  float scores[3][64] = {{0}};
  ttv_result whole = {.struct_size = sizeof whole, .scores = scores[0], .scores_capacity = 64};
  ttv_result plain = {.struct_size = sizeof plain, .scores = scores[1], .scores_capacity = 64};
  ttv_result again = {.struct_size = sizeof again, .scores = scores[2], .scores_capacity = 64};
  switched(stream, 0, 59, &whole);
  EXPECT(TTV_UNSUPPORTED, ttv_stream_query(other, 0, 1, TTV_QUERY_EXACT, -1, &again));
  EXPECT(TTV_TIMED_OUT, ttv_stream_query(stream, 0, 59 * SAMPLE_NS, TTV_QUERY_EXACT, 0, &again));
  EXPECT(0, again.chunks);
  EXPECT(TTV_OK, ttv_stream_query(stream, 0, 59 * SAMPLE_NS, TTV_QUERY_EXACT, -1, &again));
  EXPECT(whole.chunks, again.chunks);
  EXPECT(0, memcmp(scores[0], scores[2], sizeof scores[0]));
  /* No whole window lies in so short an interval. */
  EXPECT(streams ? TTV_OK : TTV_EMPTY, ttv_stream_query(stream, 40 * SAMPLE_NS, 59 * SAMPLE_NS, 0, 0, &plain));
  EXPECT(TTV_OK, ttv_stream_query(stream, 40 * SAMPLE_NS, 59 * SAMPLE_NS, TTV_QUERY_EXACT, -1, &again));
  EXPECT(streams ? 5 : 0, plain.chunks);
  EXPECT(streams ? 5 : 1, again.chunks);
  EXPECT(40 * SAMPLE_NS, again.first_time_ns);
  EXPECT(59 * SAMPLE_NS, again.last_time_ns);
  EXPECT(1, memcmp(scores[1], scores[2], sizeof scores[1]) != 0);
  switched(other, 40, 59, &whole);
  EXPECT(0, memcmp(scores[0], scores[2], sizeof scores[0]));
  EXPECT(TTV_EMPTY, ttv_stream_query(stream, 60 * SAMPLE_NS, 70 * SAMPLE_NS, TTV_QUERY_EXACT, -1, &again));
  switched(stream, 60, 130, &whole);
  EXPECT(TTV_PARTIAL, ttv_stream_query(stream, 0, 130 * SAMPLE_NS, TTV_QUERY_EXACT, -1, &again));
  EXPECT(69 * SAMPLE_NS, again.first_time_ns);
  ttv_stream_destroy(other);
  ttv_stream_destroy(stream);
}

/* The rules on what the network says: refused out of range; a still picture settles, and then nothing runs. */
static void rules(ttv_engine *engine) {
  ttv_stream_config settings = {.struct_size = sizeof settings, .ring_slots = 300};
  settings.max_width_px = settings.max_height_px = 64;
  settings.max_frame_bytes = 64 * 64;
  ttv_stream *stream = NULL;
#define WRONG(field, value)                                                                \
  do {                                                                                     \
    ttv_stream_config wrong = settings;                                                    \
    wrong.field = value;                                                                   \
    EXPECT(TTV_INVALID_ARGUMENT, ttv_stream_create(engine, &wrong, &stream));              \
  } while (0)
  WRONG(early_stop_margin, 1.5f);
  WRONG(early_stop_margin, -0.5f);
  WRONG(view_change_margin, 1.5f);
  settings.view_change_margin = 0.5f;
  WRONG(view_change_span, 2000);
  WRONG(view_change_outputs, 2000);
  settings.early_stop_margin = 1e-6f;
  settings.view_change_margin = 1;
  EXPECT(TTV_OK, ttv_stream_create(engine, &settings, &stream));
  uint64_t id = 0;
  EXPECT(TTV_OK, ttv_stream_begin(stream, &id));
  memset(pixels, 90, sizeof pixels);
  for (int i = 0; i < 200; i++) {
    ttv_frame frame = good_frame(i * SAMPLE_NS);
    push(stream, &frame);
  }
  EXPECT(TTV_OK, ttv_stream_end(stream));
  ttv_result result = {.struct_size = sizeof result};
  EXPECT(TTV_OK, ttv_stream_wait(stream, id, INT64_C(60000000000), &result));
  EXPECT(TTV_RESULT_SETTLED, result.flags & (TTV_RESULT_SETTLED | TTV_RESULT_VIEW_CHANGED));
  EXPECT(1, result.last_time_ns < 199 * SAMPLE_NS);
  EXPECT(200, (long long)result.frames_used);
  ttv_stats stats = {.struct_size = sizeof stats};
  EXPECT(TTV_OK, ttv_stream_get_stats(stream, &stats));
  EXPECT(result.chunks, (long long)stats.chunks);
  EXPECT(200, (long long)stats.samples);
  EXPECT(0, (long long)stats.view_changes);
  /* A host of the first version gets the counters it knows, and no more. */
  memset(&stats, 0x5a, sizeof stats);
  stats.struct_size = offsetof(ttv_stats, view_changes);
  EXPECT(TTV_OK, ttv_stream_get_stats(stream, &stats));
  EXPECT(200, (long long)stats.samples);
  EXPECT(INT64_C(0x5a5a5a5a5a5a5a5a), (long long)stats.view_changes);
  ttv_stream_destroy(stream);
}

/* The hop of windows: from the measured time, or as the host says. */
static void hops(ttv_engine *engine, int streams) {
  ttv_stream_config settings = {.struct_size = sizeof settings, .max_width_px = 64, .max_height_px = 64};
  for (uint32_t asked = 0; asked <= 34; asked += 17) {
    ttv_stream *stream = NULL;
    settings.window_hop_samples = asked;
    EXPECT(asked == 34 && !streams ? TTV_INVALID_ARGUMENT : TTV_OK, ttv_stream_create(engine, &settings, &stream));
    ttv_stats stats = {.struct_size = sizeof stats};
    if (!stream) continue;
    EXPECT(TTV_OK, ttv_stream_get_stats(stream, &stats));
    if (streams || asked) EXPECT(streams ? 0 : asked, (long long)stats.window_hop_samples);
    else EXPECT(1, stats.window_hop_samples >= 8 && stats.window_hop_samples <= 32);
    ttv_stream_destroy(stream);
  }
}

int main(int argc, char **argv) {
  if (argc != 2 && argc != 3) return 2;
  if (argc == 3) rest_ms = atol(argv[2]);
  ttv_engine_config config = {.struct_size = sizeof config, .model_path = argv[1]};
  ttv_engine *engine = NULL;
  EXPECT(TTV_OK, ttv_engine_create(&config, &engine));
  if (!engine) return EXIT_FAILURE;
  EXPECT(TTV_OK, ttv_engine_prepare(engine));
  ttv_engine_info info = {.struct_size = sizeof info};
  EXPECT(TTV_OK, ttv_engine_get_info(engine, &info));
  exact(engine, info.mode == 1);
  rules(engine);
  hops(engine, info.mode == 1);
  ttv_engine_destroy(engine);
  printf("%d passed, %d failed\n", checks - failures, failures);
  return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}

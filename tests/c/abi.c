/* Bad input and the life of a stream, from C. Exit status 0: every check held. */
#define _POSIX_C_SOURCE 200809L /* poll */
#include <poll.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <threads.h>

#include "check.h"

static void engines(const char *model) {
  ttv_engine *engine = (ttv_engine *)pixels;
  EXPECT(TTV_NULL_ARGUMENT, ttv_engine_create(NULL, &engine));
  EXPECT(1, engine == NULL);
  ttv_engine_config config = {.struct_size = sizeof config};
  EXPECT(TTV_NULL_ARGUMENT, ttv_engine_create(&config, NULL));
  EXPECT(TTV_NULL_ARGUMENT, ttv_engine_create(&config, &engine));
  says("model_path");
  config.model_path = "no-such-file.onnx";
  EXPECT(TTV_MODEL_UNREADABLE, ttv_engine_create(&config, &engine));
  says("no-such-file.onnx");
  config.model_path = NULL;
  config.model_data = "not a model";
  config.model_size = 11;
  EXPECT(TTV_MODEL_INVALID, ttv_engine_create(&config, &engine));
  config.model_data = NULL;
  config.model_size = 0;
  config.model_path = model;
  uint8_t hash[32] = {0};
  config.model_sha256 = hash;
  EXPECT(TTV_MODEL_HASH, ttv_engine_create(&config, &engine));
  config.model_sha256 = NULL;
  config.flags = 1;
  EXPECT(TTV_UNKNOWN_FLAGS, ttv_engine_create(&config, &engine));
  config.flags = 0;
  config.struct_size = 4;
  EXPECT(TTV_STRUCT_SIZE, ttv_engine_create(&config, &engine));
  config.struct_size = sizeof config;
  const char *providers[] = {"quantum"};
  config.providers = providers;
  config.provider_count = 1;
  EXPECT(TTV_PROVIDER_UNAVAILABLE, ttv_engine_create(&config, &engine));
  says("quantum");
  ttv_engine_destroy(NULL);
  EXPECT(TTV_NULL_ARGUMENT, ttv_engine_prepare(NULL));
}

static char *find(char *data, size_t size, const char *text) {
  size_t length = strlen(text);
  for (size_t i = 0; i + length <= size; i++)
    if (!memcmp(data + i, text, length)) return data + i;
  return NULL;
}

/* Creates an engine from the package after `change` has had its way with it. */
static int32_t altered(const char *model, void (*change)(char *data, size_t *size)) {
  FILE *file = fopen(model, "rb");
  if (!file) return 999;
  static char data[1 << 20];
  size_t size = fread(data, 1, sizeof data, file);
  fclose(file);
  change(data, &size);
  ttv_engine_config config = {.struct_size = sizeof config, .model_data = data, .model_size = size};
  ttv_engine *engine = NULL;
  int32_t status = ttv_engine_create(&config, &engine);
  if (!status) status = ttv_engine_prepare(engine);
  ttv_engine_destroy(engine);
  return status;
}

static void nothing(char *data, size_t *size) { (void)data, (void)size; }
static void truncate_half(char *data, size_t *size) { (void)data, *size /= 2; }
static void flip_a_bit(char *data, size_t *size) { data[*size / 3] ^= 16; }

/* Another sample size than the graph has: the metadata of another network. */
static void other_network(char *data, size_t *size) { memcpy(find(data, *size, "\"width\":112"), "\"width\":224", 11); }

/* The second label is no label any more: one fewer than the network has outputs. */
static void lose_a_label(char *data, size_t *size) {
  char *labels = find(data, *size, "[{\"code\":\"PLAX\"");
  char *second = labels ? find(labels + 1, *size - (size_t)(labels + 1 - data), "},{\"code\"") : NULL;
  if (!second) return;
  memcpy(second, ", ", 2);
  second[2] = ' ';
  const char *keys[] = {"\"code\"", "\"name\"", "\"scheme\"", "\"scheme_code\""};
  for (int i = 0; i < 4; i++) find(second, *size - (size_t)(second - data), keys[i])[1] = 'x';
}

static void rename_a_key(char *data, size_t *size) { find(data, *size, "tteview.alpha")[8] = 'x'; }

static void spoil_self_test(char *data, size_t *size) {
  char *digit = find(data, *size, "\"logits\":[");
  for (digit += 10; *digit < '0' || *digit > '9'; digit++) continue;
  *digit = *digit == '9' ? '8' : '9';
}

static void packages(const char *model) {
  EXPECT(TTV_OK, altered(model, nothing));
  EXPECT(TTV_MODEL_INVALID, altered(model, truncate_half));
  EXPECT(TTV_MODEL_INVALID, altered(model, flip_a_bit));
  says("sha256");
  EXPECT(TTV_MODEL_MISMATCH, altered(model, other_network));
  says("112");
  EXPECT(TTV_MODEL_MISMATCH, altered(model, lose_a_label));
  says("label");
  EXPECT(TTV_MODEL_INVALID, altered(model, rename_a_key));
  says("alpha");
  EXPECT(TTV_SELF_TEST, altered(model, spoil_self_test));
  says("logit");
}

static void frames(ttv_stream *stream) {
  uint64_t id = 0;
  ttv_frame frame = good_frame(1);
  EXPECT(TTV_WRONG_STATE, ttv_stream_push(stream, &frame));
  EXPECT(TTV_WRONG_STATE, ttv_stream_end(stream));
  EXPECT(TTV_WRONG_STATE, ttv_stream_mark(stream));
  EXPECT(TTV_NULL_ARGUMENT, ttv_stream_begin(stream, NULL));
  EXPECT(TTV_WRONG_STATE, ttv_stream_end(stream)); // It has not begun.
  EXPECT(TTV_NULL_ARGUMENT, ttv_stream_begin(NULL, &id));
  EXPECT(TTV_OK, ttv_stream_begin(stream, &id));
  EXPECT(1, id);
  EXPECT(TTV_WRONG_STATE, ttv_stream_begin(stream, &id));
  EXPECT(TTV_NULL_ARGUMENT, ttv_stream_push(stream, NULL));

#define BAD(status, change)                      \
  do {                                           \
    ttv_frame bad = good_frame(1);               \
    change;                                      \
    EXPECT(status, ttv_stream_push(stream, &bad)); \
  } while (0)
  BAD(TTV_STRUCT_SIZE, bad.struct_size = 8);
  BAD(TTV_NULL_ARGUMENT, bad.plane[0] = NULL);
  BAD(TTV_UNSUPPORTED_FORMAT, bad.format = 0);
  BAD(TTV_UNSUPPORTED_FORMAT, bad.format = 99);
  BAD(TTV_UNSUPPORTED_FORMAT, bad.memory = 7);
  BAD(TTV_UNKNOWN_FLAGS, bad.flags = 1u << 31);
  BAD(TTV_UNKNOWN_FLAGS, bad.reserved = 1);
  BAD(TTV_FRAME_GEOMETRY, bad.width_px = 0);
  BAD(TTV_FRAME_GEOMETRY, bad.height_px = 4097);
  BAD(TTV_FRAME_GEOMETRY, bad.roi_x_px = 60; bad.roi_width_px = 8; bad.roi_height_px = 8);
  BAD(TTV_FRAME_STRIDE, bad.stride_bytes[0] = 63);
  BAD(TTV_FRAME_TOO_LARGE, bad.width_px = 16; bad.width_px = 64; bad.height_px = 64; bad.format = TTV_FORMAT_RGBA32;
      bad.stride_bytes[0] = 256; static uint8_t large[256 * 64]; bad.plane[0] = large);

  EXPECT(TTV_OK, ttv_stream_push(stream, &frame));
  EXPECT(TTV_FRAME_REFUSED, ttv_stream_push(stream, &frame));
  EXPECT(TTV_OK, ttv_stream_end(stream));
  EXPECT(TTV_WRONG_STATE, ttv_stream_end(stream));

  ttv_result result = {.struct_size = sizeof result};
  EXPECT(TTV_OK, ttv_stream_wait(stream, id, INT64_C(60000000000), &result));
  EXPECT(TTV_OK, result.status);
  EXPECT(1, (long long)result.frames_used);
  EXPECT(1, (long long)result.chunks);
  EXPECT(TTV_RESULT_FINAL | TTV_RESULT_SHORT, result.flags & ~TTV_RESULT_ABSTAINED);
  EXPECT(TTV_TIMED_OUT, ttv_stream_wait(stream, id + 1, 0, &result));
  ttv_result past = {.struct_size = sizeof past};
  EXPECT(TTV_OK, ttv_stream_query(stream, 1, 1, 0, 0, &past));
  EXPECT(result.chunks, past.chunks);
  EXPECT(result.label, past.label);
  EXPECT(TTV_EMPTY, ttv_stream_query(stream, 2, 1000, 0, 0, &past));
  EXPECT(TTV_INVALID_ARGUMENT, ttv_stream_query(stream, 2, 1, 0, 0, &past));
  EXPECT(TTV_UNKNOWN_FLAGS, ttv_stream_query(stream, 1, 2, 4, 0, &past));
  EXPECT(TTV_UNKNOWN_FLAGS, ttv_stream_query(stream, 1, 2, TTV_QUERY_EXACT | 2, 0, &past));
  EXPECT(TTV_UNSUPPORTED, ttv_stream_query(stream, 1, 2, TTV_QUERY_EXACT, -1, &past));
  says("exact_history_ns");
  EXPECT(TTV_NULL_ARGUMENT, ttv_stream_query(NULL, 1, 2, 0, 0, &past));
  EXPECT(TTV_NULL_ARGUMENT, ttv_stream_wait(stream, id, 0, NULL));
  EXPECT(TTV_WRONG_STATE, ttv_stream_last_event(stream));
  EXPECT(TTV_NULL_ARGUMENT, ttv_stream_last_event(NULL));
  EXPECT(TTV_NULL_ARGUMENT, ttv_stream_poll(NULL, &result));
  EXPECT(TTV_OK, ttv_stream_poll(stream, &result));
}

/* A gap and a change, and a ring that is too small for a burst. */
static void discontinuities(ttv_stream *stream) {
  uint64_t id = 0;
  ttv_result result = {.struct_size = sizeof result};
  EXPECT(TTV_OK, ttv_stream_begin(stream, &id));
  int64_t times[] = {0, 33000000, 900000000, 933000000};
  long long taken = 0, dropped = 0;
  for (int i = 0; i < 4; i++) {
    ttv_frame frame = good_frame(times[i]);
    if (i == 3) EXPECT(TTV_OK, ttv_stream_mark(stream));
    int32_t status = ttv_stream_push(stream, &frame);
    taken += status == TTV_OK;
    dropped += status == TTV_RING_FULL;
  }
  EXPECT(4, taken + dropped);
  EXPECT(TTV_OK, ttv_stream_end(stream));
  EXPECT(TTV_OK, ttv_stream_wait(stream, id, INT64_C(60000000000), &result));
  EXPECT(taken, (long long)result.frames_used);
  EXPECT(dropped, (long long)result.frames_dropped);
  EXPECT(TTV_RESULT_DISCONTINUITY, result.flags & TTV_RESULT_DISCONTINUITY);
  ttv_stats stats = {.struct_size = sizeof stats};
  EXPECT(TTV_OK, ttv_stream_get_stats(stream, &stats));
  EXPECT(taken + 1, (long long)stats.pushed);
  EXPECT(dropped, (long long)stats.dropped);
  EXPECT(1, (long long)stats.changes);

  /* Another geometry is a change without a mark. */
  EXPECT(TTV_OK, ttv_stream_begin(stream, &id));
  ttv_frame frame = good_frame(1);
  EXPECT(TTV_OK, ttv_stream_push(stream, &frame));
  frame = good_frame(2);
  frame.width_px = frame.height_px = 48;
  EXPECT(TTV_OK, ttv_stream_push(stream, &frame));
  EXPECT(TTV_OK, ttv_stream_end(stream));
  EXPECT(TTV_OK, ttv_stream_wait(stream, id, INT64_C(60000000000), &result));
  EXPECT(TTV_RESULT_DISCONTINUITY, result.flags & TTV_RESULT_DISCONTINUITY);
  EXPECT(1, result.chunks);
  EXPECT(2, (long long)result.first_time_ns);
  EXPECT(TTV_OK, ttv_stream_get_stats(stream, &stats));
  EXPECT(2, (long long)stats.changes);

  /* A struct of a later version: its unknown tail must be zero. */
  struct {
    ttv_result known;
    uint64_t later[4];
  } future = {.known = {.struct_size = sizeof future}};
  EXPECT(TTV_OK, ttv_stream_poll(stream, &future.known));
  EXPECT(sizeof future, future.known.struct_size);
  future.later[3] = 1;
  EXPECT(TTV_STRUCT_SIZE, ttv_stream_poll(stream, &future.known));
}

static int calls;

static void count(void *user, const ttv_result *result) {
  if (user == &calls && result->scores_length > 0 && result->scores) calls++;
}

/* No thread of the library: nothing happens until the host processes. */
static void host_driven(ttv_engine *engine) {
  ttv_stream_config settings = {.struct_size = sizeof settings, .flags = TTV_STREAM_HOST_DRIVEN};
  settings.max_width_px = settings.max_height_px = 64;
  settings.on_result = count;
  settings.user = &calls;
  ttv_stream *stream = NULL;
  EXPECT(TTV_OK, ttv_stream_create(engine, &settings, &stream));
  uint64_t id = 0;
  ttv_frame frame = good_frame(5);
  ttv_result result = {.struct_size = sizeof result};
  EXPECT(TTV_NOT_READY, ttv_stream_process(stream));
  EXPECT(TTV_OK, ttv_stream_begin(stream, &id));
  EXPECT(TTV_OK, ttv_stream_push(stream, &frame));
  EXPECT(TTV_OK, ttv_stream_end(stream));
  EXPECT(TTV_TIMED_OUT, ttv_stream_wait(stream, id, 1000000, &result));
  struct pollfd event = {.fd = ttv_stream_event_fd(stream), .events = POLLIN};
  EXPECT(0, poll(&event, 1, 0));
  EXPECT(TTV_OK, ttv_stream_process(stream));
  EXPECT(TTV_OK, ttv_stream_process(stream));
  EXPECT(TTV_NOT_READY, ttv_stream_process(stream));
  EXPECT(1, poll(&event, 1, 0));
  EXPECT(TTV_OK, ttv_stream_wait(stream, id, 0, &result));
  EXPECT(1, (long long)result.frames_used);
  EXPECT(1, calls > 0);
  ttv_stream_destroy(stream);
  EXPECT(TTV_NULL_ARGUMENT, ttv_stream_process(NULL));
  EXPECT(-1, ttv_stream_event_fd(NULL));
}

/* The same frames, pushed and written in place, give the same scores. */
static void zero_copy(ttv_engine *engine) {
  ttv_stream_config settings = {.struct_size = sizeof settings};
  settings.max_width_px = settings.max_height_px = 64;
  settings.max_frame_bytes = 64 * 64;
  ttv_stream *stream = NULL;
  EXPECT(TTV_OK, ttv_stream_create(engine, &settings, &stream));
  float scores[2][64] = {{0}};
  for (int way = 0; way < 2; way++) {
    uint64_t id = 0;
    EXPECT(TTV_OK, ttv_stream_begin(stream, &id));
    for (int i = 0; i < 10; i++) {
      ttv_frame frame = good_frame(i * INT64_C(33333333));
      ttv_slot slot = {.struct_size = sizeof slot};
      if (way == 0) {
        memset(pixels, 20 * i, sizeof pixels);
        EXPECT(TTV_OK, ttv_stream_push(stream, &frame));
        continue;
      }
      frame.plane[0] = NULL;
      frame.stride_bytes[0] = 0;
      EXPECT(TTV_OK, ttv_stream_acquire(stream, &slot));
      EXPECT(64 * 64, slot.capacity_bytes);
      memset(slot.data, 20 * i, slot.capacity_bytes);
      EXPECT(TTV_WRONG_STATE, ttv_stream_push(stream, &(ttv_frame){.struct_size = sizeof frame,
          .format = TTV_FORMAT_GRAY8, .width_px = 64, .height_px = 64, .plane = {pixels}, .stride_bytes = {64}}));
      slot.token++;
      EXPECT(TTV_WRONG_STATE, ttv_stream_commit(stream, &slot, &frame));
      slot.token--;
      frame.stride_bytes[0] = 65;
      EXPECT(TTV_FRAME_STRIDE, ttv_stream_commit(stream, &slot, &frame));
      frame.stride_bytes[0] = 64;
      EXPECT(TTV_OK, ttv_stream_commit(stream, &slot, &frame));
      EXPECT(TTV_WRONG_STATE, ttv_stream_commit(stream, &slot, &frame));
    }
    EXPECT(TTV_OK, ttv_stream_end(stream));
    ttv_result result = {.struct_size = sizeof result, .scores = scores[way], .scores_capacity = 64};
    EXPECT(TTV_OK, ttv_stream_wait(stream, id, INT64_C(60000000000), &result));
    EXPECT(10, (long long)result.frames_used);
  }
  EXPECT(0, memcmp(scores[0], scores[1], sizeof scores[0]));
  ttv_slot slot = {.struct_size = sizeof slot};
  EXPECT(TTV_WRONG_STATE, ttv_stream_acquire(stream, &slot));
  EXPECT(TTV_NULL_ARGUMENT, ttv_stream_acquire(stream, NULL));
  ttv_stream_destroy(stream);
}

static atomic_int go, wrong, tries;

static int push_all(void *stream) {
  static uint8_t own[64 * 64];
  while (!atomic_load(&go)) thrd_yield();
  for (int i = 0; i < 50000000 && !atomic_load(&wrong); i++) {
    ttv_frame frame = good_frame(i);
    atomic_fetch_add(&tries, 1);
    frame.plane[0] = own;
    if (ttv_stream_push(stream, &frame) == TTV_WRONG_THREAD) atomic_fetch_add(&wrong, 1);
  }
  return 0;
}

/* Two threads push where one may: they are told, and nothing breaks. */
static void two_threads(ttv_engine *engine) {
  ttv_stream_config settings = {.struct_size = sizeof settings, .flags = TTV_STREAM_HOST_DRIVEN};
  settings.max_width_px = settings.max_height_px = 64;
  settings.ring_slots = 1000;
  ttv_stream *stream = NULL;
  EXPECT(TTV_OK, ttv_stream_create(engine, &settings, &stream));
  uint64_t id = 0;
  EXPECT(TTV_OK, ttv_stream_begin(stream, &id));
  thrd_t threads[2];
  for (int i = 0; i < 2; i++) EXPECT(thrd_success, thrd_create(&threads[i], push_all, stream));
  atomic_store(&go, 1);
  for (int i = 0; i < 2; i++) EXPECT(thrd_success, thrd_join(threads[i], NULL));
  EXPECT(1, atomic_load(&wrong) > 0);
  EXPECT(TTV_OK, ttv_stream_end(stream));
  ttv_stats stats = {.struct_size = sizeof stats};
  EXPECT(TTV_OK, ttv_stream_get_stats(stream, &stats));
  EXPECT(atomic_load(&tries), (long long)(stats.pushed + stats.dropped + stats.refused) + atomic_load(&wrong));
  ttv_stream_destroy(stream);
}

static void polling(ttv_engine *engine) {
  ttv_stream_config settings = {.struct_size = sizeof settings, .flags = TTV_STREAM_POLLING};
  ttv_stream *stream = NULL;
  settings.max_width_px = settings.max_height_px = 64;
  EXPECT(TTV_OK, ttv_stream_create(engine, &settings, &stream));
  uint64_t id = 0;
  ttv_frame frame = good_frame(5);
  ttv_result result = {.struct_size = sizeof result};
  EXPECT(TTV_OK, ttv_stream_begin(stream, &id));
  EXPECT(TTV_OK, ttv_stream_push(stream, &frame));
  EXPECT(TTV_OK, ttv_stream_end(stream));
  EXPECT(TTV_OK, ttv_stream_wait(stream, id, INT64_C(60000000000), &result));
  EXPECT(TTV_WRONG_STATE, ttv_stream_process(stream));
  ttv_stream_destroy(stream);
  settings.flags = TTV_STREAM_POLLING | TTV_STREAM_HOST_DRIVEN;
  EXPECT(TTV_UNKNOWN_FLAGS, ttv_stream_create(engine, &settings, &stream));
}

/* Options, cache folder, device and stream, on a build without a GPU. */
static void options(const char *model) {
  ttv_engine *engine = NULL;
  ttv_engine_config config = {.struct_size = sizeof config, .model_path = model};
  ttv_option option[2] = {{.key = "trt_max_workspace_size", .value = "1073741824"}};
  config.option_count = 1;
  EXPECT(TTV_NULL_ARGUMENT, ttv_engine_create(&config, &engine));
  says("options");
  config.options = option;
  EXPECT(TTV_INVALID_ARGUMENT, ttv_engine_create(&config, &engine));
  says("trt_max_workspace_size belongs to tensorrt");
  const char *providers[] = {"tensorrt", "cuda"};
  config.providers = providers;
  config.provider_count = 2;
  const char *owned[][2] = {{"device_id", "device_id"},
                            {"user_compute_stream", "gpu_stream"},
                            {"trt_engine_cache_path", "cache_folder"},
                            {"trt_timing_cache_enable", "cache_folder"},
                            {"trt_fp16_enable", "package"}};
  for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) {
    option[0].key = owned[i][0];
    EXPECT(TTV_INVALID_ARGUMENT, ttv_engine_create(&config, &engine));
    says(owned[i][1]);
  }
  option[0].key = "trt_onnx_bytestream";
  EXPECT(TTV_UNSUPPORTED, ttv_engine_create(&config, &engine));
  says("address");
  option[0].key = NULL;
  EXPECT(TTV_NULL_ARGUMENT, ttv_engine_create(&config, &engine));
  option[0].key = "gpu_mem_limit";
  option[0].value = NULL;
  EXPECT(TTV_NULL_ARGUMENT, ttv_engine_create(&config, &engine));
  option[0].value = "1";
  option[1] = option[0];
  config.option_count = 2;
  EXPECT(TTV_INVALID_ARGUMENT, ttv_engine_create(&config, &engine));
  says("twice");
  config.option_count = 129;
  EXPECT(TTV_INVALID_ARGUMENT, ttv_engine_create(&config, &engine));
  config.options = NULL;
  config.option_count = config.provider_count = 0;
  config.providers = NULL;
  config.device_id = 1;
  EXPECT(TTV_INVALID_ARGUMENT, ttv_engine_create(&config, &engine));
  says("device_id");
  config.device_id = 0;
  config.gpu_stream = &engine;
  EXPECT(TTV_INVALID_ARGUMENT, ttv_engine_create(&config, &engine));
  says("gpu_stream");
  config.gpu_stream = NULL;
  config.cache_folder = "/nowhere";
  EXPECT(TTV_OK, ttv_engine_create(&config, &engine));
  EXPECT(TTV_UNSUPPORTED, ttv_engine_export(engine, "engine.file"));
  says("embedded");
  EXPECT(TTV_UNSUPPORTED, ttv_engine_import(engine, "engine.file"));
  EXPECT(TTV_NULL_ARGUMENT, ttv_engine_export(engine, NULL));
  EXPECT(TTV_NULL_ARGUMENT, ttv_engine_import(NULL, "engine.file"));
  ttv_engine_destroy(engine);
  /* As a host that was built before there were options. */
  config.struct_size = offsetof(ttv_engine_config, options);
  config.option_count = 99;
  EXPECT(TTV_OK, ttv_engine_create(&config, &engine));
  ttv_engine_info info = {.struct_size = offsetof(ttv_engine_info, engine_origin), .engine_origin = 77};
  EXPECT(TTV_OK, ttv_engine_get_info(engine, &info));
  EXPECT(77, info.engine_origin);
  info.struct_size = sizeof info;
  EXPECT(TTV_OK, ttv_engine_get_info(engine, &info));
  EXPECT(TTV_ENGINE_NOT_NEEDED, info.engine_origin);
  EXPECT(sizeof info, info.struct_size);
  EXPECT(-1, (long long)info.step_ns);
  ttv_engine_destroy(engine);
}

/* Stages that were told, one digit each, and the one to cancel at. */
static long long stages;
static uint32_t cancel_at;

static int32_t watch(void *user, uint32_t stage, int64_t elapsed_ns) {
  stages = 10 * stages + stage;
  return user != &stages || elapsed_ns < 0 || stage == cancel_at;
}

static void preparing(const char *model) {
  ttv_engine_config config = {.struct_size = sizeof config, .model_path = model};
  ttv_engine *engine = NULL;
  EXPECT(TTV_OK, ttv_engine_create(&config, &engine));
  ttv_prepare_config prepare = {.struct_size = sizeof prepare, .progress = watch, .user = &stages};
  EXPECT(TTV_NULL_ARGUMENT, ttv_engine_prepare_with(engine, NULL));
  EXPECT(TTV_NULL_ARGUMENT, ttv_engine_prepare_with(NULL, &prepare));
  prepare.flags = 1;
  EXPECT(TTV_UNKNOWN_FLAGS, ttv_engine_prepare_with(engine, &prepare));
  prepare.flags = 0;
  ttv_engine_info info = {.struct_size = sizeof info};
  for (cancel_at = TTV_STAGE_SELF_TEST; cancel_at <= TTV_STAGE_MEASURING; cancel_at++) {
    EXPECT(TTV_CANCELLED, ttv_engine_prepare_with(engine, &prepare));
    EXPECT(TTV_OK, ttv_engine_get_info(engine, &info));
    EXPECT(-1, (long long)info.step_ns);
  }
  stages = 0;
  EXPECT(TTV_OK, ttv_engine_prepare_with(engine, &prepare));
  EXPECT(10 * TTV_STAGE_SELF_TEST + TTV_STAGE_MEASURING, stages);
  prepare.progress = NULL;
  EXPECT(TTV_OK, ttv_engine_prepare_with(engine, &prepare));
  ttv_engine_destroy(engine);
}

/* What a callback got when it paused the engine that called it. */
static int32_t paused_inside;

static void pause_inside(void *user, const ttv_result *result) {
  (void)result;
  paused_inside = ttv_engine_pause(user);
  if (paused_inside == TTV_OK) ttv_engine_resume(user);
}

/* No call hangs while the engine is paused. */
static void pausing(const char *model) {
  ttv_engine_config config = {.struct_size = sizeof config, .model_path = model};
  ttv_engine *engine = NULL;
  EXPECT(TTV_OK, ttv_engine_create(&config, &engine));
  EXPECT(TTV_NULL_ARGUMENT, ttv_engine_pause(NULL));
  EXPECT(TTV_NULL_ARGUMENT, ttv_engine_resume(NULL));
  EXPECT(TTV_OK, ttv_engine_resume(engine));
  EXPECT(TTV_OK, ttv_engine_pause(engine));
  EXPECT(TTV_OK, ttv_engine_pause(engine));
  EXPECT(TTV_WRONG_STATE, ttv_engine_prepare(engine));
  says("paused");

  ttv_stream_config settings = {.struct_size = sizeof settings, .max_width_px = 64, .max_height_px = 64};
  settings.exact_history_ns = INT64_C(1000000000);
  ttv_stream *stream[3] = {NULL};
  uint64_t id = 0;
  ttv_result result = {.struct_size = sizeof result};
  for (int i = 0; i < 3; i++) {
    settings.flags = i == 2 ? TTV_STREAM_HOST_DRIVEN : 0;
    EXPECT(TTV_OK, ttv_stream_create(engine, &settings, &stream[i]));
    ttv_frame frame = good_frame(5);
    EXPECT(TTV_OK, ttv_stream_begin(stream[i], &id));
    EXPECT(TTV_OK, ttv_stream_push(stream[i], &frame));
    EXPECT(TTV_OK, ttv_stream_end(stream[i]));
    EXPECT(TTV_TIMED_OUT, ttv_stream_wait(stream[i], id, 20000000, &result));
    EXPECT(TTV_NOT_READY, ttv_stream_poll(stream[i], &result));
  }
  EXPECT(TTV_TIMED_OUT, ttv_stream_query(stream[0], 0, 10, TTV_QUERY_EXACT, 20000000, &result));
  EXPECT(TTV_NOT_READY, ttv_stream_process(stream[2]));
  ttv_stream_destroy(stream[1]);
  EXPECT(TTV_OK, ttv_engine_resume(engine));
  EXPECT(TTV_OK, ttv_stream_process(stream[2]));
  while (ttv_stream_process(stream[2]) == TTV_OK) continue;
  EXPECT(TTV_OK, ttv_stream_wait(stream[2], id, 0, &result));
  EXPECT(TTV_OK, ttv_stream_wait(stream[0], id, INT64_C(60000000000), &result));
  EXPECT(TTV_OK, result.status);
  EXPECT(1, (long long)result.frames_used);
  ttv_stream_destroy(stream[2]);

  /* From the callback of a host-driven stream it would wait for itself; from that of another it does not. */
  for (int i = 1; i < 3; i++) {
    settings.flags = i == 2 ? TTV_STREAM_HOST_DRIVEN : 0;
    settings.on_result = pause_inside;
    settings.user = engine;
    paused_inside = 999;
    EXPECT(TTV_OK, ttv_stream_create(engine, &settings, &stream[i]));
    ttv_frame frame = good_frame(5);
    EXPECT(TTV_OK, ttv_stream_begin(stream[i], &id));
    EXPECT(TTV_OK, ttv_stream_push(stream[i], &frame));
    EXPECT(TTV_OK, ttv_stream_end(stream[i]));
    while (i == 2 && ttv_stream_process(stream[i]) == TTV_OK) continue;
    EXPECT(TTV_OK, ttv_stream_wait(stream[i], id, INT64_C(60000000000), &result));
    ttv_stream_destroy(stream[i]);
    EXPECT(i == 2 ? TTV_WRONG_THREAD : TTV_OK, paused_inside);
  }

  /* Nobody can resume when the engine is gone. */
  EXPECT(TTV_OK, ttv_engine_pause(engine));
  ttv_frame frame = good_frame(5);
  EXPECT(TTV_OK, ttv_stream_begin(stream[0], &id));
  EXPECT(TTV_OK, ttv_stream_push(stream[0], &frame));
  EXPECT(TTV_OK, ttv_stream_end(stream[0]));
  ttv_engine_destroy(engine);
  EXPECT(TTV_OK, ttv_stream_wait(stream[0], id, INT64_C(60000000000), &result));
  ttv_stream_destroy(stream[0]);
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  EXPECT(TTV_ABI_VERSION, ttv_abi_version());
  EXPECT(0, strcmp("ok", ttv_status_string(TTV_OK)));
  EXPECT(TTV_NULL_ARGUMENT, ttv_runtime_init(NULL));
  engines(argv[1]);
  packages(argv[1]);

  ttv_engine_config config = {.struct_size = sizeof config, .model_path = argv[1]};
  ttv_engine *engine = NULL;
  EXPECT(TTV_OK, ttv_engine_create(&config, &engine));
  if (!engine) return EXIT_FAILURE;
  EXPECT(TTV_OK, ttv_engine_prepare(engine));
  ttv_engine_info info = {.struct_size = sizeof info};
  EXPECT(TTV_OK, ttv_engine_get_info(engine, &info));
  EXPECT(1, info.step_ns > 0 && info.step_ns < info.step_interval_ns);
  EXPECT(1, info.label_count == 21 && strlen(info.model_sha256) == 64);
  const char *label = NULL;
  EXPECT(TTV_INVALID_ARGUMENT, ttv_engine_label(engine, 1000, &label));
  EXPECT(TTV_OK, ttv_engine_label(engine, 0, &label));
  ttv_label whole = {.struct_size = sizeof whole};
  EXPECT(TTV_INVALID_ARGUMENT, ttv_engine_get_label(engine, 21, &whole));
  says("label 21 of 21");
  EXPECT(TTV_NULL_ARGUMENT, ttv_engine_get_label(engine, 0, NULL));
  EXPECT(TTV_STRUCT_SIZE, ttv_engine_get_label(engine, 0, &(ttv_label){.struct_size = 8}));
  EXPECT(TTV_OK, ttv_engine_get_label(engine, 0, &whole));
  EXPECT(1, strcmp(whole.code, label) == 0 && strcmp(whole.name, "parasternal long axis") == 0);
  /* The stand-in has no coding scheme. */
  EXPECT(1, whole.scheme == NULL && whole.scheme_code == NULL && whole.struct_size == sizeof whole);

  host_driven(engine);
  polling(engine);
  two_threads(engine);
  zero_copy(engine);
  pausing(argv[1]);
  options(argv[1]);
  preparing(argv[1]);
  ttv_stream_config settings = {.struct_size = sizeof settings, .ring_slots = 1};
  ttv_stream *stream = NULL;
  EXPECT(TTV_INVALID_ARGUMENT, ttv_stream_create(engine, &settings, &stream));
  says("ring_slots");
  settings.ring_slots = 4;
  settings.max_width_px = 64;
  settings.max_height_px = 64;
  settings.max_frame_bytes = 64 * 64;
  settings.flags = 1u << 20;
  EXPECT(TTV_UNKNOWN_FLAGS, ttv_stream_create(engine, &settings, &stream));
  settings.flags = 0;
  size_t bytes = 0;
  EXPECT(TTV_OK, ttv_stream_memory(engine, &settings, &bytes));
  EXPECT(1, bytes > 4 * 64 * 64 && bytes < ((size_t)1 << 28));
  EXPECT(TTV_NULL_ARGUMENT, ttv_stream_memory(engine, &settings, NULL));
  settings.flags = TTV_STREAM_LOCK_MEMORY;
  EXPECT(TTV_OK, ttv_stream_create(engine, &settings, &stream));
  ttv_stream_destroy(stream);
  settings.flags = 0;
  EXPECT(TTV_OK, ttv_stream_create(engine, &settings, &stream));
  if (!stream) return EXIT_FAILURE;
  ttv_engine_destroy(engine); /* the stream keeps what it needs */
  frames(stream);
  discontinuities(stream);

  /* Destroyed while acquiring. */
  uint64_t id = 0;
  ttv_frame frame = good_frame(5);
  EXPECT(TTV_OK, ttv_stream_begin(stream, &id));
  EXPECT(TTV_OK, ttv_stream_push(stream, &frame));
  ttv_stream_destroy(stream);
  ttv_stream_destroy(NULL);
  printf("%d passed, %d failed\n", checks - failures, failures);
  return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}

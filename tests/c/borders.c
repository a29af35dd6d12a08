/* Tests struct sizes, misaligned pointers and paths at the border of the C interface.
 *
 *   borders MODEL.onnx
 *
 * The exit status is 0 if every check passed. */
#define _GNU_SOURCE
#include <stddef.h>
#include <unistd.h>

#include "check.h"

static const char *model;
static ttv_engine *engine;
static ttv_stream *stream;

/* Memory for a struct, followed by zeros. */
static _Alignas(16) unsigned char memory[1024];

#define RESET(type, value)                                                                         \
  do {                                                                                             \
    type value_ = value;                                                                           \
    memset(memory, 0, sizeof memory);                                                              \
    memcpy(memory, &value_, sizeof value_);                                                        \
  } while (0)

/* Makes `call` with the struct at `memory`, and with each size from 0 to 40 bytes more than the
 * struct. Only the size of the struct and larger sizes are valid. Then makes `misaligned_call` with
 * the struct at `odd`. */
#define CHECK_STRUCT(type, value, call, misaligned_call)                                           \
  do {                                                                                             \
    for (uint32_t size = 0; size <= sizeof(type) + 40; size++) {                                   \
      RESET(type, value);                                                                          \
      memcpy(memory, &size, sizeof size);                                                          \
      ttv_status expected_ = size < sizeof(type) ? TTV_ERR_STRUCT_SIZE : TTV_OK;                       \
      EXPECT(expected_, call);                                                                         \
    }                                                                                              \
    RESET(type, value);                                                                            \
    memory[sizeof(type)] = 1;                                                                      \
    uint32_t longer_ = sizeof(type) + 8;                                                           \
    memcpy(memory, &longer_, sizeof longer_);                                                      \
    EXPECT(TTV_ERR_STRUCT_SIZE, call);                                                             \
    unsigned char *odd = memory + 1;                                                               \
    EXPECT(TTV_ERR_INVALID_ARGUMENT, misaligned_call);                                             \
  } while (0)

static ttv_status create_and_destroy_engine(void *config) {
  ttv_engine *own = NULL;
  ttv_status status = ttv_engine_create(config, &own);
  ttv_engine_destroy(own);
  return status;
}

static ttv_status create_and_destroy_stream(void *config) {
  ttv_stream *own = NULL;
  ttv_status status = ttv_stream_create(engine, config, &own);
  ttv_stream_destroy(own);
  return status;
}

static ttv_engine_config engine_config(void) {
  ttv_engine_config config = TTV_ENGINE_CONFIG_INIT;
  config.model_path = model;
  return config;
}

static int64_t next_ns = 1;

static ttv_status push(void *frame) {
  ttv_frame copy;
  memcpy(&copy, memory, sizeof copy);
  copy.time_ns = next_ns;
  memcpy(memory, &copy, sizeof copy);
  ttv_status status = ttv_stream_push(stream, frame);
  next_ns += status == TTV_OK;
  return status;
}

static void check_structs(void) {
  CHECK_STRUCT(ttv_engine_config, engine_config(), create_and_destroy_engine(memory),
               create_and_destroy_engine(odd));
  CHECK_STRUCT(ttv_stream_config, small_stream(), create_and_destroy_stream(memory),
               create_and_destroy_stream(odd));
  size_t bytes = 0;
  CHECK_STRUCT(ttv_stream_config, small_stream(),
               ttv_stream_get_memory(engine, (void *)memory, &bytes),
               ttv_stream_get_memory(engine, (void *)odd, &bytes));
  CHECK_STRUCT(ttv_prepare_config, (ttv_prepare_config)TTV_PREPARE_CONFIG_INIT,
               ttv_engine_prepare_with(engine, (void *)memory),
               ttv_engine_prepare_with(engine, (void *)odd));
  CHECK_STRUCT(ttv_engine_info, (ttv_engine_info)TTV_ENGINE_INFO_INIT,
               ttv_engine_get_info(engine, (void *)memory),
               ttv_engine_get_info(engine, (void *)odd));
  CHECK_STRUCT(ttv_label, (ttv_label)TTV_LABEL_INIT,
               ttv_engine_get_label(engine, 0, (void *)memory),
               ttv_engine_get_label(engine, 0, (void *)odd));
  CHECK_STRUCT(ttv_stats, (ttv_stats)TTV_STATS_INIT, ttv_stream_get_stats(stream, (void *)memory),
               ttv_stream_get_stats(stream, (void *)odd));
  uint64_t acquisition = 0;
  ttv_stream_config config = small_stream();
  config.ring_slots = 1024;
  config.drive = TTV_DRIVE_HOST;
  ttv_stream *other = stream;
  stream = create_stream(engine, &config);
  EXPECT(TTV_OK, ttv_stream_begin(stream, &acquisition));
  CHECK_STRUCT(ttv_slot, (ttv_slot)TTV_SLOT_INIT, ttv_stream_loan(stream, (void *)memory),
               ttv_stream_loan(stream, (void *)odd));
  ttv_slot slot = TTV_SLOT_INIT;
  ttv_frame frame = frame_at(0);
  EXPECT(TTV_OK, ttv_stream_loan(stream, &slot));
  EXPECT(TTV_ERR_INVALID_ARGUMENT, ttv_stream_commit(stream, (void *)(memory + 1), &frame));
  EXPECT(TTV_ERR_INVALID_ARGUMENT, ttv_stream_commit(stream, &slot, (void *)(memory + 1)));
  EXPECT(TTV_OK, ttv_stream_commit(stream, &slot, &frame));
  CHECK_STRUCT(ttv_frame, frame_at(0), push(memory), push(odd));
  EXPECT(TTV_OK, ttv_stream_end(stream));
  process_all(stream);
  CHECK_STRUCT(ttv_result, (ttv_result)TTV_RESULT_INIT, ttv_stream_poll(stream, (void *)memory),
               ttv_stream_poll(stream, (void *)odd));
  CHECK_STRUCT(ttv_result, (ttv_result)TTV_RESULT_INIT,
               ttv_stream_wait(stream, acquisition, 0, (void *)memory),
               ttv_stream_wait(stream, acquisition, 0, (void *)odd));
  CHECK_STRUCT(ttv_result, (ttv_result)TTV_RESULT_INIT,
               ttv_stream_query(stream, 0, 100, 0, 0, (void *)memory),
               ttv_stream_query(stream, 0, 100, 0, 0, (void *)odd));
  ttv_stream_destroy(stream);
  stream = other;
}

/* Checks that each misaligned handle, output pointer and array is refused. */
static void check_misaligned_pointers(void) {
  memset(memory, 0, sizeof memory);
  void *odd = memory + 1;
  const ttv_status invalid = TTV_ERR_INVALID_ARGUMENT;
  ttv_engine_config config = engine_config();
  ttv_engine *own = NULL;
  EXPECT(invalid, ttv_engine_create(&config, odd));
  expect_message("engine must have the alignment of its type");
  config.providers = odd;
  config.provider_count = 1;
  EXPECT(invalid, ttv_engine_create(&config, &own));
  expect_message("providers must have the alignment of its type");
  config = engine_config();
  config.options = odd;
  config.option_count = 1;
  EXPECT(invalid, ttv_engine_create(&config, &own));
  ttv_stream_config settings = small_stream();
  ttv_stream *other = NULL;
  size_t bytes = 0;
  uint64_t acquisition = 0;
  EXPECT(invalid, ttv_stream_create(engine, &settings, odd));
  EXPECT(invalid, ttv_stream_create(odd, &settings, &other));
  EXPECT(invalid, ttv_stream_get_memory(engine, &settings, odd));
  EXPECT(invalid, ttv_stream_get_memory(odd, &settings, &bytes));
  EXPECT(invalid, ttv_engine_prepare(odd));
  EXPECT(invalid, ttv_engine_pause(odd));
  EXPECT(invalid, ttv_engine_resume(odd));
  EXPECT(invalid, ttv_engine_export(odd, "file"));
  EXPECT(invalid, ttv_engine_import(odd, "file"));
  EXPECT(invalid, ttv_stream_begin(stream, odd));
  EXPECT(invalid, ttv_stream_begin(odd, &acquisition));
  EXPECT(invalid, ttv_stream_mark(odd));
  EXPECT(invalid, ttv_stream_end(odd));
  EXPECT(invalid, ttv_stream_process(odd));
  EXPECT(invalid, ttv_stream_last_event(odd));
  EXPECT(-1, ttv_stream_event_fd(odd));
  ttv_stream_destroy(odd);
  expect_message("stream must have the alignment of its type");
  ttv_engine_destroy(odd);
  expect_message("engine must have the alignment of its type");

  acquisition = acquire_frame(stream);
  ttv_result result = TTV_RESULT_INIT;
  EXPECT(TTV_OK, ttv_stream_wait(stream, acquisition, TIMEOUT_NS, &result));
  result.scores = odd;
  result.scores_capacity = 1;
  EXPECT(invalid, ttv_stream_poll(stream, &result));
  EXPECT(invalid, ttv_stream_wait(stream, acquisition, 0, &result));
  expect_message("result.scores must have the alignment of its type");
  EXPECT(invalid, ttv_stream_query(stream, 0, 9, 0, 0, &result));
}

/* Checks that a path may contain bytes that are not UTF-8. */
static void check_paths(void) {
  char path[] = "/tmp/tteview-\xff-XXXXXX";
  int file = mkstemp(path);
  EXPECT(1, file >= 0);
  close(file);
  EXPECT(0, unlink(path));
  ttv_engine_config config = engine_config();
  ttv_engine *own = NULL;
  config.model_path = path;
  EXPECT(TTV_ERR_MODEL_UNREADABLE, ttv_engine_create(&config, &own));
  char *target = realpath(model, NULL);
  EXPECT(1, target != NULL);
  EXPECT(0, symlink(target, path));
  EXPECT(TTV_OK, ttv_engine_create(&config, &own));
  ttv_engine_destroy(own);
  EXPECT(0, unlink(path));
  free(target);
  const char *names[] = {"\xff"};
  config = engine_config();
  config.providers = names;
  config.provider_count = 1;
  EXPECT(TTV_ERR_INVALID_ARGUMENT, ttv_engine_create(&config, &own));
  expect_message("valid UTF-8");
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  model = argv[1];
  engine = create_engine(model);
  ttv_stream_config config = small_stream();
  stream = create_stream(engine, &config);
  check_structs();
  check_misaligned_pointers();
  check_paths();
  ttv_stream_destroy(stream);
  ttv_engine_destroy(engine);
  return finish_checks();
}

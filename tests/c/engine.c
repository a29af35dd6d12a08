/* Tests of engines: invalid arguments, damaged packages, options and preparation.
 *
 *   engine MODEL.onnx
 *
 * The exit status is 0 if every check passed. */
#include <stddef.h>

#include "check.h"

static void check_invalid_arguments(const char *model) {
  ttv_engine *engine = (ttv_engine *)pixels;
  EXPECT(TTV_ERR_NULL_ARGUMENT, ttv_engine_create(NULL, &engine));
  EXPECT(1, engine == NULL);
  ttv_engine_config config = TTV_ENGINE_CONFIG_INIT;
  EXPECT(TTV_ERR_NULL_ARGUMENT, ttv_engine_create(&config, NULL));
  EXPECT(TTV_ERR_NULL_ARGUMENT, ttv_engine_create(&config, &engine));
  expect_message("model_path");
  config.model_path = "no-such-file.onnx";
  EXPECT(TTV_ERR_MODEL_UNREADABLE, ttv_engine_create(&config, &engine));
  expect_message("no-such-file.onnx");
  config.model_path = NULL;
  config.model_data = "not a model";
  config.model_size = 11;
  EXPECT(TTV_ERR_MODEL_INVALID, ttv_engine_create(&config, &engine));
  config.model_path = model;
  EXPECT(TTV_ERR_INVALID_ARGUMENT, ttv_engine_create(&config, &engine));
  expect_message("both");
  config.model_data = NULL;
  config.model_size = 0;
  uint8_t hash[32] = {0};
  config.model_sha256 = hash;
  EXPECT(TTV_ERR_MODEL_HASH, ttv_engine_create(&config, &engine));
  config.model_sha256 = NULL;
  config.struct_size = 4;
  EXPECT(TTV_ERR_STRUCT_SIZE, ttv_engine_create(&config, &engine));
  config.struct_size = sizeof config;
  const char *providers[] = {"quantum"};
  config.providers = providers;
  config.provider_count = 1;
  EXPECT(TTV_ERR_PROVIDER_UNAVAILABLE, ttv_engine_create(&config, &engine));
  expect_message("quantum");
  ttv_engine_destroy(NULL);
  EXPECT(TTV_ERR_NULL_ARGUMENT, ttv_engine_prepare(NULL));
}

/* While the ABI's major version is 0, the host and the library must have the same minor version. */
static void check_abi_versions(const char *model) {
  EXPECT(TTV_ABI_VERSION, ttv_abi_version());
  EXPECT(0, TTV_ABI_MAJOR);
  const uint32_t others[] = {0, TTV_ABI_VERSION + 1, TTV_ABI_VERSION - 1, TTV_ABI_VERSION | 1u << 16};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    ttv_engine *engine = NULL;
    ttv_engine_config config = TTV_ENGINE_CONFIG_INIT;
    config.model_path = model;
    config.abi_version = others[i];
    EXPECT(TTV_ERR_ABI_VERSION, ttv_engine_create(&config, &engine));
    expect_message("must be 0.1");
    ttv_runtime_config runtime = TTV_RUNTIME_CONFIG_INIT;
    runtime.abi_version = others[i];
    EXPECT(TTV_ERR_ABI_VERSION, ttv_runtime_init(&runtime));
  }
}

static char *find(char *data, size_t size, const char *text) {
  size_t length = strlen(text);
  for (size_t i = 0; i + length <= size; i++)
    if (!memcmp(data + i, text, length)) return data + i;
  return NULL;
}

/* Checks that an engine gives no labels after its self-test has failed. */
static void expect_no_labels(ttv_engine *engine, ttv_stream *stream) {
  uint64_t acquisition = 0;
  EXPECT(TTV_ERR_SELF_TEST, ttv_stream_begin(stream, &acquisition));
  EXPECT(TTV_ERR_SELF_TEST, ttv_stream_last_event(stream));
  ttv_result result = TTV_RESULT_INIT;
  EXPECT(TTV_ERR_SELF_TEST, ttv_stream_query(stream, 0, INT64_MAX, 0, 0, &result));
  ttv_engine_info info = TTV_ENGINE_INFO_INIT;
  EXPECT(TTV_OK, ttv_engine_get_info(engine, &info));
  EXPECT(-1, (long long)info.self_test_error_ppm);
  ttv_stream *other = NULL;
  ttv_stream_config config = small_stream();
  EXPECT(TTV_ERR_SELF_TEST, ttv_stream_create(engine, &config, &other));
  EXPECT(1, other == NULL);
  expect_message("prepare failed its self-test: ");
  expect_message("must be");
}

/* Alters a copy of the package with `change`, then creates and prepares an engine from the copy. */
static ttv_status prepare_altered(const char *model, void (*change)(char *data, size_t *size)) {
  FILE *file = fopen(model, "rb");
  if (!file) return 999;
  static char data[1 << 20];
  size_t size = fread(data, 1, sizeof data, file);
  fclose(file);
  change(data, &size);
  ttv_engine_config config = TTV_ENGINE_CONFIG_INIT;
  config.model_data = data;
  config.model_size = size;
  ttv_engine *engine = NULL;
  ttv_status status = ttv_engine_create(&config, &engine);
  if (!status) {
    ttv_stream_config stream_config = small_stream();
    ttv_stream *stream = create_stream(engine, &stream_config);
    status = ttv_engine_prepare(engine);
    if (status == TTV_ERR_SELF_TEST) expect_no_labels(engine, stream);
    ttv_stream_destroy(stream);
  }
  ttv_engine_destroy(engine);
  return status;
}

static void change_nothing(char *data, size_t *size) { (void)data, (void)size; }
static void truncate_half(char *data, size_t *size) { (void)data, *size /= 2; }
static void flip_bit(char *data, size_t *size) { data[*size / 3] ^= 16; }

/* Changes the sample width in the metadata, so that it differs from the width in the graph. */
static void change_width(char *data, size_t *size) {
  memcpy(find(data, *size, "\"width\":112"), "\"width\":224", 11);
}

/* Removes the second label, so that the network has one logit more than the package has labels. */
static void remove_label(char *data, size_t *size) {
  char *labels = find(data, *size, "[{\"code\":\"PLAX\"");
  char *second = labels ? find(labels + 1, *size - (size_t)(labels + 1 - data), "},{\"code\"") : NULL;
  if (!second) return;
  memcpy(second, ", ", 2);
  second[2] = ' ';
  const char *keys[] = {"\"code\"", "\"name\"", "\"scheme\"", "\"scheme_code\""};
  for (int i = 0; i < 4; i++) find(second, *size - (size_t)(second - data), keys[i])[1] = 'x';
}

static void rename_key(char *data, size_t *size) { find(data, *size, "tteview.alpha")[8] = 'x'; }

static void change_std(char *data, size_t *size) {
  memcpy(find(data, *size, "[0.225]"), "[1e-39]", 7);
}

/* Puts a NUL into the code of the second label, as an escape sequence of JSON. */
static void change_label(char *data, size_t *size) {
  memcpy(find(data, *size, "\"PLAX-RVIF\""), "\"P\\u0000IF\"", 11);
}

/* Changes the input of the self-test, so that the network gives other logits. */
static void change_self_test(char *data, size_t *size) {
  char *digit = find(data, *size, "\"seed\":") + 7;
  *digit = *digit == '9' ? '8' : '9';
}

static void check_packages(const char *model) {
  EXPECT(TTV_OK, prepare_altered(model, change_nothing));
  EXPECT(TTV_ERR_MODEL_INVALID, prepare_altered(model, truncate_half));
  EXPECT(TTV_ERR_MODEL_INVALID, prepare_altered(model, flip_bit));
  expect_message("sha256");
  EXPECT(TTV_ERR_MODEL_MISMATCH, prepare_altered(model, change_width));
  expect_message("112");
  EXPECT(TTV_ERR_MODEL_MISMATCH, prepare_altered(model, remove_label));
  expect_message("label");
  EXPECT(TTV_ERR_MODEL_INVALID, prepare_altered(model, rename_key));
  expect_message("lpha");
  EXPECT(TTV_ERR_MODEL_INVALID, prepare_altered(model, change_std));
  expect_message("tteview.std must be 0.00001 to 1000, got 1e-39");
  EXPECT(TTV_ERR_MODEL_INVALID, prepare_altered(model, change_label));
  expect_message("NUL");
  EXPECT(TTV_ERR_SELF_TEST, prepare_altered(model, change_self_test));
  expect_message("logit");
}

/* Checks that the library refuses invalid provider options. The checks need no GPU. */
static void check_options(const char *model) {
  ttv_engine *engine = NULL;
  ttv_engine_config config = TTV_ENGINE_CONFIG_INIT;
  config.model_path = model;
  ttv_option options[2] = {{.key = "trt_max_workspace_size", .value = "1073741824"}};
  config.option_count = 1;
  EXPECT(TTV_ERR_NULL_ARGUMENT, ttv_engine_create(&config, &engine));
  expect_message("options");
  config.options = options;
  EXPECT(TTV_ERR_INVALID_ARGUMENT, ttv_engine_create(&config, &engine));
  expect_message("trt_max_workspace_size belongs to the provider tensorrt");
  const char *providers[] = {"tensorrt", "cuda"};
  config.providers = providers;
  config.provider_count = 2;
  const char *reserved[][2] = {{"device_id", "device_id"},
                               {"user_compute_stream", "gpu_stream"},
                               {"trt_engine_cache_path", "cache_folder"},
                               {"trt_timing_cache_enable", "cache_folder"},
                               {"trt_fp16_enable", "package"}};
  for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++) {
    options[0].key = reserved[i][0];
    EXPECT(TTV_ERR_INVALID_ARGUMENT, ttv_engine_create(&config, &engine));
    expect_message(reserved[i][1]);
  }
  options[0].key = "trt_onnx_bytestream";
  EXPECT(TTV_ERR_UNSUPPORTED, ttv_engine_create(&config, &engine));
  expect_message("address");
  options[0].key = NULL;
  EXPECT(TTV_ERR_NULL_ARGUMENT, ttv_engine_create(&config, &engine));
  options[0].key = "gpu_mem_limit";
  options[0].value = NULL;
  EXPECT(TTV_ERR_NULL_ARGUMENT, ttv_engine_create(&config, &engine));
  options[0].value = "1";
  options[1] = options[0];
  config.option_count = 2;
  EXPECT(TTV_ERR_INVALID_ARGUMENT, ttv_engine_create(&config, &engine));
  expect_message("twice");
  config.option_count = 129;
  EXPECT(TTV_ERR_INVALID_ARGUMENT, ttv_engine_create(&config, &engine));
  expect_message("0 to 128, got 129");
}

/* Checks how the embedded provider treats settings for GPU providers. */
static void check_gpu_settings(const char *model) {
  ttv_engine *engine = NULL;
  ttv_engine_config config = TTV_ENGINE_CONFIG_INIT;
  config.model_path = model;
  config.device_id = 1;
  EXPECT(TTV_ERR_INVALID_ARGUMENT, ttv_engine_create(&config, &engine));
  expect_message("device_id");
  config.device_id = 0;
  config.gpu_stream = &engine;
  EXPECT(TTV_ERR_INVALID_ARGUMENT, ttv_engine_create(&config, &engine));
  expect_message("gpu_stream");
  config.gpu_stream = NULL;
  config.cache_folder = "/nowhere";
  EXPECT(TTV_OK, ttv_engine_create(&config, &engine));
  EXPECT(TTV_ERR_UNSUPPORTED, ttv_engine_export(engine, "engine.file"));
  expect_message("embedded");
  EXPECT(TTV_ERR_UNSUPPORTED, ttv_engine_import(engine, "engine.file"));
  EXPECT(TTV_ERR_NULL_ARGUMENT, ttv_engine_export(engine, NULL));
  EXPECT(TTV_ERR_NULL_ARGUMENT, ttv_engine_import(NULL, "engine.file"));
  ttv_engine_info info = TTV_ENGINE_INFO_INIT;
  EXPECT(TTV_OK, ttv_engine_get_info(engine, &info));
  EXPECT(TTV_ENGINE_ORIGIN_NOT_NEEDED, info.engine_origin);
  EXPECT(sizeof info, info.struct_size);
  EXPECT(-1, (long long)info.step_ns);
  EXPECT(-1, (long long)info.self_test_error_ppm);
  ttv_engine_destroy(engine);
}

/* Each decimal digit of `stages` is a stage that the callback received. The callback cancels the
 * preparation at the stage `cancel_at`. */
static long long stages;
static ttv_stage cancel_at;

static int32_t record_stage(void *user, ttv_stage stage, int64_t elapsed_ns) {
  stages = 10 * stages + stage;
  return user != &stages || elapsed_ns < 0 || stage == cancel_at;
}

static void check_preparation(const char *model) {
  ttv_engine *engine = create_engine(model);
  ttv_prepare_config prepare = TTV_PREPARE_CONFIG_INIT;
  prepare.progress = record_stage;
  prepare.user = &stages;
  EXPECT(TTV_ERR_NULL_ARGUMENT, ttv_engine_prepare_with(engine, NULL));
  EXPECT(TTV_ERR_NULL_ARGUMENT, ttv_engine_prepare_with(NULL, &prepare));
  prepare.reserved = 1;
  EXPECT(TTV_ERR_UNKNOWN_FLAGS, ttv_engine_prepare_with(engine, &prepare));
  prepare.reserved = 0;
  ttv_engine_info info = TTV_ENGINE_INFO_INIT;
  for (cancel_at = TTV_STAGE_SELF_TEST; cancel_at <= TTV_STAGE_MEASURING; cancel_at++) {
    EXPECT(TTV_ERR_CANCELLED, ttv_engine_prepare_with(engine, &prepare));
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

static void check_information(const char *model) {
  ttv_engine *engine = create_engine(model);
  EXPECT(TTV_OK, ttv_engine_prepare(engine));
  ttv_engine_info info = TTV_ENGINE_INFO_INIT;
  EXPECT(TTV_OK, ttv_engine_get_info(engine, &info));
  EXPECT(1, info.step_ns > 0 && info.step_ns < info.step_interval_ns);
  EXPECT(1, info.label_count == 21 && strlen(info.model_sha256) == 64);
  ttv_label label = TTV_LABEL_INIT;
  EXPECT(TTV_ERR_INVALID_ARGUMENT, ttv_engine_get_label(engine, 21, &label));
  expect_message("0 to 20, got 21");
  EXPECT(TTV_ERR_NULL_ARGUMENT, ttv_engine_get_label(engine, 0, NULL));
  EXPECT(TTV_ERR_NULL_ARGUMENT, ttv_engine_get_label(NULL, 0, &label));
  label.struct_size = 8;
  EXPECT(TTV_ERR_STRUCT_SIZE, ttv_engine_get_label(engine, 0, &label));
  label.struct_size = sizeof label;
  EXPECT(TTV_OK, ttv_engine_get_label(engine, 0, &label));
  EXPECT(0, strcmp(label.code, "PLAX"));
  EXPECT(0, strcmp(label.name, "parasternal long axis"));
  /* Only the package with frame steps has coding schemes. */
  EXPECT(1, label.struct_size == sizeof label);
  if (strstr(model, "frames")) {
    EXPECT(0, strcmp(label.scheme, "SCT"));
    EXPECT(0, strcmp(label.scheme_code, "399139001"));
    EXPECT(1, info.slow_run_ns > 0 && info.slow_run_ns < info.step_ns);
  } else {
    EXPECT(1, label.scheme == NULL && label.scheme_code == NULL && info.slow_run_ns == 0);
  }
  ttv_engine_destroy(engine);
}

/* Checks that ttv_engine_create refuses a number of threads that could exhaust the system. */
static void check_thread_counts(const char *model) {
  ttv_engine *engine = NULL;
  ttv_engine_config config = TTV_ENGINE_CONFIG_INIT;
  config.model_path = model;
  config.threads = 100000;
  EXPECT(TTV_ERR_INVALID_ARGUMENT, ttv_engine_create(&config, &engine));
  expect_message("threads must be 0 to 64, got 100000");
}

/* The process-wide settings cannot be changed after the first call of ttv_engine_create. */
static void check_late_runtime_init(void) {
  ttv_runtime_config config = TTV_RUNTIME_CONFIG_INIT;
  EXPECT(TTV_ERR_WRONG_STATE, ttv_runtime_init(&config));
  expect_message("before the first ttv_engine_create");
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  EXPECT(0, strcmp("success", ttv_status_string(TTV_OK)));
  EXPECT(0, strcmp("unknown status", ttv_status_string(12345)));
  EXPECT(TTV_ERR_NULL_ARGUMENT, ttv_runtime_init(NULL));
  check_thread_counts(argv[1]);
  check_late_runtime_init();
  check_invalid_arguments(argv[1]);
  check_abi_versions(argv[1]);
  check_packages(argv[1]);
  check_options(argv[1]);
  check_gpu_settings(argv[1]);
  check_preparation(argv[1]);
  check_information(argv[1]);
  return finish_checks();
}

/* Tests of ONNX Runtime and of libraries that cannot be used as ONNX Runtime.
 *
 *   runtime MODEL.onnx LIBRARY           checks that the library runs the model
 *   runtime MODEL.onnx LIBRARY STATUS    checks that the library is refused with this status
 *
 * The exit status is 0 if every check passed. */
#define _POSIX_C_SOURCE 200809L /* dup, fdopen, fileno */
#include <unistd.h>

#include "check.h"

/* Counts log messages by level. The counters need no lock, because in this test the messages come
 * from one thread at a time. */
static void count_message(void *user, ttv_log_level level, const char *message, size_t length) {
  long *counts = user;
  if (level >= TTV_LOG_ERROR && level <= TTV_LOG_INFO && message && length) counts[level]++;
}

static ttv_status create_with(const char *model, const char *const *providers, uint32_t count,
                              ttv_engine **engine) {
  ttv_engine_config config = TTV_ENGINE_CONFIG_INIT;
  config.model_path = model;
  config.providers = providers;
  config.provider_count = count;
  return ttv_engine_create(&config, engine);
}

static void check_refused(const char *model, const char *library, ttv_status status) {
  const char *cpu[] = {"cpu"};
  ttv_engine *engine = NULL;
  EXPECT(status, create_with(model, cpu, 1, &engine));
  EXPECT(1, engine == NULL);
  expect_message(library);
  /* The embedded provider does not need the library, so a list that also contains it works. */
  const char *both[] = {"cpu", "embedded"};
  EXPECT(TTV_OK, create_with(model, both, 2, &engine));
  ttv_engine_info info = TTV_ENGINE_INFO_INIT;
  EXPECT(TTV_OK, ttv_engine_get_info(engine, &info));
  EXPECT(0, strcmp(info.provider, "embedded"));
  ttv_engine_destroy(engine);
  EXPECT(status, create_with(model, cpu, 1, &engine));
}

static void acquire(ttv_engine *engine, ttv_result *result) {
  ttv_stream_config config = small_stream();
  config.ring_slots = 64;
  ttv_stream *stream = create_stream(engine, &config);
  uint64_t acquisition = 0;
  EXPECT(TTV_OK, ttv_stream_begin(stream, &acquisition));
  for (int i = 0; i < 40; i++) {
    for (size_t p = 0; p < sizeof pixels; p++) pixels[p] = (uint8_t)(p * (size_t)(i + 3));
    ttv_frame frame = frame_at(i * STEP_NS);
    EXPECT(TTV_OK, ttv_stream_push(stream, &frame));
  }
  EXPECT(TTV_OK, ttv_stream_end(stream));
  EXPECT(TTV_OK, ttv_stream_wait(stream, acquisition, TIMEOUT_NS, result));
  EXPECT(TTV_OK, result->status);
  ttv_stream_destroy(stream);
}

static void check_library(const char *model, const char *library) {
  ttv_engine *engine = NULL;
  const char *cuda[] = {"cuda"};
  EXPECT(TTV_ERR_PROVIDER_UNAVAILABLE, create_with(model, cuda, 1, &engine));
  expect_message("cuda: onnxruntime ");
  const char *tensorrt[] = {"tensorrt"};
  EXPECT(TTV_ERR_PROVIDER_UNAVAILABLE, create_with(model, tensorrt, 1, &engine));
  expect_message("tensorrt: onnxruntime ");
  const char *cpu[] = {"cpu"};
  EXPECT(TTV_OK, create_with(model, cpu, 1, &engine));
  if (!engine) return;
  EXPECT(TTV_OK, ttv_engine_prepare(engine));
  ttv_engine_info info = TTV_ENGINE_INFO_INIT;
  EXPECT(TTV_OK, ttv_engine_get_info(engine, &info));
  EXPECT(0, strcmp(info.provider, "cpu"));
  EXPECT(0, strncmp(info.runtime_version, "onnxruntime ", 12));
  EXPECT(1, strstr(library, info.runtime_version + 12) != NULL);
  EXPECT(1, info.self_test_error_ppm >= 0 && info.self_test_error_ppm < 1000);

  float scores[64], embedded_scores[64];
  ttv_result result = TTV_RESULT_INIT;
  result.scores = scores;
  result.scores_capacity = 64;
  acquire(engine, &result);
  ttv_engine_destroy(engine);
  EXPECT(TTV_OK, create_with(model, NULL, 0, &engine));
  ttv_result embedded = TTV_RESULT_INIT;
  embedded.scores = embedded_scores;
  embedded.scores_capacity = 64;
  acquire(engine, &embedded);
  ttv_engine_destroy(engine);
  EXPECT(embedded.label, result.label);
  for (uint32_t i = 0; i < info.label_count && i < 64; i++) {
    float difference = scores[i] - embedded_scores[i];
    EXPECT(1, difference < 1e-5f && difference > -1e-5f);
  }
}

int main(int argc, char **argv) {
  if (argc != 3 && argc != 4) return 2;
  /* Neither tteview nor the runtime may write to standard error. The test redirects standard error
   * to a file and checks that the file stays empty. */
  report = fdopen(dup(STDERR_FILENO), "w");
  FILE *written = tmpfile();
  if (!report || !written || dup2(fileno(written), STDERR_FILENO) < 0) return 2;

  static long messages[4];
  ttv_runtime_config config = TTV_RUNTIME_CONFIG_INIT;
  config.user = messages;
  config.log = count_message;
  config.runtime_library = argv[2];
  EXPECT(TTV_OK, ttv_runtime_init(&config));
  EXPECT(TTV_ERR_WRONG_STATE, ttv_runtime_init(&config));
  if (argc == 4) {
    check_refused(argv[1], argv[2], (ttv_status)strtol(argv[3], NULL, 10));
  } else {
    check_library(argv[1], argv[2]);
    EXPECT(1, messages[TTV_LOG_INFO] > 0); /* The library logs the version of the runtime. */
  }

  rewind(written);
  int byte = fgetc(written);
  EXPECT(EOF, byte);
  for (; byte != EOF; byte = fgetc(written)) fputc(byte, report);
  return finish_checks();
}

/* ONNX Runtime through the C ABI, and libraries that will not do.
 *
 *   runtime MODEL LIBRARY           the library runs the model
 *   runtime MODEL LIBRARY STATUS    the library is refused with this status
 *
 * Exit status 0: every check held. */
#define _POSIX_C_SOURCE 200809L /* dup, fdopen, fileno */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"

/* Counts messages per level; they come from any thread of ours, here one at a time. */
static void log_hook(void *user, int32_t level, const char *message, size_t length) {
  long *counts = user;
  if (level >= 1 && level <= 3 && message && length) counts[level]++;
}

static int32_t create(const char *model, const char *const *providers, uint32_t count, ttv_engine **engine) {
  ttv_engine_config config = {.struct_size = sizeof config, .model_path = model};
  config.providers = providers;
  config.provider_count = count;
  return ttv_engine_create(&config, engine);
}

static void refused(const char *model, const char *library, int32_t status) {
  const char *cpu[] = {"cpu"};
  ttv_engine *engine = NULL;
  EXPECT(status, create(model, cpu, 1, &engine));
  EXPECT(1, engine == NULL);
  says(library);
  /* The embedded provider needs no library: listed second, it runs; and the refusal can be repeated. */
  const char *both[] = {"cpu", "embedded"};
  EXPECT(TTV_OK, create(model, both, 2, &engine));
  ttv_engine_info info = {.struct_size = sizeof info};
  EXPECT(TTV_OK, ttv_engine_get_info(engine, &info));
  EXPECT(0, strcmp(info.provider, "embedded"));
  ttv_engine_destroy(engine);
  EXPECT(status, create(model, cpu, 1, &engine));
}

static void acquire(ttv_engine *engine, ttv_result *result) {
  static uint8_t pixels[64 * 64];
  ttv_stream_config settings = {.struct_size = sizeof settings, .ring_slots = 64};
  settings.max_width_px = settings.max_height_px = 64;
  settings.max_frame_bytes = sizeof pixels;
  ttv_stream *stream = NULL;
  EXPECT(TTV_OK, ttv_stream_create(engine, &settings, &stream));
  uint64_t id = 0;
  EXPECT(TTV_OK, ttv_stream_begin(stream, &id));
  for (int i = 0; i < 40; i++) {
    for (size_t p = 0; p < sizeof pixels; p++) pixels[p] = (uint8_t)(p * (size_t)(i + 3));
    ttv_frame frame = {.struct_size = sizeof frame, .format = TTV_FORMAT_GRAY8, .width_px = 64, .height_px = 64};
    frame.plane[0] = pixels;
    frame.stride_bytes[0] = 64;
    frame.time_ns = i * INT64_C(33333333);
    EXPECT(TTV_OK, ttv_stream_push(stream, &frame));
  }
  EXPECT(TTV_OK, ttv_stream_end(stream));
  EXPECT(TTV_OK, ttv_stream_wait(stream, id, INT64_C(60000000000), result));
  EXPECT(TTV_OK, result->status);
  ttv_stream_destroy(stream);
}

static void runs(const char *model, const char *library) {
  ttv_engine *engine = NULL;
  const char *cuda[] = {"cuda"};
  EXPECT(TTV_PROVIDER_UNAVAILABLE, create(model, cuda, 1, &engine));
  says("cuda: onnxruntime ");
  const char *tensorrt[] = {"tensorrt"};
  EXPECT(TTV_PROVIDER_UNAVAILABLE, create(model, tensorrt, 1, &engine));
  says("tensorrt: onnxruntime ");
  const char *cpu[] = {"cpu"};
  EXPECT(TTV_OK, create(model, cpu, 1, &engine));
  if (!engine) return;
  EXPECT(TTV_OK, ttv_engine_prepare(engine));
  ttv_engine_info info = {.struct_size = sizeof info};
  EXPECT(TTV_OK, ttv_engine_get_info(engine, &info));
  EXPECT(0, strcmp(info.provider, "cpu"));
  EXPECT(0, strncmp(info.runtime_version, "onnxruntime ", 12));
  EXPECT(1, strstr(library, info.runtime_version + 12) != NULL);
  EXPECT(1, info.self_test_error_ppm >= 0 && info.self_test_error_ppm < 1000);

  float scores[64], embedded_scores[64];
  ttv_result result = {.struct_size = sizeof result, .scores = scores, .scores_capacity = 64};
  acquire(engine, &result);
  ttv_engine_destroy(engine);
  EXPECT(TTV_OK, create(model, NULL, 0, &engine));
  ttv_result embedded = {.struct_size = sizeof embedded, .scores = embedded_scores, .scores_capacity = 64};
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
  /* Whatever is written to stderr from here on is not ours: neither library may. */
  report = fdopen(dup(STDERR_FILENO), "w");
  FILE *caught = tmpfile();
  if (!report || !caught || dup2(fileno(caught), STDERR_FILENO) < 0) return 2;

  static long messages[4];
  ttv_host host = {.struct_size = sizeof host, .abi_version = TTV_ABI_VERSION, .user = messages};
  host.log = log_hook;
  host.runtime_library = argv[2];
  EXPECT(TTV_OK, ttv_runtime_init(&host));
  EXPECT(TTV_WRONG_STATE, ttv_runtime_init(&host));
  if (argc == 4) {
    refused(argv[1], argv[2], (int32_t)strtol(argv[3], NULL, 10));
  } else {
    runs(argv[1], argv[2]);
    EXPECT(1, messages[3] > 0); /* the runtime and its version, for the host's records */
  }

  rewind(caught);
  int written = fgetc(caught);
  EXPECT(EOF, written);
  for (; written != EOF; written = fgetc(caught)) fputc(written, report);
  printf("%d passed, %d failed\n", checks - failures, failures);
  return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Helpers for the C tests: checks that are counted, and functions that create test objects. */
#ifndef TTEVIEW_TESTS_CHECK_H
#define TTEVIEW_TESTS_CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tteview/tteview.h"

/* Maximum time that a test waits for a result. */
#define TIMEOUT_NS INT64_C(60000000000)

/* Time between two frames. */
#define STEP_NS INT64_C(33333333)

static int checks, failures;

/* File to which failures are printed. NULL selects stderr. */
static FILE *report;

static inline FILE *report_file(void) { return report ? report : stderr; }

#define EXPECT(want, call)                                                                         \
  do {                                                                                             \
    long long got_ = (call), want_ = (want);                                                       \
    checks++;                                                                                      \
    if (got_ != want_) {                                                                           \
      failures++;                                                                                  \
      char message_[512] = "";                                                                     \
      ttv_last_error(message_, sizeof message_);                                                   \
      fprintf(report_file(), "%s:%d: %s must be %lld, got %lld (%s)\n", __FILE__, __LINE__, #call, \
              want_, got_, message_);                                                              \
    }                                                                                              \
  } while (0)

/* Checks that the last error of this thread contains `text`. */
static inline void expect_message(const char *text) {
  char message[512] = "";
  ttv_last_error(message, sizeof message);
  checks++;
  if (!strstr(message, text)) {
    failures++;
    fprintf(report_file(), "the last error must contain \"%s\", got \"%s\"\n", text, message);
  }
}

/* Prints the number of checks and returns the exit status. */
static inline int finish_checks(void) {
  printf("%d checks passed, %d failed\n", checks - failures, failures);
  return failures ? 1 : 0;
}

static uint8_t pixels[64 * 64];

/* Returns a grey frame of 64 x 64 pixels. */
static inline ttv_frame frame_at(int64_t time_ns) {
  ttv_frame frame = TTV_FRAME_INIT;
  frame.format = TTV_FORMAT_GRAY8;
  frame.width_px = 64;
  frame.height_px = 64;
  frame.plane[0] = pixels;
  frame.stride_bytes[0] = 64;
  frame.time_ns = time_ns;
  return frame;
}

/* Returns stream settings for frames of 64 x 64 pixels. */
static inline ttv_stream_config small_stream(void) {
  ttv_stream_config config = TTV_STREAM_CONFIG_INIT;
  config.max_width_px = 64;
  config.max_height_px = 64;
  config.max_frame_bytes = 64 * 64;
  return config;
}

/* Names the library of ONNX Runtime, or NULL, before the first engine is created. */
static inline void init_runtime(const char *library) {
  ttv_runtime_config config = TTV_RUNTIME_CONFIG_INIT;
  config.runtime_library = library;
  EXPECT(TTV_OK, ttv_runtime_init(&config));
}

/* Creates an engine on one provider, and returns the status. */
static inline ttv_status try_engine(const char *model, const char *provider, uint32_t threads,
                                    ttv_engine **engine) {
  ttv_engine_config config = TTV_ENGINE_CONFIG_INIT;
  config.model_path = model;
  config.providers = &provider;
  config.provider_count = 1;
  config.threads = threads;
  return ttv_engine_create(&config, engine);
}

/* Creates an engine on one provider, or ends the test if this fails. */
static inline ttv_engine *create_engine_on(const char *model, const char *provider,
                                           uint32_t threads) {
  ttv_engine *engine = NULL;
  EXPECT(TTV_OK, try_engine(model, provider, threads, &engine));
  if (!engine) exit(EXIT_FAILURE);
  return engine;
}

/* Creates an engine with the default settings, or ends the test if this fails. */
static inline ttv_engine *create_engine(const char *model) {
  ttv_engine_config config = TTV_ENGINE_CONFIG_INIT;
  config.model_path = model;
  ttv_engine *engine = NULL;
  EXPECT(TTV_OK, ttv_engine_create(&config, &engine));
  if (!engine) exit(EXIT_FAILURE);
  return engine;
}

/* Creates a stream, or ends the test if this fails. */
static inline ttv_stream *create_stream(ttv_engine *engine, const ttv_stream_config *config) {
  ttv_stream *stream = NULL;
  EXPECT(TTV_OK, ttv_stream_create(engine, config, &stream));
  if (!stream) exit(EXIT_FAILURE);
  return stream;
}

/* Acquires one frame and returns the identifier of the acquisition. */
static inline uint64_t acquire_frame(ttv_stream *stream) {
  uint64_t acquisition = 0;
  ttv_frame frame = frame_at(5);
  EXPECT(TTV_OK, ttv_stream_begin(stream, &acquisition));
  EXPECT(TTV_OK, ttv_stream_push(stream, &frame));
  EXPECT(TTV_OK, ttv_stream_end(stream));
  return acquisition;
}

/* Acquires `count` frames, and returns the identifier of the acquisition. The ring must have room
 * for the frames. */
static inline uint64_t acquire_frames(ttv_stream *stream, int count) {
  uint64_t acquisition = 0;
  EXPECT(TTV_OK, ttv_stream_begin(stream, &acquisition));
  for (int i = 0; i < count; i++) {
    ttv_frame frame = frame_at(i * STEP_NS);
    EXPECT(TTV_OK, ttv_stream_push(stream, &frame));
  }
  EXPECT(TTV_OK, ttv_stream_end(stream));
  return acquisition;
}

/* Processes everything that waits in a host-driven stream. */
static inline void process_all(ttv_stream *stream) {
  while (ttv_stream_process(stream) == TTV_OK) continue;
}

/* Acquires ten frames, and returns the first status that is not TTV_OK, or that of the result. */
static inline ttv_status try_acquisition(ttv_stream *stream) {
  uint64_t acquisition = 0;
  ttv_status status = ttv_stream_begin(stream, &acquisition);
  for (int frame = 0; frame < 10 && !status; frame++) {
    ttv_frame pushed = frame_at(frame * STEP_NS);
    status = ttv_stream_push(stream, &pushed);
  }
  ttv_result result = TTV_RESULT_INIT;
  ttv_status ended = ttv_stream_end(stream);
  if (status || ended) return status ? status : ended;
  status = ttv_stream_wait(stream, acquisition, TIMEOUT_NS, &result);
  return status ? status : result.status;
}

#endif

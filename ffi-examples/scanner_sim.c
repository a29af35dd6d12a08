/* A scanner: frames of a cine come in real time, once or again and again for SECONDS; the live label stands in a progress
 * line, the final one and its latency after the end.
 *
 *   scanner_sim MODEL.onnx CINE.pnm FRAME_PERIOD_NS [SECONDS] */
#define _POSIX_C_SOURCE 200809L
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "cine.h"
#include "tteview/tteview.h"

#define MAX_LABELS 64
#define MAX_FRAMES 512

typedef struct cine {
  cine_image image;
  uint8_t *frames[MAX_FRAMES];
  unsigned count;
} cine;

static int fail(const char *what, int32_t status) {
  char cause[512] = "";
  ttv_last_error(cause, sizeof cause);
  fprintf(stderr, "%s: %s (%" PRId32 ")\n%s\n", what, ttv_status_string(status), status, cause);
  return EXIT_FAILURE;
}

/* All frames of the file; those of another size than the first end it. */
static int read_cine(const char *path, cine *cine) {
  FILE *file = fopen(path, "rb");
  if (!file) {
    perror(path);
    return 0;
  }
  cine_image image;
  while (cine->count < MAX_FRAMES && cine_head(file, &image)) {
    if (cine->count == 0) cine->image = image;
    size_t bytes = (size_t)image.stride_bytes * image.height_px;
    if (image.width_px != cine->image.width_px || image.height_px != cine->image.height_px) break;
    uint8_t *pixels = malloc(bytes);
    if (!pixels || !cine_pixels(file, &image, pixels, bytes)) {
      free(pixels);
      break;
    }
    cine->frames[cine->count++] = pixels;
  }
  fclose(file);
  if (cine->count == 0) fprintf(stderr, "%s: no frame\n", path);
  return cine->count > 0;
}

static void sleep_until(int64_t time_ns) {
  struct timespec until = {.tv_sec = time_ns / 1000000000, .tv_nsec = time_ns % 1000000000};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL)) continue;
}

static int64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static const char *label_of(ttv_engine *engine, const ttv_result *result) {
  const char *label = "-";
  if (result->label >= 0) ttv_engine_label(engine, (uint32_t)result->label, &label);
  return label;
}

static void progress(ttv_engine *engine, ttv_stream *stream, double part, double seconds) {
  ttv_result live = {.struct_size = sizeof live};
  int known = ttv_stream_poll(stream, &live) == TTV_OK;
  char bar[25] = "........................";
  for (int i = 0; i < (int)(part * 24); i++) bar[i] = '#';
  printf("\r[%s] %5.1f s  live %-9s %5.1f %%  ", bar, seconds, known ? label_of(engine, &live) : "-",
         known ? 100.0 * (double)live.confidence : 0.0);
  fflush(stdout);
}

static int acquire(ttv_engine *engine, ttv_stream *stream, const cine *cine, int64_t period_ns, double seconds) {
  int terminal = isatty(STDOUT_FILENO);
  uint64_t acquisition = 0, total = (uint64_t)(seconds * 1e9 / (double)period_ns);
  int32_t status = ttv_stream_begin(stream, &acquisition);
  if (status) return fail("begin", status);
  int64_t start = now_ns();
  ttv_frame frame = {.struct_size = sizeof frame};
  frame.format = cine->image.colour ? TTV_FORMAT_RGB24 : TTV_FORMAT_GRAY8;
  frame.width_px = cine->image.width_px;
  frame.height_px = cine->image.height_px;
  frame.stride_bytes[0] = cine->image.stride_bytes;
  for (uint64_t number = 0; number < total; number++) {
    frame.time_ns = start + (int64_t)number * period_ns;
    frame.sequence = number;
    frame.plane[0] = cine->frames[number % cine->count];
    sleep_until(frame.time_ns);
    status = ttv_stream_push(stream, &frame);
    if (status < 0) return fail("push", status);
    if (terminal && number % 4 == 0)
      progress(engine, stream, (double)number / (double)total, (double)(frame.time_ns - start) / 1e9);
  }
  status = ttv_stream_end(stream);
  if (status) return fail("end", status);

  float scores[MAX_LABELS];
  ttv_result result = {.struct_size = sizeof result, .scores = scores, .scores_capacity = MAX_LABELS};
  status = ttv_stream_wait(stream, acquisition, INT64_C(60000000000), &result);
  if (status || result.status) return fail("result", status ? status : result.status);
  if (terminal) printf("\r%-72s\r", "");
  printf("frames    %" PRIu64 " used, %" PRIu64 " dropped, %" PRIu32 " chunks\n", result.frames_used,
         result.frames_dropped, result.chunks);
  printf("view      %s, confidence %.3f, margin %.3f\n", result.label < 0 ? "withheld" : label_of(engine, &result),
         (double)result.confidence, (double)result.margin);
  printf("latency   %.3f ms after the end, of it %.3f ms waiting in the ring\n", (double)result.latency_ns / 1e6,
         (double)result.queue_ns / 1e6);
  return EXIT_SUCCESS;
}

int main(int argc, char **argv) {
  if (argc != 4 && argc != 5) {
    fprintf(stderr, "usage: %s MODEL.onnx CINE.pnm FRAME_PERIOD_NS [SECONDS]\n", argv[0]);
    return 2;
  }
  static cine cine;
  int64_t period_ns = strtoll(argv[3], NULL, 10);
  if (!read_cine(argv[2], &cine)) return EXIT_FAILURE;
  double seconds = argc == 5 ? strtod(argv[4], NULL) : (cine.count + 0.5) * (double)period_ns / 1e9;
  if (period_ns <= 0 || !(seconds > 0 && seconds <= 3600)) {
    fprintf(stderr, "FRAME_PERIOD_NS and SECONDS must be positive\n");
    return 2;
  }
  ttv_engine_config engine_config = {.struct_size = sizeof engine_config, .model_path = argv[1]};
  ttv_engine *engine = NULL;
  int32_t status = ttv_engine_create(&engine_config, &engine);
  if (!status) status = ttv_engine_prepare(engine);
  if (status) return fail("engine", status);
  ttv_engine_info info = {.struct_size = sizeof info};
  ttv_engine_get_info(engine, &info);
  printf("model     %s, %" PRIu32 " labels, self-test error %" PRId64 " ppm\n", info.model_version,
         info.label_count, info.self_test_error_ppm);
  printf("runtime   %s, provider %s\n", info.runtime_version, info.provider);
  printf("step      %.3f ms every %.1f ms: %s\n", (double)info.step_ns / 1e6, (double)info.step_interval_ns / 1e6,
         info.step_ns < info.step_interval_ns ? "real time holds" : "SLOWER than real time");
  ttv_stream_config config = {.struct_size = sizeof config};
  ttv_stream *stream = NULL;
  status = ttv_stream_create(engine, &config, &stream);
  if (status) return fail("stream", status);
  int outcome = acquire(engine, stream, &cine, period_ns, seconds);
  ttv_stream_destroy(stream);
  ttv_engine_destroy(engine);
  for (unsigned i = 0; i < cine.count; i++) free(cine.frames[i]);
  return outcome;
}

/* Simulates a scanner. The frames of a cine arrive in real time, either once or, if SECONDS is
 * given, repeatedly for that time. The program prints the provisional label in a progress line, and
 * then the final label with its latency.
 *
 *   scanner_sim MODEL.onnx CINE.pnm FRAME_PERIOD_NS [SECONDS] */
#define _POSIX_C_SOURCE 200809L /* clock_nanosleep, isatty */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "cine.h"
#include "tteview/tteview.h"

#define MAX_FRAMES 512

typedef struct cine {
  cine_image image;
  uint8_t *frames[MAX_FRAMES];
  unsigned count;
} cine;

/* Ends the program if a call has failed. */
static void check(const char *call, ttv_status status) {
  if (status == TTV_OK) return;
  char message[512] = "";
  ttv_last_error(message, sizeof message);
  fprintf(stderr, "%s: %s\n%s\n", call, ttv_status_string(status), message);
  exit(EXIT_FAILURE);
}

/* Reads the frames of a file up to the first frame with a different size. */
static void read_cine(const char *path, cine *cine) {
  FILE *file = fopen(path, "rb");
  if (!file) {
    perror(path);
    exit(EXIT_FAILURE);
  }
  cine_image image;
  while (cine->count < MAX_FRAMES && cine_head(file, &image)) {
    if (cine->count == 0) cine->image = image;
    if (image.width_px != cine->image.width_px || image.height_px != cine->image.height_px) break;
    size_t bytes = (size_t)image.stride_bytes * image.height_px;
    uint8_t *pixels = malloc(bytes);
    if (!pixels || !cine_pixels(file, &image, pixels, bytes)) {
      free(pixels);
      break;
    }
    cine->frames[cine->count++] = pixels;
  }
  fclose(file);
  if (cine->count == 0) {
    fprintf(stderr, "%s: the file contains no image\n", path);
    exit(EXIT_FAILURE);
  }
}

static int64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void sleep_until(int64_t time_ns) {
  struct timespec until = {.tv_sec = time_ns / 1000000000, .tv_nsec = time_ns % 1000000000};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL)) continue;
}

/* Returns the code of a label, or `otherwise` if the label is withheld. */
static const char *label_code(const ttv_engine *engine, int32_t index, const char *otherwise) {
  ttv_label label = TTV_LABEL_INIT;
  if (index < 0 || ttv_engine_get_label(engine, (uint32_t)index, &label) != TTV_OK) return otherwise;
  return label.code;
}

static void print_progress(const ttv_engine *engine, const ttv_stream *stream, double part,
                           double seconds) {
  ttv_result live = TTV_RESULT_INIT;
  if (ttv_stream_poll(stream, &live) != TTV_OK) live.label = -1;
  char bar[25] = "........................";
  for (int i = 0; i < (int)(part * 24); i++) bar[i] = '#';
  printf("\r[%s] %5.1f s  live %-9s %5.1f %%  ", bar, seconds, label_code(engine, live.label, "-"),
         100.0 * (double)live.confidence);
  fflush(stdout);
}

/* Runs an acquisition in real time, and returns its identifier. */
static uint64_t acquire(const ttv_engine *engine, ttv_stream *stream, const cine *cine,
                        int64_t period_ns, double seconds) {
  const int is_terminal = isatty(STDOUT_FILENO);
  const uint64_t total = (uint64_t)(seconds * 1e9 / (double)period_ns);
  uint64_t acquisition = 0;
  check("ttv_stream_begin", ttv_stream_begin(stream, &acquisition));
  ttv_frame frame = TTV_FRAME_INIT;
  frame.format = cine->image.colour ? TTV_FORMAT_RGB24 : TTV_FORMAT_GRAY8;
  frame.width_px = cine->image.width_px;
  frame.height_px = cine->image.height_px;
  frame.stride_bytes[0] = cine->image.stride_bytes;
  const int64_t start_ns = now_ns();
  for (uint64_t number = 0; number < total; number++) {
    frame.time_ns = start_ns + (int64_t)number * period_ns;
    frame.sequence = number;
    frame.plane[0] = cine->frames[number % cine->count];
    sleep_until(frame.time_ns);
    ttv_status status = ttv_stream_push(stream, &frame);
    if (status < 0) check("ttv_stream_push", status);
    if (is_terminal && number % 4 == 0)
      print_progress(engine, stream, (double)number / (double)total,
                     (double)(frame.time_ns - start_ns) / 1e9);
  }
  check("ttv_stream_end", ttv_stream_end(stream));
  return acquisition;
}

static void print_engine(const ttv_engine *engine) {
  ttv_engine_info info = TTV_ENGINE_INFO_INIT;
  check("ttv_engine_get_info", ttv_engine_get_info(engine, &info));
  printf("model     %s, %" PRIu32 " labels, self-test error %" PRId64 " ppm\n", info.model_version,
         info.label_count, info.self_test_error_ppm);
  printf("runtime   %s, provider %s\n", info.runtime_version, info.provider);
  printf("step      %.3f ms every %.1f ms: the network %s\n", (double)info.step_ns / 1e6,
         (double)info.step_interval_ns / 1e6,
         info.step_ns < info.step_interval_ns ? "keeps up" : "is TOO SLOW");
}

static void print_result(const ttv_engine *engine, ttv_stream *stream, uint64_t acquisition) {
  const int64_t one_minute_ns = INT64_C(60000000000);
  ttv_result result = TTV_RESULT_INIT;
  check("ttv_stream_wait", ttv_stream_wait(stream, acquisition, one_minute_ns, &result));
  check("the acquisition", result.status);
  if (isatty(STDOUT_FILENO)) printf("\r%-72s\r", "");
  printf("frames    %" PRIu64 " used, %" PRIu64 " dropped, %" PRIu64 " chunks\n", result.frames_used,
         result.frames_dropped, result.chunks);
  printf("view      %s, confidence %.3f, margin %.3f\n",
         label_code(engine, result.label, "withheld"), (double)result.confidence,
         (double)result.margin);
  printf("latency   %.3f ms after the last frame, %.3f ms of it in the ring\n",
         (double)result.latency_ns / 1e6, (double)result.queue_ns / 1e6);
}

int main(int argc, char **argv) {
  if (argc != 4 && argc != 5) {
    fprintf(stderr, "usage: %s MODEL.onnx CINE.pnm FRAME_PERIOD_NS [SECONDS]\n", argv[0]);
    return 2;
  }
  static cine cine;
  read_cine(argv[2], &cine);
  const int64_t period_ns = strtoll(argv[3], NULL, 10);
  const double cine_seconds = (cine.count + 0.5) * (double)period_ns / 1e9;
  const double seconds = argc == 5 ? strtod(argv[4], NULL) : cine_seconds;
  if (period_ns <= 0 || !(seconds > 0 && seconds <= 3600)) {
    fprintf(stderr, "FRAME_PERIOD_NS must be positive and SECONDS at most 3600\n");
    return 2;
  }
  ttv_engine_config engine_config = TTV_ENGINE_CONFIG_INIT;
  engine_config.model_path = argv[1];
  ttv_engine *engine = NULL;
  check("ttv_engine_create", ttv_engine_create(&engine_config, &engine));
  check("ttv_engine_prepare", ttv_engine_prepare(engine));
  print_engine(engine);
  ttv_stream_config config = TTV_STREAM_CONFIG_INIT;
  ttv_stream *stream = NULL;
  check("ttv_stream_create", ttv_stream_create(engine, &config, &stream));
  print_result(engine, stream, acquire(engine, stream, &cine, period_ns, seconds));
  ttv_stream_destroy(stream);
  ttv_engine_destroy(engine);
  for (unsigned i = 0; i < cine.count; i++) free(cine.frames[i]);
  return EXIT_SUCCESS;
}

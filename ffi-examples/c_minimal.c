/* Streams a cine through the C ABI and prints its view.
 *
 *   c_minimal MODEL.onnx CINE.pnm FRAME_PERIOD_NS
 *
 * The cine is one or more binary PGM (P5) or PPM (P6) images in one file. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cine.h"
#include "tteview/tteview.h"

#define MAX_LABELS 64

static int fail(const char *what, int32_t status) {
  char cause[512] = "";
  ttv_last_error(cause, sizeof cause);
  fprintf(stderr, "%s: %s (%" PRId32 ")\n%s\n", what, ttv_status_string(status), status, cause);
  return EXIT_FAILURE;
}

static uint8_t pixels[3 * 1024 * 1024];

/* The next image of the file as a frame, or 0 at its end. */
static int next_frame(FILE *file, ttv_frame *frame) {
  cine_image image;
  if (!cine_head(file, &image) || !cine_pixels(file, &image, pixels, sizeof pixels)) return 0;
  frame->format = image.colour ? TTV_FORMAT_RGB24 : TTV_FORMAT_GRAY8;
  frame->plane[0] = pixels;
  frame->stride_bytes[0] = image.stride_bytes;
  frame->width_px = image.width_px;
  frame->height_px = image.height_px;
  return 1;
}

int main(int argc, char **argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: %s MODEL.onnx CINE.pnm FRAME_PERIOD_NS\n", argv[0]);
    return 2;
  }
  ttv_engine_config engine_config = {.struct_size = sizeof engine_config, .model_path = argv[1]};
  ttv_engine *engine = NULL;
  int32_t status = ttv_engine_create(&engine_config, &engine);
  if (status) return fail("engine", status);
  status = ttv_engine_prepare(engine);
  if (status) return fail("prepare", status);
  ttv_engine_info info = {.struct_size = sizeof info};
  status = ttv_engine_get_info(engine, &info);
  if (status) return fail("info", status);
  printf("model     %s, %" PRIu32 " labels, self-test error %" PRId64 " ppm\n", info.model_version,
         info.label_count, info.self_test_error_ppm);
  printf("runtime   %s, provider %s\n", info.runtime_version, info.provider);

  /* A ring that holds a burst: this host reads a file, it has no pace. */
  ttv_stream_config stream_config = {.struct_size = sizeof stream_config, .ring_slots = 256};
  stream_config.frame_period_ns = strtoll(argv[3], NULL, 10);
  ttv_stream *stream = NULL;
  status = ttv_stream_create(engine, &stream_config, &stream);
  if (status) return fail("stream", status);

  FILE *file = fopen(argv[2], "rb");
  if (!file) {
    perror(argv[2]);
    return EXIT_FAILURE;
  }
  uint64_t acquisition = 0;
  status = ttv_stream_begin(stream, &acquisition);
  if (status) return fail("begin", status);
  ttv_frame frame = {.struct_size = sizeof frame};
  while (next_frame(file, &frame)) {
    status = ttv_stream_push(stream, &frame);
    if (status) return fail("push", status);
    frame.sequence++;
  }
  status = ttv_stream_end(stream);
  if (status) return fail("end", status);
  fclose(file);

  float scores[MAX_LABELS];
  ttv_result result = {.struct_size = sizeof result, .scores = scores, .scores_capacity = MAX_LABELS};
  status = ttv_stream_wait(stream, acquisition, INT64_C(60000000000), &result);
  if (status || result.status) return fail("result", status ? status : result.status);
  const char *label = "withheld";
  if (result.label >= 0) {
    status = ttv_engine_label(engine, (uint32_t)result.label, &label);
    if (status) return fail("label", status);
  }
  printf("frames    %" PRIu64 " used, %" PRIu64 " dropped, %" PRIu32 " chunks\n", result.frames_used,
         result.frames_dropped, result.chunks);
  printf("view      %s, confidence %.3f, margin %.3f\n", label, (double)result.confidence, (double)result.margin);
  printf("latency   %.3f ms after the end (frames came as fast as they could be read)\n",
         (double)result.latency_ns / 1e6);
  ttv_stream_destroy(stream);
  ttv_engine_destroy(engine);
  return EXIT_SUCCESS;
}

/* Writes the frames of a cine straight into the ring: acquire, fill, commit. The host drives the network from its
 * own loop, so the library starts no thread.
 *
 *   c_zero_copy MODEL.onnx CINE.pnm FRAME_PERIOD_NS */
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

int main(int argc, char **argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: %s MODEL.onnx CINE.pnm FRAME_PERIOD_NS\n", argv[0]);
    return 2;
  }
  ttv_engine_config engine_config = {.struct_size = sizeof engine_config, .model_path = argv[1]};
  ttv_engine *engine = NULL;
  int32_t status = ttv_engine_create(&engine_config, &engine);
  if (!status) status = ttv_engine_prepare(engine);
  if (status) return fail("engine", status);

  ttv_stream_config config = {.struct_size = sizeof config, .flags = TTV_STREAM_HOST_DRIVEN};
  config.frame_period_ns = strtoll(argv[3], NULL, 10);
  size_t bytes = 0;
  status = ttv_stream_memory(engine, &config, &bytes);
  if (status) return fail("memory", status);
  printf("memory    %.1f MB of ring, tensors and history\n", (double)bytes / 1e6);
  ttv_stream *stream = NULL;
  status = ttv_stream_create(engine, &config, &stream);
  if (status) return fail("stream", status);

  FILE *file = fopen(argv[2], "rb");
  if (!file) {
    perror(argv[2]);
    return EXIT_FAILURE;
  }
  uint64_t acquisition = 0;
  status = ttv_stream_begin(stream, &acquisition);
  if (status) return fail("begin", status);
  cine_image image;
  for (uint64_t number = 0; cine_head(file, &image); number++) {
    ttv_slot slot = {.struct_size = sizeof slot};
    status = ttv_stream_acquire(stream, &slot);
    if (status) return fail("acquire", status);
    if (!cine_pixels(file, &image, slot.data, slot.capacity_bytes)) break;
    ttv_frame frame = {.struct_size = sizeof frame, .sequence = number};
    frame.format = image.colour ? TTV_FORMAT_RGB24 : TTV_FORMAT_GRAY8;
    frame.width_px = image.width_px;
    frame.height_px = image.height_px;
    status = ttv_stream_commit(stream, &slot, &frame);
    if (status) return fail("commit", status);
    while ((status = ttv_stream_process(stream)) == TTV_OK) continue;
    if (status != TTV_NOT_READY) return fail("process", status);
  }
  fclose(file);
  status = ttv_stream_end(stream);
  if (status) return fail("end", status);
  while ((status = ttv_stream_process(stream)) == TTV_OK) continue;

  float scores[MAX_LABELS];
  ttv_result result = {.struct_size = sizeof result, .scores = scores, .scores_capacity = MAX_LABELS};
  status = ttv_stream_wait(stream, acquisition, 0, &result);
  if (status || result.status) return fail("result", status ? status : result.status);
  const char *label = "withheld";
  if (result.label >= 0) ttv_engine_label(engine, (uint32_t)result.label, &label);
  printf("frames    %" PRIu64 " used, %" PRIu64 " dropped, %" PRIu32 " chunks\n", result.frames_used,
         result.frames_dropped, result.chunks);
  printf("view      %s, confidence %.3f\n", label, (double)result.confidence);
  printf("latency   %.3f ms after the end\n", (double)result.latency_ns / 1e6);
  ttv_stream_destroy(stream);
  ttv_engine_destroy(engine);
  return EXIT_SUCCESS;
}

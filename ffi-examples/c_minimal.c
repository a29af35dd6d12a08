/* A minimal host, which pushes the frames of a cine and prints the view.
 *
 *   c_minimal MODEL.onnx CINE.pnm FRAME_PERIOD_NS
 *
 * CINE.pnm contains one or more binary PGM (P5) or PPM (P6) images. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cine.h"
#include "tteview/tteview.h"

static uint8_t pixels[3 * 1024 * 1024];

/* Ends the program if a call has failed. */
static void check(const char *call, ttv_status status) {
  if (status == TTV_OK) return;
  char message[512] = "";
  ttv_last_error(message, sizeof message);
  fprintf(stderr, "%s: %s\n%s\n", call, ttv_status_string(status), message);
  exit(EXIT_FAILURE);
}

/* Reads the next image of the file as a frame. Returns 0 at the end of the file. */
static int read_frame(FILE *file, ttv_frame *frame) {
  cine_image image;
  if (!cine_head(file, &image) || !cine_pixels(file, &image, pixels, sizeof pixels)) return 0;
  frame->format = image.colour ? TTV_FORMAT_RGB24 : TTV_FORMAT_GRAY8;
  frame->width_px = image.width_px;
  frame->height_px = image.height_px;
  frame->stride_bytes[0] = image.stride_bytes;
  frame->plane[0] = pixels;
  return 1;
}

int main(int argc, char **argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: %s MODEL.onnx CINE.pnm FRAME_PERIOD_NS\n", argv[0]);
    return 2;
  }
  FILE *file = fopen(argv[2], "rb");
  if (!file) {
    perror(argv[2]);
    return EXIT_FAILURE;
  }

  ttv_engine_config engine_config = TTV_ENGINE_CONFIG_INIT;
  engine_config.model_path = argv[1];
  ttv_engine *engine = NULL;
  check("ttv_engine_create", ttv_engine_create(&engine_config, &engine));
  check("ttv_engine_prepare", ttv_engine_prepare(engine));

  /* This host reads a file faster than the network runs, so the ring must hold a whole cine. */
  ttv_stream_config stream_config = TTV_STREAM_CONFIG_INIT;
  stream_config.ring_slots = 256;
  stream_config.frame_period_ns = strtoll(argv[3], NULL, 10);
  ttv_stream *stream = NULL;
  check("ttv_stream_create", ttv_stream_create(engine, &stream_config, &stream));

  uint64_t acquisition = 0;
  check("ttv_stream_begin", ttv_stream_begin(stream, &acquisition));
  ttv_frame frame = TTV_FRAME_INIT;
  while (read_frame(file, &frame)) {
    check("ttv_stream_push", ttv_stream_push(stream, &frame));
    frame.sequence++;
  }
  check("ttv_stream_end", ttv_stream_end(stream));
  fclose(file);

  const int64_t one_minute_ns = INT64_C(60000000000);
  ttv_result result = TTV_RESULT_INIT;
  check("ttv_stream_wait", ttv_stream_wait(stream, acquisition, one_minute_ns, &result));
  check("the acquisition", result.status);
  ttv_label label = TTV_LABEL_INIT;
  if (result.label >= 0)
    check("ttv_engine_get_label", ttv_engine_get_label(engine, (uint32_t)result.label, &label));
  ttv_group group = TTV_GROUP_INIT;
  if (result.group >= 0)
    check("ttv_engine_get_group", ttv_engine_get_group(engine, (uint32_t)result.group, &group));
  printf("frames    %" PRIu64 " used, %" PRIu64 " dropped\n", result.frames_used,
         result.frames_dropped);
  printf("view      %s, confidence %.3f\n", label.code ? label.code : "withheld",
         (double)result.confidence);
  if (group.code)
    printf("group     %s, confidence %.3f\n", group.code, (double)result.group_confidence);
  ttv_stream_destroy(stream);
  ttv_engine_destroy(engine);
  return EXIT_SUCCESS;
}

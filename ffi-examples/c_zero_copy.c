/* A host that writes each image to a slot of the ring and runs the network itself. The library
 * copies no frame and starts no worker thread.
 *
 *   c_zero_copy MODEL.onnx CINE.pnm FRAME_PERIOD_NS
 *
 * CINE.pnm contains one or more binary PGM (P5) or PPM (P6) images. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cine.h"
#include "tteview/tteview.h"

/* Ends the program if a call has failed. */
static void check(const char *call, ttv_status status) {
  if (status == TTV_OK) return;
  char message[512] = "";
  ttv_last_error(message, sizeof message);
  fprintf(stderr, "%s: %s\n%s\n", call, ttv_status_string(status), message);
  exit(EXIT_FAILURE);
}

/* Runs the network until no frame is waiting. */
static void process_all(ttv_stream *stream) {
  ttv_status status;
  while ((status = ttv_stream_process(stream)) == TTV_OK) continue;
  if (status != TTV_NOT_READY) check("ttv_stream_process", status);
}

/* Reads the next image of the file into a slot. Returns 0 at the end of the file. */
static int acquire_frame(ttv_stream *stream, FILE *file, uint64_t sequence) {
  cine_image image;
  if (!cine_head(file, &image)) return 0;
  ttv_slot slot = TTV_SLOT_INIT;
  check("ttv_stream_loan", ttv_stream_loan(stream, &slot));
  if (!cine_pixels(file, &image, slot.data, slot.capacity_bytes)) return 0;
  ttv_frame frame = TTV_FRAME_INIT;
  frame.format = image.colour ? TTV_FORMAT_RGB24 : TTV_FORMAT_GRAY8;
  frame.width_px = image.width_px;
  frame.height_px = image.height_px;
  frame.sequence = sequence;
  check("ttv_stream_commit", ttv_stream_commit(stream, &slot, &frame));
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

  ttv_stream_config stream_config = TTV_STREAM_CONFIG_INIT;
  stream_config.drive = TTV_DRIVE_HOST;
  stream_config.frame_period_ns = strtoll(argv[3], NULL, 10);
  size_t bytes = 0;
  check("ttv_stream_get_memory", ttv_stream_get_memory(engine, &stream_config, &bytes));
  printf("memory    %.1f MB of ring, tensors and history\n", (double)bytes / 1e6);
  ttv_stream *stream = NULL;
  check("ttv_stream_create", ttv_stream_create(engine, &stream_config, &stream));

  uint64_t acquisition = 0;
  check("ttv_stream_begin", ttv_stream_begin(stream, &acquisition));
  for (uint64_t sequence = 0; acquire_frame(stream, file, sequence); sequence++) process_all(stream);
  check("ttv_stream_end", ttv_stream_end(stream));
  process_all(stream);
  fclose(file);

  ttv_result result = TTV_RESULT_INIT;
  check("ttv_stream_wait", ttv_stream_wait(stream, acquisition, 0, &result));
  check("the acquisition", result.status);
  ttv_label label = TTV_LABEL_INIT;
  if (result.label >= 0)
    check("ttv_engine_get_label", ttv_engine_get_label(engine, (uint32_t)result.label, &label));
  ttv_group group = TTV_GROUP_INIT;
  if (result.group >= 0)
    check("ttv_engine_get_group", ttv_engine_get_group(engine, (uint32_t)result.group, &group));
  printf("frames    %" PRIu64 " used, %" PRIu64 " chunks\n", result.frames_used, result.chunks);
  printf("view      %s, confidence %.3f\n", label.code ? label.code : "withheld",
         (double)result.confidence);
  if (group.code)
    printf("group     %s, confidence %.3f\n", group.code, (double)result.group_confidence);
  ttv_stream_destroy(stream);
  ttv_engine_destroy(engine);
  return EXIT_SUCCESS;
}

/* Prints the scores of an acquisition, for comparison with the Rust interface (tests/c_scores.rs).
 *
 *   scores MODEL.onnx
 *
 * Pixel p of frame i has the value (p * (i + 3)) mod 256. */
#include "check.h"

#define MAX_LABELS 256

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  ttv_engine *engine = create_engine(argv[1]);
  ttv_stream_config config = small_stream();
  config.drive = TTV_DRIVE_HOST;
  ttv_stream *stream = create_stream(engine, &config);
  uint64_t acquisition = 0;
  EXPECT(TTV_OK, ttv_stream_begin(stream, &acquisition));
  for (int i = 0; i < 70; i++) {
    for (size_t p = 0; p < sizeof pixels; p++) pixels[p] = (uint8_t)(p * (size_t)(i + 3));
    ttv_frame frame = frame_at(i * STEP_NS);
    EXPECT(TTV_OK, ttv_stream_push(stream, &frame));
    process_all(stream);
  }
  EXPECT(TTV_OK, ttv_stream_end(stream));
  process_all(stream);

  float scores[MAX_LABELS];
  ttv_result result = TTV_RESULT_INIT;
  result.scores = scores;
  result.scores_capacity = MAX_LABELS;
  EXPECT(TTV_OK, ttv_stream_wait(stream, acquisition, 0, &result));
  EXPECT(TTV_OK, result.status);
  printf("%d %llu %llu\n", (int)result.label, (unsigned long long)result.chunks,
         (unsigned long long)result.frames_used);
  /* Nine significant digits distinguish all 32-bit floats. */
  for (uint32_t i = 0; i < result.scores_length; i++) printf("%.9g\n", (double)scores[i]);
  ttv_stream_destroy(stream);
  ttv_engine_destroy(engine);
  return failures ? 1 : 0;
}

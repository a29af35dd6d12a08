/* Breaks the rule repeated-push:
 * pushes a frame again after it was dropped. */
#define _GNU_SOURCE
#include "../check.h"

static void break_rule(ttv_engine *engine) {
  ttv_stream_config config = small_stream();
  config.drive = TTV_DRIVE_HOST;
  config.ring_slots = 2;
  ttv_stream *stream = create_stream(engine, &config);
  uint64_t acquisition;
  EXPECT(TTV_OK, ttv_stream_begin(stream, &acquisition));
  ttv_frame frame = frame_at(0);
  while (ttv_stream_push(stream, &frame) == TTV_OK) frame.time_ns++;
  EXPECT(TTV_RING_FULL, ttv_stream_push(stream, &frame));
  EXPECT(TTV_OK, ttv_stream_end(stream));
  ttv_stream_destroy(stream);
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  ttv_engine *engine = create_engine(argv[1]);
  break_rule(engine);
  ttv_engine_destroy(engine);
  return finish_checks();
}

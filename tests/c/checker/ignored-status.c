/* Breaks the rule ignored-status:
 * pushes a frame although ttv_stream_begin failed. */
#define _GNU_SOURCE
#include "../check.h"

static void break_rule(ttv_engine *engine) {
  ttv_stream_config config = small_stream();
  ttv_stream *stream = create_stream(engine, &config);
  EXPECT(TTV_ERR_NULL_ARGUMENT, ttv_stream_begin(stream, NULL));
  ttv_frame frame = frame_at(1);
  EXPECT(TTV_ERR_WRONG_STATE, ttv_stream_push(stream, &frame));
  ttv_stream_destroy(stream);
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  ttv_engine *engine = create_engine(argv[1]);
  break_rule(engine);
  ttv_engine_destroy(engine);
  return finish_checks();
}

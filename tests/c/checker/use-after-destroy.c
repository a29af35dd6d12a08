/* Breaks the rule use-after-destroy:
 * polls a stream after it was destroyed. */
#define _GNU_SOURCE
#include "../check.h"

static void break_rule(ttv_engine *engine) {
  ttv_stream_config config = small_stream();
  ttv_stream *stream = create_stream(engine, &config);
  ttv_stream_destroy(stream);
  ttv_result result = TTV_RESULT_INIT;
  EXPECT(TTV_ERR_INVALID_ARGUMENT, ttv_stream_poll(stream, &result));
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  ttv_engine *engine = create_engine(argv[1]);
  break_rule(engine);
  ttv_engine_destroy(engine);
  return finish_checks();
}

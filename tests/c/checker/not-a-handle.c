/* Breaks the rule not-a-handle:
 * passes an engine where a stream is needed. */
#define _GNU_SOURCE
#include "../check.h"

static void break_rule(ttv_engine *engine) {
  ttv_result result = TTV_RESULT_INIT;
  EXPECT(TTV_ERR_INVALID_ARGUMENT, ttv_stream_poll((ttv_stream *)engine, &result));
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  ttv_engine *engine = create_engine(argv[1]);
  break_rule(engine);
  ttv_engine_destroy(engine);
  return finish_checks();
}

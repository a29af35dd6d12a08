/* Breaks the rule unread-status:
 * uses the label of a result although the call that reads the result failed. */
#define _GNU_SOURCE
#include "../check.h"

static void break_rule(ttv_engine *engine) {
  ttv_stream_config config = small_stream();
  ttv_stream *stream = create_stream(engine, &config);
  ttv_result result = TTV_RESULT_INIT;
  EXPECT(TTV_NOT_READY, ttv_stream_poll(stream, &result));
  ttv_label label = TTV_LABEL_INIT;
  EXPECT(TTV_OK, ttv_engine_get_label(engine, (uint32_t)result.label, &label));
  ttv_stream_destroy(stream);
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  ttv_engine *engine = create_engine(argv[1]);
  break_rule(engine);
  ttv_engine_destroy(engine);
  return finish_checks();
}

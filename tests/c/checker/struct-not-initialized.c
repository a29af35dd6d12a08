/* Breaks the rule struct-not-initialized:
 * passes a struct without TTV_STATS_INIT. */
#define _GNU_SOURCE
#include "../check.h"

static void break_rule(ttv_engine *engine) {
  ttv_stream_config config = small_stream();
  ttv_stream *stream = create_stream(engine, &config);
  ttv_stats stats;
  memset(&stats, 0, sizeof stats);
  EXPECT(TTV_ERR_STRUCT_SIZE, ttv_stream_get_stats(stream, &stats));
  ttv_stream_destroy(stream);
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  ttv_engine *engine = create_engine(argv[1]);
  break_rule(engine);
  ttv_engine_destroy(engine);
  return finish_checks();
}

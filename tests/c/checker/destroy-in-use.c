/* Breaks the rule destroy-in-use:
 * destroys a stream while a call of ttv_stream_process for it is in progress. */
#include "../check.h"

static ttv_stream *outer, *inner;

static void run_inner(void *user, const ttv_result *result) {
  (void)user, (void)result;
  while (ttv_stream_process(inner) == TTV_OK) continue;
}

static void destroy_outer(void *user, const ttv_result *result) {
  (void)user, (void)result;
  ttv_stream_destroy(outer);
}

static void break_rule(ttv_engine *engine) {
  ttv_stream_config config = small_stream();
  config.drive = TTV_DRIVE_HOST;
  config.on_result = run_inner;
  outer = create_stream(engine, &config);
  config.on_result = destroy_outer;
  inner = create_stream(engine, &config);
  acquire_frame(outer);
  acquire_frame(inner);
  while (ttv_stream_process(outer) == TTV_OK) continue;
  ttv_stream_destroy(outer);
  ttv_stream_destroy(inner);
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  ttv_engine *engine = create_engine(argv[1]);
  break_rule(engine);
  ttv_engine_destroy(engine);
  return finish_checks();
}

/* Breaks the rule allocation-in-callback:
 * allocates memory in the callback on_result. */
#define _GNU_SOURCE
#include "../check.h"

static void *volatile memory;

static void allocate(void *user, const ttv_result *result) {
  (void)user, (void)result;
  memory = malloc(100);
}

static void break_rule(ttv_engine *engine) {
  ttv_stream_config config = small_stream();
  config.on_result = allocate;
  ttv_stream *stream = create_stream(engine, &config);
  uint64_t acquisition = acquire_frame(stream);
  ttv_result result = TTV_RESULT_INIT;
  EXPECT(TTV_OK, ttv_stream_wait(stream, acquisition, TIMEOUT_NS, &result));
  ttv_stream_destroy(stream);
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  ttv_engine *engine = create_engine(argv[1]);
  break_rule(engine);
  ttv_engine_destroy(engine);
  return finish_checks();
}

/* Breaks the rule call-in-callback:
 * destroys a stream in its own callback. */
#define _GNU_SOURCE
#include <sched.h>
#include <stdatomic.h>

#include "../check.h"

static ttv_stream *destroyed;
static atomic_int calls;

static void destroy(void *user, const ttv_result *result) {
  (void)user;
  if (!(result->flags & TTV_RESULT_FLAG_FINAL)) return;
  ttv_stream_destroy(destroyed);
  atomic_fetch_add(&calls, 1);
}

static void break_rule(ttv_engine *engine) {
  ttv_stream_config config = small_stream();
  config.on_result = destroy;
  ttv_stream *stream = create_stream(engine, &config);
  destroyed = stream;
  uint64_t acquisition = acquire_frame(stream);
  ttv_result result = TTV_RESULT_INIT;
  EXPECT(TTV_OK, ttv_stream_wait(stream, acquisition, TIMEOUT_NS, &result));
  /* The callback follows the publication of the result. */
  while (atomic_load(&calls) == 0) sched_yield();
  ttv_stream_destroy(stream);
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  ttv_engine *engine = create_engine(argv[1]);
  break_rule(engine);
  ttv_engine_destroy(engine);
  return finish_checks();
}

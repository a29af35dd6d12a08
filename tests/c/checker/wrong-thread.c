/* Breaks the rule wrong-thread:
 * ends an acquisition on another thread than the one that began it. */
#define _GNU_SOURCE
#include <pthread.h>

#include "../check.h"

static void *end(void *stream) {
  ttv_stream_end(stream);
  return NULL;
}

static void break_rule(ttv_engine *engine) {
  ttv_stream_config config = small_stream();
  ttv_stream *stream = create_stream(engine, &config);
  uint64_t acquisition;
  EXPECT(TTV_OK, ttv_stream_begin(stream, &acquisition));
  pthread_t thread;
  EXPECT(0, pthread_create(&thread, NULL, end, stream));
  EXPECT(0, pthread_join(thread, NULL));
  ttv_stream_destroy(stream);
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  ttv_engine *engine = create_engine(argv[1]);
  break_rule(engine);
  ttv_engine_destroy(engine);
  return finish_checks();
}

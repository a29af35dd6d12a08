/* Breaks the rule changed-during-push:
 * writes to a frame on one thread while another thread pushes it. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>

#include "../check.h"

static atomic_int ends;

static void *write_pixels(void *unused) {
  (void)unused;
  volatile uint8_t *pixel = pixels;
  for (uint8_t value = 0; !atomic_load(&ends); value++) {
    for (size_t i = 0; i < sizeof pixels; i++) pixel[i] = value;
  }
  return NULL;
}

static void break_rule(ttv_engine *engine) {
  ttv_stream_config config = small_stream();
  config.drive = TTV_DRIVE_HOST;
  ttv_stream *stream = create_stream(engine, &config);
  pthread_t thread;
  EXPECT(0, pthread_create(&thread, NULL, write_pixels, NULL));
  uint64_t acquisition;
  EXPECT(TTV_OK, ttv_stream_begin(stream, &acquisition));
  for (int i = 0; i < 20000; i++) {
    ttv_frame frame = frame_at(i);
    EXPECT(TTV_OK, ttv_stream_push(stream, &frame));
    while (ttv_stream_process(stream) == TTV_OK) continue;
  }
  EXPECT(TTV_OK, ttv_stream_end(stream));
  atomic_store(&ends, 1);
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

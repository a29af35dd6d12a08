/* Tests of pauses: no call hangs while the engine is paused.
 *
 *   pause MODEL.onnx
 *
 * The exit status is 0 if every check passed. */
#include "check.h"

/* Status that ttv_engine_pause returned to the callback. */
static ttv_status pause_status;

static void pause_engine(void *user, const ttv_result *result) {
  (void)result;
  pause_status = ttv_engine_pause(user);
  if (pause_status == TTV_OK) ttv_engine_resume(user);
}

/* The callback of a stream that the library drives may pause the engine. The callback of a
 * host-driven stream must not, because the pause would wait for that callback to return. */
static void check_pause_in_callback(ttv_engine *engine) {
  for (int is_host_driven = 0; is_host_driven < 2; is_host_driven++) {
    ttv_stream_config config = small_stream();
    config.drive = is_host_driven ? TTV_DRIVE_HOST : TTV_DRIVE_WAKE;
    config.on_result = pause_engine;
    config.user = engine;
    pause_status = 999;
    ttv_stream *stream = create_stream(engine, &config);
    uint64_t acquisition = acquire_frame(stream);
    if (is_host_driven) process_all(stream);
    ttv_result result = TTV_RESULT_INIT;
    EXPECT(TTV_OK, ttv_stream_wait(stream, acquisition, TIMEOUT_NS, &result));
    ttv_stream_destroy(stream);
    EXPECT(is_host_driven ? TTV_ERR_WRONG_THREAD : TTV_OK, pause_status);
  }
}

static void check_pause(const char *model) {
  ttv_engine *engine = create_engine(model);
  EXPECT(TTV_ERR_NULL_ARGUMENT, ttv_engine_pause(NULL));
  EXPECT(TTV_ERR_NULL_ARGUMENT, ttv_engine_resume(NULL));
  EXPECT(TTV_OK, ttv_engine_resume(engine));
  EXPECT(TTV_OK, ttv_engine_pause(engine));
  EXPECT(TTV_OK, ttv_engine_pause(engine));
  EXPECT(TTV_ERR_WRONG_STATE, ttv_engine_prepare(engine));
  expect_message("paused");

  ttv_stream_config config = small_stream();
  config.exact_history_ns = INT64_C(1000000000);
  ttv_stream *streams[3] = {NULL};
  uint64_t acquisition = 0;
  ttv_result result = TTV_RESULT_INIT;
  for (int i = 0; i < 3; i++) {
    config.drive = i == 2 ? TTV_DRIVE_HOST : TTV_DRIVE_WAKE;
    streams[i] = create_stream(engine, &config);
    acquisition = acquire_frame(streams[i]);
    EXPECT(TTV_TIMED_OUT, ttv_stream_wait(streams[i], acquisition, 20000000, &result));
    EXPECT(TTV_NOT_READY, ttv_stream_poll(streams[i], &result));
  }
  EXPECT(TTV_TIMED_OUT, ttv_stream_query(streams[0], 0, 10, TTV_QUERY_FLAG_EXACT, 20000000, &result));
  EXPECT(TTV_NOT_READY, ttv_stream_process(streams[2]));
  ttv_stream_destroy(streams[1]);
  EXPECT(TTV_OK, ttv_engine_resume(engine));
  EXPECT(TTV_OK, ttv_stream_process(streams[2]));
  process_all(streams[2]);
  EXPECT(TTV_OK, ttv_stream_wait(streams[2], acquisition, 0, &result));
  EXPECT(TTV_OK, ttv_stream_wait(streams[0], acquisition, TIMEOUT_NS, &result));
  EXPECT(TTV_OK, result.status);
  EXPECT(1, (long long)result.frames_used);
  ttv_stream_destroy(streams[2]);
  check_pause_in_callback(engine);

  /* Destroying a paused engine resumes it, because no call could resume its streams afterwards. */
  EXPECT(TTV_OK, ttv_engine_pause(engine));
  acquisition = acquire_frame(streams[0]);
  ttv_engine_destroy(engine);
  EXPECT(TTV_OK, ttv_stream_wait(streams[0], acquisition, TIMEOUT_NS, &result));
  ttv_stream_destroy(streams[0]);
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  check_pause(argv[1]);
  return finish_checks();
}

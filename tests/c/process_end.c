/* Tests that the library can be used while a thread or the process ends.
 *
 *   process_end MODEL.onnx
 *
 * The program uses the library in the destructor of a thread-specific value, which runs after the
 * thread-local objects of the thread have been destroyed, and in functions that atexit has
 * registered. The exit status is 0 if every check passed. */
#include <pthread.h>
#include <unistd.h>

#include "check.h"

static const char *model;
static ttv_engine *engine;
static ttv_stream *stream;
static pthread_key_t key;
static int destructor_runs;

/* Makes calls that fail, and checks the message of each. */
static void make_failing_calls(void) {
  ttv_engine_config config = TTV_ENGINE_CONFIG_INIT;
  config.model_path = "no-such-file.onnx";
  ttv_engine *none = engine;
  EXPECT(TTV_ERR_MODEL_UNREADABLE, ttv_engine_create(&config, &none));
  EXPECT(1, none == NULL);
  expect_message("no-such-file.onnx");
  EXPECT(TTV_ERR_UNSUPPORTED, ttv_engine_export(engine, "engine.file"));
  EXPECT(1, ttv_last_error(NULL, 0) > 0);
  EXPECT(TTV_ERR_NULL_ARGUMENT, ttv_engine_prepare(NULL));
  expect_message("engine must not be NULL");
  ttv_result result = TTV_RESULT_INIT;
  EXPECT(TTV_ERR_INVALID_ARGUMENT, ttv_stream_wait(stream, 1000, 0, &result));
  EXPECT(TTV_ERR_INVALID_ARGUMENT, ttv_stream_query(stream, 2, 1, 0, 0, &result));
  expect_message("from_ns");
}

/* Uses an engine and a stream from their creation to their destruction. */
static void use_everything(void) {
  make_failing_calls();
  ttv_engine *own = create_engine(model);
  EXPECT(TTV_OK, ttv_engine_prepare(own));
  EXPECT(TTV_OK, ttv_engine_pause(own));
  EXPECT(TTV_OK, ttv_engine_resume(own));
  ttv_engine_info info = TTV_ENGINE_INFO_INIT;
  EXPECT(TTV_OK, ttv_engine_get_info(own, &info));
  for (ttv_drive drive = TTV_DRIVE_WAKE; drive <= TTV_DRIVE_HOST; drive++) {
    ttv_stream_config config = small_stream();
    config.drive = drive;
    config.exact_history_ns = INT64_C(1000000000);
    ttv_stream *streams = create_stream(own, &config);
    uint64_t acquisition = acquire_frame(streams);
    if (drive == TTV_DRIVE_HOST) process_all(streams);
    ttv_result result = TTV_RESULT_INIT;
    EXPECT(TTV_OK, ttv_stream_wait(streams, acquisition, TIMEOUT_NS, &result));
    EXPECT(TTV_OK, result.status);
    EXPECT(TTV_OK, ttv_stream_query(streams, 0, 5, TTV_QUERY_FLAG_EXACT, TIMEOUT_NS, &result));
    ttv_stream_destroy(streams);
  }
  ttv_engine_destroy(own);
}

static void destroy_value(void *value) {
  (void)value;
  destructor_runs++;
  use_everything();
}

static void *end_thread(void *unused) {
  (void)unused;
  /* The failing call makes the library create its thread-local objects first. */
  EXPECT(TTV_ERR_NULL_ARGUMENT, ttv_engine_prepare(NULL));
  EXPECT(0, pthread_setspecific(key, &key));
  return NULL;
}

static void run_at_exit(void) {
  use_everything();
  ttv_stream_destroy(stream);
  ttv_engine_destroy(engine);
  /* A function that atexit has registered cannot return an exit status. */
  if (finish_checks()) _exit(EXIT_FAILURE);
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  model = argv[1];
  EXPECT(0, atexit(run_at_exit));
  engine = create_engine(model);
  ttv_stream_config config = small_stream();
  stream = create_stream(engine, &config);
  make_failing_calls();
  EXPECT(0, pthread_key_create(&key, destroy_value));
  pthread_t thread;
  EXPECT(0, pthread_create(&thread, NULL, end_thread, NULL));
  EXPECT(0, pthread_join(thread, NULL));
  EXPECT(1, destructor_runs);
  return failures ? 1 : 0;
}

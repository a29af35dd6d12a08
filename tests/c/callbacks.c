/* Tests calls that the callback on_result makes.
 *
 *   callbacks MODEL.onnx
 *
 * A call that would wait for the callback's own thread fails with TTV_ERR_WRONG_THREAD. The exit
 * status is 0 if every check passed. */
#include <sched.h>
#include <stdatomic.h>

#include "check.h"

#define HOUR_NS INT64_C(3600000000000)

static ttv_engine *engine;
static ttv_stream *stream, *other;
static uint64_t other_acquisition;
static atomic_int finals;

static void make_calls(void *user, const ttv_result *result) {
  (void)user;
  if (!(result->flags & TTV_RESULT_FLAG_FINAL)) return;
  ttv_result own = TTV_RESULT_INIT;
  own.label = 77;
  if (result->acquisition == 1) {
    /* The second acquisition has no result yet, and this thread would have to produce it. */
    EXPECT(TTV_ERR_WRONG_THREAD, ttv_stream_wait(stream, 2, -1, &own));
    expect_message("would wait for the callback");
    EXPECT(TTV_ERR_WRONG_THREAD, ttv_stream_wait(stream, 2, 1, &own));
    EXPECT(TTV_TIMED_OUT, ttv_stream_wait(stream, 2, 0, &own));
  } else {
    EXPECT(TTV_OK, ttv_stream_query(stream, 0, HOUR_NS, 0, -1, &own));
    own.label = 77;
  }
  EXPECT(77, own.label);
  EXPECT(TTV_OK, ttv_stream_wait(stream, result->acquisition, -1, &own));
  EXPECT(result->label, own.label);
  EXPECT(TTV_OK, ttv_stream_poll(stream, &own));
  own.label = 77;
  /* Only while the second acquisition is still to come would the query wait. */
  EXPECT(result->acquisition == 1 ? TTV_ERR_WRONG_THREAD : TTV_EMPTY,
         ttv_stream_query(stream, HOUR_NS, HOUR_NS, 0, -1, &own));
  EXPECT(TTV_EMPTY, ttv_stream_query(stream, HOUR_NS, HOUR_NS, 0, 0, &own));
  EXPECT(TTV_ERR_WRONG_THREAD,
         ttv_stream_query(stream, 0, HOUR_NS, TTV_QUERY_FLAG_EXACT, -1, &own));
  expect_message("another thread");
  EXPECT(77, own.label);
  /* Another stream has another thread, so a wait for its results is allowed. */
  EXPECT(TTV_OK, ttv_stream_wait(other, other_acquisition, -1, &own));
  EXPECT(other_acquisition, own.acquisition);
  /* The stream must survive this call. */
  ttv_stream_destroy(stream);
  expect_message("destroy the stream on another thread");
  EXPECT(TTV_OK, ttv_stream_last_event(stream));
  atomic_fetch_add(&finals, 1);
}

/* Runs the worker of another stream in a callback of this stream. */
static void drive_other(void *user, const ttv_result *result) {
  (void)user, (void)result;
  EXPECT(TTV_ERR_WRONG_THREAD, ttv_stream_process(stream));
  process_all(other);
}

/* Waits for a result of the outer stream in a callback of the inner one. */
static void wait_for_outer(void *user, const ttv_result *result) {
  (void)user;
  ttv_result own = TTV_RESULT_INIT;
  if (result->acquisition == 1) {
    EXPECT(TTV_ERR_WRONG_THREAD, ttv_stream_wait(stream, 2, -1, &own));
    EXPECT(TTV_ERR_WRONG_THREAD, ttv_stream_wait(other, 2, -1, &own));
  }
  ttv_stream_destroy(stream);
  ttv_stream_destroy(other);
  if (result->flags & TTV_RESULT_FLAG_FINAL) atomic_fetch_add(&finals, 1);
}

static void check_own_callback(ttv_drive drive) {
  atomic_store(&finals, 0);
  ttv_stream_config config = small_stream();
  other = create_stream(engine, &config);
  other_acquisition = acquire_frame(other);
  config.drive = drive;
  config.exact_history_ns = HOUR_NS / 3600;
  config.on_result = make_calls;
  stream = create_stream(engine, &config);
  /* During the pause, the worker cannot finish the first acquisition before the second one. */
  EXPECT(TTV_OK, ttv_engine_pause(engine));
  acquire_frame(stream);
  acquire_frame(stream);
  EXPECT(TTV_OK, ttv_engine_resume(engine));
  if (drive == TTV_DRIVE_HOST) process_all(stream);
  for (int i = 1; i <= 2; i++) {
    ttv_result result = TTV_RESULT_INIT;
    EXPECT(TTV_OK, ttv_stream_wait(stream, (uint64_t)i, TIMEOUT_NS, &result));
    /* The callback must have returned before the stream is destroyed. */
    while (atomic_load(&finals) < i) sched_yield();
  }
  ttv_stream_destroy(stream);
  ttv_stream_destroy(other);
  EXPECT(2, atomic_load(&finals));
}

static void check_nested_callbacks(void) {
  atomic_store(&finals, 0);
  ttv_stream_config config = small_stream();
  config.drive = TTV_DRIVE_HOST;
  config.on_result = drive_other;
  stream = create_stream(engine, &config);
  config.on_result = wait_for_outer;
  other = create_stream(engine, &config);
  for (int i = 0; i < 2; i++) {
    acquire_frame(other);
    acquire_frame(stream);
  }
  process_all(stream);
  EXPECT(2, atomic_load(&finals));
  ttv_stream_destroy(stream);
  ttv_stream_destroy(other);
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  engine = create_engine(argv[1]);
  for (ttv_drive drive = TTV_DRIVE_WAKE; drive <= TTV_DRIVE_HOST; drive++) check_own_callback(drive);
  check_nested_callbacks();
  ttv_engine_destroy(engine);
  return finish_checks();
}

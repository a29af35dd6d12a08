/* Tests that a thread can be cancelled with pthread_cancel while it uses the library.
 *
 *   cancel MODEL.onnx
 *
 * No call of the library is a cancellation point: a thread that is cancelled during a call ends at
 * its next cancellation point outside the library. The exit status is 0 if every check passed. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static const char *model;
static ttv_engine *engine;
static ttv_stream *stream;
static atomic_int calls;

/* Loads a package again and again. Loading reads files, which are cancellation points. */
static void *create_engines(void *unused) {
  (void)unused;
  for (;;) {
    ttv_engine *own = create_engine(model);
    atomic_fetch_add(&calls, 1);
    ttv_engine_destroy(own);
    pthread_testcancel();
  }
  return NULL;
}

static void *prepare(void *unused) {
  (void)unused;
  for (;;) {
    EXPECT(TTV_OK, ttv_engine_prepare(engine));
    atomic_fetch_add(&calls, 1);
    pthread_testcancel();
  }
  return NULL;
}

static void *create_streams(void *unused) {
  (void)unused;
  for (;;) {
    ttv_stream_config config = small_stream();
    config.drive = (uint32_t)atomic_fetch_add(&calls, 1) % 3;
    ttv_stream *own = create_stream(engine, &config);
    uint64_t acquisition = acquire_frame(own);
    ttv_result result = TTV_RESULT_INIT;
    if (config.drive == TTV_DRIVE_HOST) process_all(own);
    EXPECT(TTV_OK, ttv_stream_wait(own, acquisition, TIMEOUT_NS, &result));
    ttv_stream_destroy(own);
    pthread_testcancel();
  }
  return NULL;
}

/* Waits for an acquisition that ends only after the thread was cancelled. */
static void *wait_for_result(void *unused) {
  (void)unused;
  atomic_store(&calls, 1);
  ttv_result result = TTV_RESULT_INIT;
  EXPECT(TTV_OK, ttv_stream_wait(stream, 1, -1, &result));
  atomic_store(&calls, 2);
  pthread_testcancel();
  return NULL;
}

/* Cancels a thread after it has made some calls, and checks that it ends as cancelled. */
static void cancel_after_calls(void *(*function)(void *), int count) {
  atomic_store(&calls, 0);
  pthread_t thread;
  EXPECT(0, pthread_create(&thread, NULL, function, NULL));
  while (atomic_load(&calls) < count) sched_yield();
  EXPECT(0, pthread_cancel(thread));
  void *end = NULL;
  EXPECT(0, pthread_join(thread, &end));
  EXPECT(1, end == PTHREAD_CANCELED);
}

static void check_wait(void) {
  atomic_store(&calls, 0);
  uint64_t acquisition = 0;
  EXPECT(TTV_OK, ttv_stream_begin(stream, &acquisition));
  EXPECT(1, acquisition);
  pthread_t thread;
  EXPECT(0, pthread_create(&thread, NULL, wait_for_result, NULL));
  while (atomic_load(&calls) < 1) sched_yield();
  EXPECT(0, pthread_cancel(thread));
  ttv_frame frame = frame_at(5);
  EXPECT(TTV_OK, ttv_stream_push(stream, &frame));
  EXPECT(TTV_OK, ttv_stream_end(stream));
  void *end = NULL;
  EXPECT(0, pthread_join(thread, &end));
  EXPECT(2, atomic_load(&calls));
  EXPECT(1, end == PTHREAD_CANCELED);
}

/* Ends the thread in a callback, which the header forbids. */
static void end_worker(void *user, const ttv_result *result) {
  (void)user, (void)result;
  pthread_exit(NULL);
}

/* Checks that a callback that ends its thread aborts the process and does not hang it. */
static void check_thread_end_in_callback(void) {
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    ttv_engine *own = create_engine(model);
    ttv_stream_config config = small_stream();
    config.drive = TTV_DRIVE_HOST;
    config.on_result = end_worker;
    ttv_stream *stream = create_stream(own, &config);
    acquire_frame(stream);
    if (!freopen("/dev/null", "w", stderr)) _exit(3);
    process_all(stream);
    _exit(0);
  }
  int status = 0;
  EXPECT(child, waitpid(child, &status, 0));
  EXPECT(1, WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  model = argv[1];
  check_thread_end_in_callback();
  engine = create_engine(model);
  for (int count = 0; count < 3; count++) {
    cancel_after_calls(create_engines, count);
    cancel_after_calls(prepare, count);
    cancel_after_calls(create_streams, count * 3);
  }
  ttv_stream_config config = small_stream();
  stream = create_stream(engine, &config);
  check_wait();
  ttv_stream_destroy(stream);
  ttv_engine_destroy(engine);
  return finish_checks();
}

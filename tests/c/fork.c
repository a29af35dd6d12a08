/* Tests of fork: a child process may destroy inherited handles and create new ones, and every other
 * call on an inherited handle returns at once.
 *
 *   fork MODEL.onnx [LIBRARY]      LIBRARY is an ONNX Runtime, for the provider "cpu"
 *
 * The exit status is 0 if every check passed. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "posix.h"

enum { STREAMS = 4, FRAMES = 40, ROUNDS = 10, CHILD_SECONDS = 60 };

static const char *model, *provider;

/* Number of calls of pthread_atfork that fail. */
static int atfork_failures;

extern int __register_atfork(void (*)(void), void (*)(void), void (*)(void), void *);

/* Replaces the function of the C library in the whole program. */
int pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void)) {
  return atfork_failures-- > 0 ? ENOMEM : __register_atfork(prepare, parent, child, NULL);
}

/* An engine whose child processes could not be detected is not created, and the next call registers
 * the handler. */
static void check_failed_registration(void) {
  ttv_engine *engine = NULL;
  atfork_failures = 2;
  for (int i = 0; i < 2; i++) {
    EXPECT(TTV_ERR_OUT_OF_MEMORY, try_engine(model, provider, 1, &engine));
    expect_message("a handler for fork cannot be registered");
    EXPECT(1, engine == NULL);
  }
  ttv_engine_destroy(create_engine_on(model, provider, 1));
  EXPECT(-1, atfork_failures);
}

static ttv_stream *create_driven(ttv_engine *engine, ttv_drive drive) {
  ttv_stream_config config = small_stream();
  config.drive = drive;
  config.ring_slots = 64;
  config.exact_history_ns = INT64_C(10000000000);
  return create_stream(engine, &config);
}

static void check_new_handles(uint32_t threads) {
  ttv_engine *engine = create_engine_on(model, provider, threads);
  EXPECT(TTV_OK, ttv_engine_prepare(engine));
  for (int drive = 0; drive < 2; drive++) {
    ttv_stream *stream = create_driven(engine, drive ? TTV_DRIVE_HOST : TTV_DRIVE_WAKE);
    uint64_t acquisition = acquire_frames(stream, FRAMES);
    if (drive) process_all(stream);
    ttv_result result = TTV_RESULT_INIT;
    EXPECT(TTV_OK, ttv_stream_wait(stream, acquisition, TIMEOUT_NS, &result));
    EXPECT(TTV_OK, result.status);
    EXPECT(TTV_OK, ttv_stream_query(stream, 0, INT64_C(2000000000), TTV_QUERY_FLAG_EXACT,
                                    TIMEOUT_NS, &result));
    ttv_stream_destroy(stream);
  }
  ttv_engine_destroy(engine);
}

static void check_inherited_stream(ttv_engine *engine, ttv_stream *stream) {
  uint64_t acquisition = 0;
  ttv_frame frame = frame_at(INT64_C(90000000000));
  ttv_result result = TTV_RESULT_INIT;
  EXPECT(TTV_ERR_POISONED, ttv_stream_begin(stream, &acquisition));
  EXPECT(TTV_ERR_POISONED, ttv_stream_push(stream, &frame));
  EXPECT(TTV_ERR_POISONED, ttv_stream_end(stream));
  EXPECT(TTV_ERR_POISONED, ttv_stream_wait(stream, 1, -1, &result));
  EXPECT(TTV_ERR_POISONED, ttv_stream_query(stream, 0, 1, 0, -1, &result));
  EXPECT(TTV_ERR_POISONED, ttv_stream_query(stream, 0, 1, TTV_QUERY_FLAG_EXACT, -1, &result));
  ttv_stream_config config = small_stream();
  EXPECT(TTV_ERR_WRONG_STATE, ttv_stream_create(engine, &config, &stream));
  expect_message("fork");
}

/* The child of a process with an engine, of which some streams may be running. */
static void check_child(ttv_engine *engine, ttv_stream **streams, uint32_t threads) {
  alarm(CHILD_SECONDS);
  failures = checks = 0;
  EXPECT(TTV_ERR_WRONG_STATE, ttv_engine_prepare(engine));
  EXPECT(TTV_ERR_WRONG_STATE, ttv_engine_pause(engine));
  EXPECT(TTV_OK, ttv_engine_resume(engine));
  for (int i = 0; i < STREAMS; i++) check_inherited_stream(engine, streams[i]);
  EXPECT(TTV_ERR_POISONED, ttv_stream_process(streams[STREAMS - 1]));
  /* The handles may be destroyed in any order, before or after new ones are created. */
  if (threads == 2) check_new_handles(threads);
  ttv_engine_destroy(engine);
  for (int i = 0; i < STREAMS; i++) ttv_stream_destroy(streams[i]);
  check_new_handles(threads);
  fflush(NULL);
  _exit(failures ? 1 : 0);
}

static void check_fork(uint32_t threads) {
  ttv_engine *engine = create_engine_on(model, provider, threads);
  EXPECT(TTV_OK, ttv_engine_prepare(engine));
  ttv_stream *streams[STREAMS];
  uint64_t acquisitions[STREAMS];
  for (int i = 0; i < STREAMS; i++) {
    streams[i] = create_driven(engine, i == STREAMS - 1 ? TTV_DRIVE_HOST : TTV_DRIVE_WAKE);
  }
  for (int round = 0; round < ROUNDS; round++) {
    for (int i = 0; i < STREAMS; i++) acquisitions[i] = acquire_frames(streams[i], FRAMES);
    sleep_ms(round);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) check_child(engine, streams, threads);
    int status = -1;
    EXPECT(child, waitpid(child, &status, 0));
    EXPECT(0, status);
    /* The parent's handles are not affected. */
    ttv_result result = TTV_RESULT_INIT;
    process_all(streams[STREAMS - 1]);
    for (int i = 0; i < STREAMS; i++) {
      EXPECT(TTV_OK, ttv_stream_wait(streams[i], acquisitions[i], TIMEOUT_NS, &result));
      EXPECT(TTV_OK, result.status);
    }
  }
  for (int i = 0; i < STREAMS; i++) ttv_stream_destroy(streams[i]);
  ttv_engine_destroy(engine);
}

int main(int argc, char **argv) {
  if (argc < 2 || argc > 3) return 2;
  model = argv[1];
  provider = argc == 3 ? "cpu" : "embedded";
  init_runtime(argc == 3 ? argv[2] : NULL);
  check_failed_registration();
  for (uint32_t threads = 1; threads <= 2; threads++) check_fork(threads);
  return finish_checks();
}

/* Tests of a machine that cannot start threads: every call returns a status, nothing is printed and
 * no thread is left behind.
 *
 *   no_threads MODEL.onnx [LIBRARY]      LIBRARY is an ONNX Runtime, for the provider "cpu"
 *
 * The exit status is 0 if every check passed, and 77 if the system does not limit threads. */
#define _GNU_SOURCE /* setresuid, fileno */
#include <pthread.h>
#include <unistd.h>

#include "check.h"
#include "posix.h"

/* A user that has no other processes, for tests that run as root. */
enum { NO_PROCESSES = 54321 };

static void check_provider(const char *model, const char *provider, int is_root) {
  /* Without a limit, to load everything that is loaded once. */
  ttv_engine *engine = NULL;
  EXPECT(0, limit_threads(4096));
  EXPECT(TTV_OK, try_engine(model, provider, 3, &engine));
  ttv_engine_destroy(engine);
  int before = count_threads(1);

  EXPECT(0, limit_threads(0));
  EXPECT(TTV_ERR_SYSTEM, try_engine(model, provider, 2, &engine));
  EXPECT(1, engine == NULL);
  expect_message("cannot be started");
  EXPECT(before, count_threads(before));
  /* One thread is the caller, so nothing needs to be started. */
  EXPECT(TTV_OK, try_engine(model, provider, 1, &engine));
  EXPECT(TTV_OK, ttv_engine_prepare(engine));
  ttv_stream_config config = small_stream();
  ttv_stream *stream = NULL;
  EXPECT(TTV_ERR_SYSTEM, ttv_stream_create(engine, &config, &stream));
  expect_message("cannot be started");
  EXPECT(1, stream == NULL);
  EXPECT(before, count_threads(before));
  config.drive = TTV_DRIVE_HOST;
  stream = create_stream(engine, &config);
  uint64_t acquisition = acquire_frame(stream);
  process_all(stream);
  ttv_result result = TTV_RESULT_INIT;
  EXPECT(TTV_OK, ttv_stream_wait(stream, acquisition, 0, &result));
  EXPECT(TTV_OK, result.status);
  ttv_stream_destroy(stream);
  ttv_engine_destroy(engine);

  /* Only some of the threads can be started. The limit counts all threads of the user. */
  for (rlim_t limit = 2; is_root && limit < 8; limit++) {
    EXPECT(0, limit_threads(limit));
    EXPECT(TTV_ERR_SYSTEM, try_engine(model, provider, 9, &engine));
    EXPECT(before, count_threads(before));
  }
  EXPECT(0, limit_threads(4096));
  EXPECT(TTV_ERR_INVALID_ARGUMENT, try_engine(model, provider, 65, &engine));
  EXPECT(TTV_ERR_INVALID_ARGUMENT, try_engine(model, provider, UINT32_MAX, &engine));
  EXPECT(TTV_OK, try_engine(model, provider, 64, &engine));
  EXPECT(before + 63, count_threads(before + 63));
  ttv_engine_destroy(engine);
  EXPECT(before, count_threads(before));
}

static void *do_nothing(void *unused) { return unused; }

int main(int argc, char **argv) {
  if (argc < 2 || argc > 3) return 2;
  init_runtime(argc == 3 ? argv[2] : NULL);
  int is_root = getuid() == 0;
  if (is_root && (setresgid(NO_PROCESSES, NO_PROCESSES, NO_PROCESSES) ||
                  setresuid(NO_PROCESSES, NO_PROCESSES, NO_PROCESSES))) {
    puts("skipped: root cannot become another user here");
    return SKIPPED;
  }
  EXPECT(0, limit_threads(0));
  pthread_t thread;
  if (pthread_create(&thread, NULL, do_nothing, NULL) == 0) {
    pthread_join(thread, NULL);
    puts("skipped: RLIMIT_NPROC does not limit this user");
    return SKIPPED;
  }
  /* Everything that is printed to stderr goes to a file that must stay empty. */
  FILE *printed = tmpfile();
  report = fdopen(dup(fileno(stderr)), "w");
  if (!printed || !report || dup2(fileno(printed), fileno(stderr)) < 0) return 3;
  alarm(120);
  check_provider(argv[1], argc == 3 ? "cpu" : "embedded", is_root);
  EXPECT(0, (long long)lseek(fileno(printed), 0, SEEK_END));
  return finish_checks();
}

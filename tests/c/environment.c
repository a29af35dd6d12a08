/* Tests that the provider "embedded" reads no environment variable and prints nothing.
 *
 *   environment MODEL.onnx
 *
 * The exit status is 0 if every check passed. */
#define _GNU_SOURCE /* fileno, setenv */
#include <dlfcn.h>
#include <unistd.h>

#include "check.h"

static int is_recording;
static char names[1024];

/* Replaces the function of the C library in the whole process, and records what is read. */
char *getenv(const char *name) {
  static char *(*original)(const char *);
  if (!original) *(void **)&original = dlsym(RTLD_NEXT, "getenv");
  if (is_recording && strlen(names) + strlen(name) + 2 < sizeof names) {
    strcat(strcat(names, " "), name);
  }
  return original(name);
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  /* These variables change the behaviour of an unmodified rten and print to stdout. */
  const char *variables[] = {"RTEN_TIMING",           "RTEN_USE_POOL",    "RTEN_OPTIMIZER_DEBUG",
                             "RTEN_INFER_SHAPES_DEBUG", "RTEN_NUM_THREADS", "RUST_MIN_STACK",
                             "RAYON_NUM_THREADS"};
  for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) setenv(variables[i], "1", 1);
  FILE *printed = tmpfile();
  report = fdopen(dup(fileno(stderr)), "w");
  int out = dup(fileno(stdout));
  if (!printed || !report || dup2(fileno(printed), fileno(stdout)) < 0 ||
      dup2(fileno(printed), fileno(stderr)) < 0) {
    return 3;
  }
  is_recording = 1;
  for (uint32_t threads = 1; threads <= 2; threads++) {
    ttv_engine *engine = create_engine_on(argv[1], "embedded", threads);
    EXPECT(TTV_OK, ttv_engine_prepare(engine));
    ttv_stream_config config = small_stream();
    config.ring_slots = 64;
    ttv_stream *stream = create_stream(engine, &config);
    uint64_t acquisition = acquire_frames(stream, 60);
    ttv_result result = TTV_RESULT_INIT;
    EXPECT(TTV_OK, ttv_stream_wait(stream, acquisition, TIMEOUT_NS, &result));
    EXPECT(TTV_OK, result.status);
    ttv_stream_destroy(stream);
    ttv_engine_destroy(engine);
  }
  is_recording = 0;
  if (names[0]) fprintf(report, "read:%s\n", names);
  EXPECT(0, (long long)strlen(names));
  fflush(NULL);
  EXPECT(0, (long long)lseek(fileno(printed), 0, SEEK_END));
  dup2(out, fileno(stdout));
  return finish_checks();
}

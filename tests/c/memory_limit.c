/* Tests that the library refuses what does not fit into the memory of the process: address space
 * that is limited with RLIMIT_AS, and a control group with a memory limit. The argument is a model
 * package. */
#define _GNU_SOURCE
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define MIB ((size_t)1 << 20)

/* Limits the address space to what is mapped now and `left` bytes more. */
static void limit_address_space(size_t left) {
  long pages = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  if (!file || fscanf(file, "%ld", &pages) != 1) exit(EXIT_FAILURE);
  fclose(file);
  struct rlimit limit = {(rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + left, RLIM_INFINITY};
  EXPECT(0, setrlimit(RLIMIT_AS, &limit));
}

static void lift_limit(void) {
  struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
  EXPECT(0, setrlimit(RLIMIT_AS, &limit));
}

/* Checks that a call succeeded or found too little memory. Without address space for its stack, a
 * thread cannot start, which is TTV_ERR_SYSTEM. */
static void expect_success_or_refusal(ttv_status status, const char *call) {
  int is_allowed =
      status == TTV_OK || status == TTV_ERR_OUT_OF_MEMORY || status == TTV_ERR_SYSTEM;
  if (!is_allowed) printf("%s returned %d\n", call, status);
  EXPECT(1, is_allowed);
}

/* A stream for large frames with a small ring needs 16 MiB for the preprocessing. */
static void refuse_large_frames(const char *model) {
  ttv_engine *engine = create_engine(model);
  EXPECT(TTV_OK, ttv_engine_prepare(engine));
  ttv_stream_config config = TTV_STREAM_CONFIG_INIT;
  config.max_width_px = 4096;
  config.max_height_px = 4096;
  config.max_frame_bytes = 4096;
  config.ring_slots = 2;
  size_t bytes = 0;
  EXPECT(TTV_OK, ttv_stream_get_memory(engine, &config, &bytes));
  EXPECT(1, bytes >= 16 * MIB);
  limit_address_space(12 * MIB);
  ttv_stream *stream = NULL;
  EXPECT(TTV_ERR_OUT_OF_MEMORY, ttv_stream_create(engine, &config, &stream));
  EXPECT(1, stream == NULL);
  lift_limit();
  ttv_stream_destroy(create_stream(engine, &config));
  ttv_engine_destroy(engine);
}

/* With less and less address space, every call succeeds or is refused, and afterwards the same
 * handles work. */
static void use_all_calls(const char *model, size_t left) {
  ttv_engine *engine = create_engine(model), *other = NULL;
  EXPECT(TTV_OK, ttv_engine_prepare(engine));
  ttv_stream_config config = small_stream();
  config.exact_history_ns = INT64_C(1000000000);
  ttv_stream *stream = create_stream(engine, &config), *second = NULL;
  EXPECT(TTV_OK, try_acquisition(stream));
  limit_address_space(left);
  ttv_engine_config settings = TTV_ENGINE_CONFIG_INIT;
  settings.model_path = model;
  expect_success_or_refusal(ttv_engine_create(&settings, &other), "ttv_engine_create");
  expect_success_or_refusal(ttv_engine_prepare(engine), "ttv_engine_prepare");
  if (other) expect_success_or_refusal(ttv_engine_prepare(other), "ttv_engine_prepare");
  expect_success_or_refusal(ttv_stream_create(engine, &config, &second), "ttv_stream_create");
  expect_success_or_refusal(try_acquisition(stream), "an acquisition");
  ttv_result result = TTV_RESULT_INIT;
  ttv_status status =
      ttv_stream_query(stream, 0, 10 * STEP_NS, TTV_QUERY_FLAG_EXACT, TIMEOUT_NS, &result);
  expect_success_or_refusal(status, "an exact query");
  ttv_engine_info info = TTV_ENGINE_INFO_INIT;
  expect_success_or_refusal(ttv_engine_get_info(engine, &info), "ttv_engine_get_info");
  ttv_stream_destroy(second);
  ttv_engine_destroy(other);
  lift_limit();
  EXPECT(TTV_OK, ttv_engine_prepare(engine));
  EXPECT(TTV_OK, try_acquisition(stream));
  ttv_stream_destroy(stream);
  ttv_engine_destroy(engine);
}

/* Refuses the largest ring, of 64 GiB, and accepts a small one. */
static void refuse_large_ring(const char *model, size_t available) {
  ttv_engine *engine = create_engine(model);
  ttv_stream_config config = TTV_STREAM_CONFIG_INIT;
  config.max_width_px = 4096;
  config.max_height_px = 4096;
  config.ring_slots = 1024;
  size_t bytes = 0;
  EXPECT(TTV_OK, ttv_stream_get_memory(engine, &config, &bytes));
  if (bytes / 10 * 9 <= available) {
    printf("the ring needs %zu bytes, and %zu are available\n", bytes, available);
    puts("skipped: a ring that is larger than the memory, because the machine has enough");
  } else {
    ttv_stream *stream = NULL;
    EXPECT(TTV_ERR_OUT_OF_MEMORY, ttv_stream_create(engine, &config, &stream));
    expect_message("are available");
    EXPECT(1, stream == NULL);
  }
  config = small_stream();
  ttv_stream *stream = create_stream(engine, &config);
  acquire_frame(stream);
  ttv_stream_destroy(stream);
  ttv_engine_destroy(engine);
}

static size_t read_available(void) {
  char line[256];
  size_t kib = 0;
  FILE *file = fopen("/proc/meminfo", "r");
  while (file && fgets(line, sizeof line, file)) {
    if (sscanf(line, "MemAvailable: %zu", &kib) == 1) break;
  }
  if (file) fclose(file);
  return kib * 1024;
}

static int write_text(const char *folder, const char *name, const char *text) {
  char path[512];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "w");
  if (!file) return 0;
  int is_written = fputs(text, file) >= 0;
  return fclose(file) == 0 && is_written;
}

/* Moves this process into a new control group with a limit of 200 MiB. Returns the folder, or NULL
 * if the machine does not allow it. */
static const char *enter_group(void) {
  static char folder[256];
  const char *mounts[][2] = {{"/sys/fs/cgroup/memory", "memory.limit_in_bytes"},
                             {"/sys/fs/cgroup", "memory.max"}};
  for (int version = 0; version < 2; version++) {
    snprintf(folder, sizeof folder, "%s/tteview-test-%d", mounts[version][0], (int)getpid());
    char process[32];
    snprintf(process, sizeof process, "%d", (int)getpid());
    if (mkdir(folder, 0755) != 0) continue;
    if (write_text(folder, mounts[version][1], "209715200") &&
        write_text(folder, "cgroup.procs", process)) {
      return folder;
    }
    rmdir(folder);
  }
  return NULL;
}

/* Refuses a ring of 1 GiB in a control group with 200 MiB. */
static void refuse_ring_in_group(const char *model) {
  if (!enter_group()) {
    puts("skipped: this machine does not let the test create a control group");
    return;
  }
  ttv_engine *engine = create_engine(model);
  ttv_stream_config config = TTV_STREAM_CONFIG_INIT;
  config.ring_slots = 256;
  ttv_stream *stream = NULL;
  EXPECT(TTV_ERR_OUT_OF_MEMORY, ttv_stream_create(engine, &config, &stream));
  expect_message("are available");
  config.ring_slots = 4;
  ttv_stream_destroy(create_stream(engine, &config));
  ttv_engine_destroy(engine);
}

/* Runs a test in a process of its own and returns whether it failed. */
#define RUN(name, test)                                                 \
  do {                                                                  \
    fflush(stdout);                                                     \
    pid_t child_ = fork();                                              \
    if (child_ == 0) {                                                  \
      alarm(120);                                                       \
      test;                                                             \
      fflush(stdout);                                                   \
      _exit(failures != 0);                                             \
    }                                                                   \
    int status_ = 0;                                                    \
    waitpid(child_, &status_, 0);                                       \
    if (status_) printf("%s failed with status %#x\n", name, status_);  \
    failed |= status_ != 0;                                             \
    /* An empty group can be removed. */                                \
    char group_[256];                                                   \
    snprintf(group_, sizeof group_, "/sys/fs/cgroup/memory/tteview-test-%d", (int)child_); \
    rmdir(group_);                                                      \
    snprintf(group_, sizeof group_, "/sys/fs/cgroup/tteview-test-%d", (int)child_); \
    rmdir(group_);                                                      \
  } while (0)

int main(int count, char **arguments) {
  if (count < 2) return EXIT_FAILURE;
  const char *model = arguments[1];
  int failed = 0;
  RUN("large frames", refuse_large_frames(model));
  RUN("a large ring", refuse_large_ring(model, read_available()));
  RUN("a ring in a control group", refuse_ring_in_group(model));
  for (size_t left = 0; left <= 64 * MIB; left += left < 4 * MIB ? MIB / 4 : 4 * MIB) {
    char name[64];
    snprintf(name, sizeof name, "%zu bytes of address space", left);
    RUN(name, use_all_calls(model, left));
  }
  puts(failed ? "failed" : "passed");
  return failed;
}

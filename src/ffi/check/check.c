/* Handles and reports of the checker. */
#define _GNU_SOURCE
#include "check.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

_Thread_local struct limits limits __attribute__((tls_model("initial-exec")));

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct handle *handles;

int read_thread(void) { return (int)syscall(SYS_gettid); }

/* Maximum number of reports of one rule. */
#define MAX_REPORTS 10

/* Counts a report of a rule, and returns the number of its reports so far. */
static int count_report(const char *rule) {
  static struct {
    const char *rule;
    int reports;
  } counts[32];
  int reports = 1;
  pthread_mutex_lock(&lock);
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
    if (counts[i].rule && strcmp(counts[i].rule, rule) != 0) continue;
    counts[i].rule = rule;
    reports = ++counts[i].reports;
    break;
  }
  pthread_mutex_unlock(&lock);
  return reports;
}

void report(const char *rule, const char *function, const void *handle, const char *text) {
  int reports = count_report(rule);
  if (reports > MAX_REPORTS) return;
  /* The report itself may allocate. */
  limits.library_depth++;
  char line[512];
  int length = snprintf(line, sizeof line,
                        "tteview check: %s: %s: %s (handle %p, thread %d)%s; see "
                        "docs/host/checker.md#%s\n",
                        rule, function, text, handle, read_thread(),
                        reports == MAX_REPORTS ? "; further reports of this rule are left out" : "",
                        rule);
  if (length > (int)sizeof line - 1) length = (int)sizeof line - 1;
  if (length > 0 && write(STDERR_FILENO, line, (size_t)length) < 0) {
    /* Nothing can be done if standard error is closed. */
  }
  const char *mode = getenv("TTEVIEW_CHECK");
  if (mode && strcmp(mode, "abort") == 0) abort();
  limits.library_depth--;
}

struct handle *create_handle(enum kind kind) {
  struct handle *handle = calloc(1, sizeof *handle);
  if (handle) handle->kind = kind;
  return handle;
}

void add_handle(struct handle *handle, void *real) {
  handle->real = real;
  pthread_mutex_lock(&lock);
  handle->next = handles;
  handles = handle;
  pthread_mutex_unlock(&lock);
}

static struct handle *find(const void *pointer) {
  pthread_mutex_lock(&lock);
  struct handle *handle = handles;
  while (handle && handle != pointer) handle = handle->next;
  pthread_mutex_unlock(&lock);
  return handle;
}

struct handle *find_handle(enum kind kind, const void *pointer, const char *function) {
  struct handle *handle = find(pointer);
  if (!handle || handle->kind != kind) {
    report("not-a-handle", function, pointer,
           kind == ENGINE ? "the pointer is not an engine; pass the handle from ttv_engine_create"
                          : "the pointer is not a stream; pass the handle from ttv_stream_create");
    return NULL;
  }
  if (atomic_load(&handle->is_destroyed)) {
    report("use-after-destroy", function, pointer,
           "the handle was destroyed; destroy it after its last use");
    return NULL;
  }
  return handle;
}

bool retire_handle(struct handle *handle, const char *function) {
  if (atomic_load(&handle->calls) > 0) {
    report("destroy-in-use", function, handle,
           "another call uses the handle, so it is not destroyed; wait until all calls have "
           "returned");
    return false;
  }
  atomic_store(&handle->is_destroyed, true);
  return true;
}

uint64_t compute_sum(uint64_t sum, const void *data, size_t bytes) {
  const uint8_t *byte = data;
  for (size_t i = 0; i < bytes; i++) sum = (sum ^ byte[i]) * UINT64_C(0x100000001b3);
  return sum;
}

/* Reports handles that were never destroyed. The function runs after the destructors of the host's
 * static objects and after its atexit functions. */
__attribute__((destructor)) static void report_leaks(void) {
  for (struct handle *handle = handles; handle; handle = handle->next) {
    if (atomic_load(&handle->is_destroyed)) continue;
    report("leaked-handle", handle->kind == ENGINE ? "ttv_engine_create" : "ttv_stream_create",
           handle, "the handle was not destroyed before the process ended");
  }
}

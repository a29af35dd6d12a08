/* Declarations that the files of the checker share; docs/host/checker.md describes its rules. */
#ifndef TTEVIEW_CHECK_H
#define TTEVIEW_CHECK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tteview/tteview.h"

/* Kind of a handle. */
enum kind { ENGINE, STREAM };

/* A handle as the host sees it. It is never freed, so that a use after destroy is detected even if
 * the library has reused the memory of the destroyed object. */
struct handle {
  enum kind kind;
  /* Handle of the library. */
  void *real;
  struct handle *next;
  atomic_bool is_destroyed;
  /* Number of calls in progress. */
  atomic_int calls;

  /* The remaining fields belong to streams. The callback and its argument: */
  void (*on_result)(void *user, const ttv_result *result);
  void *user;
  /* Thread that began the acquisition, or 0 if no acquisition is in progress. */
  atomic_int acquisition_thread;
  /* Whether the last ttv_stream_begin failed. */
  atomic_bool begin_failed;
  /* Whether a slot is lent to the host. */
  atomic_bool is_lent;
  /* The slot that was committed last, and its checksum. `data` is NULL after it was compared. */
  const uint8_t *committed;
  uint32_t committed_bytes;
  uint64_t committed_sum;
  /* Whether the stream numbers the frames itself. */
  bool has_period;
  /* Time and number of the frame that was dropped last. */
  bool has_dropped;
  int64_t dropped_ns;
  uint64_t dropped_sequence;
};

/* What the current thread must not do. */
struct limits {
  /* Whether the thread is in the library. Calls of the library may allocate and sleep. */
  int library_depth;
  /* Name of the callback or hook that is running, or NULL. */
  const char *callback;
  /* Stream whose callback is running, or NULL. */
  struct handle *callback_stream;
  /* Stream whose slot is lent to this thread, or NULL. */
  struct handle *lent;
};

extern _Thread_local struct limits limits __attribute__((tls_model("initial-exec")));

/* Reports that the host broke a rule. `handle` may be NULL. */
void report(const char *rule, const char *function, const void *handle, const char *text);

/* Returns the handle, or NULL after a report if it is not a live handle of this kind. */
struct handle *find_handle(enum kind kind, const void *pointer, const char *function);

/* Creates a handle that is not in the list yet. Returns NULL if memory is missing. */
struct handle *create_handle(enum kind kind);
void add_handle(struct handle *handle, void *real);

/* Marks a handle as destroyed. Returns false after a report if another call is in progress. */
bool retire_handle(struct handle *handle, const char *function);

/* Begins a call with a handle of the host. Returns a substitute for NULL, which the library itself
 * refuses, or NULL after a report if the call must not be made. */
struct handle *begin_call(enum kind kind, const void *pointer, const char *function);

/* Ends a call, checks its status and returns the status. */
ttv_status end_call(struct handle *handle, const char *function, ttv_status status);

/* Ends the loan of a slot, if there is one. */
void end_loan(struct handle *handle);

/* Declares a function of the library, whose name has another prefix in a checked library. */
#define UNCHECKED(result, name, parameters) extern result ttv_unchecked_##name parameters

/* Returns a checksum of a memory area. */
uint64_t compute_sum(uint64_t sum, const void *data, size_t bytes);

/* Returns the system's number of the current thread. */
int read_thread(void);

#endif

/* The functions of the C interface in a checked library. Each function checks the host's use, calls
 * the function of the library, whose name begins with ttv_unchecked_, and checks the outcome. */
#define _GNU_SOURCE
#include <string.h>

#include "check.h"

UNCHECKED(ttv_status, runtime_init, (const ttv_runtime_config *));
UNCHECKED(ttv_status, engine_create, (const ttv_engine_config *, ttv_engine **));
UNCHECKED(ttv_status, engine_prepare, (ttv_engine *));
UNCHECKED(ttv_status, engine_prepare_with, (ttv_engine *, const ttv_prepare_config *));
UNCHECKED(ttv_status, engine_export, (const ttv_engine *, const char *));
UNCHECKED(ttv_status, engine_import, (ttv_engine *, const char *));
UNCHECKED(ttv_status, engine_pause, (ttv_engine *));
UNCHECKED(ttv_status, engine_resume, (ttv_engine *));
UNCHECKED(void, engine_destroy, (ttv_engine *));
UNCHECKED(ttv_status, engine_get_info, (const ttv_engine *, ttv_engine_info *));
UNCHECKED(ttv_status, engine_get_label, (const ttv_engine *, uint32_t, ttv_label *));
UNCHECKED(ttv_status, engine_get_group, (const ttv_engine *, uint32_t, ttv_group *));
UNCHECKED(ttv_status, stream_create, (ttv_engine *, const ttv_stream_config *, ttv_stream **));
UNCHECKED(ttv_status, stream_get_memory, (const ttv_engine *, const ttv_stream_config *, size_t *));
UNCHECKED(void, stream_destroy, (ttv_stream *));
UNCHECKED(ttv_status, stream_process, (ttv_stream *));
UNCHECKED(ttv_status, stream_poll, (const ttv_stream *, ttv_result *));
UNCHECKED(ttv_status, stream_wait, (ttv_stream *, uint64_t, int64_t, ttv_result *));
UNCHECKED(ttv_status, stream_query,
          (const ttv_stream *, int64_t, int64_t, ttv_query_flags, int64_t, ttv_result *));
UNCHECKED(ttv_status, stream_get_stats, (const ttv_stream *, ttv_stats *));
UNCHECKED(int32_t, stream_event_fd, (const ttv_stream *));
UNCHECKED(ttv_status, stream_last_event, (const ttv_stream *));

/* The outcome of the last call on this thread that reads a result. */
static _Thread_local struct {
  bool failed;
  int32_t label;
  int32_t group;
} last_read;

/* The host's hooks. */
static ttv_runtime_config hooks;

/* Stands for a NULL handle, which the library itself refuses. */
static struct handle null_handle;

struct handle *begin_call(enum kind kind, const void *pointer, const char *function) {
  if (limits.callback && strcmp(limits.callback, "log") == 0) {
    report("call-in-callback", function, pointer, "the hook log must not call the library");
  }
  struct handle *handle = &null_handle;
  if (pointer) {
    handle = find_handle(kind, pointer, function);
  } else {
    report("ignored-status", function, pointer,
           "the handle is NULL; check the status of the function that creates it");
  }
  if (handle) {
    atomic_fetch_add(&handle->calls, 1);
    limits.library_depth++;
  }
  return handle;
}

ttv_status end_call(struct handle *handle, const char *function, ttv_status status) {
  limits.library_depth--;
  atomic_fetch_sub(&handle->calls, 1);
  if (status == TTV_ERR_STRUCT_SIZE || status == TTV_ERR_UNKNOWN_FLAGS) {
    report("struct-not-initialized", function, handle,
           "the struct has a wrong size, unknown flags or reserved fields that are not 0; "
           "initialize it with its macro TTV_..._INIT");
  } else if (status == TTV_ERR_WRONG_THREAD && limits.callback) {
    report("call-in-callback", function, handle, "the callback must not make this call");
  } else if (status == TTV_ERR_WRONG_THREAD) {
    report("wrong-thread", function, handle,
           "another thread is in a call that only one thread at a time may make");
  }
  return status;
}

/* Defines the variable `handle` and makes a call that has no checks of its own. */
#define FORWARD(kind, pointer, name, ...)                                                          \
  struct handle *handle = begin_call(kind, pointer, "ttv_" #name);                                 \
  if (!handle) return TTV_ERR_INVALID_ARGUMENT;                                                    \
  return end_call(handle, "ttv_" #name, ttv_unchecked_##name(__VA_ARGS__))

/* Runs a callback or hook of the host. */
#define RUN_CALLBACK(name, stream, call)                                                           \
  do {                                                                                             \
    struct limits saved = limits;                                                                  \
    limits = (struct limits){.callback = name, .callback_stream = stream};                         \
    call;                                                                                          \
    limits = saved;                                                                                \
  } while (0)

static void call_on_result(void *user, const ttv_result *result) {
  struct handle *handle = user;
  RUN_CALLBACK("on_result", handle, handle->on_result(handle->user, result));
}

static void call_log(void *user, ttv_log_level level, const char *message, size_t length) {
  RUN_CALLBACK("log", NULL, hooks.log(user, level, message, length));
}

static void call_thread_start(void *user, const char *role) {
  RUN_CALLBACK("thread_start", NULL, hooks.thread_start(user, role));
}

ttv_status ttv_runtime_init(const ttv_runtime_config *config) {
  limits.library_depth++;
  atomic_fetch_add(&null_handle.calls, 1);
  if (!config || config->struct_size != sizeof *config) {
    return end_call(&null_handle, "ttv_runtime_init", ttv_unchecked_runtime_init(config));
  }
  ttv_runtime_config copy = *config;
  if (copy.log) copy.log = call_log;
  if (copy.thread_start) copy.thread_start = call_thread_start;
  ttv_runtime_config earlier = hooks;
  hooks = *config;
  ttv_status status = ttv_unchecked_runtime_init(&copy);
  if (status != TTV_OK) hooks = earlier;
  return end_call(&null_handle, "ttv_runtime_init", status);
}

ttv_status ttv_engine_create(const ttv_engine_config *config, ttv_engine **engine) {
  limits.library_depth++;
  atomic_fetch_add(&null_handle.calls, 1);
  ttv_engine *real = NULL;
  struct handle *handle = create_handle(ENGINE);
  ttv_status status = TTV_ERR_OUT_OF_MEMORY;
  if (handle) status = ttv_unchecked_engine_create(config, engine ? &real : NULL);
  if (engine) *engine = status == TTV_OK ? (ttv_engine *)handle : NULL;
  if (status == TTV_OK) add_handle(handle, real);
  return end_call(&null_handle, "ttv_engine_create", status);
}

void ttv_engine_destroy(ttv_engine *engine) {
  if (!engine) return;
  struct handle *handle = find_handle(ENGINE, engine, "ttv_engine_destroy");
  if (!handle || !retire_handle(handle, "ttv_engine_destroy")) return;
  limits.library_depth++;
  ttv_unchecked_engine_destroy(handle->real);
  limits.library_depth--;
}

ttv_status ttv_engine_prepare(ttv_engine *engine) {
  FORWARD(ENGINE, engine, engine_prepare, handle->real);
}

ttv_status ttv_engine_prepare_with(ttv_engine *engine, const ttv_prepare_config *config) {
  FORWARD(ENGINE, engine, engine_prepare_with, handle->real, config);
}

ttv_status ttv_engine_export(const ttv_engine *engine, const char *path) {
  FORWARD(ENGINE, engine, engine_export, handle->real, path);
}

ttv_status ttv_engine_import(ttv_engine *engine, const char *path) {
  FORWARD(ENGINE, engine, engine_import, handle->real, path);
}

ttv_status ttv_engine_pause(ttv_engine *engine) {
  FORWARD(ENGINE, engine, engine_pause, handle->real);
}

ttv_status ttv_engine_resume(ttv_engine *engine) {
  FORWARD(ENGINE, engine, engine_resume, handle->real);
}

ttv_status ttv_engine_get_info(const ttv_engine *engine, ttv_engine_info *info) {
  FORWARD(ENGINE, engine, engine_get_info, handle->real, info);
}

ttv_status ttv_engine_get_label(const ttv_engine *engine, uint32_t index, ttv_label *label) {
  if (index == UINT32_MAX || (last_read.failed && index == (uint32_t)last_read.label)) {
    report("unread-status", "ttv_engine_get_label", engine,
           "the index comes from a result that has no label, or that was not written because the "
           "call failed; check the status and `label` first");
    last_read.failed = false;
  }
  FORWARD(ENGINE, engine, engine_get_label, handle->real, index, label);
}

ttv_status ttv_engine_get_group(const ttv_engine *engine, uint32_t index, ttv_group *group) {
  if (index == UINT32_MAX || (last_read.failed && index == (uint32_t)last_read.group)) {
    report("unread-status", "ttv_engine_get_group", engine,
           "the index comes from a result that has no group, or that was not written because the "
           "call failed; check the status and `group` first");
    last_read.failed = false;
  }
  FORWARD(ENGINE, engine, engine_get_group, handle->real, index, group);
}

ttv_status ttv_stream_create(ttv_engine *engine, const ttv_stream_config *config,
                             ttv_stream **stream) {
  struct handle *parent = begin_call(ENGINE, engine, "ttv_stream_create");
  if (stream) *stream = NULL;
  if (!parent) return TTV_ERR_INVALID_ARGUMENT;
  ttv_stream *real = NULL;
  struct handle *handle = create_handle(STREAM);
  if (!handle) return end_call(parent, "ttv_stream_create", TTV_ERR_OUT_OF_MEMORY);
  ttv_stream_config copy;
  if (config && config->struct_size == sizeof *config) {
    copy = *config;
    handle->on_result = copy.on_result;
    handle->user = copy.user;
    handle->has_period = copy.frame_period_ns != 0;
    if (copy.on_result) {
      copy.on_result = call_on_result;
      copy.user = handle;
    }
    config = &copy;
  }
  ttv_status status = ttv_unchecked_stream_create(parent->real, config, stream ? &real : NULL);
  if (status == TTV_OK) {
    add_handle(handle, real);
    *stream = (ttv_stream *)handle;
  }
  return end_call(parent, "ttv_stream_create", status);
}

void ttv_stream_destroy(ttv_stream *stream) {
  if (!stream) return;
  struct handle *handle = find_handle(STREAM, stream, "ttv_stream_destroy");
  if (!handle) return;
  if (limits.callback_stream == handle) {
    report("call-in-callback", "ttv_stream_destroy", handle,
           "the callback must not destroy its own stream");
    return;
  }
  if (!retire_handle(handle, "ttv_stream_destroy")) return;
  end_loan(handle);
  limits.library_depth++;
  ttv_unchecked_stream_destroy(handle->real);
  limits.library_depth--;
}

ttv_status ttv_stream_get_memory(const ttv_engine *engine, const ttv_stream_config *config,
                                 size_t *bytes) {
  FORWARD(ENGINE, engine, stream_get_memory, handle->real, config, bytes);
}

ttv_status ttv_stream_process(ttv_stream *stream) {
  FORWARD(STREAM, stream, stream_process, handle->real);
}

/* Keeps the outcome of a call that reads a result. */
static ttv_status keep_outcome(ttv_status status, const ttv_result *result) {
  last_read.failed = result && status != TTV_OK && status != TTV_PARTIAL;
  if (last_read.failed) {
    memcpy(&last_read.label, &result->label, sizeof last_read.label);
    memcpy(&last_read.group, &result->group, sizeof last_read.group);
  }
  return status;
}

#define READ_RESULT(stream, name, ...)                                                             \
  struct handle *handle = begin_call(STREAM, stream, "ttv_" #name);                                \
  if (!handle) return TTV_ERR_INVALID_ARGUMENT;                                                    \
  ttv_status status = keep_outcome(ttv_unchecked_##name(__VA_ARGS__), result);                     \
  return end_call(handle, "ttv_" #name, status)

ttv_status ttv_stream_poll(const ttv_stream *stream, ttv_result *result) {
  READ_RESULT(stream, stream_poll, handle->real, result);
}

ttv_status ttv_stream_wait(ttv_stream *stream, uint64_t acquisition, int64_t timeout_ns,
                           ttv_result *result) {
  READ_RESULT(stream, stream_wait, handle->real, acquisition, timeout_ns, result);
}

ttv_status ttv_stream_query(const ttv_stream *stream, int64_t from_ns, int64_t to_ns,
                            ttv_query_flags flags, int64_t timeout_ns, ttv_result *result) {
  READ_RESULT(stream, stream_query, handle->real, from_ns, to_ns, flags, timeout_ns, result);
}

ttv_status ttv_stream_get_stats(const ttv_stream *stream, ttv_stats *stats) {
  FORWARD(STREAM, stream, stream_get_stats, handle->real, stats);
}

int32_t ttv_stream_event_fd(const ttv_stream *stream) {
  struct handle *handle = begin_call(STREAM, stream, "ttv_stream_event_fd");
  if (!handle) return -1;
  int32_t descriptor = ttv_unchecked_stream_event_fd(handle->real);
  end_call(handle, "ttv_stream_event_fd", TTV_OK);
  return descriptor;
}

ttv_status ttv_stream_last_event(const ttv_stream *stream) {
  struct handle *handle = begin_call(STREAM, stream, "ttv_stream_last_event");
  if (!handle) return TTV_ERR_INVALID_ARGUMENT;
  ttv_status event = ttv_unchecked_stream_last_event(handle->real);
  end_call(handle, "ttv_stream_last_event", TTV_OK);
  return event;
}

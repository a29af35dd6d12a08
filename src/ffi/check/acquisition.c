/* The functions for the acquisition thread in a checked library. */
#include "check.h"

UNCHECKED(ttv_status, stream_begin, (ttv_stream *, uint64_t *));
UNCHECKED(ttv_status, stream_push, (ttv_stream *, const ttv_frame *));
UNCHECKED(ttv_status, stream_loan, (ttv_stream *, ttv_slot *));
UNCHECKED(ttv_status, stream_commit, (ttv_stream *, const ttv_slot *, const ttv_frame *));
UNCHECKED(ttv_status, stream_mark, (ttv_stream *));
UNCHECKED(ttv_status, stream_end, (ttv_stream *));

/* Checks before a call of the acquisition thread. */
static struct handle *begin_acquisition_call(ttv_stream *stream, const char *function) {
  struct handle *handle = begin_call(STREAM, stream, function);
  if (!handle) return NULL;
  int thread = atomic_load(&handle->acquisition_thread);
  if (thread != 0 && thread != read_thread()) {
    report("wrong-thread", function, handle,
           "another thread began the acquisition; change the thread only between acquisitions");
  }
  const uint8_t *data = handle->committed;
  if (data && compute_sum(0, data, handle->committed_bytes) != handle->committed_sum) {
    report("written-after-commit", function, handle,
           "the host has written to a slot after ttv_stream_commit; take a new slot instead");
  }
  handle->committed = NULL;
  return handle;
}

static ttv_status end_acquisition_call(struct handle *handle, const char *function,
                                       ttv_status status) {
  if (status == TTV_ERR_WRONG_STATE && atomic_load(&handle->begin_failed)) {
    report("ignored-status", function, handle,
           "ttv_stream_begin failed, so no acquisition is in progress; check its status");
  }
  return end_call(handle, function, status);
}

void end_loan(struct handle *handle) {
  atomic_store(&handle->is_lent, false);
  if (limits.lent == handle) limits.lent = NULL;
}

/* Returns a checksum of the planes, or 0 if the library will refuse the frame. */
static uint64_t sum_planes(const ttv_frame *frame) {
  uint32_t width = frame->width_px, height = frame->height_px;
  if (frame->struct_size != sizeof *frame || width < 32 || height < 32 || width > 4096 ||
      height > 4096)
    return 0;
  uint32_t rows[3] = {height, 0, 0}, bytes[3] = {width, 0, 0};
  switch (frame->format) {
    case TTV_FORMAT_GRAY8: break;
    case TTV_FORMAT_NV12: rows[1] = height / 2, bytes[1] = width; break;
    case TTV_FORMAT_I420:
      rows[1] = rows[2] = height / 2;
      bytes[1] = bytes[2] = width / 2;
      break;
    default: return 0;
  }
  uint64_t sum = 1;
  for (int plane = 0; plane < 3; plane++) {
    if (rows[plane] == 0) continue;
    if (!frame->plane[plane] || frame->stride_bytes[plane] < bytes[plane]) return 0;
    for (uint32_t row = 0; row < rows[plane]; row++) {
      const uint8_t *start = frame->plane[plane] + (size_t)row * frame->stride_bytes[plane];
      sum = compute_sum(sum, start, bytes[plane]);
    }
  }
  return sum;
}

ttv_status ttv_stream_begin(ttv_stream *stream, uint64_t *acquisition) {
  struct handle *handle = begin_acquisition_call(stream, "ttv_stream_begin");
  if (!handle) return TTV_ERR_INVALID_ARGUMENT;
  ttv_status status = ttv_unchecked_stream_begin(handle->real, acquisition);
  bool acquires = atomic_load(&handle->acquisition_thread) != 0;
  if (status == TTV_OK) atomic_store(&handle->acquisition_thread, read_thread());
  if (!acquires) atomic_store(&handle->begin_failed, status != TTV_OK);
  return end_call(handle, "ttv_stream_begin", status);
}

ttv_status ttv_stream_push(ttv_stream *stream, const ttv_frame *frame) {
  struct handle *handle = begin_acquisition_call(stream, "ttv_stream_push");
  if (!handle) return TTV_ERR_INVALID_ARGUMENT;
  if (!frame) {
    ttv_status refused = ttv_unchecked_stream_push(handle->real, frame);
    return end_call(handle, "ttv_stream_push", refused);
  }
  if (handle->has_dropped && !handle->has_period && frame->time_ns == handle->dropped_ns &&
      frame->sequence == handle->dropped_sequence) {
    report("repeated-push", "ttv_stream_push", handle,
           "the frame was dropped because the ring was full, and is pushed again; every attempt "
           "counts as a dropped frame");
  }
  uint64_t before = sum_planes(frame);
  ttv_status status = ttv_unchecked_stream_push(handle->real, frame);
  if (status == TTV_OK && sum_planes(frame) != before) {
    report("changed-during-push", "ttv_stream_push", handle,
           "the pixels changed during the call, so the library may have read parts of two frames");
  }
  handle->has_dropped = status == TTV_RING_FULL;
  handle->dropped_ns = frame->time_ns;
  handle->dropped_sequence = frame->sequence;
  return end_acquisition_call(handle, "ttv_stream_push", status);
}

ttv_status ttv_stream_loan(ttv_stream *stream, ttv_slot *slot) {
  struct handle *handle = begin_acquisition_call(stream, "ttv_stream_loan");
  if (!handle) return TTV_ERR_INVALID_ARGUMENT;
  ttv_status status = ttv_unchecked_stream_loan(handle->real, slot);
  if (status == TTV_OK) {
    atomic_store(&handle->is_lent, true);
    limits.lent = handle;
  }
  return end_acquisition_call(handle, "ttv_stream_loan", status);
}

ttv_status ttv_stream_commit(ttv_stream *stream, const ttv_slot *slot, const ttv_frame *frame) {
  struct handle *handle = begin_acquisition_call(stream, "ttv_stream_commit");
  if (!handle) return TTV_ERR_INVALID_ARGUMENT;
  bool was_lent = atomic_load(&handle->is_lent);
  /* The checksum is computed before the commit, because the worker may then release the slot. */
  bool has_data = was_lent && slot && slot->data;
  uint64_t sum = has_data ? compute_sum(0, slot->data, slot->capacity_bytes) : 0;
  ttv_status status = ttv_unchecked_stream_commit(handle->real, slot, frame);
  if (status == TTV_OK) {
    handle->committed = slot->data;
    handle->committed_bytes = slot->capacity_bytes;
    handle->committed_sum = sum;
    end_loan(handle);
  } else if (status == TTV_ERR_WRONG_STATE && !was_lent) {
    report("commit-without-loan", "ttv_stream_commit", handle,
           "no slot is lent; check the status of ttv_stream_loan, and commit each slot once");
  }
  return end_acquisition_call(handle, "ttv_stream_commit", status);
}

ttv_status ttv_stream_mark(ttv_stream *stream) {
  struct handle *handle = begin_acquisition_call(stream, "ttv_stream_mark");
  if (!handle) return TTV_ERR_INVALID_ARGUMENT;
  ttv_status status = ttv_unchecked_stream_mark(handle->real);
  return end_acquisition_call(handle, "ttv_stream_mark", status);
}

ttv_status ttv_stream_end(ttv_stream *stream) {
  struct handle *handle = begin_acquisition_call(stream, "ttv_stream_end");
  if (!handle) return TTV_ERR_INVALID_ARGUMENT;
  ttv_status status = ttv_unchecked_stream_end(handle->real);
  if (status == TTV_OK) {
    atomic_store(&handle->acquisition_thread, 0);
    end_loan(handle);
  }
  return end_acquisition_call(handle, "ttv_stream_end", status);
}

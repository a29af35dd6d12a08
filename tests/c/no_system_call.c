/* Tests that no call on the acquisition thread makes a system call if the stream uses
 * TTV_DRIVE_POLL. On the test's acquisition thread, every system call kills the process.
 *
 *   no_system_call MODEL.onnx            exits with status 0 if no call makes a system call
 *   no_system_call MODEL.onnx control    makes a system call on purpose and must be killed */
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "tteview/tteview.h"

#define FRAMES 40
#define SIDE_X 640
#define SIDE_Y 480

static uint8_t pixels[SIDE_X * SIDE_Y];
static ttv_stream *stream;
static uint64_t acquisition;
static int is_control;
/* Number of calls with an unexpected result, or -1 if system calls cannot be forbidden. */
static atomic_int unexpected;
static atomic_int is_done;

static int forbid_system_calls(void) {
  struct sock_filter kill[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)};
  struct sock_fprog program = {.len = 1, .filter = kill};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* Passes a frame to the stream, by copy or in a slot. */
static int hand_over(const ttv_frame *frame, int uses_loan) {
  if (!uses_loan) return ttv_stream_push(stream, frame) == TTV_OK;
  ttv_slot slot = TTV_SLOT_INIT;
  if (ttv_stream_loan(stream, &slot) != TTV_OK) return 0;
  memcpy(slot.data, pixels, sizeof pixels);
  return ttv_stream_commit(stream, &slot, frame) == TTV_OK;
}

static int acquire(void) {
  int count = ttv_stream_begin(stream, &acquisition) != TTV_OK;
  for (int i = 0; i < FRAMES; i++) {
    ttv_frame frame = TTV_FRAME_INIT;
    frame.format = TTV_FORMAT_GRAY8;
    frame.width_px = SIDE_X;
    frame.height_px = SIDE_Y;
    frame.stride_bytes[0] = SIDE_X;
    frame.plane[0] = pixels;
    frame.time_ns = i * INT64_C(33333333);
    if (i == FRAMES / 2) count += ttv_stream_mark(stream) != TTV_OK;
    count += !hand_over(&frame, i % 2);
    ttv_result result = TTV_RESULT_INIT;
    ttv_status status = ttv_stream_poll(stream, &result);
    count += status != TTV_OK && status != TTV_NOT_READY;
  }
  count += ttv_stream_end(stream) != TTV_OK;
  ttv_stats stats = TTV_STATS_INIT;
  count += ttv_stream_get_stats(stream, &stats) != TTV_OK || stats.pushed != FRAMES;
  count += ttv_stream_last_event(stream) != TTV_OK;
  count += ttv_status_string(TTV_OK)[0] != 's' || ttv_abi_version() != TTV_ABI_VERSION;
  return count;
}

static void *run_thread(void *unused) {
  (void)unused;
  if (!forbid_system_calls()) {
    atomic_store(&unexpected, -1);
    atomic_store(&is_done, 1);
    return NULL;
  }
  if (is_control) (void)getppid();
  atomic_store(&unexpected, acquire());
  atomic_store(&is_done, 1);
  for (;;) continue; /* Ending the thread would be a system call. */
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  is_control = argc > 2;
  ttv_engine_config engine_config = TTV_ENGINE_CONFIG_INIT;
  engine_config.model_path = argv[1];
  ttv_engine *engine = NULL;
  if (ttv_engine_create(&engine_config, &engine) != TTV_OK) return 2;
  ttv_stream_config config = TTV_STREAM_CONFIG_INIT;
  config.drive = TTV_DRIVE_POLL;
  config.ring_slots = FRAMES;
  config.max_width_px = SIDE_X;
  config.max_height_px = SIDE_Y;
  config.max_frame_bytes = sizeof pixels;
  if (ttv_stream_create(engine, &config, &stream) != TTV_OK) return 2;
  pthread_t thread;
  if (pthread_create(&thread, NULL, run_thread, NULL)) return 2;
  while (!atomic_load(&is_done)) usleep(1000);
  if (atomic_load(&unexpected) < 0) {
    fprintf(stderr, "the kernel does not let a thread forbid its system calls\n");
    return 2;
  }
  ttv_result result = TTV_RESULT_INIT;
  ttv_status status = ttv_stream_wait(stream, acquisition, INT64_C(60000000000), &result);
  int has_passed = status == TTV_OK && result.frames_used == FRAMES && atomic_load(&unexpected) == 0;
  printf("%s\n", has_passed ? "no system call" : "an unexpected status");
  fflush(stdout);
  _exit(has_passed ? EXIT_SUCCESS : EXIT_FAILURE);
}

/* With a polling worker the acquisition thread's calls make no system call: in a thread where every one of them kills
 * the process, an acquisition goes through.
 *
 *   no_system_call MODEL            exit status 0: it did
 *   no_system_call MODEL control    makes one on purpose, and must not live to tell */
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "tteview/tteview.h"

#define FRAMES 40

static uint8_t pixels[640 * 480];
static ttv_stream *stream;
static uint64_t acquisition;
static int control;
static atomic_int wrong;     /* statuses that should not be */
static atomic_int done;      /* the thread has nothing left to do */

static int forbid_system_calls(void) {
  struct sock_filter kill[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)};
  struct sock_fprog program = {.len = 1, .filter = kill};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void *acquire(void *unused) {
  (void)unused;
  if (!forbid_system_calls()) {
    atomic_store(&wrong, 1000);
    atomic_store(&done, 1);
    return NULL;
  }
  if (control) (void)getppid();
  int strange = ttv_stream_begin(stream, &acquisition) != TTV_OK;
  for (int i = 0; i < FRAMES; i++) {
    ttv_frame frame = {.struct_size = sizeof frame, .format = TTV_FORMAT_GRAY8, .width_px = 640, .height_px = 480};
    frame.stride_bytes[0] = 640;
    frame.plane[0] = pixels;
    frame.time_ns = i * INT64_C(33333333);
    if (i == FRAMES / 2) strange += ttv_stream_mark(stream) != TTV_OK;
    if (i % 2 == 0) {
      strange += ttv_stream_push(stream, &frame) != TTV_OK;
    } else {
      ttv_slot slot = {.struct_size = sizeof slot};
      strange += ttv_stream_acquire(stream, &slot) != TTV_OK;
      memcpy(slot.data, pixels, sizeof pixels);
      strange += ttv_stream_commit(stream, &slot, &frame) != TTV_OK;
    }
    ttv_result result = {.struct_size = sizeof result};
    int32_t status = ttv_stream_poll(stream, &result);
    strange += status != TTV_OK && status != TTV_NOT_READY;
  }
  strange += ttv_stream_end(stream) != TTV_OK;
  ttv_stats stats = {.struct_size = sizeof stats};
  strange += ttv_stream_get_stats(stream, &stats) != TTV_OK || stats.pushed != FRAMES;
  strange += ttv_stream_last_event(stream) != TTV_OK;
  strange += ttv_status_string(TTV_OK)[0] != 'o' || ttv_abi_version() != TTV_ABI_VERSION;
  atomic_store(&wrong, strange);
  atomic_store(&done, 1);
  for (;;) continue; /* leaving the thread would be a system call: the process ends with the main thread */
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  control = argc > 2;
  ttv_engine_config engine_config = {.struct_size = sizeof engine_config, .model_path = argv[1]};
  ttv_engine *engine = NULL;
  if (ttv_engine_create(&engine_config, &engine) != TTV_OK) return 2;
  ttv_stream_config config = {.struct_size = sizeof config, .flags = TTV_STREAM_POLLING};
  config.ring_slots = FRAMES;
  config.max_width_px = 640;
  config.max_height_px = 480;
  config.max_frame_bytes = sizeof pixels;
  if (ttv_stream_create(engine, &config, &stream) != TTV_OK) return 2;
  pthread_t thread;
  if (pthread_create(&thread, NULL, acquire, NULL)) return 2;
  while (!atomic_load(&done)) usleep(1000);
  if (atomic_load(&wrong) == 1000) {
    fprintf(stderr, "the kernel does not let a thread forbid its system calls\n");
    return 2;
  }
  ttv_result result = {.struct_size = sizeof result};
  int32_t status = ttv_stream_wait(stream, acquisition, INT64_C(60000000000), &result);
  int passed = status == TTV_OK && result.frames_used == FRAMES && atomic_load(&wrong) == 0;
  printf("%d passed, %d failed\n", passed, !passed);
  fflush(stdout);
  _exit(passed ? EXIT_SUCCESS : EXIT_FAILURE);
}

/* Tests that a wall clock that is set back does not delay a call that destroys a stream, although
 * the worker of the stream waits for its turn behind a worker that a pause has stopped.
 *
 *   clock_step MODEL.onnx
 *
 * The exit status is 0 if every check passed, and 77 if the system cannot wait for a lock that
 * lends priority until a time of the monotonic clock. */
#define _GNU_SOURCE /* pthread_mutex_clocklock */
#include <errno.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"
#include "posix.h"

enum { STREAMS = 6, ROUNDS = 10, FRAMES = 600 };

/* Replaces the function of the C library in the whole program. The wall clock is an hour ahead, so
 * for the system, which computes the end of a wait, it is set back by an hour. */
int clock_gettime(clockid_t clock, struct timespec *time) {
  long status = syscall(SYS_clock_gettime, clock, time);
  if (clock == CLOCK_REALTIME) time->tv_sec += 3600;
  return (int)status;
}

/* Locks a mutex that another thread holds, until a time of the monotonic clock. */
static void *wait_for_lock(void *mutex) {
  static int error;
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  error = pthread_mutex_clocklock(mutex, CLOCK_MONOTONIC, &until);
  return &error;
}

static int has_monotonic_locks(void) {
  pthread_mutexattr_t attributes;
  pthread_mutex_t mutex;
  pthread_t thread;
  void *error = NULL;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
  pthread_mutex_init(&mutex, &attributes);
  pthread_mutex_lock(&mutex);
  EXPECT(0, pthread_create(&thread, NULL, wait_for_lock, &mutex));
  pthread_join(thread, &error);
  pthread_mutex_unlock(&mutex);
  return *(int *)error == ETIMEDOUT;
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  if (!has_monotonic_locks()) {
    puts("skipped: locks that lend priority have no monotonic clock before Linux 5.14, glibc 2.35");
    return SKIPPED;
  }
  alarm(120);
  ttv_engine *engine = create_engine(argv[1]);
  ttv_stream_config config = small_stream();
  config.ring_slots = FRAMES + 2;
  for (int round = 0; round < ROUNDS; round++) {
    ttv_stream *streams[STREAMS];
    for (int i = 0; i < STREAMS; i++) streams[i] = create_stream(engine, &config);
    for (int i = 0; i < STREAMS; i++) acquire_frames(streams[i], FRAMES);
    sleep_ms(1 + round % 3);
    EXPECT(TTV_OK, ttv_engine_pause(engine));
    int64_t start = now_ns();
    for (int i = 0; i < STREAMS; i++) ttv_stream_destroy(streams[i]);
    EXPECT(1, now_ns() - start < INT64_C(10000000000));
    EXPECT(TTV_OK, ttv_engine_resume(engine));
  }
  ttv_engine_destroy(engine);
  return finish_checks();
}

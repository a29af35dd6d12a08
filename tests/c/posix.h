/* Helpers for C tests that use POSIX. A test defines _GNU_SOURCE or _POSIX_C_SOURCE before it
 * includes this file. */
#ifndef TTEVIEW_TESTS_POSIX_H
#define TTEVIEW_TESTS_POSIX_H

#include <dirent.h>
#include <stdint.h>
#include <sys/resource.h>
#include <time.h>

/* The exit status of a test that this machine cannot run. The test prints "skipped: " and the
 * reason. A test that leaves out only a part prints such a line, too, and goes on. */
enum { SKIPPED = 77 };

static inline int64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static inline void sleep_ns(int64_t time_ns) {
  struct timespec time = {.tv_sec = time_ns / 1000000000, .tv_nsec = time_ns % 1000000000};
  nanosleep(&time, NULL);
}

static inline void sleep_ms(int64_t time_ms) { sleep_ns(time_ms * 1000000); }

/* Returns the time of a clock that counts CPU time, in milliseconds. */
static inline double cpu_ms(clockid_t clock) {
  struct timespec time = {0, 0};
  clock_gettime(clock, &time);
  return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

/* Returns the CPU time of a thread. The clock's identifier is computed as in the Linux kernel. */
static inline double thread_ms(int thread) {
  return cpu_ms((clockid_t)(~(unsigned)thread << 3 | 6u));
}

/* Limits the number of threads of this user. Returns 0, or -1 if the limit cannot be set. */
static inline int limit_threads(rlim_t count) {
  struct rlimit limit;
  getrlimit(RLIMIT_NPROC, &limit);
  limit.rlim_cur = count;
  return setrlimit(RLIMIT_NPROC, &limit);
}

/* Counts the threads of the process. A thread that has been joined may be listed for a moment, so
 * the function waits until there are at most `expected`. */
static inline int count_threads(int expected) {
  int count = 0;
  for (int attempt = 0; attempt < 200; attempt++) {
    DIR *tasks = opendir("/proc/self/task");
    count = 0;
    while (tasks && readdir(tasks)) count++;
    closedir(tasks);
    count -= 2; /* the entries "." and ".." */
    if (count <= expected) break;
    sleep_ms(5);
  }
  return count;
}

#endif

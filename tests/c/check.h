/* Checks that count, and a frame to push: what the C tests share. */
#ifndef TTEVIEW_TESTS_CHECK_H
#define TTEVIEW_TESTS_CHECK_H

#include <stdio.h>
#include <string.h>

#include "tteview/tteview.h"

static int checks, failures;

/* Where failures are told; NULL: standard error. */
static FILE *report;

static inline FILE *told(void) { return report ? report : stderr; }

#define EXPECT(want, call)                                                                       \
  do {                                                                                           \
    long long got_ = (call), want_ = (want);                                                     \
    checks++;                                                                                    \
    if (got_ != want_) {                                                                         \
      failures++;                                                                                \
      char cause_[512] = "";                                                                     \
      ttv_last_error(cause_, sizeof cause_);                                                     \
      fprintf(told(), "%s:%d: %s is %lld, not %lld (%s)\n", __FILE__, __LINE__, #call, got_, want_, cause_); \
    }                                                                                            \
  } while (0)

/* This thread's last error names `word`. */
static inline void says(const char *word) {
  char cause[512] = "";
  ttv_last_error(cause, sizeof cause);
  checks++;
  if (!strstr(cause, word)) {
    failures++;
    fprintf(told(), "last error \"%s\" does not name \"%s\"\n", cause, word);
  }
}

static uint8_t pixels[64 * 64];

static inline ttv_frame good_frame(int64_t time_ns) {
  ttv_frame frame = {.struct_size = sizeof frame, .format = TTV_FORMAT_GRAY8, .width_px = 64, .height_px = 64};
  frame.plane[0] = pixels;
  frame.stride_bytes[0] = 64;
  frame.time_ns = time_ns;
  return frame;
}

#endif

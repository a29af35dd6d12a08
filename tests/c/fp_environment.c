/* Tests of the floating-point environment. The host traps floating-point exceptions, rounds upward
 * and, on x86-64, flushes subnormal numbers to zero. No call may end in SIGFPE, raise an exception
 * flag or change the host's modes, and the scores must be those of the default environment.
 *
 *   fp_environment MODEL.onnx
 *
 * The exit status is 0 if every check passed. */
#define _GNU_SOURCE /* feenableexcept */
#include <fenv.h>
#ifdef __x86_64__
#include <xmmintrin.h>
#endif

#include "check.h"

#define TRAPS (FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW)
#define MAX_LABELS 64
#define FORMATS 10

/* Whether the processor can trap floating-point exceptions. */
static int can_trap;

/* Flags of the control register that flush subnormal results and inputs to zero. */
#ifdef __x86_64__
#define FLUSH 0x8040u
static unsigned flush_flags(void) { return _mm_getcsr() & FLUSH; }
#else
#define FLUSH 0u
static unsigned flush_flags(void) { return FLUSH; }
#endif

static void set_hostile_environment(void) {
  fesetround(FE_UPWARD);
#ifdef __x86_64__
  _mm_setcsr(_mm_getcsr() | FLUSH);
#endif
  feclearexcept(FE_ALL_EXCEPT);
  can_trap = feenableexcept(TRAPS) != -1;
}

static int is_hostile;

/* Checks that the calls before this one changed nothing in the host's environment. */
static void check_environment(void) {
  EXPECT(0, fetestexcept(TRAPS));
  EXPECT(is_hostile ? FE_UPWARD : FE_TONEAREST, fegetround());
  EXPECT(is_hostile ? FLUSH : 0u, flush_flags());
  EXPECT(is_hostile && can_trap ? TRAPS : 0, fegetexcept());
}

static uint8_t image[64 * 64 * 4];

static ttv_frame frame_of(ttv_pixel_format format, int64_t time_ns) {
  static const uint32_t strides[FORMATS + 1][3] = {
      [TTV_FORMAT_GRAY8] = {64},  [TTV_FORMAT_GRAY16_LE] = {128}, [TTV_FORMAT_RGB24] = {192},
      [TTV_FORMAT_BGR24] = {192}, [TTV_FORMAT_RGBA32] = {256},    [TTV_FORMAT_BGRA32] = {256},
      [TTV_FORMAT_YUYV] = {128},  [TTV_FORMAT_UYVY] = {128},      [TTV_FORMAT_NV12] = {64, 64},
      [TTV_FORMAT_I420] = {64, 32, 32},
  };
  ttv_frame frame = TTV_FRAME_INIT;
  frame.format = format;
  frame.width_px = frame.height_px = 64;
  for (int plane = 0; plane < 3; plane++) {
    frame.plane[plane] = image;
    frame.stride_bytes[plane] = strides[format][plane];
  }
  frame.time_ns = time_ns;
  return frame;
}

/* Writes the bits of a number without a floating-point operation. */
static void set_bits(float *value, uint32_t bits) { memcpy(value, &bits, sizeof bits); }

static void check_pixel_sizes(ttv_stream *stream, int64_t *time_ns) {
  static const struct {
    uint32_t width, height;
    ttv_status status;
  } sizes[] = {
      {0x00000000, 0x00000000, TTV_OK},                   /* unknown */
      {0x43480000, 0x00000000, TTV_OK},                   /* 200 and unknown */
      {0x00000000, 0x43480000, TTV_OK},                   /* unknown and 200 */
      {0x43480000, 0x43960000, TTV_OK},                   /* 200 and 300 */
      {0x00000001, 0x00000003, TTV_OK},                   /* subnormal numbers */
      {0x7f7fffff, 0x7f7fffff, TTV_OK},                   /* the largest number */
      {0x00000001, 0x7f7fffff, TTV_ERR_FRAME_GEOMETRY},   /* a quotient that overflows */
      {0x7f7fffff, 0x00000001, TTV_ERR_FRAME_GEOMETRY},   /* a quotient that underflows */
      {0x7f800000, 0x7f800000, TTV_ERR_INVALID_ARGUMENT}, /* infinity */
      {0x7fc00000, 0x3f800000, TTV_ERR_INVALID_ARGUMENT}, /* not a number */
      {0x3f800000, 0x7f800001, TTV_ERR_INVALID_ARGUMENT}, /* a signalling NaN */
      {0xbf800000, 0x3f800000, TTV_ERR_INVALID_ARGUMENT}, /* -1 */
  };
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    ttv_frame frame = frame_of(TTV_FORMAT_GRAY8, ++*time_ns);
    set_bits(&frame.um_per_px_x, sizes[i].width);
    set_bits(&frame.um_per_px_y, sizes[i].height);
    EXPECT(sizes[i].status, ttv_stream_push(stream, &frame));
    ttv_slot slot = TTV_SLOT_INIT;
    EXPECT(TTV_OK, ttv_stream_loan(stream, &slot));
    memset(slot.data, 100, 64 * 64);
    frame.time_ns = ++*time_ns;
    EXPECT(sizes[i].status, ttv_stream_commit(stream, &slot, &frame));
    if (sizes[i].status != TTV_OK) {
      frame = frame_of(TTV_FORMAT_GRAY8, ++*time_ns);
      EXPECT(TTV_OK, ttv_stream_commit(stream, &slot, &frame));
    }
  }
  check_environment();
}

static void process_acquisition(ttv_stream *stream, ttv_drive drive) {
  if (drive == TTV_DRIVE_HOST) process_all(stream);
  check_environment();
}

/* Acquires 12 frames of each format, and writes the scores of all results to `scores`. */
static size_t acquire(ttv_engine *engine, ttv_drive drive, float *scores) {
  ttv_stream_config config = small_stream();
  config.max_frame_bytes = sizeof image;
  config.ring_slots = 128;
  config.exact_history_ns = 1000 * STEP_NS;
  config.early_stop_margin = 0.99f;
  config.view_change_margin = 0.99f;
  config.drive = drive;
  ttv_stream *stream = create_stream(engine, &config);
  check_environment();
  float *next = scores;
  uint64_t acquisition = 0;
  int64_t time_ns = 0;
  ttv_result result = TTV_RESULT_INIT;
  result.scores_capacity = MAX_LABELS;
  for (ttv_pixel_format format = TTV_FORMAT_GRAY8; format <= FORMATS; format++) {
    EXPECT(TTV_OK, ttv_stream_begin(stream, &acquisition));
    int64_t from_ns = time_ns + STEP_NS;
    for (int i = 0; i < 12; i++) {
      for (size_t at = 0; at < sizeof image; at++)
        image[at] = (uint8_t)(at * (size_t)(i + 3) + at / 61 * (size_t)format);
      ttv_frame frame = frame_of(format, time_ns += STEP_NS);
      EXPECT(TTV_OK, ttv_stream_push(stream, &frame));
      EXPECT(TTV_FRAME_REFUSED, ttv_stream_push(stream, &frame));
    }
    check_environment();
    EXPECT(TTV_OK, ttv_stream_end(stream));
    process_acquisition(stream, drive);
    result.scores = next;
    EXPECT(TTV_OK, ttv_stream_wait(stream, acquisition, TIMEOUT_NS, &result));
    EXPECT(TTV_OK, result.status);
    next += result.scores_length;
    result.scores = next;
    EXPECT(TTV_OK, ttv_stream_query(stream, from_ns, time_ns, 0, TIMEOUT_NS, &result));
    next += result.scores_length;
    result.scores = next;
    EXPECT(TTV_OK, ttv_stream_query(stream, from_ns, time_ns, TTV_QUERY_FLAG_EXACT, TIMEOUT_NS,
                                    &result));
    next += result.scores_length;
    result.scores = NULL;
    EXPECT(TTV_OK, ttv_stream_poll(stream, &result));
    check_environment();
  }
  EXPECT(TTV_OK, ttv_stream_begin(stream, &acquisition));
  check_pixel_sizes(stream, &time_ns);
  EXPECT(TTV_OK, ttv_stream_mark(stream));
  EXPECT(TTV_OK, ttv_stream_end(stream));
  process_acquisition(stream, drive);
  EXPECT(TTV_OK, ttv_stream_wait(stream, acquisition, TIMEOUT_NS, &result));
  ttv_stats stats = TTV_STATS_INIT;
  EXPECT(TTV_OK, ttv_stream_get_stats(stream, &stats));
  ttv_status event = ttv_stream_last_event(stream);
  (void)event;
  ttv_stream_destroy(stream);
  check_environment();
  return (size_t)(next - scores);
}

/* Creates and prepares an engine, and acquires with and without a worker thread. */
static size_t run(const char *model, float *scores) {
  ttv_engine *engine = create_engine(model);
  check_environment();
  EXPECT(TTV_OK, ttv_engine_prepare(engine));
  check_environment();
  ttv_engine_info info = TTV_ENGINE_INFO_INIT;
  EXPECT(TTV_OK, ttv_engine_get_info(engine, &info));
  EXPECT(1, info.label_count <= MAX_LABELS);
  size_t count = acquire(engine, TTV_DRIVE_WAKE, scores);
  count += acquire(engine, TTV_DRIVE_HOST, scores + count);
  ttv_engine_destroy(engine);
  check_environment();
  return count;
}

int main(int argc, char **argv) {
  static float usual[6 * FORMATS * MAX_LABELS], hostile[6 * FORMATS * MAX_LABELS];
  if (argc != 2) return EXIT_FAILURE;
  size_t count = run(argv[1], usual);
  is_hostile = 1;
  set_hostile_environment();
  if (!can_trap) printf("this processor cannot trap floating-point exceptions\n");
  EXPECT((long long)count, (long long)run(argv[1], hostile));
  EXPECT(0, memcmp(usual, hostile, count * sizeof *usual));
  EXPECT(1, count > 6 * FORMATS);
  return finish_checks();
}

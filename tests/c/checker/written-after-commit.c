/* Breaks the rule written-after-commit:
 * writes to a slot after it was committed. */
#define _GNU_SOURCE
#include "../check.h"

static void break_rule(ttv_engine *engine) {
  ttv_stream_config config = small_stream();
  ttv_stream *stream = create_stream(engine, &config);
  uint64_t acquisition;
  EXPECT(TTV_OK, ttv_stream_begin(stream, &acquisition));
  ttv_slot slot = TTV_SLOT_INIT;
  ttv_frame frame = frame_at(1);
  EXPECT(TTV_OK, ttv_stream_loan(stream, &slot));
  memset(slot.data, 90, slot.capacity_bytes);
  EXPECT(TTV_OK, ttv_stream_commit(stream, &slot, &frame));
  slot.data[7] = 91;
  EXPECT(TTV_OK, ttv_stream_end(stream));
  ttv_stream_destroy(stream);
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  ttv_engine *engine = create_engine(argv[1]);
  break_rule(engine);
  ttv_engine_destroy(engine);
  return finish_checks();
}

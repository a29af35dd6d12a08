/* Tests of the groups of labels: their names, and the group of a result.
 *
 *   groups MODEL.onnx
 *
 * The model may have no groups. The exit status is 0 if every check passed. */
#include "check.h"

static void check_names(const ttv_engine *engine, const ttv_engine_info *info) {
  for (uint32_t index = 0; index < info->label_count; index++) {
    ttv_label label = TTV_LABEL_INIT;
    EXPECT(TTV_OK, ttv_engine_get_label(engine, index, &label));
    EXPECT(1, label.group >= (info->group_count ? 0 : -1));
    EXPECT(1, label.group < (int32_t)info->group_count);
  }
  ttv_group group = TTV_GROUP_INIT;
  EXPECT(TTV_ERR_INVALID_ARGUMENT, ttv_engine_get_group(engine, info->group_count, &group));
  expect_message(info->group_count ? "index must be 0 to 5, got 6" : "the model has no groups");
  EXPECT(TTV_ERR_INVALID_ARGUMENT, ttv_engine_get_group(engine, (uint32_t)-1, &group));
  EXPECT(TTV_ERR_NULL_ARGUMENT, ttv_engine_get_group(NULL, 0, &group));
  if (!info->group_count) return;
  EXPECT(TTV_ERR_NULL_ARGUMENT, ttv_engine_get_group(engine, 0, NULL));
  group.struct_size = 8;
  EXPECT(TTV_ERR_STRUCT_SIZE, ttv_engine_get_group(engine, 2, &group));
  group.struct_size = sizeof group;
  EXPECT(TTV_OK, ttv_engine_get_group(engine, 2, &group));
  EXPECT(0, strcmp(group.code, "APICAL"));
  EXPECT(0, strcmp(group.name, "apical"));
  EXPECT(0, strcmp(group.scheme, "SCT"));
  EXPECT(0, strcmp(group.scheme_code, "43674008"));
  EXPECT(TTV_OK, ttv_engine_get_group(engine, 5, &group));
  EXPECT(1, group.scheme == NULL && group.scheme_code == NULL);
}

/* Checks that the group and the flags of a result agree with each other and with the posterior. */
static void check_result(const ttv_engine *engine, const ttv_engine_info *info,
                         const ttv_result *result) {
  const ttv_result_flags group_reasons = TTV_RESULT_FLAG_GROUP_ABSTAINED | TTV_RESULT_FLAG_NOVEL;
  const ttv_result_flags reasons =
      group_reasons | TTV_RESULT_FLAG_ABSTAINED | TTV_RESULT_FLAG_OUTSIDE_GROUP;
  EXPECT(result->label < 0, (result->flags & reasons) != 0);
  if (!info->group_count) {
    EXPECT(-1, result->group);
    EXPECT(1, result->group_confidence == 0.0f);
    EXPECT(0, result->flags & (group_reasons | TTV_RESULT_FLAG_OUTSIDE_GROUP));
    return;
  }
  EXPECT(result->group < 0, (result->flags & group_reasons) != 0);
  float sums[6] = {0};
  for (uint32_t index = 0; index < info->label_count; index++) {
    ttv_label label = TTV_LABEL_INIT;
    EXPECT(TTV_OK, ttv_engine_get_label(engine, index, &label));
    if (label.group >= 0 && label.group < 6) sums[label.group] += result->scores[index];
  }
  float largest = 0;
  for (int group = 0; group < 6; group++)
    if (sums[group] > largest) largest = sums[group];
  float difference = largest - result->group_confidence;
  EXPECT(1, difference < 1e-5f && difference > -1e-5f);
  if (result->label < 0) return;
  ttv_label label = TTV_LABEL_INIT;
  EXPECT(TTV_OK, ttv_engine_get_label(engine, (uint32_t)result->label, &label));
  EXPECT(result->group, label.group);
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  ttv_engine *engine = create_engine(argv[1]);
  ttv_engine_info info = TTV_ENGINE_INFO_INIT;
  EXPECT(TTV_OK, ttv_engine_get_info(engine, &info));
  check_names(engine, &info);
  ttv_stream_config config = small_stream();
  config.drive = TTV_DRIVE_HOST;
  ttv_stream *stream = create_stream(engine, &config);
  float scores[64];
  for (uint64_t round = 0; round < 3; round++) {
    uint64_t acquisition = 0;
    EXPECT(TTV_OK, ttv_stream_begin(stream, &acquisition));
    for (int64_t i = 0; i < 20; i++) {
      for (size_t p = 0; p < sizeof pixels; p++)
        pixels[p] = (uint8_t)(p * (size_t)((uint64_t)i * round + 1));
      ttv_frame frame = frame_at(((int64_t)round * 40 + i) * STEP_NS);
      EXPECT(TTV_OK, ttv_stream_push(stream, &frame));
      process_all(stream);
    }
    EXPECT(TTV_OK, ttv_stream_end(stream));
    process_all(stream);
    ttv_result result = TTV_RESULT_INIT;
    result.scores = scores;
    result.scores_capacity = 64;
    EXPECT(TTV_OK, ttv_stream_wait(stream, acquisition, 0, &result));
    EXPECT(TTV_OK, result.status);
    check_result(engine, &info, &result);
    int64_t from_ns = (int64_t)round * 40 * STEP_NS;
    EXPECT(TTV_OK, ttv_stream_query(stream, from_ns, from_ns + 30 * STEP_NS, 0, 0, &result));
    check_result(engine, &info, &result);
  }
  ttv_stream_destroy(stream);
  ttv_engine_destroy(engine);
  return finish_checks();
}

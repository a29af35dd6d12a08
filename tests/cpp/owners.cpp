// Tests of the C++ classes in tteview.hpp.
//
//   owners MODEL.onnx
//
// The exit status is 0 if every check passed.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <type_traits>

#include "tteview/tteview.hpp"

static int checks, failures;

static void expect(bool is_true, const char *condition, int line) {
  checks++;
  if (is_true) return;
  failures++;
  std::fprintf(stderr, "line %d: %s is false\n", line, condition);
}
#define EXPECT(condition) expect((condition), #condition, __LINE__)

static_assert(!std::is_copy_constructible_v<tteview::Engine> &&
              std::is_nothrow_move_constructible_v<tteview::Engine>);
static_assert(!std::is_copy_constructible_v<tteview::Stream> &&
              std::is_nothrow_move_constructible_v<tteview::Stream>);

static std::uint8_t pixels[64 * 64];

static ttv_frame frame_at(std::int64_t time_ns) {
  ttv_frame frame = TTV_FRAME_INIT;
  frame.format = TTV_FORMAT_GRAY8;
  frame.width_px = frame.height_px = 64;
  frame.plane[0] = pixels;
  frame.stride_bytes[0] = 64;
  frame.time_ns = time_ns;
  return frame;
}

// Runs an acquisition of eight frames that are pushed and one that is written to a slot.
static std::uint64_t acquire(tteview::Stream &stream) {
  EXPECT(stream.push(frame_at(0)).code == TTV_ERR_WRONG_STATE);
  std::uint64_t acquisition = 0;
  EXPECT(stream.begin(acquisition).ok());
  for (int i = 0; i < 8; i++) EXPECT(stream.push(frame_at(i * INT64_C(33333333))).ok());
  ttv_slot slot = TTV_SLOT_INIT;
  EXPECT(stream.loan(slot).ok());
  std::memset(slot.data, 90, slot.capacity_bytes);
  EXPECT(stream.commit(slot, frame_at(8 * INT64_C(33333333))).ok());
  EXPECT(stream.end().ok());
  return acquisition;
}

static float sum_scores(const tteview::ViewResult &result) {
  float sum = 0;
  for (float score : result.scores()) sum += score;
  return sum;
}

static void check_stream(const tteview::Engine &engine, std::uint32_t labels) {
  ttv_stream_config config = TTV_STREAM_CONFIG_INIT;
  config.max_width_px = config.max_height_px = 64;
  config.exact_history_ns = 1000000000;
  auto bytes = tteview::Stream::memory(engine, config);
  EXPECT(bytes && *bytes > 64 * 64);
  auto created = tteview::Stream::create(engine, config);
  EXPECT(created.has_value());
  if (!created) return;
  tteview::Stream stream = std::move(created).value();
  EXPECT(created->get() == nullptr);
  EXPECT(created->end().code == TTV_ERR_NULL_ARGUMENT);

  const std::uint64_t acquisition = acquire(stream);
  tteview::ViewResult result(labels);
  EXPECT(stream.wait(acquisition, std::chrono::seconds(60), result).ok());
  EXPECT(result.status().ok() && result.is_final() && result.acquisition() == acquisition);
  EXPECT(sum_scores(result) > 0.999f && sum_scores(result) < 1.001f);
  EXPECT(result.label() < 0 || engine.label(result.label()));
  // The stand-in packages have neither groups nor a novelty score.
  EXPECT(result.group() == -1 && !(result.group_confidence() > 0) && !result.novelty());
  EXPECT(!engine.group(result.group()) && !engine.group(0));
  EXPECT(stream.stats().pushed == 9);
  EXPECT(stream.last_event().code == TTV_ERR_WRONG_STATE);
  EXPECT(stream.event_fd() >= 0);

  using std::chrono::seconds;
  tteview::ViewResult newest(labels), past(labels);
  EXPECT(stream.poll(newest).ok() && newest.scores() == result.scores());
  EXPECT(stream.query(seconds(0), seconds(9), seconds(0), past).ok());
  EXPECT(past.label() == result.label());
  EXPECT(stream.query_exact(seconds(0), seconds(9), seconds(60), past).ok());
  EXPECT(past.scores() == result.scores());
}

// A copy of a result has its own scores. A result without room for a posterior has no scores.
static void check_result_copies(const tteview::Engine &engine, std::uint32_t labels) {
  ttv_stream_config config = TTV_STREAM_CONFIG_INIT;
  config.max_width_px = config.max_height_px = 64;
  auto stream = tteview::Stream::create(engine, config);
  EXPECT(stream.has_value());
  if (!stream) return;
  std::vector<tteview::ViewResult> copies;
  for (int i = 0; i < 3; i++) {
    const std::uint64_t acquisition = acquire(*stream);
    tteview::ViewResult result(labels);
    EXPECT(stream->wait(acquisition, std::chrono::seconds(60), result).ok());
    copies.push_back(result);
    tteview::ViewResult without;
    EXPECT(stream->wait(acquisition, std::chrono::seconds(60), without).ok());
    EXPECT(without.scores().empty() && without.label() == result.label());
    EXPECT(without.raw().scores_length == labels);
  }
  for (const tteview::ViewResult &copy : copies) {
    EXPECT(sum_scores(copy) > 0.999f && sum_scores(copy) < 1.001f);
    EXPECT(copy.raw().scores == nullptr && copy.raw().scores_capacity == 0);
    EXPECT(copy.scores() == copies[0].scores());
  }
  const std::uint64_t last = copies.back().acquisition();
  tteview::ViewResult assigned(1);
  assigned = copies.back();
  tteview::ViewResult &itself = assigned;
  assigned = itself;
  EXPECT(assigned.scores() == copies.back().scores() && assigned.acquisition() == last);
  assigned = std::move(itself);
  EXPECT(assigned.scores() == copies.back().scores() && assigned.acquisition() == last);
  copies.clear();
  copies.shrink_to_fit();
  EXPECT(sum_scores(assigned) > 0.999f && assigned.raw().scores == nullptr);
  tteview::ViewResult moved = std::move(assigned);
  EXPECT(moved.acquisition() == last && moved.scores().size() == labels);
  EXPECT(assigned.scores().empty() && assigned.acquisition() == 0 && assigned.label() == 0);
  EXPECT(stream->poll(assigned).ok() && assigned.acquisition() == last);
  assigned = std::move(moved);
  EXPECT(assigned.scores().size() == labels && moved.scores().empty());
}

static void check_errors(const tteview::EngineConfig &valid, tteview::Engine &engine) {
  tteview::EngineConfig config;
  config.model_path = "no-such-file.onnx";
  auto missing = tteview::Engine::create(config);
  EXPECT(!missing && missing.error().status.code == TTV_ERR_MODEL_UNREADABLE);
  EXPECT(missing.error().message.find("no-such-file.onnx") != std::string::npos);
  EXPECT(missing.error().message.find('\0') == std::string::npos);
  const std::string with_nul("a\0b", 3);
  auto has_nul_error = [](const std::string &message) {
    return message.find("must not contain a NUL") != std::string::npos;
  };
  for (int field = 0; field < 5; field++) {
    config = valid;
    if (field == 0) config.model_path += with_nul;
    if (field == 1) config.cache_folder = with_nul;
    if (field == 2) config.providers.push_back(with_nul);
    if (field == 3) config.options = {{with_nul, "1"}};
    if (field == 4) config.options = {{"key", with_nul}};
    auto created = tteview::Engine::create(config);
    EXPECT(!created && created.error().status.code == TTV_ERR_INVALID_ARGUMENT);
    EXPECT(!created && has_nul_error(created.error().message));
  }
  auto bad_export = engine.export_engine(with_nul), bad_import = engine.import_engine(with_nul);
  EXPECT(bad_export && has_nul_error(bad_export->message));
  EXPECT(bad_import && has_nul_error(bad_import->message));
  config = valid;
  config.options = {{"trt_builder_optimization_level", "5"}};
  auto refused = tteview::Engine::create(config);
  EXPECT(!refused && refused.error().message.find("belongs to the provider tensorrt") != std::string::npos);
  EXPECT(!engine.pause());
  auto paused = engine.prepare();
  EXPECT(paused && paused->status.code == TTV_ERR_WRONG_STATE);
  engine.resume();
  auto exported = engine.export_engine("engine.file");
  EXPECT(exported && exported->status.code == TTV_ERR_UNSUPPORTED);
  auto imported = engine.import_engine("engine.file");
  EXPECT(imported && imported->status.code == TTV_ERR_UNSUPPORTED);
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  std::memset(pixels, 90, sizeof pixels);
  tteview::EngineConfig config;
  config.model_path = argv[1];
  config.providers = {"embedded"};
  auto engine = tteview::Engine::create(config);
  EXPECT(engine.has_value());
  if (!engine) return EXIT_FAILURE;
  int stages = 0;
  auto cancelled =
      engine->prepare([&](ttv_stage, std::chrono::nanoseconds) { return ++stages < 2; });
  EXPECT(cancelled && cancelled->status.code == TTV_ERR_CANCELLED && stages == 2);
  EXPECT(!engine->prepare());
  check_errors(config, *engine);
  auto info = engine->info();
  EXPECT(info.has_value() && info->label_count > 0);
  EXPECT(!engine->label(-1) && !engine->label(1000));
  auto label = engine->label(0);
  EXPECT(label && std::strcmp(label->code, "PLAX") == 0);
  check_stream(*engine, info->label_count);
  check_result_copies(*engine, info->label_count);
  std::printf("%d checks passed, %d failed\n", checks - failures, failures);
  return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}

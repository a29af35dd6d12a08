// The C++ owners, against the real library. Exit status 0: every check held.
#include <cstdio>
#include <cstdlib>
#include <type_traits>

#include "tteview/tteview.hpp"

static int checks, failures;

static void expect(bool held, const char *what, int line) {
  checks++;
  if (held) return;
  failures++;
  std::fprintf(stderr, "line %d: %s\n", line, what);
}
#define EXPECT(condition) expect((condition), #condition, __LINE__)

static_assert(!std::is_copy_constructible_v<tteview::Engine> && std::is_nothrow_move_constructible_v<tteview::Engine>);
static_assert(!std::is_copy_constructible_v<tteview::Stream> && std::is_nothrow_move_constructible_v<tteview::Stream>);

static void acquisition(const tteview::Engine &engine, std::uint32_t labels) {
  ttv_stream_config config = tteview::Stream::config();
  config.max_width_px = config.max_height_px = 64;
  config.exact_history_ns = 1000000000;
  auto made = tteview::Stream::create(engine, config);
  EXPECT(made.has_value());
  if (!made) return;
  tteview::Stream stream = std::move(made).value();
  EXPECT(made->get() == nullptr);
  EXPECT(made->end().code == TTV_NULL_ARGUMENT);

  std::vector<std::uint8_t> pixels(64 * 64, 90);
  ttv_frame frame = tteview::Stream::frame();
  frame.format = TTV_FORMAT_GRAY8;
  frame.width_px = frame.height_px = 64;
  frame.plane[0] = pixels.data();
  frame.stride_bytes[0] = 64;
  EXPECT(stream.push(frame).code == TTV_WRONG_STATE);
  std::uint64_t id = 0;
  EXPECT(stream.begin(id).ok());
  for (int i = 0; i < 8; i++) {
    frame.time_ns = i * INT64_C(33333333);
    EXPECT(stream.push(frame).ok());
  }
  ttv_slot slot;
  EXPECT(stream.acquire(slot).ok());
  std::memset(slot.data, 90, slot.capacity_bytes);
  frame.time_ns += 33333333;
  EXPECT(stream.commit(slot, frame).ok());
  EXPECT(stream.end().ok());

  tteview::ViewResult result(labels);
  EXPECT(stream.wait(id, std::chrono::seconds(60), result).ok());
  EXPECT(result.status().ok() && result.is_final() && result.acquisition() == id);
  float sum = 0;
  for (float score : result.scores()) sum += score;
  EXPECT(sum > 0.999f && sum < 1.001f);
  EXPECT(result.label() < 0 || !engine.label(result.label()).empty());
  EXPECT(stream.stats().pushed == 9);
  tteview::ViewResult newest(labels), past(labels);
  EXPECT(stream.poll(newest).ok() && newest.scores() == result.scores());
  EXPECT(stream.query(std::chrono::seconds(0), std::chrono::seconds(9), std::chrono::seconds(0), past).ok());
  EXPECT(past.label() == result.label());
  EXPECT(stream.query_exact(std::chrono::seconds(0), std::chrono::seconds(9), std::chrono::seconds(60), past).ok());
  EXPECT(past.scores() == result.scores());
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  tteview::EngineConfig config;
  config.model_path = "no-such-file.onnx";
  auto missing = tteview::Engine::create(config);
  EXPECT(!missing && missing.error().status.code == TTV_MODEL_UNREADABLE);
  EXPECT(missing.error().cause.find("no-such-file.onnx") != std::string::npos);
  EXPECT(missing.error().cause.find('\0') == std::string::npos);

  config.model_path = argv[1];
  config.providers = {"embedded"};
  auto engine = tteview::Engine::create(config);
  EXPECT(engine.has_value());
  if (!engine) return EXIT_FAILURE;
  int stages = 0;
  auto cancelled = engine->prepare([&](std::uint32_t, std::chrono::nanoseconds) { return ++stages < 2; });
  EXPECT(cancelled && cancelled->status.code == TTV_CANCELLED && stages == 2);
  EXPECT(!engine->prepare());
  EXPECT(!engine->pause());
  auto paused = engine->prepare();
  EXPECT(paused && paused->status.code == TTV_WRONG_STATE);
  engine->resume();
  auto none = engine->export_engine("engine.file");
  EXPECT(none && none->status.code == TTV_UNSUPPORTED);
  none = engine->import_engine("engine.file");
  EXPECT(none && none->status.code == TTV_UNSUPPORTED);
  tteview::EngineConfig optioned = config;
  optioned.options = {{"trt_builder_optimization_level", "5"}};
  auto refused = tteview::Engine::create(optioned);
  EXPECT(!refused && refused.error().cause.find("belongs to tensorrt") != std::string::npos);
  auto info = engine->info();
  EXPECT(info.has_value() && info->label_count > 0);
  EXPECT(engine->label(-1).empty() && engine->label(1000).empty() && !engine->label(0).empty());
  auto label = engine->label_info(0);
  EXPECT(label && engine->label(0) == label->code && !engine->label_info(1000));
  acquisition(*engine, info->label_count);
  std::printf("%d passed, %d failed\n", checks - failures, failures);
  return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}

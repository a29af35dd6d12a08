// Tests that destructors of static and thread-local objects can use the library.
//
//   static_objects MODEL.onnx
//
// The exit status is 0 if every check passed.
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <thread>
#include <unistd.h>

#include "tteview/tteview.hpp"

static int checks, failures;

static void expect(bool is_true, const char *condition, int line) {
  checks++;
  if (is_true) return;
  failures++;
  std::fprintf(stderr, "line %d: %s is false\n", line, condition);
}
#define EXPECT(condition) expect((condition), #condition, __LINE__)

static std::string model;

// An engine whose destructor makes calls that fail, prepares the engine and uses a stream.
struct Owner {
  std::optional<tteview::Engine> engine;

  void open() {
    tteview::EngineConfig config;
    config.model_path = model;
    auto created = tteview::Engine::create(config);
    EXPECT(created.has_value());
    if (created) engine.emplace(std::move(created).value());
    check_error();
  }

  void check_error() {
    auto error = engine->export_engine("engine.file");
    EXPECT(error && error->status.code == TTV_ERR_UNSUPPORTED && !error->message.empty());
  }

  ~Owner() {
    if (!engine) return;
    check_error();
    EXPECT(!engine->prepare());
    ttv_stream_config config = TTV_STREAM_CONFIG_INIT;
    config.max_width_px = config.max_height_px = 64;
    auto stream = tteview::Stream::create(*engine, config);
    EXPECT(stream.has_value());
    std::uint64_t acquisition = 0;
    tteview::ViewResult result;
    EXPECT(stream && stream->begin(acquisition).ok() && stream->end().ok());
    EXPECT(stream && stream->wait(acquisition, std::chrono::seconds(60), result).ok());
    engine.reset();
    auto missing = tteview::Engine::create(tteview::EngineConfig());
    EXPECT(!missing && missing.error().message.find("model_path") != std::string::npos);
  }
};

// Reports the checks. It is constructed first, so it is destroyed last.
struct Report {
  ~Report() {
    std::printf("%d checks passed, %d failed\n", checks - failures, failures);
    std::fflush(stdout);
    // A destructor cannot return an exit status.
    if (failures > 0) _exit(EXIT_FAILURE);
  }
};

static Report report;
static Owner owner;
static thread_local Owner thread_owner;

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  model = argv[1];
  owner.open();
  thread_owner.open();
  std::thread([] { thread_owner.open(); }).join();
  return 0;
}

// The C++ side: engine, stream and results through the cxx bridge. The cine is one or more binary PGM (P5) or PPM (P6)
// images in one file.
#include "cxx-host/src/host.h"

#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "tteview/src/ffi/cxx_bridge.rs.h"

namespace host {
namespace {

namespace tv = tteview::cargo;

bool next_image(std::ifstream &file, std::vector<std::uint8_t> &pixels, tv::Frame &frame) {
  std::string kind;
  std::uint32_t width = 0, height = 0, depth = 0;
  if (!(file >> kind >> width >> height >> depth) || depth != 255 || width > 4096 || height > 4096) return false;
  if (kind != "P5" && kind != "P6") return false;
  file.get();
  pixels.resize(std::size_t{width} * height * (kind == "P6" ? 3 : 1));
  frame.format = kind == "P6" ? tv::Format::Rgb24 : tv::Format::Gray8;
  frame.width_px = width;
  frame.height_px = height;
  return static_cast<bool>(
      file.read(reinterpret_cast<char *>(pixels.data()), static_cast<std::streamsize>(pixels.size())));
}

std::int32_t stream(const tv::Engine &engine, std::ifstream &file, std::int64_t period_ns) {
  tv::StreamConfig config{};
  config.ring_slots = 256;
  config.frame_period_ns = period_ns;
  auto stream = tv::create_stream(engine, config);
  auto reader = stream->reader();
  std::uint64_t acquisition = 0;
  if (stream->begin(acquisition) != 0) return 1;
  std::vector<std::uint8_t> pixels;
  tv::Frame frame{};
  while (next_image(file, pixels, frame)) {
    if (stream->push(frame, rust::Slice<const std::uint8_t>(pixels.data(), pixels.size())) != 0) return 1;
    frame.sequence++;
  }
  if (stream->end() != 0) return 1;
  tv::ViewResult result{};
  if (reader->wait(acquisition, INT64_C(60000000000), result) != 0 || result.status != 0) return 1;
  const rust::Str label = result.label < 0 ? rust::Str("withheld") : engine.label(result.label);
  std::printf("frames    %llu used, %u chunks\n", static_cast<unsigned long long>(result.frames_used), result.chunks);
  std::printf("view      %.*s, confidence %.3f\n", static_cast<int>(label.size()), label.data(),
              static_cast<double>(result.confidence));
  return 0;
}

}  // namespace

std::int32_t run(rust::Str model, rust::Str cine, std::int64_t frame_period_ns) {
  std::ifstream file(std::string(cine), std::ios::binary);
  if (!file) {
    std::perror(std::string(cine).c_str());
    return 1;
  }
  try {
    tv::EngineConfig config{};
    config.model_path = rust::String(model.data(), model.size());
    auto engine = tv::create_engine(config);
    std::printf("self-test error %g\n", static_cast<double>(engine->prepare()));
    return stream(*engine, file, frame_period_ns);
  } catch (const rust::Error &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

}  // namespace host

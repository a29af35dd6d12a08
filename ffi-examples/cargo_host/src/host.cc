// The C++ side of a host that builds with Cargo. It uses tteview.hpp like any other C++ host.
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "cine.h"
#include "tteview/tteview.hpp"

namespace {

int fail(const char *what, const tteview::Error &error) {
  std::fprintf(stderr, "%s: %s\n", what, error.message.c_str());
  return EXIT_FAILURE;
}

int fail(const char *what, tteview::Status status) {
  std::fprintf(stderr, "%s: %s\n", what, status.text());
  return EXIT_FAILURE;
}

// Pushes all images in the file as a single acquisition.
tteview::Status acquire(tteview::Stream &stream, std::FILE *file, std::uint64_t &acquisition) {
  if (auto status = stream.begin(acquisition); !status.ok()) return status;
  std::vector<std::uint8_t> pixels;
  cine_image image;
  ttv_frame frame = TTV_FRAME_INIT;
  while (cine_head(file, &image)) {
    pixels.resize(std::size_t{image.stride_bytes} * image.height_px);
    if (!cine_pixels(file, &image, pixels.data(), pixels.size())) break;
    frame.format = image.colour ? TTV_FORMAT_RGB24 : TTV_FORMAT_GRAY8;
    frame.width_px = image.width_px;
    frame.height_px = image.height_px;
    frame.stride_bytes[0] = image.stride_bytes;
    frame.plane[0] = pixels.data();
    if (auto status = stream.push(frame); !status.ok()) return status;
    frame.sequence++;
  }
  return stream.end();
}

}  // namespace

extern "C" int run_host(const char *model, const char *cine, std::int64_t frame_period_ns) {
  std::unique_ptr<std::FILE, int (*)(std::FILE *)> file(std::fopen(cine, "rb"), std::fclose);
  if (!file) {
    std::perror(cine);
    return EXIT_FAILURE;
  }
  tteview::EngineConfig engine_config;
  engine_config.model_path = model;
  auto engine = tteview::Engine::create(engine_config);
  if (!engine) return fail("engine", engine.error());
  if (auto error = engine->prepare()) return fail("prepare", *error);

  ttv_stream_config config = TTV_STREAM_CONFIG_INIT;
  config.ring_slots = 256;
  config.frame_period_ns = frame_period_ns;
  auto stream = tteview::Stream::create(*engine, config);
  if (!stream) return fail("stream", stream.error());
  std::uint64_t acquisition = 0;
  if (auto status = acquire(*stream, file.get(), acquisition); !status.ok()) {
    return fail("acquisition", status);
  }

  tteview::ViewResult result;
  auto status = stream->wait(acquisition, std::chrono::minutes(1), result);
  if (status.ok()) status = result.status();
  if (!status.ok()) return fail("result", status);
  const auto label = engine->label(result.label());
  std::printf("view      %s, confidence %.3f\n", label ? label->code : "withheld",
              static_cast<double>(result.confidence()));
  return EXIT_SUCCESS;
}

// Labels a cine while it "arrives", paced by the clock, with a live label on the way.
//
//   cpp_host MODEL.onnx CINE.pnm FRAME_PERIOD_NS
//
// The cine is one or more binary PGM (P5) or PPM (P6) images in one file.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "tteview/tteview.hpp"

namespace {

int fail(const char *what, const tteview::Error &error) {
  std::fprintf(stderr, "%s: %s\n", what, error.cause.c_str());
  return EXIT_FAILURE;
}

// Reads the next image; false at the end of the file.
bool next_image(std::ifstream &file, std::vector<std::uint8_t> &pixels, ttv_frame &frame) {
  std::string kind;
  std::uint32_t width = 0, height = 0, depth = 0;
  if (!(file >> kind >> width >> height >> depth) || depth != 255 || width > 4096 || height > 4096) return false;
  if (kind != "P5" && kind != "P6") return false;
  file.get();
  const std::uint32_t stride = width * (kind == "P6" ? 3 : 1);
  pixels.resize(std::size_t{stride} * height);
  if (!file.read(reinterpret_cast<char *>(pixels.data()), static_cast<std::streamsize>(pixels.size()))) return false;
  frame.format = kind == "P6" ? TTV_FORMAT_RGB24 : TTV_FORMAT_GRAY8;
  frame.width_px = width;
  frame.height_px = height;
  frame.plane[0] = pixels.data();
  frame.stride_bytes[0] = stride;
  return true;
}

}  // namespace

int main(int argc, char **argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: %s MODEL.onnx CINE.pnm FRAME_PERIOD_NS\n", argv[0]);
    return 2;
  }
  tteview::EngineConfig engine_config;
  engine_config.model_path = argv[1];
  auto engine = tteview::Engine::create(engine_config);
  if (!engine) return fail("engine", engine.error());
  if (auto error = engine->prepare()) return fail("prepare", *error);
  auto info = engine->info();
  if (!info) return fail("info", info.error());
  auto stream = tteview::Stream::create(*engine, tteview::Stream::config());
  if (!stream) return fail("stream", stream.error());

  std::ifstream file(argv[2], std::ios::binary);
  if (!file) {
    std::perror(argv[2]);
    return EXIT_FAILURE;
  }
  const std::chrono::nanoseconds period(std::atoll(argv[3]));
  tteview::ViewResult result(info->label_count);
  std::vector<std::uint8_t> pixels;
  ttv_frame frame = tteview::Stream::frame();
  std::uint64_t acquisition = 0;
  if (auto status = stream->begin(acquisition); !status.ok()) {
    std::fprintf(stderr, "begin: %s\n", status.text().data());
    return EXIT_FAILURE;
  }
  auto next = std::chrono::steady_clock::now();
  while (next_image(file, pixels, frame)) {
    std::this_thread::sleep_until(next);
    frame.time_ns = next.time_since_epoch().count();
    next += period;
    if (auto status = stream->push(frame); status.is_error()) {
      std::fprintf(stderr, "push: %s\n", status.text().data());
      return EXIT_FAILURE;
    }
    frame.sequence++;
    if (frame.sequence % 8 == 0 && stream->poll(result).ok() && result.label() >= 0)
      std::printf("live      %s, confidence %.3f, after %llu frames\n", engine->label(result.label()).data(),
                  static_cast<double>(result.confidence()), static_cast<unsigned long long>(frame.sequence));
  }
  stream->end();
  const auto status = stream->wait(acquisition, std::chrono::seconds(60), result);
  if (!status.ok() || !result.status().ok()) {
    std::fprintf(stderr, "result: %s\n", (status.ok() ? result.status() : status).text().data());
    return EXIT_FAILURE;
  }
  const char *label = result.label() < 0 ? "withheld" : engine->label(result.label()).data();
  std::printf("view      %s, confidence %.3f\n", label, static_cast<double>(result.confidence()));
  std::printf("latency   %.3f ms after the end\n", static_cast<double>(result.latency().count()) / 1e6);
  return EXIT_SUCCESS;
}

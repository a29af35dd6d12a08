// Labels a cine whose frames arrive in real time, and prints the provisional label during the
// acquisition.
//
//   cpp_host MODEL.onnx CINE.pnm FRAME_PERIOD_NS
//
// CINE.pnm contains one or more binary PGM (P5) or PPM (P6) images.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "tteview/tteview.hpp"

namespace {

int fail(const char *call, const tteview::Error &error) {
  std::fprintf(stderr, "%s: %s\n", call, error.message.c_str());
  return EXIT_FAILURE;
}

int fail(const char *call, tteview::Status status) {
  std::fprintf(stderr, "%s: %s\n", call, status.text());
  return EXIT_FAILURE;
}

// Reads the next image as a frame. Returns false at the end of the file.
bool read_frame(std::ifstream &file, std::vector<std::uint8_t> &pixels, ttv_frame &frame) {
  std::string kind;
  std::uint32_t width = 0, height = 0, depth = 0;
  if (!(file >> kind >> width >> height >> depth) || depth != 255) return false;
  if ((kind != "P5" && kind != "P6") || width > 4096 || height > 4096) return false;
  file.get();
  const std::uint32_t stride = width * (kind == "P6" ? 3 : 1);
  pixels.resize(std::size_t{stride} * height);
  const auto bytes = static_cast<std::streamsize>(pixels.size());
  if (!file.read(reinterpret_cast<char *>(pixels.data()), bytes)) return false;
  frame.format = kind == "P6" ? TTV_FORMAT_RGB24 : TTV_FORMAT_GRAY8;
  frame.width_px = width;
  frame.height_px = height;
  frame.plane[0] = pixels.data();
  frame.stride_bytes[0] = stride;
  return true;
}

// Pushes the frames of a file in real time.
tteview::Status acquire(tteview::Stream &stream, const tteview::Engine &engine, std::ifstream &file,
                        std::chrono::nanoseconds period, std::uint64_t &acquisition) {
  std::vector<std::uint8_t> pixels;
  ttv_frame frame = TTV_FRAME_INIT;
  tteview::ViewResult live;
  if (auto status = stream.begin(acquisition); !status.ok()) return status;
  auto next = std::chrono::steady_clock::now();
  while (read_frame(file, pixels, frame)) {
    std::this_thread::sleep_until(next);
    frame.time_ns = next.time_since_epoch().count();
    next += period;
    if (auto status = stream.push(frame); status.is_error()) return status;
    frame.sequence++;
    if (frame.sequence % 8 != 0 || !stream.poll(live).ok()) continue;
    if (auto label = engine.label(live.label()))
      std::printf("live      %s, confidence %.3f, after %llu frames\n", label->code,
                  static_cast<double>(live.confidence()),
                  static_cast<unsigned long long>(frame.sequence));
  }
  return stream.end();
}

}  // namespace

int main(int argc, char **argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: %s MODEL.onnx CINE.pnm FRAME_PERIOD_NS\n", argv[0]);
    return 2;
  }
  std::ifstream file(argv[2], std::ios::binary);
  if (!file) {
    std::perror(argv[2]);
    return EXIT_FAILURE;
  }
  tteview::EngineConfig engine_config;
  engine_config.model_path = argv[1];
  auto engine = tteview::Engine::create(engine_config);
  if (!engine) return fail("engine", engine.error());
  if (auto error = engine->prepare()) return fail("prepare", *error);
  const ttv_stream_config config = TTV_STREAM_CONFIG_INIT;
  auto stream = tteview::Stream::create(*engine, config);
  if (!stream) return fail("stream", stream.error());

  const std::chrono::nanoseconds period(std::atoll(argv[3]));
  std::uint64_t acquisition = 0;
  if (auto status = acquire(*stream, *engine, file, period, acquisition); !status.ok())
    return fail("acquisition", status);
  tteview::ViewResult result;
  auto status = stream->wait(acquisition, std::chrono::minutes(1), result);
  if (status.ok()) status = result.status();
  if (!status.ok()) return fail("result", status);
  const auto label = engine->label(result.label());
  const auto group = engine->group(result.group());
  std::printf("view      %s, confidence %.3f\n", label ? label->code : "withheld",
              static_cast<double>(result.confidence()));
  if (group)
    std::printf("group     %s, confidence %.3f\n", group->code,
                static_cast<double>(result.group_confidence()));
  std::printf("latency   %.3f ms after the last frame\n",
              static_cast<double>(result.latency().count()) / 1e6);
  return EXIT_SUCCESS;
}

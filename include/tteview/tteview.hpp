/* tteview for C++17: owners over the C ABI of tteview.h. Header only, no exceptions, no RTTI.
 *
 *   tteview::EngineConfig config;
 *   config.model_path = "model.stream.onnx";
 *   auto engine = tteview::Engine::create(config);   // Result<Engine>
 *   if (!engine) { log(engine.error().cause); return; }
 *
 * Link, threads, real-time rules and ownership: as tteview.h says. Every owner may be moved; a moved-from owner is
 * empty, and every call on it gives TTV_NULL_ARGUMENT. Calls of a real-time function allocate nothing. */
#ifndef TTEVIEW_TTEVIEW_HPP
#define TTEVIEW_TTEVIEW_HPP

#include <chrono>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "tteview/tteview.h"

namespace tteview {

/* A number of tteview.h: 0 ok, positive flow, negative error. */
struct Status {
  std::int32_t code = TTV_OK;

  constexpr bool ok() const noexcept { return code == TTV_OK; }
  constexpr bool is_error() const noexcept { return code < 0; }
  std::string_view text() const noexcept { return ttv_status_string(code); }
  friend constexpr bool operator==(Status a, Status b) noexcept { return a.code == b.code; }
  friend constexpr bool operator!=(Status a, Status b) noexcept { return a.code != b.code; }
};

/* Why a control call failed, in words. */
struct Error {
  Status status;
  std::string cause;
};

/* A value or an error. Ask before you take: value() of an error is undefined, as is error() of a value. */
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : content_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : content_(std::in_place_index<1>, std::move(error)) {}

  explicit operator bool() const noexcept { return content_.index() == 0; }
  bool has_value() const noexcept { return content_.index() == 0; }

  T &value() & noexcept { return *std::get_if<0>(&content_); }
  const T &value() const & noexcept { return *std::get_if<0>(&content_); }
  T &&value() && noexcept { return std::move(*std::get_if<0>(&content_)); }
  T &operator*() & noexcept { return value(); }
  const T &operator*() const & noexcept { return value(); }
  T *operator->() noexcept { return std::get_if<0>(&content_); }
  const T *operator->() const noexcept { return std::get_if<0>(&content_); }
  const Error &error() const noexcept { return *std::get_if<1>(&content_); }

 private:
  std::variant<T, Error> content_;
};

namespace detail {

inline Error last_error(std::int32_t status) {
  std::string cause(ttv_last_error(nullptr, 0), '\0');
  if (!cause.empty()) {
    /* The text is written with its closing NUL. */
    cause.resize(cause.size() + 1);
    ttv_last_error(cause.data(), cause.size());
    cause.pop_back();
  }
  return Error{Status{status}, std::move(cause)};
}

/* A struct of the C ABI with its size set and the rest zero. */
template <typename T>
T sized() noexcept {
  T value;
  std::memset(&value, 0, sizeof value);
  value.struct_size = static_cast<std::uint32_t>(sizeof value);
  return value;
}

}  // namespace detail

/* What an engine is made of. */
struct EngineConfig {
  std::string model_path;                  /* a file; or, if empty, the package in memory: */
  const void *model_data = nullptr;
  std::size_t model_size = 0;
  const std::uint8_t *model_sha256 = nullptr; /* 32 bytes the package must match, or nullptr */
  std::vector<std::string> providers;      /* in order of preference; empty: "embedded" */
  std::uint32_t threads = 0;               /* 0: one */
  std::vector<std::pair<std::string, std::string>> options; /* of the providers, by their own keys */
  std::uint32_t device_id = 0;             /* which GPU */
  std::string cache_folder;                /* of engines that TensorRT builds; empty: every start builds */
  void *gpu_stream = nullptr;              /* a cudaStream_t of the host's, or nullptr */
};

/* One model on one provider. Streams made from it keep what they need. */
class Engine {
 public:
  /* Loads and checks. [ctl] */
  static Result<Engine> create(const EngineConfig &config) {
    std::vector<const char *> providers;
    for (const std::string &name : config.providers) providers.push_back(name.c_str());
    auto raw = detail::sized<ttv_engine_config>();
    raw.model_path = config.model_path.empty() ? nullptr : config.model_path.c_str();
    raw.model_data = config.model_data;
    raw.model_size = config.model_size;
    raw.model_sha256 = config.model_sha256;
    raw.providers = providers.empty() ? nullptr : providers.data();
    raw.provider_count = static_cast<std::uint32_t>(providers.size());
    raw.threads = config.threads;
    std::vector<ttv_option> options;
    for (const auto &[key, value] : config.options) options.push_back({key.c_str(), value.c_str()});
    raw.options = options.empty() ? nullptr : options.data();
    raw.option_count = static_cast<std::uint32_t>(options.size());
    raw.device_id = config.device_id;
    raw.cache_folder = config.cache_folder.empty() ? nullptr : config.cache_folder.c_str();
    raw.gpu_stream = config.gpu_stream;
    ttv_engine *engine = nullptr;
    const std::int32_t status = ttv_engine_create(&raw, &engine);
    if (status != TTV_OK) return detail::last_error(status);
    return Engine(engine);
  }

  /* Loads or builds the provider's engine, then the self-test on the provider that will really run. [ctl] */
  [[nodiscard]] std::optional<Error> prepare() { return outcome(ttv_engine_prepare(handle_.get())); }

  /* The same; go_on(std::uint32_t stage, std::chrono::nanoseconds elapsed) says whether to, at every TTV_STAGE_* and
   * about once a second while an engine is built. It must not throw. [ctl] */
  template <typename GoOn>
  [[nodiscard]] std::optional<Error> prepare(GoOn go_on) {
    auto config = detail::sized<ttv_prepare_config>();
    config.progress = [](void *user, std::uint32_t stage, std::int64_t elapsed_ns) -> std::int32_t {
      return (*static_cast<GoOn *>(user))(stage, std::chrono::nanoseconds(elapsed_ns)) ? 0 : 1;
    };
    config.user = &go_on;
    return outcome(ttv_engine_prepare_with(handle_.get(), &config));
  }

  /* No step begins from now on, and none runs when this returns. [ctl] */
  [[nodiscard]] std::optional<Error> pause() { return outcome(ttv_engine_pause(handle_.get())); }
  /* Ends a pause. [ctl] */
  void resume() noexcept { ttv_engine_resume(handle_.get()); }

  /* The engine that TensorRT built, into a file, after prepare. [ctl] */
  [[nodiscard]] std::optional<Error> export_engine(const std::string &path) const {
    return outcome(ttv_engine_export(handle_.get(), path.c_str()));
  }
  /* And from a file into the cache, before prepare. [ctl] */
  [[nodiscard]] std::optional<Error> import_engine(const std::string &path) {
    return outcome(ttv_engine_import(handle_.get(), path.c_str()));
  }

  /* What really runs. [any] */
  Result<ttv_engine_info> info() const {
    auto info = detail::sized<ttv_engine_info>();
    const std::int32_t status = ttv_engine_get_info(handle_.get(), &info);
    if (status != TTV_OK) return detail::last_error(status);
    return info;
  }

  /* Code of a label; lives as long as the engine. Empty if there is none of this index. [any] */
  std::string_view label(std::int32_t index) const noexcept {
    const char *text = nullptr;
    if (index < 0 || ttv_engine_label(handle_.get(), static_cast<std::uint32_t>(index), &text) != TTV_OK) return {};
    return text;
  }

  /* All that the model says of a label; its texts live as long as the engine. [any] */
  Result<ttv_label> label_info(std::uint32_t index) const {
    auto label = detail::sized<ttv_label>();
    const std::int32_t status = ttv_engine_get_label(handle_.get(), index, &label);
    if (status != TTV_OK) return detail::last_error(status);
    return label;
  }

  ttv_engine *get() const noexcept { return handle_.get(); }

 private:
  struct Destroy {
    void operator()(ttv_engine *engine) const noexcept { ttv_engine_destroy(engine); }
  };
  static std::optional<Error> outcome(std::int32_t status) {
    if (status != TTV_OK) return detail::last_error(status);
    return std::nullopt;
  }
  explicit Engine(ttv_engine *engine) noexcept : handle_(engine) {}
  std::unique_ptr<ttv_engine, Destroy> handle_;
};

/* A result with memory for its scores. Make one before the acquisition and read into it again and again. */
class ViewResult {
 public:
  /* Room for this many labels. */
  explicit ViewResult(std::uint32_t labels) : scores_(labels), raw_(detail::sized<ttv_result>()) {}

  Status status() const noexcept { return Status{raw_.status}; }
  std::uint64_t acquisition() const noexcept { return raw_.acquisition; }
  bool is_final() const noexcept { return (raw_.flags & TTV_RESULT_FINAL) != 0; }
  /* -1: withheld, or none. */
  std::int32_t label() const noexcept { return raw_.label; }
  float confidence() const noexcept { return raw_.confidence; }
  float margin() const noexcept { return raw_.margin; }
  const std::vector<float> &scores() const noexcept { return scores_; }
  std::chrono::nanoseconds latency() const noexcept { return std::chrono::nanoseconds(raw_.latency_ns); }
  const ttv_result &raw() const noexcept { return raw_; }

 private:
  friend class Stream;
  ttv_result *prepare() noexcept {
    raw_.struct_size = static_cast<std::uint32_t>(sizeof raw_);
    raw_.scores = scores_.data();
    raw_.scores_capacity = static_cast<std::uint32_t>(scores_.size());
    return &raw_;
  }
  std::vector<float> scores_;
  ttv_result raw_;
};

/* One probe's stream. The calls tagged [acq] belong to the acquisition thread, one at a time. */
class Stream {
 public:
  /* Settings; start from this, change fields, hand it to create. */
  static ttv_stream_config config() noexcept { return detail::sized<ttv_stream_config>(); }
  /* A frame; start from this. */
  static ttv_frame frame() noexcept { return detail::sized<ttv_frame>(); }

  /* Allocates all memory, starts the worker. [ctl] */
  static Result<Stream> create(const Engine &engine, const ttv_stream_config &config) {
    ttv_stream *stream = nullptr;
    const std::int32_t status = ttv_stream_create(engine.get(), &config, &stream);
    if (status != TTV_OK) return detail::last_error(status);
    return Stream(stream);
  }

  /* Begins an acquisition and writes its id. [acq rt] */
  Status begin(std::uint64_t &acquisition) noexcept { return {ttv_stream_begin(get(), &acquisition)}; }
  /* Copies a frame. [acq rt] */
  Status push(const ttv_frame &frame) noexcept { return {ttv_stream_push(get(), &frame)}; }
  /* The next slot to write into. [acq rt] */
  Status acquire(ttv_slot &slot) noexcept {
    slot = detail::sized<ttv_slot>();
    return {ttv_stream_acquire(get(), &slot)};
  }
  /* Hands over the frame written into the slot. [acq rt] */
  Status commit(const ttv_slot &slot, const ttv_frame &frame) noexcept {
    return {ttv_stream_commit(get(), &slot, &frame)};
  }
  /* Freeze, preset, probe or depth changed. [acq rt] */
  Status mark() noexcept { return {ttv_stream_mark(get())}; }
  /* Ends the acquisition. [acq rt] */
  Status end() noexcept { return {ttv_stream_end(get())}; }

  /* Host-driven: handles one frame or end. [wrk] */
  Status process() noexcept { return {ttv_stream_process(get())}; }

  /* The newest result. [any rt] */
  Status poll(ViewResult &result) const noexcept { return {ttv_stream_poll(get(), result.prepare())}; }
  /* The final result of an acquisition. A negative timeout waits for ever. [ctl] */
  Status wait(std::uint64_t acquisition, std::chrono::nanoseconds timeout, ViewResult &result) noexcept {
    return {ttv_stream_wait(get(), acquisition, timeout.count(), result.prepare())};
  }
  /* The label of a past interval. [any] */
  Status query(std::chrono::nanoseconds from, std::chrono::nanoseconds to, std::chrono::nanoseconds timeout,
               ViewResult &result) const noexcept {
    return {ttv_stream_query(get(), from.count(), to.count(), 0, timeout.count(), result.prepare())};
  }
  /* The same, run again over kept samples with fresh state; the timeout bounds the whole call, which runs the network.
   * Needs exact_history_ns. [any] */
  Status query_exact(std::chrono::nanoseconds from, std::chrono::nanoseconds to, std::chrono::nanoseconds timeout,
                     ViewResult &result) const noexcept {
    return {ttv_stream_query(get(), from.count(), to.count(), TTV_QUERY_EXACT, timeout.count(), result.prepare())};
  }
  /* Counters. [any rt] */
  ttv_stats stats() const noexcept {
    auto stats = detail::sized<ttv_stats>();
    ttv_stream_get_stats(get(), &stats);
    return stats;
  }
  /* Readable when a result is new; -1 if there is none. [ctl] */
  int event_fd() const noexcept { return ttv_stream_event_fd(get()); }

  ttv_stream *get() const noexcept { return handle_.get(); }

 private:
  struct Destroy {
    void operator()(ttv_stream *stream) const noexcept { ttv_stream_destroy(stream); }
  };
  explicit Stream(ttv_stream *stream) noexcept : handle_(stream) {}
  std::unique_ptr<ttv_stream, Destroy> handle_;
};

}  // namespace tteview

#endif /* TTEVIEW_TTEVIEW_HPP */

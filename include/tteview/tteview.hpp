/**
 * @file tteview.hpp
 * @brief C++17 classes that wrap the C interface in tteview.h.
 *
 * The header requires neither exceptions nor RTTI. It is longer than 400 lines because a host
 * includes a single file.
 *
 * ~~~{.cpp}
 * tteview::EngineConfig config;
 * config.model_path = "model.stream.onnx";
 * auto engine = tteview::Engine::create(config);  // a Result<Engine>
 * if (!engine) {
 *   log(engine.error().message);
 *   return;
 * }
 * ~~~
 *
 * The conventions of tteview.h for threads, states, errors, ownership and units apply. Engine and
 * Stream can be moved but not copied. A moved-from object is empty, and its calls fail with
 * ::TTV_ERR_NULL_ARGUMENT.
 */
#ifndef TTEVIEW_TTEVIEW_HPP
#define TTEVIEW_TTEVIEW_HPP

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "tteview/tteview.h"

namespace tteview {

/** Outcome of a call: a ::ttv_status. */
struct Status {
  ttv_status code = TTV_OK;

  /** Returns whether the call succeeded. */
  constexpr bool ok() const noexcept { return code == TTV_OK; }
  /** Returns whether the status is an error. Positive codes are outcomes of normal operation. */
  constexpr bool is_error() const noexcept { return code < 0; }
  /** Returns a short description as a static string. */
  const char *text() const noexcept { return ttv_status_string(code); }
  friend constexpr bool operator==(Status a, Status b) noexcept { return a.code == b.code; }
  friend constexpr bool operator!=(Status a, Status b) noexcept { return a.code != b.code; }
};

/** Status and message of a call that failed. */
struct Error {
  Status status;
  /** Message from ttv_last_error(). */
  std::string message;
};

/**
 * A value or an error.
 *
 * Check has_value() first. Calling value() on an error, or error() on a value, is undefined
 * behaviour.
 */
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : content_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : content_(std::in_place_index<1>, std::move(error)) {}

  explicit operator bool() const noexcept { return has_value(); }
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

/** Settings of an engine; see ::ttv_engine_config. */
struct EngineConfig {
  /** Path of the model package. If the path is empty, `model_data` is used. */
  std::string model_path;
  /** Content of the model package, or nullptr. */
  const void *model_data = nullptr;
  /** Size of `model_data` in bytes. */
  std::size_t model_size = 0;
  /** Expected SHA-256 of the package (32 bytes), or nullptr to accept any package. */
  const std::uint8_t *model_sha256 = nullptr;
  /**
   * Names of providers in order of preference. An empty list selects "embedded", or "cpu" in builds
   * without "embedded".
   */
  std::vector<std::string> providers;
  /** Number of threads that run the network; 0 selects one. */
  std::uint32_t threads = 0;
  /** Options of the providers, as key-value pairs. */
  std::vector<std::pair<std::string, std::string>> options;
  /** Number of the GPU in CUDA's device order. */
  std::uint32_t device_id = 0;
  /**
   * Path of the folder for engines built by "tensorrt". If the path is empty, every process builds
   * its own engine.
   */
  std::string cache_folder;
  /** CUDA stream (`cudaStream_t`) on which the provider works; nullptr selects a new one. */
  void *gpu_stream = nullptr;
};

namespace detail {

inline Error last_error(ttv_status status) {
  std::string message(ttv_last_error(nullptr, 0), '\0');
  if (!message.empty()) {
    // The library also writes the terminating NUL, which needs one more byte.
    message.resize(message.size() + 1);
    ttv_last_error(message.data(), message.size());
    message.pop_back();
  }
  return Error{Status{status}, std::move(message)};
}

struct Destroy {
  void operator()(ttv_engine *engine) const noexcept { ttv_engine_destroy(engine); }
  void operator()(ttv_stream *stream) const noexcept { ttv_stream_destroy(stream); }
};

inline const char *text_or_null(const std::string &text) noexcept {
  return text.empty() ? nullptr : text.c_str();
}

/** Returns whether the text has a NUL, at which the C interface would cut it off. */
inline bool has_nul(const std::string &text) noexcept {
  return text.find('\0') != std::string::npos;
}

inline Error nul_error(const std::string &name) {
  return Error{Status{TTV_ERR_INVALID_ARGUMENT}, name + " must not contain a NUL"};
}

}  // namespace detail

/** An engine: one model package on one provider. Several streams can share an engine. */
class Engine {
 public:
  /** Loads and checks a model package; see ttv_engine_create(). [ctl] */
  static Result<Engine> create(const EngineConfig &config) {
    if (detail::has_nul(config.model_path)) return detail::nul_error("model_path");
    if (detail::has_nul(config.cache_folder)) return detail::nul_error("cache_folder");
    std::vector<const char *> providers;
    for (const std::string &name : config.providers) {
      if (detail::has_nul(name)) return detail::nul_error("an entry of providers");
      providers.push_back(name.c_str());
    }
    std::vector<ttv_option> options;
    for (const auto &[key, value] : config.options) {
      if (detail::has_nul(key) || detail::has_nul(value)) return detail::nul_error("an option");
      options.push_back({key.c_str(), value.c_str()});
    }
    ttv_engine_config raw = TTV_ENGINE_CONFIG_INIT;
    raw.model_path = detail::text_or_null(config.model_path);
    raw.model_data = config.model_data;
    raw.model_size = config.model_size;
    raw.model_sha256 = config.model_sha256;
    raw.providers = providers.empty() ? nullptr : providers.data();
    raw.provider_count = static_cast<std::uint32_t>(providers.size());
    raw.threads = config.threads;
    raw.options = options.empty() ? nullptr : options.data();
    raw.option_count = static_cast<std::uint32_t>(options.size());
    raw.device_id = config.device_id;
    raw.cache_folder = detail::text_or_null(config.cache_folder);
    raw.gpu_stream = config.gpu_stream;
    ttv_engine *engine = nullptr;
    const ttv_status status = ttv_engine_create(&raw, &engine);
    if (status != TTV_OK) return detail::last_error(status);
    return Engine(engine);
  }

  /** Prepares the engine for streams; see ttv_engine_prepare(). [ctl] */
  [[nodiscard]] std::optional<Error> prepare() {
    return to_error(ttv_engine_prepare(handle_.get()));
  }

  /**
   * Prepares the engine and reports progress. Calls `proceed(ttv_stage, std::chrono::nanoseconds)`
   * at the start of every stage, and about once a second while a TensorRT engine is built. The call
   * is cancelled if `proceed` returns false. `proceed` must not throw. [ctl]
   */
  template <typename Proceed>
  [[nodiscard]] std::optional<Error> prepare(Proceed proceed) {
    ttv_prepare_config config = TTV_PREPARE_CONFIG_INIT;
    config.progress = [](void *user, ttv_stage stage, std::int64_t elapsed_ns) -> std::int32_t {
      const bool proceeds = (*static_cast<Proceed *>(user))(stage, std::chrono::nanoseconds(elapsed_ns));
      return proceeds ? 0 : 1;
    };
    config.user = &proceed;
    return to_error(ttv_engine_prepare_with(handle_.get(), &config));
  }

  /** Pauses the engine; see ttv_engine_pause(). [ctl] */
  [[nodiscard]] std::optional<Error> pause() { return to_error(ttv_engine_pause(handle_.get())); }
  /** Ends a pause. [ctl] */
  void resume() noexcept { ttv_engine_resume(handle_.get()); }

  /** Exports the TensorRT engine to a file; see ttv_engine_export(). [ctl] */
  [[nodiscard]] std::optional<Error> export_engine(const std::string &path) const {
    if (detail::has_nul(path)) return detail::nul_error("path");
    return to_error(ttv_engine_export(handle_.get(), path.c_str()));
  }
  /** Imports an exported TensorRT engine into the cache; see ttv_engine_import(). [ctl] */
  [[nodiscard]] std::optional<Error> import_engine(const std::string &path) {
    if (detail::has_nul(path)) return detail::nul_error("path");
    return to_error(ttv_engine_import(handle_.get(), path.c_str()));
  }

  /** Returns a description of what the engine actually runs. [any] */
  Result<ttv_engine_info> info() const {
    ttv_engine_info info = TTV_ENGINE_INFO_INIT;
    const ttv_status status = ttv_engine_get_info(handle_.get(), &info);
    if (status != TTV_OK) return detail::last_error(status);
    return info;
  }

  /**
   * Returns a label of the model, or std::nullopt if no label has this index. A result without a
   * label contains the index -1. The strings of the label are valid until the engine is destroyed.
   * [any]
   */
  std::optional<ttv_label> label(std::int32_t index) const noexcept {
    ttv_label label = TTV_LABEL_INIT;
    if (index < 0) return std::nullopt;
    const auto position = static_cast<std::uint32_t>(index);
    if (ttv_engine_get_label(handle_.get(), position, &label) != TTV_OK) return std::nullopt;
    return label;
  }

  /**
   * Returns a group of labels of the model, or std::nullopt if no group has this index. A result
   * without a group contains the index -1. The strings of the group are valid until the engine is
   * destroyed. [any]
   */
  std::optional<ttv_group> group(std::int32_t index) const noexcept {
    ttv_group group = TTV_GROUP_INIT;
    if (index < 0) return std::nullopt;
    const auto position = static_cast<std::uint32_t>(index);
    if (ttv_engine_get_group(handle_.get(), position, &group) != TTV_OK) return std::nullopt;
    return group;
  }

  /** Returns the handle of the C interface. */
  ttv_engine *get() const noexcept { return handle_.get(); }

 private:
  static std::optional<Error> to_error(ttv_status status) {
    if (status != TTV_OK) return detail::last_error(status);
    return std::nullopt;
  }
  explicit Engine(ttv_engine *engine) noexcept : handle_(engine) {}
  std::unique_ptr<ttv_engine, detail::Destroy> handle_;
};

/**
 * A result of an acquisition or a query. It can contain the posterior. A copy is independent of the
 * original. A moved-from result is empty and has no memory for the posterior.
 */
class ViewResult {
 public:
  /** Creates a result without memory for the posterior. */
  ViewResult() = default;
  /** Creates a result with memory for the posterior of a model with this number of labels. */
  explicit ViewResult(std::uint32_t labels) : scores_(labels) {}
  ViewResult(const ViewResult &) = default;
  ViewResult &operator=(const ViewResult &) = default;
  ViewResult(ViewResult &&other) noexcept : scores_(std::move(other.scores_)), raw_(other.raw_) {
    other.clear();
  }
  ViewResult &operator=(ViewResult &&other) noexcept {
    if (this != &other) {
      scores_ = std::move(other.scores_);
      raw_ = other.raw_;
      other.clear();
    }
    return *this;
  }

  /** Returns TTV_OK, or the error that ended the processing of the acquisition. */
  Status status() const noexcept { return Status{raw_.status}; }
  /** Returns the identifier of the acquisition. */
  std::uint64_t acquisition() const noexcept { return raw_.acquisition; }
  /** Returns whether the acquisition has ended and nothing is left to compute. */
  bool is_final() const noexcept { return (raw_.flags & TTV_RESULT_FLAG_FINAL) != 0; }
  /** Returns the index of the label, or -1 if the result has no label. */
  std::int32_t label() const noexcept { return raw_.label; }
  /** Returns the largest value of the posterior. */
  float confidence() const noexcept { return raw_.confidence; }
  /** Returns the difference between the two largest values of the posterior. */
  float margin() const noexcept { return raw_.margin; }
  /** Returns the index of the group, or -1 if the result has no group. */
  std::int32_t group() const noexcept { return raw_.group; }
  /** Returns the largest confidence of a group. */
  float group_confidence() const noexcept { return raw_.group_confidence; }
  /** Returns the novelty score, or std::nullopt if the model defines none. */
  std::optional<double> novelty() const noexcept {
    if (raw_.chunks == 0 || (raw_.flags & TTV_RESULT_FLAG_NO_NOVELTY) != 0) return std::nullopt;
    return raw_.novelty;
  }
  /**
   * Returns the posterior, one value per label. The vector is empty if the result has no memory
   * for the posterior.
   */
  const std::vector<float> &scores() const noexcept { return scores_; }
  /** Returns the time from the end of the acquisition to the publication of the result. */
  std::chrono::nanoseconds latency() const noexcept { return std::chrono::nanoseconds(raw_.latency_ns); }
  /** Returns the C struct. Its field `scores` is NULL. */
  const ttv_result &raw() const noexcept { return raw_; }

 private:
  friend class Stream;
  void clear() noexcept {
    scores_.clear();
    raw_ = TTV_RESULT_INIT;
  }
  /** Calls `read` with a struct that points to the memory for the posterior. */
  template <typename Read>
  Status fill(Read read) noexcept {
    ttv_result raw = raw_;
    raw.scores = scores_.data();
    raw.scores_capacity = static_cast<std::uint32_t>(scores_.size());
    const Status status{read(&raw)};
    raw_ = raw;
    // `raw_` does not keep the pointer to `scores_`, because a copy of this object would then point
    // to the original's memory.
    raw_.scores = nullptr;
    raw_.scores_capacity = 0;
    return status;
  }
  std::vector<float> scores_;
  ttv_result raw_ = TTV_RESULT_INIT;
};

/**
 * A stream, which processes the acquisitions of one probe. Only the acquisition thread may call
 * functions marked `acq`.
 */
class Stream {
 public:
  /** Creates a stream; see ttv_stream_create(). [ctl] */
  static Result<Stream> create(const Engine &engine, const ttv_stream_config &config) {
    ttv_stream *stream = nullptr;
    const ttv_status status = ttv_stream_create(engine.get(), &config, &stream);
    if (status != TTV_OK) return detail::last_error(status);
    return Stream(stream);
  }

  /** Computes the size of a stream in bytes; see ttv_stream_get_memory(). [ctl] */
  static Result<std::size_t> memory(const Engine &engine, const ttv_stream_config &config) {
    std::size_t bytes = 0;
    const ttv_status status = ttv_stream_get_memory(engine.get(), &config, &bytes);
    if (status != TTV_OK) return detail::last_error(status);
    return bytes;
  }

  /** Begins an acquisition and stores its identifier in `acquisition`. [acq, rt, idle] */
  [[nodiscard]] Status begin(std::uint64_t &acquisition) noexcept {
    return {ttv_stream_begin(get(), &acquisition)};
  }
  /** Copies a frame into the ring. [acq, rt, acquiring] */
  Status push(const ttv_frame &frame) noexcept { return {ttv_stream_push(get(), &frame)}; }
  /**
   * Lends the next slot of the ring to the host, which writes a frame to the slot.
   * [acq, rt, acquiring]
   */
  [[nodiscard]] Status loan(ttv_slot &slot) noexcept {
    slot = TTV_SLOT_INIT;
    return {ttv_stream_loan(get(), &slot)};
  }
  /** Pushes the frame that the host has written to a slot. [acq, rt, acquiring] */
  Status commit(const ttv_slot &slot, const ttv_frame &frame) noexcept {
    return {ttv_stream_commit(get(), &slot, &frame)};
  }
  /** Marks a change, such as a freeze; see ttv_stream_mark(). [acq, rt, acquiring] */
  Status mark() noexcept { return {ttv_stream_mark(get())}; }
  /** Ends the acquisition. [acq, rt, acquiring] */
  Status end() noexcept { return {ttv_stream_end(get())}; }

  /** Processes the oldest waiting frame in a host-driven stream. [drv, any state] */
  Status process() noexcept { return {ttv_stream_process(get())}; }

  /** Reads the newest result. [any, rt, any state] */
  [[nodiscard]] Status poll(ViewResult &result) const noexcept {
    return result.fill([&](ttv_result *raw) { return ttv_stream_poll(get(), raw); });
  }
  /** Waits for the final result of an acquisition. A negative timeout means no limit. [ctl] */
  [[nodiscard]] Status wait(std::uint64_t acquisition, std::chrono::nanoseconds timeout,
                            ViewResult &result) noexcept {
    return result.fill([&](ttv_result *raw) {
      return ttv_stream_wait(get(), acquisition, timeout.count(), raw);
    });
  }
  /** Reads the label of a past interval; see ttv_stream_query(). [any] */
  [[nodiscard]] Status query(std::chrono::nanoseconds from, std::chrono::nanoseconds to,
                             std::chrono::nanoseconds timeout, ViewResult &result) const noexcept {
    return query_with(from, to, 0, timeout, result);
  }
  /** Runs the network again on the samples of a past interval; see ttv_stream_query(). [any] */
  [[nodiscard]] Status query_exact(std::chrono::nanoseconds from, std::chrono::nanoseconds to,
                                   std::chrono::nanoseconds timeout,
                                   ViewResult &result) const noexcept {
    return query_with(from, to, TTV_QUERY_FLAG_EXACT, timeout, result);
  }

  /** Returns the counters of the stream. [any, rt, any state] */
  ttv_stats stats() const noexcept {
    ttv_stats stats = TTV_STATS_INIT;
    ttv_stream_get_stats(get(), &stats);
    return stats;
  }
  /** Returns the most recent event; see ttv_stream_last_event(). [any, rt, any state] */
  Status last_event() const noexcept { return {ttv_stream_last_event(get())}; }
  /** Returns a file descriptor for new results, or -1; see ttv_stream_event_fd(). [ctl] */
  int event_fd() const noexcept { return ttv_stream_event_fd(get()); }

  /** Returns the handle of the C interface. */
  ttv_stream *get() const noexcept { return handle_.get(); }

 private:
  Status query_with(std::chrono::nanoseconds from, std::chrono::nanoseconds to, ttv_query_flags flags,
                    std::chrono::nanoseconds timeout, ViewResult &result) const noexcept {
    return result.fill([&](ttv_result *raw) {
      return ttv_stream_query(get(), from.count(), to.count(), flags, timeout.count(), raw);
    });
  }
  explicit Stream(ttv_stream *stream) noexcept : handle_(stream) {}
  std::unique_ptr<ttv_stream, detail::Destroy> handle_;
};

}  // namespace tteview

#endif  // TTEVIEW_TTEVIEW_HPP

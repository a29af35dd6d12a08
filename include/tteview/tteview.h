/*
 * tteview: labels the view of a transthoracic echo cine while it is acquired.
 *
 * C11 and C++17. `cargo xtask install --prefix P` lays down the library; link it by one of
 *   CMake:      find_package(tteview REQUIRED) and tteview::tteview
 *   pkg-config: pkg-config --cflags --libs tteview
 *   by hand:    -IP/include -LP/lib -ltteview -lpthread -ldl -lm
 *
 * Life of a stream:
 *   ttv_engine_create -> ttv_engine_prepare -> ttv_stream_create
 *     -> (ttv_stream_begin -> ttv_stream_push ... -> ttv_stream_end -> ttv_stream_wait or _poll)*
 *     -> ttv_stream_destroy -> ttv_engine_destroy
 *
 * Threads, the tag of every function:
 *   [ctl]  control threads; may block and allocate
 *   [acq]  the acquisition thread, one at a time per stream; a second one gets TTV_WRONG_THREAD
 *   [wrk]  the thread that drives inference where the host does it, one at a time per stream
 *   [any]  every thread
 *   rt     bounded time: no allocation, no lock, no logging; one futex wake at most
 *
 * Statuses: 0 is success, positive is flow (nothing is wrong), negative is an error. Numbers never move. After an
 * error of a [ctl] call ttv_last_error gives the cause in words.
 *
 * Structs: set struct_size to sizeof and zero the rest. Fields are only appended in later versions; a larger
 * struct is accepted if what this library does not know is zero.
 *
 * Ownership: handles belong to the caller from create to destroy. A pushed frame is copied before the call returns;
 * between ttv_stream_acquire and _commit the slot's memory is the caller's. Results go to memory of the caller.
 * Strings returned live as long as the engine.
 */

#ifndef TTEVIEW_TTEVIEW_H
#define TTEVIEW_TTEVIEW_H

/* Generated from src/ffi; do not edit. `cargo xtask header` writes it. */

#include <stddef.h>
#include <stdint.h>

// The call did what it says.
#define TTV_OK 0

// No result yet, or nothing to process.
#define TTV_NOT_READY 1

// The ring was full: the new frame was dropped and counted.
#define TTV_RING_FULL 2

// The frame's time was not later than the one before: refused and counted.
#define TTV_FRAME_REFUSED 3

// The time given to wait ran out.
#define TTV_TIMED_OUT 4

// A query covers only a part of the interval.
#define TTV_PARTIAL 5

// A query found no chunk in the interval.
#define TTV_EMPTY 6

// A pointer that must not be NULL was NULL.
#define TTV_NULL_ARGUMENT -1

// `struct_size` is smaller than the first version of the struct, or the unknown tail is not zero.
#define TTV_STRUCT_SIZE -2

// Unknown flags, or reserved fields that are not zero.
#define TTV_UNKNOWN_FLAGS -3

// A value outside its range.
#define TTV_INVALID_ARGUMENT -4

// The call does not fit the state: push before begin, end twice, begin while acquiring.
#define TTV_WRONG_STATE -5

// Two threads at once where one is allowed.
#define TTV_WRONG_THREAD -6

// Unknown pixel format or memory type.
#define TTV_UNSUPPORTED_FORMAT -7

// Width, height or region of interest out of range.
#define TTV_FRAME_GEOMETRY -8

// The stride is smaller than a row.
#define TTV_FRAME_STRIDE -9

// The frame is larger than the stream was created for.
#define TTV_FRAME_TOO_LARGE -10

// The library does not offer this (yet).
#define TTV_UNSUPPORTED -11

// The model file cannot be read.
#define TTV_MODEL_UNREADABLE -20

// The file is not a well-formed package: truncated, altered, a key missing or malformed.
#define TTV_MODEL_INVALID -21

// The file's SHA-256 is not the one that the host pinned.
#define TTV_MODEL_HASH -22

// Graph and metadata do not fit each other.
#define TTV_MODEL_MISMATCH -23

// The self-test of the package gave other numbers than it should.
#define TTV_SELF_TEST -24

// The runtime's shared library cannot be found or is not one.
#define TTV_RUNTIME_MISSING -30

// The runtime's library is older than the oldest version supported.
#define TTV_RUNTIME_TOO_OLD -31

// A provider that was asked for cannot run here.
#define TTV_PROVIDER_UNAVAILABLE -32

// The runtime failed while inferring.
#define TTV_INFERENCE -33

// The folder of built engines cannot be read or written.
#define TTV_ENGINE_CACHE -34

// An engine file is damaged, or is none.
#define TTV_ENGINE_FILE -35

// An engine was built for another model, runtime, device or options.
#define TTV_ENGINE_MISMATCH -36

// An allocation failed, or a size is more than can be allocated.
#define TTV_OUT_OF_MEMORY -40

// An earlier panic inside the library left the handle unusable: destroy it.
#define TTV_POISONED -41

// An internal error: a bug of tteview.
#define TTV_INTERNAL -42

// The host cancelled the call.
#define TTV_CANCELLED -43

// A system call failed: thread, memory lock, event descriptor.
#define TTV_SYSTEM -44

// Version of this ABI: the major number in the high 16 bits, the minor in the low.
#define TTV_ABI_VERSION 65536

// The provider builds no engine.
#define TTV_ENGINE_NOT_NEEDED 0

// It will be loaded or built by `ttv_engine_prepare`, or by the first stream.
#define TTV_ENGINE_NOT_YET 1

// Built in this process.
#define TTV_ENGINE_BUILT 2

// Loaded from the cache, where a start before this one left it.
#define TTV_ENGINE_LOADED 3

// Loaded from the cache, where `ttv_engine_import` brought it.
#define TTV_ENGINE_IMPORTED 4

// Looks into the cache of engines and checks what lies there.
#define TTV_STAGE_READING_CACHE 1

// The provider loads an engine, or builds one, which may take minutes.
#define TTV_STAGE_BUILDING 2

// Runs the package's self-test.
#define TTV_STAGE_SELF_TEST 3

// Measures the time of a step.
#define TTV_STAGE_MEASURING 4

// One byte of luma.
#define TTV_FORMAT_GRAY8 1

// Two bytes of luma, little-endian.
#define TTV_FORMAT_GRAY16LE 2

// Red, green, blue.
#define TTV_FORMAT_RGB24 3

// Blue, green, red.
#define TTV_FORMAT_BGR24 4

// Red, green, blue, ignored.
#define TTV_FORMAT_RGBA32 5

// Blue, green, red, ignored.
#define TTV_FORMAT_BGRA32 6

// 4:2:2 as Y U Y V; even width.
#define TTV_FORMAT_YUYV 7

// 4:2:2 as U Y V Y; even width.
#define TTV_FORMAT_UYVY 8

// 4:2:0, planes Y and UV; even sides.
#define TTV_FORMAT_NV12 9

// 4:2:0, planes Y, U and V; even sides.
#define TTV_FORMAT_I420 10

// Left and right are exchanged on the display.
#define TTV_FRAME_MIRRORED 1

// Top and bottom are exchanged on the display.
#define TTV_FRAME_UPSIDE_DOWN 2

// Text or graphics are burned into the frame. Carried for the device's records; nothing depends on it.
#define TTV_FRAME_OVERLAY 4

// Pixels are in host memory.
#define TTV_MEMORY_HOST 0

// A partial chunk at the end is dropped unless it is the only one. Default: completed if at least half full.
#define TTV_STREAM_PARTIAL_DROP 1

// A partial chunk at the end is always completed.
#define TTV_STREAM_PARTIAL_HOLD 2

// The host drives the stream by `ttv_stream_process`; the library starts no thread.
#define TTV_STREAM_HOST_DRIVEN 4

// The worker looks into the ring every half millisecond, so that push makes no system call.
#define TTV_STREAM_POLLING 8

// The ring's frames are locked into memory. `TTV_SYSTEM` where the process may not lock so much.
#define TTV_STREAM_LOCK_MEMORY 16

// The acquisition still runs.
#define TTV_RESULT_PROVISIONAL 1

// Nothing is left to compute.
#define TTV_RESULT_FINAL 2

// The confidence is under the model's threshold: the label is -1.
#define TTV_RESULT_ABSTAINED 4

// Fewer samples than a clip has.
#define TTV_RESULT_SHORT 8

// Frames were dropped because the ring was full.
#define TTV_RESULT_DROPPED 16

// A gap or change restarted the temporal state.
#define TTV_RESULT_DISCONTINUITY 32

// Work was thinned because the network was slower than the frames.
#define TTV_RESULT_DEGRADED 64

// The label was settled before the acquisition ended, and the network stopped (`early_stop_margin`).
#define TTV_RESULT_SETTLED 128

// The posterior said that the view had changed, and the label is that of the time since (`view_change_margin`).
#define TTV_RESULT_VIEW_CHANGED 256

// Query: the interval is run again over kept samples with fresh state. Not in real time.
#define TTV_QUERY_EXACT 1

// One model on one provider; shared by streams. Opaque.
typedef struct ttv_engine ttv_engine;

// One probe's stream. Opaque.
typedef struct ttv_stream ttv_stream;

// Hooks and runtime of the host; any may be NULL. Hooks must not throw, and outlive the process's use of the library.
typedef struct ttv_host {
  // `sizeof(ttv_host)`.
  uint32_t struct_size;
  // `TTV_ABI_VERSION`.
  uint32_t abi_version;
  // Handed back to the hooks.
  void *user;
  // Takes a message: level 1 error, 2 warning, 3 information. Called from any thread but never from an [rt] call,
  // with locks of ours held: it must not call this library.
  void (*log)(void *user, int32_t level, const char *message, size_t length);
  // Called in every thread of ours before it works: the place for affinity and priority. `role` is "tteview" in a
  // stream's thread and "tteview-build" in the one that builds an engine.
  void (*thread_start)(void *user, const char *role);
  // Shared library of ONNX Runtime for all providers but "embedded": a path, or a name that the system's loader
  // looks up; copied. NULL: "libonnxruntime.so". It is loaded by the first engine that needs it.
  // From 1.29 on ONNX Runtime sends telemetry over the network unless ORT_DISABLE_TELEMETRY=1 stands in the
  // environment of the process: there TTV_PROVIDER_UNAVAILABLE without that variable (0 allows the telemetry).
  const char *runtime_library;
} ttv_host;

// An option of a provider, by the provider's own documented key. This struct never grows.
typedef struct ttv_option {
  // As "trt_max_workspace_size".
  const char *key;
  // As "1073741824".
  const char *value;
} ttv_option;

// What an engine is made of. Zero every field that is not set.
typedef struct ttv_engine_config {
  // `sizeof(ttv_engine_config)`.
  uint32_t struct_size;
  // 0.
  uint32_t flags;
  // Path of the package; or NULL, and the package in memory:
  const char *model_path;
  // The package's bytes; copied.
  const void *model_data;
  // How many.
  size_t model_size;
  // 32 bytes that the SHA-256 of the package must be, or NULL.
  const uint8_t *model_sha256;
  // Providers in order of preference: "embedded", or of ONNX Runtime "cpu", "cuda", "tensorrt" and, in builds with
  // the feature of that name, "tensorrt-rtx". NULL: "embedded".
  const char *const *providers;
  // How many.
  uint32_t provider_count;
  // Threads of the network; 0: one.
  uint32_t threads;
  // Options of the providers; copied. Keys that begin with "trt_" go to "tensorrt", with "nv_" to "tensorrt-rtx",
  // others to "cuda"; one that none of `providers` takes is refused with `TTV_INVALID_ARGUMENT`, as is one that the
  // library sets itself: device, stream, caches, fp16. Addresses, and CUDA graphs of "tensorrt-rtx", are
  // `TTV_UNSUPPORTED`.
  const struct ttv_option *options;
  // How many, at most 128.
  uint32_t option_count;
  // Which GPU, as CUDA counts them.
  uint32_t device_id;
  // Folder of the engines that "tensorrt" builds, so that the next start loads them; copied. It need not exist, and
  // processes may share it. NULL: every start builds.
  const char *cache_folder;
  // A `cudaStream_t` of that GPU, made with the priority that the host wants: the provider works in it. The host keeps
  // it until the engine and its streams are destroyed. NULL: the provider makes its own.
  void *gpu_stream;
} ttv_engine_config;

// How a preparation is watched. Zero every field that is not set.
typedef struct ttv_prepare_config {
  // `sizeof(ttv_prepare_config)`.
  uint32_t struct_size;
  // 0.
  uint32_t flags;
  // Called in the calling thread with each `TTV_STAGE_*` and about once a second while an engine is built, with the
  // time since the call; or NULL. Anything but 0 ends the call with `TTV_CANCELLED`. It must not throw.
  int32_t (*progress)(void *user, uint32_t stage, int64_t elapsed_ns);
  // Handed back to `progress`.
  void *user;
} ttv_prepare_config;

// What really runs, for the device's records.
typedef struct ttv_engine_info {
  // `sizeof(ttv_engine_info)`.
  uint32_t struct_size;
  // 0.
  uint32_t flags;
  // Provider that runs the graph.
  char provider[32];
  // Its version.
  char provider_version[32];
  // Runtime and its version.
  char runtime_version[32];
  // Version that the package gives itself.
  char model_version[64];
  // SHA-256 of the package, hex.
  char model_sha256[65];
  // 0.
  uint8_t reserved[3];
  // Number of labels.
  uint32_t label_count;
  // 0 window, 1 stream.
  uint32_t mode;
  // Largest absolute error of the self-test's logits in parts per million; -1 before `ttv_engine_prepare`.
  int64_t self_test_error_ppm;
  // Time of one step (stream mode) or clip (window mode) as `ttv_engine_prepare` measured it; -1 before.
  int64_t step_ns;
  // Time from one step to the next: a chunk or, in window mode, the hop that a stream chooses now. The network keeps
  // up, at any frame rate, if `step_ns` is less; with N streams that acquire at once, if N times `step_ns` is.
  int64_t step_interval_ns;
  // Whether the provider had to build an engine, and where it came from: `TTV_ENGINE_*`.
  uint32_t engine_origin;
  // 0.
  uint32_t reserved2;
} ttv_engine_info;

// A label. The caller sets `struct_size`; texts live as long as the engine.
typedef struct ttv_label {
  // `sizeof(ttv_label)`.
  uint32_t struct_size;
  // 0.
  uint32_t reserved;
  // Stable short code, as "A4C".
  const char *code;
  // Name for people, as "apical four-chamber".
  const char *name;
  // Coding Scheme Designator of DICOM, as "SCT"; NULL where no scheme has the view.
  const char *scheme;
  // Code Value in that scheme, as "399214001"; NULL with `scheme`.
  const char *scheme_code;
} ttv_label;

// The label of an acquisition, so far or final. The caller sets `struct_size`, `scores` and `scores_capacity`.
typedef struct ttv_result {
  // `sizeof(ttv_result)`.
  uint32_t struct_size;
  // 0, or what went wrong while inferring.
  int32_t status;
  // The id that begin gave.
  uint64_t acquisition;
  // `TTV_RESULT_*`.
  uint32_t flags;
  // Chunks or windows that the scores are the mean of.
  uint32_t chunks;
  // Index into the model's labels; -1 if withheld or if there is none.
  int32_t label;
  // Largest score.
  float confidence;
  // Largest minus second largest score.
  float margin;
  // 0.
  uint32_t reserved;
  // Sequence number of the first accepted frame.
  uint64_t first_sequence;
  // Sequence number of the last accepted frame.
  uint64_t last_sequence;
  // Frames accepted.
  uint64_t frames_used;
  // Frames dropped because the ring was full.
  uint64_t frames_dropped;
  // Grid time of the first sample covered.
  int64_t first_time_ns;
  // Grid time of the last sample covered.
  int64_t last_time_ns;
  // Final results: from end to the result being visible.
  int64_t latency_ns;
  // Final results: the part of it before the worker saw the end.
  int64_t queue_ns;
  // Preprocessing, over the acquisition.
  int64_t preprocess_ns;
  // Network, over the acquisition.
  int64_t inference_ns;
  // Memory of the caller for the posterior, or NULL.
  float *scores;
  // Its room in values.
  uint32_t scores_capacity;
  // Values that the posterior has; no more than the capacity are written.
  uint32_t scores_length;
} ttv_result;

// Settings of a stream. Zero every field that is not set.
typedef struct ttv_stream_config {
  // `sizeof(ttv_stream_config)`.
  uint32_t struct_size;
  // `TTV_STREAM_*`, or 0.
  uint32_t flags;
  // Frames that the ring holds, 2 to 1024; 0: 16.
  uint32_t ring_slots;
  // Width of the largest frame; 0: 1024.
  uint32_t max_width_px;
  // Height of the largest frame; 0: 1024.
  uint32_t max_height_px;
  // Bytes of the largest frame, rows packed; 0: four a pixel.
  uint32_t max_frame_bytes;
  // The label speaks of the last so many nanoseconds; 0: of the whole acquisition.
  int64_t label_span_ns;
  // How far back `ttv_stream_query` can look, at least `label_span_ns`, at most an hour; 0: 60 s.
  int64_t history_ns;
  // Frames further apart restart the temporal state; 0: 250 ms.
  int64_t gap_ns;
  // For hosts without timestamps; 0: `ttv_frame.time_ns` is used.
  int64_t frame_period_ns;
  // Called in the worker's thread after every result, or NULL. `result` and its `scores` live through the call,
  // which must neither throw nor call `ttv_stream_destroy`.
  void (*on_result)(void *user, const struct ttv_result *result);
  // Handed back to `on_result`.
  void *user;
  // How far back `ttv_stream_query` with `TTV_QUERY_EXACT` can look, at most an hour; 0: not at all. All of it is
  // allocated when the stream is created: float samples, one every sample interval, and a second session;
  // `ttv_stream_memory` says how much.
  int64_t exact_history_ns;
  // Window mode: samples from one window to the next, at most a clip. 0: chosen now, from the time of a clip that
  // `ttv_engine_prepare` measured: so that windows take half of the time at most, but at least a quarter of a clip
  // and at most a clip; half of a clip if nothing was measured. `ttv_stats` says which it is. N streams that acquire
  // at once need N times as much. Whatever the hop, the last window ends at the last sample.
  uint32_t window_hop_samples;
  // Early stop, with `early_stop_margin`: outputs (chunks or windows) in a row that must agree, at most 1024; those
  // of a clip if that is more.
  uint32_t early_stop_outputs;
  // Early stop; 0: off. The network stops when the label is settled, and the end leaves nothing to run. Settled:
  // after each of the last `early_stop_outputs` outputs, which are a clip at least, the output's own label was that
  // of the mean, and the mean's largest score was at least `early_stop_margin` (at most 1) above its second and not
  // under the model's threshold. The result then has `TTV_RESULT_SETTLED` and `last_time_ns` of the last output that
  // ran; queries find nothing after it but with `TTV_QUERY_EXACT`. Where nothing runs nothing is seen: another view
  // goes unnoticed until the host marks a change or the geometry changes, which arms the rule and the network again.
  float early_stop_margin;
  // View change by posterior; 0: off. For a probe that moves in mid-acquisition without a mark. The view has changed
  // when after each of the last `view_change_outputs` outputs the posterior of the last `view_change_span` outputs
  // (of those in the mean) had another label than the mean, with a score at least `view_change_margin` (at most 1)
  // above its score for the mean's label. The mean begins anew at the first of these outputs, the result has
  // `TTV_RESULT_VIEW_CHANGED` until the acquisition ends. The temporal state goes on: the first outputs of the new
  // mean have the old view in their look-back. Off while nothing runs after an early stop.
  float view_change_margin;
  // Outputs whose posterior is held against the mean's, at most 1024; 0: those of a clip.
  uint32_t view_change_span;
  // Outputs in a row that must disagree, at most 1024; 0: those of a clip.
  uint32_t view_change_outputs;
} ttv_stream_config;

// One frame in memory of the host. Zero every field that is not set.
typedef struct ttv_frame {
  // `sizeof(ttv_frame)`.
  uint32_t struct_size;
  // `TTV_FRAME_*`, or 0.
  uint32_t flags;
  // Planes; one for the packed formats.
  const uint8_t *plane[3];
  // Bytes from one row to the next, per plane.
  uint32_t stride_bytes[3];
  // `TTV_FORMAT_*`.
  uint32_t format;
  // `TTV_MEMORY_HOST`.
  uint32_t memory;
  // 0.
  uint32_t reserved;
  // 32 to 4096.
  uint32_t width_px;
  // 32 to 4096.
  uint32_t height_px;
  // Region of interest; all four 0: the whole frame.
  uint32_t roi_x_px;
  // Top edge.
  uint32_t roi_y_px;
  // Width.
  uint32_t roi_width_px;
  // Height.
  uint32_t roi_height_px;
  // Microns per pixel; 0: unknown.
  float um_per_px_x;
  // Microns per pixel; 0: unknown.
  float um_per_px_y;
  // The host's number of the frame, carried into results.
  uint64_t sequence;
  // Monotonic time in nanoseconds; not used if the stream has a frame period.
  int64_t time_ns;
} ttv_frame;

// A slot of the ring that the host writes a frame into. The caller sets `struct_size`.
typedef struct ttv_slot {
  // `sizeof(ttv_slot)`.
  uint32_t struct_size;
  // Bytes at `data`.
  uint32_t capacity_bytes;
  // Rows packed, planes one after the other.
  uint8_t *data;
  // For `ttv_stream_commit`.
  uint64_t token;
} ttv_slot;

// Counters since the stream was created.
typedef struct ttv_stats {
  // `sizeof(ttv_stats)`.
  uint32_t struct_size;
  // 0.
  uint32_t flags;
  // Frames accepted.
  uint64_t pushed;
  // Frames dropped because the ring was full.
  uint64_t dropped;
  // Frames refused because of their time.
  uint64_t refused;
  // Samples decided.
  uint64_t samples;
  // Chunks or windows run.
  uint64_t chunks;
  // Chunks or windows left out because the network was slower than the frames.
  uint64_t skipped_chunks;
  // Gaps in time.
  uint64_t gaps;
  // Changes.
  uint64_t changes;
  // Times that the posterior said that the view had changed (`view_change_margin`).
  uint64_t view_changes;
  // Window mode: samples from one window to the next in this stream; else 0.
  uint64_t window_hop_samples;
} ttv_stats;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Copies the cause of this thread's last failed control call into `buffer`, NUL-terminated and cut if it must be.
// Returns its length without the NUL; 0 if there was none. `buffer` may be NULL to ask for the length. [any]
//
// # Safety
// `buffer` is NULL or has room for `capacity` bytes.
size_t ttv_last_error(char *buffer,
                      size_t capacity);

// Gives the library the host's hooks and runtime, once per process and before the first engine. Optional. [ctl]
//
// Returns `TTV_WRONG_STATE` the second time.
//
// # Safety
// `host` points to a `ttv_host` of the size its first field says.
int32_t ttv_runtime_init(const struct ttv_host *host);

// Version of the ABI that this library has, as `TTV_ABI_VERSION`. [any rt]
uint32_t ttv_abi_version(void);

// One sentence for a status; static text. [any rt]
const char *ttv_status_string(int32_t status);

// Loads and checks a model package on the first provider that can run it. On "tensorrt" all but the engine, which
// `ttv_engine_prepare` loads or builds: the provider's library with all it needs, its options, the driver and the GPU
// are checked here. [ctl]
//
// On success `*engine` is a handle for `ttv_engine_destroy`; on an error it is NULL and `ttv_last_error` says why.
//
// # Safety
// `config` points to a struct of the size its first field says, whose pointers hold what their fields say; `engine` to
// a place for a pointer.
int32_t ttv_engine_create(const struct ttv_engine_config *config,
                          struct ttv_engine **engine);

// Loads or builds the provider's engine, if it needs one (`engine_origin` of `ttv_engine_get_info`), which takes minutes
// where TensorRT builds; `ttv_engine_prepare_with` tells how far it is. Runs the package's self-test on the provider
// that will really run, and so warms it up; then measures the time of a step, the median of five.
// `ttv_engine_get_info` then says whether real time holds, and streams in window mode that are created from now on
// choose their hop by it. A stream that is created on an engine that was not prepared loads or builds there and then.
// [ctl]
//
// # Safety
// `engine` is NULL or a live handle.
int32_t ttv_engine_prepare(struct ttv_engine *engine);

// The same, telling the host how far it is; a non-zero return of `progress` cancels it with `TTV_CANCELLED`. A build
// inside TensorRT cannot be interrupted: it goes on in the background and fills the cache, a later prepare joins it, and
// `ttv_engine_destroy` (or the destruction of its last stream) waits for it. [ctl]
//
// # Safety
// `engine` is NULL or a live handle; `config` points to a struct of the size its first field says.
int32_t ttv_engine_prepare_with(struct ttv_engine *engine,
                                const struct ttv_prepare_config *config);

// Writes the engine that "tensorrt" built into a file, with all that it was built for: made in the factory, for
// `ttv_engine_import` on devices with the same GPU and software. After `ttv_engine_prepare`, with a `cache_folder`;
// `TTV_WRONG_STATE` before, `TTV_UNSUPPORTED` for providers that build none. Written under another name beside it and
// renamed. [ctl]
//
// # Safety
// `engine` is NULL or a live handle; `path` is NULL or NUL-terminated.
int32_t ttv_engine_export(const struct ttv_engine *engine,
                          const char *path);

// Brings an exported engine into the cache, so that `ttv_engine_prepare` loads it; before that, with a `cache_folder`.
// `TTV_ENGINE_MISMATCH` if it was built for another model, GPU, version or option, and the last error says which;
// `TTV_ENGINE_FILE` if the file is damaged, `TTV_ENGINE_CACHE` if the folder cannot be written. [ctl]
//
// # Safety
// `engine` is NULL or a live handle; `path` is NULL or NUL-terminated.
int32_t ttv_engine_import(struct ttv_engine *engine,
                          const char *path);

// Lets no step of this engine begin from now on, and returns when none runs: the beamformer needs the GPU. Streams go
// on taking frames; after `ttv_engine_resume` the rules for overload apply. While the engine is paused final results do
// not come (`ttv_stream_wait` has its timeout), exact queries wait until theirs, `ttv_stream_process` returns
// `TTV_NOT_READY`, `ttv_engine_prepare` `TTV_WRONG_STATE`; streams may be created and destroyed. A call of
// `ttv_stream_process` that is under way is finished first. The building of an engine goes on. Pausing twice is pausing
// once. `TTV_WRONG_THREAD` from the callback of a host-driven stream, `TTV_WRONG_STATE` if another thread resumed before
// the engine had come to rest. [ctl]
//
// # Safety
// `engine` is NULL or a live handle.
int32_t ttv_engine_pause(struct ttv_engine *engine);

// Ends a pause; nothing if there is none. [ctl]
//
// # Safety
// `engine` is NULL or a live handle.
int32_t ttv_engine_resume(struct ttv_engine *engine);

// What really runs. [any]
//
// # Safety
// `engine` is NULL or a live handle; `info` points to a struct of the size its first field says.
int32_t ttv_engine_get_info(const struct ttv_engine *engine, struct ttv_engine_info *info);

// Gives the engine back. Streams made from it go on, also those of a paused engine. Waits for a build that goes on in the
// background, unless a stream keeps the engine. NULL is fine. [ctl]
//
// # Safety
// `engine` is NULL or a live handle, not used by any other thread or afterwards.
void ttv_engine_destroy(struct ttv_engine *engine);

// Code of a label, as "A4C"; lives as long as the engine. [any]
//
// # Safety
// `engine` is NULL or a live handle; `label` points to a place for a pointer.
int32_t ttv_engine_label(const struct ttv_engine *engine, uint32_t index, const char **label);

// All that the model says of a label: what a report or a DICOM file needs beside its code. [any]
//
// # Safety
// `engine` is NULL or a live handle; `label` points to a struct of the size its first field says.
int32_t ttv_engine_get_label(const struct ttv_engine *engine, uint32_t index, struct ttv_label *label);

// Allocates all memory of a stream and starts its worker thread. [ctl]
//
// On success `*stream` is a handle for `ttv_stream_destroy`; on an error it is NULL and `ttv_last_error` says why.
//
// # Safety
// `engine` is NULL or a live handle; `config` points to a struct of the size its first field says; `stream` to a place
// for a pointer.
int32_t ttv_stream_create(struct ttv_engine *engine,
                          const struct ttv_stream_config *config,
                          struct ttv_stream **stream);

// Writes the bytes that a stream of this configuration allocates by code of ours: ring, tensors, states, history,
// samples for exact queries. What the runtime takes for itself comes on top. [ctl]
//
// # Safety
// As `ttv_stream_create`; `bytes` points to a place for a number.
int32_t ttv_stream_memory(const struct ttv_engine *engine,
                          const struct ttv_stream_config *config,
                          size_t *bytes);

// Stops the worker after the step it is in and gives everything back. NULL is fine. [ctl]
//
// # Safety
// `stream` is NULL or a live handle, not used by any other thread or afterwards.
void ttv_stream_destroy(struct ttv_stream *stream);

// Begins an acquisition and writes its id. Allowed while the one before still drains. Without a place for the id nothing
// begins: `TTV_NULL_ARGUMENT`. [acq rt]
//
// # Safety
// `stream` is NULL or a live handle; `acquisition` is NULL or points to a place for a number.
int32_t ttv_stream_begin(struct ttv_stream *stream,
                         uint64_t *acquisition);

// Copies a frame. Positive statuses say that it was not taken: `TTV_RING_FULL`, `TTV_FRAME_REFUSED`. [acq rt]
//
// # Safety
// `stream` is NULL or a live handle; `frame` points to a struct of the size its first field says, whose planes hold
// what its sizes and strides say.
int32_t ttv_stream_push(struct ttv_stream *stream,
                        const struct ttv_frame *frame);

// Gives the next slot of the ring to write a frame into, rows packed, planes one after the other: no copy is made of
// it. Asking again gives the same slot. `TTV_RING_FULL`: the frame that was to come is dropped and counted. [acq rt]
//
// # Safety
// `stream` is NULL or a live handle; `slot` points to a struct of the size its first field says. `slot->data` may be
// written until commit, end, begin or destroy.
int32_t ttv_stream_acquire(struct ttv_stream *stream,
                           struct ttv_slot *slot);

// Hands over the frame written into an acquired slot. `frame->plane` is not read; strides are 0 or those of packed
// rows. After an error, `TTV_FRAME_REFUSED` too, the slot stays acquired. [acq rt]
//
// # Safety
// `stream` is NULL or a live handle; `slot` and `frame` point to structs of the size their first field says.
int32_t ttv_stream_commit(struct ttv_stream *stream,
                          const struct ttv_slot *slot,
                          const struct ttv_frame *frame);

// Marks a change (freeze, preset, probe, depth): the label speaks of the frames after it, so an acquisition that ends
// before the next frame has none; end it without a mark to keep the label. [acq rt]
//
// # Safety
// `stream` is NULL or a live handle.
int32_t ttv_stream_mark(struct ttv_stream *stream);

// Ends the acquisition; its final result comes. [acq rt]
//
// # Safety
// `stream` is NULL or a live handle.
int32_t ttv_stream_end(struct ttv_stream *stream);

// Handles what waits in the ring of a host-driven stream, one frame or end a call; `TTV_NOT_READY` if nothing
// waits or the engine is paused. One thread at a time. [wrk]
//
// # Safety
// `stream` is NULL or a live handle.
int32_t ttv_stream_process(struct ttv_stream *stream);

// Writes the newest result, provisional or final; `TTV_NOT_READY` before the first. [any rt]
//
// # Safety
// `stream` is NULL or a live handle; `result` points to a struct of the size its first field says, and its `scores`
// to `scores_capacity` values.
int32_t ttv_stream_poll(const struct ttv_stream *stream,
                        struct ttv_result *result);

// Waits for the final result of an acquisition; `TTV_TIMED_OUT` after `timeout_ns` (negative: wait for ever), `TTV_EMPTY`
// if four newer acquisitions have taken its place. [ctl]
//
// # Safety
// As `ttv_stream_poll`.
int32_t ttv_stream_wait(struct ttv_stream *stream,
                        uint64_t acquisition,
                        int64_t timeout_ns,
                        struct ttv_result *result);

// A file descriptor that is readable while there is a result that was not announced before; read its 8 bytes to clear it.
// It belongs to the stream. -1 where the system has no eventfd. [ctl]
//
// # Safety
// `stream` is NULL or a live handle.
int32_t ttv_stream_event_fd(const struct ttv_stream *stream);

// The last status other than `TTV_OK` of a call of the acquisition thread, or of a failure in the worker; `TTV_OK`
// before the first. [any rt]
//
// # Safety
// `stream` is NULL or a live handle.
int32_t ttv_stream_last_event(const struct ttv_stream *stream);

// Writes the label of a past interval, from grid time `from_ns` to `to_ns`, both included; it may still go on. `result`
// carries the times really covered; acquisition and frame counts are 0. [any]
//
// `flags` 0: of the chunks (or windows) that lie inside with both ends, a few additions over what the network said while
// frames came. The network also knew what came up to its look-back before. `timeout_ns` (negative: wait for ever)
// bounds the wait for a chunk that is still to come.
//
// `TTV_QUERY_EXACT`: of the samples inside, as if they were an acquisition of their own. The network runs again over
// them with initial state at the first of them and wherever the stream had a gap or a change; a partial chunk is
// treated as at an end. Nothing before the interval counts: the look-back is 0. Not in real time: it runs in the
// calling thread, one step at a time, and every step lets the live streams of the engine go first, so a live step
// waits for one exact step at most: give that thread the workers' priority, for a live step waits for it. `timeout_ns` bounds the whole call, so 0 is too little. One such query at a time
// runs on a stream; another waits. Needs `exact_history_ns`, else `TTV_UNSUPPORTED`.
//
// `TTV_PARTIAL`: older chunks or samples are forgotten (see `history_ns`, `exact_history_ns`), or one is still to come and
// did not within `timeout_ns`. `TTV_EMPTY`: nothing lies inside. `TTV_TIMED_OUT`: the exact form was not through;
// `result` is as it was, as after every status but `TTV_OK` and `TTV_PARTIAL`. Other flags: `TTV_UNKNOWN_FLAGS`.
//
// # Safety
// As `ttv_stream_poll`.
int32_t ttv_stream_query(const struct ttv_stream *stream,
                         int64_t from_ns,
                         int64_t to_ns,
                         uint32_t flags,
                         int64_t timeout_ns,
                         struct ttv_result *result);

// Writes the counters. [any rt]
//
// # Safety
// `stream` is NULL or a live handle; `stats` points to a struct of the size its first field says.
int32_t ttv_stream_get_stats(const struct ttv_stream *stream, struct ttv_stats *stats);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* TTEVIEW_TTEVIEW_H */

#pragma once
#include <cstdint>

#include "rust/cxx.h"

namespace host {
/* Streams a cine and prints its view; 0 if all went well. */
std::int32_t run(rust::Str model, rust::Str cine, std::int64_t frame_period_ns);
}  // namespace host

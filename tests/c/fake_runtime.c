/* A shared library that looks like ONNX Runtime and will not do. VERSION is what it says of itself; without it, it has
 * not even the table of entry points. With API, it claims to have the functions. */
#include <stddef.h>
#include <stdint.h>

typedef struct {
  const void *(*GetApi)(uint32_t version);
  const char *(*GetVersionString)(void);
} ApiBase;

#ifdef VERSION
static const void *get_api(uint32_t version) {
  (void)version;
#ifdef API
  static const void *none[512];
  return none;
#else
  return NULL;
#endif
}

static const char *get_version(void) { return VERSION; }

const ApiBase *OrtGetApiBase(void) {
  static const ApiBase base = {get_api, get_version};
  return &base;
}
#else
const ApiBase *OrtGetApiBase(void) { return NULL; }
#endif

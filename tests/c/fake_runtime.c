/* A shared library that looks like ONNX Runtime but cannot be used.
 *
 * The macro VERSION is the version that the library reports. If VERSION is not defined,
 * OrtGetApiBase returns NULL. If API is defined, GetApi returns a table in which all functions are
 * NULL. Otherwise, GetApi returns NULL. */
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
  static const void *functions[512];
  return functions;
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

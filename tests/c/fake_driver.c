/* Stands for NVIDIA's driver in tests: two GPUs that are an Orin; and for TensorRT, which says its version. */
#include <string.h>

#ifndef INIT
#define INIT 0
#endif

int cuInit(unsigned flags) { return flags ? 1 : INIT; }
int cuDeviceGetCount(int *count) { return *count = 2, 0; }
int cuDeviceGet(int *device, int ordinal) { return *device = 40 + ordinal, 0; }

int cuDeviceGetName(char *name, int length, int device) {
  if (device < 40) return 101;
  strncpy(name, "Orin\n", (size_t)length);
  return 0;
}

#ifndef WITHOUT_ATTRIBUTE
int cuDeviceGetAttribute(int *value, int attribute, int device) {
  if (device < 40) return 101;
  *value = attribute == 16 ? 8 : attribute == 75 ? 8 : attribute == 76 ? 7 : -1;
  return 0;
}
#endif

#ifdef VERSION
int getInferLibVersion(void) { return VERSION; }
#endif

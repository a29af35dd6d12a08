/* A host that links two static libraries written in Rust. Both must work, and their symbols must
 * not clash.
 *
 *   second_library MODEL.onnx */
#include <stdio.h>
#include <tteview/tteview.h>

uint32_t second_library_count(uint32_t words);

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  ttv_engine_config config = TTV_ENGINE_CONFIG_INIT;
  config.model_path = argv[1];
  ttv_engine *engine = NULL;
  ttv_status status = ttv_engine_create(&config, &engine);
  if (status == TTV_OK) status = ttv_engine_prepare(engine);
  ttv_engine_destroy(engine);
  uint32_t words = second_library_count(7);
  printf("tteview: %s; the other library: %u\n", ttv_status_string(status), (unsigned)words);
  return status == TTV_OK && words == 7 ? 0 : 1;
}

/* Two static libraries written in Rust in one host: each works, and neither takes the other's symbols. */
#include <stdio.h>
#include <tteview/tteview.h>

uint32_t second_library_words(uint32_t text);

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  ttv_engine_config config = {.struct_size = sizeof config, .model_path = argv[1]};
  ttv_engine *engine = NULL;
  int32_t status = ttv_engine_create(&config, &engine);
  if (status == TTV_OK) status = ttv_engine_prepare(engine);
  ttv_engine_destroy(engine);
  uint32_t words = second_library_words(7);
  printf("tteview %d, the other library %u\n", (int)status, (unsigned)words);
  return status == TTV_OK && words == 7 ? 0 : 1;
}

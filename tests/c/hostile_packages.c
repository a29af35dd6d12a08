/* Tests that a host can load hostile model packages: each is refused with a status and a message,
 * and the process neither crashes nor hangs.
 *
 *   hostile_packages MODEL.onnx FOLDER
 *
 * FOLDER contains the packages as NAME.onnx, and a part of the message that refuses each of them as
 * NAME.txt. The exit status is 0 if every check passed. */
#define _GNU_SOURCE
#include <unistd.h>

#include "check.h"
#include "posix.h"

/* Time in which a package must be refused. */
enum { LIMIT_SECONDS = 20 };

static char data[4 << 20];

static size_t read_file(const char *folder, const char *name, int name_length, const char *end) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%.*s%s", folder, name_length, name, end);
  FILE *file = fopen(path, "rb");
  size_t size = file ? fread(data, 1, sizeof data - 1, file) : 0;
  EXPECT(1, file && feof(file));
  if (file) fclose(file);
  data[size] = 0;
  return size;
}

/* Uses the package that is in `data` as far as its engine and its stream can be created, as a host
 * does that restarts the mean at a view change. */
static ttv_status use_package(size_t size) {
  ttv_engine_config config = TTV_ENGINE_CONFIG_INIT;
  config.model_data = data;
  config.model_size = size;
  ttv_engine *engine = NULL;
  ttv_stream *stream = NULL;
  ttv_status status = ttv_engine_create(&config, &engine);
  if (!status) status = ttv_engine_prepare(engine);
  ttv_stream_config stream_config = small_stream();
  stream_config.view_change_margin = 0.2f;
  if (!status) status = ttv_stream_create(engine, &stream_config, &stream);
  if (!status) status = try_acquisition(stream);
  ttv_stream_destroy(stream);
  ttv_engine_destroy(engine);
  return status;
}

static void check_package(const char *folder, const char *name, int name_length) {
  size_t size = read_file(folder, name, name_length, ".onnx");
  alarm(LIMIT_SECONDS);
  ttv_status status = use_package(size);
  alarm(0);
  int is_refused = status == TTV_ERR_MODEL_INVALID || status == TTV_ERR_MODEL_MISMATCH ||
                   status == TTV_ERR_UNSUPPORTED;
  if (!is_refused) printf("%s: status %d\n", name, status);
  EXPECT(1, is_refused);
  read_file(folder, name, name_length, ".txt");
  expect_message(data);
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  DIR *folder = opendir(argv[2]);
  if (!folder) return 3;
  int packages = 0;
  for (struct dirent *entry; (entry = readdir(folder));) {
    const char *end = strstr(entry->d_name, ".onnx");
    if (!end) continue;
    packages++;
    check_package(argv[2], entry->d_name, (int)(end - entry->d_name));
  }
  closedir(folder);
  printf("%d packages\n", packages);
  EXPECT(1, packages > 100);
  /* The library still works. */
  FILE *model = fopen(argv[1], "rb");
  size_t size = model ? fread(data, 1, sizeof data, model) : 0;
  if (model) fclose(model);
  EXPECT(TTV_OK, use_package(size));
  return finish_checks();
}

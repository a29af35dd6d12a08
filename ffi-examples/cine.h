/* Reader for a cine in a file of binary PGM (P5) or PPM (P6) images, one after the other. Only the
 * examples use this file. */
#ifndef CINE_H
#define CINE_H

#include <stdint.h>
#include <stdio.h>

/* Size and format of an image. */
typedef struct cine_image {
  uint32_t width_px, height_px, stride_bytes;
  int colour; /* 0: one byte of grey per pixel; 1: red, green and blue */
} cine_image;

/* Reads the header of the next image. Returns 0 at the end of the file or if the header is not
 * valid. */
static inline int cine_head(FILE *file, cine_image *image) {
  char kind = 0;
  unsigned width = 0, height = 0, depth = 0;
  if (fscanf(file, " P%c %u %u %u", &kind, &width, &height, &depth) != 4) return 0;
  if (fgetc(file) == EOF || (kind != '5' && kind != '6') || depth != 255) return 0;
  if (width > 4096 || height > 4096) return 0;
  image->colour = kind == '6';
  image->width_px = width;
  image->height_px = height;
  image->stride_bytes = image->width_px * (image->colour ? 3u : 1u);
  return 1;
}

/* Reads the pixels of the image. Returns 0 if the file ends or `capacity` is too small. */
static inline int cine_pixels(FILE *file, const cine_image *image, uint8_t *pixels, size_t capacity) {
  size_t bytes = (size_t)image->stride_bytes * image->height_px;
  return bytes <= capacity && fread(pixels, 1, bytes, file) == bytes;
}

#endif

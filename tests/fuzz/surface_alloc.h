/*
 * The allocator of csrc/ffi.c in fuzz_surface: counts blocks and fails on demand.
 */
#ifndef SV2_SURFACE_ALLOC_H
#define SV2_SURFACE_ALLOC_H

#include <stddef.h>

void *surface_malloc(size_t size);
void *surface_realloc(void *block, size_t size);
void surface_free(void *block);

#define SV2_MALLOC surface_malloc
#define SV2_REALLOC surface_realloc
#define SV2_FREE surface_free

#endif

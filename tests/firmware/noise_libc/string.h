/*
 * libsecp256k1 names one function more than the core may.
 */
#ifndef FIRMWARE_NOISE_STRING_H
#define FIRMWARE_NOISE_STRING_H

#include_next <string.h>

void *memmove(void *to, const void *from, size_t n);

#endif

/*
 * All of <string.h> that libsv2's core may use, for compilers that come without a C library. A core
 * that called anything else would not compile here.
 */
#ifndef FIRMWARE_STRING_H
#define FIRMWARE_STRING_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memset(void *to, int value, size_t n);
int memcmp(const void *a, const void *b, size_t n);

#endif

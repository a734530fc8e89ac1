/*
 * What libsecp256k1 and mbedTLS name of <stdlib.h>, for compilers that come without a C library.
 * Nothing defines the heap's functions: a program that reached one would not link.
 */
#ifndef FIRMWARE_STDLIB_H
#define FIRMWARE_STDLIB_H

#include <stddef.h>

_Noreturn void abort(void);
void *malloc(size_t n);
void free(void *memory);

#endif

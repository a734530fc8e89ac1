/*
 * The table that vector_table.py makes of tests/vectors/messages.jsonl.
 */
#ifndef FIRMWARE_VECTORS_H
#define FIRMWARE_VECTORS_H

#include "libsv2.h"

/* A frame, and the struct that it stands for, filled in field by field from the vector's values. */
typedef struct vector {
    const char *name;
    const void *message;
    const uint8_t *frame;
    uint16_t len;
} vector;

extern const vector vectors[];
extern const unsigned vector_count;

#endif

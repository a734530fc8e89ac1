/*
 * What the harnesses share. A harness is one file with LLVMFuzzerTestOneInput in it; driver.c gives it
 * a main() of its own, libFuzzer and AFL++ bring theirs. See docs/fuzzing.md.
 */
#ifndef SV2_FUZZ_H
#define SV2_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "libsv2.h"

/* Inputs longer than this are not looked at. */
#define FUZZ_MAX_INPUT ((size_t)1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- Findings ---------------------------------------------------------------------------------*/

/* Says where an invariant does not hold, and aborts. In every build: NDEBUG does not count. */
void fuzz_fail(const char *what, const char *file, int line);
#define CHECK(condition) ((condition) ? (void)0 : fuzz_fail(#condition, __FILE__, __LINE__))

/* ---- Memory that ends where it says -----------------------------------------------------------*/

/* size bytes, up to FUZZ_MAX_INPUT, that end flush against a page without access: one byte over is a
 * crash, with or without a sanitizer. Each of the slots is one region, used anew by each call. */
enum {
    GUARD_INPUT,
    GUARD_OUTPUT,
    GUARD_SLOTS
};
uint8_t *guarded(int slot, size_t size);
/* The same, with a copy of data in it. */
const uint8_t *guarded_copy(int slot, const uint8_t *data, size_t size);

/* malloc that does not fail. size 0 gives a pointer that must not be followed. */
void *fuzz_malloc(size_t size);

/* ---- Decisions --------------------------------------------------------------------------------*/

/* The input as a source of decisions. Past its end all of them are 0. */
typedef struct choices {
    const uint8_t *at;
    size_t left;
} choices;

uint64_t choose(choices *from, unsigned bytes);
/* 0 to most, from two bytes of input. */
uint32_t choose_up_to(choices *from, uint32_t most);
/* The next n bytes, or as many as are left: sets *found. */
const uint8_t *choose_bytes(choices *from, size_t n, size_t *found);

/* A generator for decisions that are not worth bytes of the input: splitmix64. */
uint64_t next_random(uint64_t *state);

/* ---- The wire format, written a second time ----------------------------------------------------
 * Straight from spec 3.1, by field and without a cursor: what libsv2 is held against. */

/* What the payload of len bytes is: SV2_OK, SV2_ERR_TRUNCATED, SV2_ERR_LENGTH or SV2_ERR_OPTION.
 * report is what sv2_decode's should be. */
sv2_status reference_scan(const sv2_descriptor *descriptor, const uint8_t *payload, size_t len,
                          sv2_report *report);

/* Whether two decoded messages are the same, views by content. */
bool messages_equal(const sv2_descriptor *descriptor, const void *a, const void *b);

/* Kinds, for harnesses that walk a message by its descriptor. */
bool kind_is_seq(unsigned kind);
bool kind_is_bytes(unsigned kind);
unsigned kind_element(unsigned kind);
/* Most bytes (of a B0_*) or elements (of a SEQ) that the type allows. */
size_t kind_limit(unsigned kind);
/* Size in the struct. */
size_t kind_struct_size(unsigned kind);

sv2_bytes field_bytes(const void *message, const sv2_field *field);
sv2_seq field_seq(const void *message, const sv2_field *field);

#endif

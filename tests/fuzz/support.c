/*
 * Guarded memory, decisions and the second reading of the wire format. See fuzz.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"

void fuzz_fail(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
    fflush(stderr);
    abort();
}

/* ---- Memory -----------------------------------------------------------------------------------*/

static uint8_t *map_region(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *region = mmap(NULL, FUZZ_MAX_INPUT + page, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (region == MAP_FAILED || mprotect(region + FUZZ_MAX_INPUT, page, PROT_NONE) != 0) {
        perror("mmap");
        exit(2);
    }
    return region;
}

uint8_t *guarded(int slot, size_t size)
{
    static uint8_t *regions[GUARD_SLOTS];
    if (regions[slot] == NULL)
        regions[slot] = map_region();
    CHECK(size <= FUZZ_MAX_INPUT);
    return regions[slot] + FUZZ_MAX_INPUT - size;
}

const uint8_t *guarded_copy(int slot, const uint8_t *data, size_t size)
{
    uint8_t *copy = guarded(slot, size);
    if (size != 0)
        memmove(copy, data, size);
    return copy;
}

void *fuzz_malloc(size_t size)
{
    void *p = malloc(size != 0 ? size : 1);
    if (p == NULL) {
        perror("malloc");
        exit(2);
    }
    return p;
}

/* ---- Decisions --------------------------------------------------------------------------------*/

uint64_t choose(choices *from, unsigned bytes)
{
    uint64_t value = 0;
    unsigned i;
    for (i = 0; i < bytes && from->left > 0; i++, from->left--)
        value |= (uint64_t)*from->at++ << (8 * i);
    return value;
}

uint32_t choose_up_to(choices *from, uint32_t most)
{
    return (uint32_t)(choose(from, 2) % ((uint64_t)most + 1));
}

const uint8_t *choose_bytes(choices *from, size_t n, size_t *found)
{
    const uint8_t *p = from->at;
    *found = n < from->left ? n : from->left;
    from->at += *found;
    from->left -= *found;
    return p;
}

uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* ---- Kinds ------------------------------------------------------------------------------------*/

bool kind_is_seq(unsigned kind)
{
    return (kind & (SV2_SEQ_255 | SV2_SEQ_64K)) != 0;
}

bool kind_is_bytes(unsigned kind)
{
    return kind >= SV2_KIND_B0_32 && kind <= SV2_KIND_B0_64K;
}

unsigned kind_element(unsigned kind)
{
    return kind & 0x3fu;
}

size_t kind_limit(unsigned kind)
{
    if (kind_is_seq(kind))
        return kind & SV2_SEQ_64K ? 65535 : 255;
    switch (kind) {
    case SV2_KIND_B0_32:
        return 32;
    case SV2_KIND_B0_255:
        return 255;
    case SV2_KIND_B0_64K:
        return 65535;
    default:
        return 16777215;
    }
}

size_t kind_struct_size(unsigned kind)
{
    if (kind_is_seq(kind))
        return sizeof(sv2_seq);
    switch (kind) {
    case SV2_KIND_U8:
        return 1;
    case SV2_KIND_U16:
        return 2;
    case SV2_KIND_U32:
        return 4;
    case SV2_KIND_U64:
        return 8;
    case SV2_KIND_BOOL:
        return sizeof(bool);
    case SV2_KIND_U256:
        return 32;
    case SV2_KIND_OPTION_U32:
        return sizeof(sv2_option_u32);
    default:
        return sizeof(sv2_bytes);
    }
}

sv2_bytes field_bytes(const void *message, const sv2_field *field)
{
    sv2_bytes bytes;
    memcpy(&bytes, (const uint8_t *)message + field->offset, sizeof(bytes));
    return bytes;
}

sv2_seq field_seq(const void *message, const sv2_field *field)
{
    sv2_seq seq;
    memcpy(&seq, (const uint8_t *)message + field->offset, sizeof(seq));
    return seq;
}

/* ---- The wire format --------------------------------------------------------------------------*/

/* A little-endian number of n bytes at payload[at], or -1 past the end. */
static int64_t number_at(const uint8_t *payload, size_t len, size_t at, size_t n)
{
    int64_t value = 0;
    size_t i;
    if (at + n > len)
        return -1;
    for (i = n; i-- > 0;)
        value = value << 8 | payload[at + i];
    return value;
}

/* Where a value that begins at payload[at] ends: past len where the payload is too short for it, or
 * minus an sv2_status. */
static int64_t end_of(unsigned kind, const uint8_t *payload, size_t len, size_t at)
{
    static const uint8_t prefixes[] = {
        [SV2_KIND_B0_32] = 1, [SV2_KIND_B0_255] = 1, [SV2_KIND_B0_64K] = 2, [SV2_KIND_B0_16M] = 3};
    int64_t value, end;
    if (kind_is_seq(kind)) {
        size_t prefix = kind & SV2_SEQ_64K ? 2 : 1;
        value = number_at(payload, len, at, prefix);
        end = (int64_t)(at + prefix);
        for (; value > 0 && end >= 0 && (uint64_t)end <= len; value--)
            end = end_of(kind_element(kind), payload, len, (size_t)end);
        return end;
    }
    switch (kind) {
    case SV2_KIND_U8:
    case SV2_KIND_BOOL:
        return (int64_t)at + 1;
    case SV2_KIND_U16:
        return (int64_t)at + 2;
    case SV2_KIND_U32:
        return (int64_t)at + 4;
    case SV2_KIND_U64:
        return (int64_t)at + 8;
    case SV2_KIND_U256:
        return (int64_t)at + 32;
    case SV2_KIND_OPTION_U32:
        value = number_at(payload, len, at, 1);
        return value > 1 ? -SV2_ERR_OPTION : (int64_t)at + (value == 1 ? 5 : 1);
    default:
        value = number_at(payload, len, at, prefixes[kind]);
        if (value > (int64_t)kind_limit(kind))
            return -SV2_ERR_LENGTH;
        return (int64_t)(at + prefixes[kind]) + (value > 0 ? value : 0);
    }
}

sv2_status reference_scan(const sv2_descriptor *descriptor, const uint8_t *payload, size_t len,
                          sv2_report *report)
{
    size_t at = 0;
    for (report->field = 0; report->field < descriptor->field_count; report->field++) {
        int64_t end = end_of(descriptor->fields[report->field].kind, payload, len, at);
        report->offset = at;
        if (end < 0)
            return (sv2_status)-end;
        if ((uint64_t)end > len)
            return SV2_ERR_TRUNCATED;
        at = (size_t)end;
    }
    report->offset = at;
    return SV2_OK;
}

static bool fields_equal(const sv2_field *field, const void *a, const void *b)
{
    const uint8_t *p = (const uint8_t *)a + field->offset, *q = (const uint8_t *)b + field->offset;
    if (kind_is_seq(field->kind)) {
        sv2_seq x = field_seq(a, field), y = field_seq(b, field);
        return x.count == y.count && x.size == y.size && x.stride == 0 && y.stride == 0
               && (x.size == 0 || memcmp(x.data, y.data, x.size) == 0);
    }
    if (kind_is_bytes(field->kind)) {
        sv2_bytes x = field_bytes(a, field), y = field_bytes(b, field);
        return x.len == y.len && (x.len == 0 || memcmp(x.data, y.data, x.len) == 0);
    }
    if (field->kind == SV2_KIND_OPTION_U32) {
        sv2_option_u32 x, y;
        memcpy(&x, p, sizeof(x));
        memcpy(&y, q, sizeof(y));
        return x.present == y.present && (!x.present || x.value == y.value);
    }
    return memcmp(p, q, kind_struct_size(field->kind)) == 0;
}

bool messages_equal(const sv2_descriptor *descriptor, const void *a, const void *b)
{
    unsigned i;
    for (i = 0; i < descriptor->field_count; i++)
        if (!fields_equal(&descriptor->fields[i], a, b))
            return false;
    return true;
}

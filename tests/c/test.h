/*
 * The little that the C tests need: CHECK, a summary, hex, and a buffer that ends at a page which
 * cannot be read.
 */
#ifndef SV2_TEST_H
#define SV2_TEST_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static unsigned long test_checks, test_failures;

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        test_checks++;                                                                             \
        if (!(condition)) {                                                                        \
            test_failures++;                                                                       \
            if (test_failures < 20)                                                                \
                fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);            \
        }                                                                                          \
    } while (0)

/* What main returns: fails where nothing was checked, too. */
static inline int test_result(const char *name)
{
    printf("%s: %lu checks, %lu failed\n", name, test_checks, test_failures);
    return test_checks == 0 || test_failures != 0;
}

/* len bytes whose end is the end of a page, with an unreadable page behind: one byte too far
 * crashes. Holds any number of bytes up to the size that it was made with. */
typedef struct guarded {
    uint8_t *end;
    uint8_t *base;
    size_t size;
} guarded;

static inline guarded guarded_new(size_t most)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t usable = (most + page - 1) / page * page;
    guarded g = {NULL, NULL, usable + page};
    g.base =
        (uint8_t *)mmap(NULL, g.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (g.base == (uint8_t *)MAP_FAILED || mprotect(g.base + usable, page, PROT_NONE) != 0) {
        perror("mmap");
        exit(1);
    }
    g.end = g.base + usable;
    return g;
}

static inline uint8_t *guarded_copy(guarded *g, const uint8_t *data, size_t len)
{
    if (len != 0)
        memcpy(g->end - len, data, len);
    return g->end - len;
}

static inline void guarded_free(guarded *g)
{
    munmap(g->base, g->size);
}

/* A small random number generator (xorshift), for tests that repeat from a seed. */
static inline uint32_t test_random(uint32_t *state)
{
    uint32_t x = *state;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return *state = x;
}

#endif

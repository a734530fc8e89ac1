/*
 * The three functions of libc that libsv2 asks for, plain, for machines without one.
 */
#include <stdint.h>
#include <string.h>

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
    uint8_t *out = to;
    const uint8_t *in = from;
    while (n-- > 0)
        *out++ = *in++;
    return to;
}

void *memset(void *to, int value, size_t n)
{
    uint8_t *out = to;
    while (n-- > 0)
        *out++ = (uint8_t)value;
    return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const uint8_t *left = a, *right = b;
    for (; n > 0; n--, left++, right++)
        if (*left != *right)
            return *left < *right ? -1 : 1;
    return 0;
}

/*
 * Bytes to and from the host, by semihosting.
 */
#include "noise_link.h"

#include "libsv2.h"
#include "semihost.h"

/* fopen's "rb" and "wb". */
enum {
    MODE_READ = 1,
    MODE_WRITE = 5
};

static uintptr_t in, out;

static uintptr_t open_file(const char *name, uintptr_t mode)
{
    const uintptr_t arguments[] = {(uintptr_t)name, mode, sv2_str(name).len};
    return semihost(SYS_OPEN, (uintptr_t)arguments);
}

bool link_open(void)
{
    in = open_file("in", MODE_READ);
    out = open_file("out", MODE_WRITE);
    return in != UINTPTR_MAX && out != UINTPTR_MAX;
}

/* SYS_READ and SYS_WRITE return how many bytes they did not move. */
static bool move(uintptr_t operation, uintptr_t file, uintptr_t data, size_t len)
{
    while (len > 0) {
        const uintptr_t arguments[] = {file, data, len};
        size_t left = semihost(operation, (uintptr_t)arguments);
        if (left >= len)
            return false;
        data += len - left;
        len = left;
    }
    return true;
}

bool link_read(void *data, size_t len)
{
    return move(SYS_READ, in, (uintptr_t)data, len);
}

bool link_write(const void *data, size_t len)
{
    return move(SYS_WRITE, out, (uintptr_t)data, len);
}

uint32_t link_read_u32(void)
{
    uint8_t bytes[4] = {0};
    return link_read(bytes, sizeof(bytes)) ? sv2_load_u32(bytes) : 0;
}

bool link_write_u32(uint32_t number)
{
    uint8_t bytes[4];
    sv2_store_u32(bytes, number);
    return link_write(bytes, sizeof(bytes));
}

uint32_t link_time(void)
{
    return semihost(SYS_TIME, 0);
}

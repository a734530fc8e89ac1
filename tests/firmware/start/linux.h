/*
 * Linux without libc: what a test program's start is made of on every machine. start_i386.c and
 * start_s390x.c, each of which includes this once, define the entry point, which calls run, and the
 * system call.
 */
#ifndef FIRMWARE_LINUX_H
#define FIRMWARE_LINUX_H

#include "board.h"

/* Both machines number these calls alike. */
enum {
    SYS_EXIT = 1,
    SYS_WRITE = 4,
    STDOUT = 1
};

static void system_call(long number, long a, long b, long c);
void run(void);

void board_print(const char *text)
{
    long len = 0;
    while (text[len] != '\0')
        len++;
    system_call(SYS_WRITE, STDOUT, (long)text, len);
}

void run(void)
{
    system_call(SYS_EXIT, main() == 0 ? 0 : 1, 0, 0);
}

#endif

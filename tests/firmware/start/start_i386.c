/*
 * Linux on i386 without libc: entry point and system call.
 */
#include "linux.h"

__asm__(".globl _start\n"
        "_start:\n"
        "    xorl %ebp, %ebp\n"
        "    andl $-16, %esp\n"
        "    call run\n");

static void system_call(long number, long a, long b, long c)
{
    long result = number;
    __asm__ volatile("int $0x80" : "+a"(result) : "b"(a), "c"(b), "d"(c) : "memory");
}

/*
 * Linux on s390x, a big-endian machine of 64 bits, without libc: entry point and system call.
 */
#include "linux.h"

/* The ABI wants 160 bytes of save area below the caller's frame. */
__asm__(".globl _start\n"
        "_start:\n"
        "    aghi %r15, -160\n"
        "    brasl %r14, run\n");

static void system_call(long number, long a, long b, long c)
{
    register long r1 __asm__("r1") = number;
    register long r2 __asm__("r2") = a;
    register long r3 __asm__("r3") = b;
    register long r4 __asm__("r4") = c;
    __asm__ volatile("svc 0" : "+d"(r2) : "d"(r1), "d"(r3), "d"(r4) : "memory");
}

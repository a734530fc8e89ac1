/*
 * RISC-V (32 bits) on QEMU's virt machine, started in machine mode without firmware: stack, trap
 * vector, .bss, semihosting.
 */
#include <stdint.h>
#include <string.h>

#include "board.h"
#include "semihost.h"

extern uint8_t bss_start[], bss_end[];
void run(void);
void trap(void);

__asm__(".section .vectors, \"ax\"\n"
        ".option push\n"
        ".option norelax\n"
        ".option arch, +zicsr\n"
        ".globl _start\n"
        "_start:\n"
        "    la sp, stack_top\n"
        "    la t0, trap\n"
        "    csrw mtvec, t0\n"
        "    j run\n"
        ".option pop\n"
        ".text\n");

/* Three instructions, uncompressed and side by side, are how a semihosting call is told apart from
 * a breakpoint. */
uintptr_t semihost(uintptr_t operation, uintptr_t argument)
{
    register uintptr_t a0 __asm__("a0") = operation;
    register uintptr_t a1 __asm__("a1") = argument;
    __asm__ volatile(".option push\n"
                     ".option norvc\n"
                     ".balign 16\n"
                     "slli zero, zero, 0x1f\n"
                     "ebreak\n"
                     "srai zero, zero, 7\n"
                     ".option pop\n"
                     : "+r"(a0)
                     : "r"(a1)
                     : "memory");
    return a0;
}

void board_print(const char *text)
{
    semihost(SYS_WRITE0, (uintptr_t)text);
}

void run(void)
{
    memset(bss_start, 0, (size_t)(bss_end - bss_start));
    semihost(SYS_EXIT, main() == 0 ? STOPPED_EXIT : STOPPED_ERROR);
}

__attribute__((aligned(4))) void trap(void)
{
    board_print("processor trap\n");
    semihost(SYS_EXIT, STOPPED_ERROR);
}

/*
 * Cortex-M under QEMU: vector table, .bss, semihosting. No peripheral is used, so one program fits
 * every board whose memory the linker script knows.
 */
#include <stdint.h>
#include <string.h>

#include "board.h"
#include "semihost.h"

extern uint8_t bss_start[], bss_end[], stack_top[];

uintptr_t semihost(uintptr_t operation, uintptr_t argument)
{
    register uintptr_t r0 __asm__("r0") = operation;
    register uintptr_t r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

void board_print(const char *text)
{
    semihost(SYS_WRITE0, (uintptr_t)text);
}

static void reset(void)
{
    memset(bss_start, 0, (size_t)(bss_end - bss_start));
    semihost(SYS_EXIT, main() == 0 ? STOPPED_EXIT : STOPPED_ERROR);
}

static void fault(void)
{
    board_print("processor fault\n");
    semihost(SYS_EXIT, STOPPED_ERROR);
}

/* Stack pointer, reset, NMI, HardFault; on ARMv7-M also MemManage, BusFault, UsageFault. */
__attribute__((section(".vectors"), used)) static const uintptr_t vectors[] = {
    (uintptr_t)stack_top, (uintptr_t)reset, (uintptr_t)fault, (uintptr_t)fault,
    (uintptr_t)fault,     (uintptr_t)fault, (uintptr_t)fault,
};

/*
 * The emulator's services for the program in it, by the numbers that ARM gave them; RISC-V has the
 * same. start_cortex_m.c and start_riscv32.c define the call.
 */
#ifndef FIRMWARE_SEMIHOST_H
#define FIRMWARE_SEMIHOST_H

#include <stdint.h>

enum {
    SYS_OPEN = 0x01,
    SYS_WRITE0 = 0x04,
    SYS_WRITE = 0x05,
    SYS_READ = 0x06,
    SYS_TIME = 0x11,
    SYS_EXIT = 0x18
};

/* The argument of SYS_EXIT. */
enum {
    STOPPED_ERROR = 0x20023,
    STOPPED_EXIT = 0x20026
};

/* Asks for one service. Its argument is a number or an address, which depends on the operation. */
uintptr_t semihost(uintptr_t operation, uintptr_t argument);

#endif

/*
 * What the programs that run Noise on an emulated machine have in common: the provider over
 * libsecp256k1 and mbedTLS, a generator of random numbers, and a painted stack.
 */
#ifndef FIRMWARE_NOISE_MACHINE_H
#define FIRMWARE_NOISE_MACHINE_H

#include "board.h"
#include "libsv2.h"
#include "libsv2/noise_mbedtls.h"

enum {
    STACK_PAINTED = 16384
};

/* The provider, with a curve context in static memory, blinded. NULL where it does not start.
 * seed, not 0, decides all that is random on this machine: what fails once fails again. */
const sv2_noise_provider *machine_start(uint32_t seed);

/* A number below limit, from the generator that the provider has too. */
uint32_t machine_random(uint32_t limit);

/* Prints a line: a text and a number. */
void machine_print(const char *before, uint32_t number);

/* Where the stack of the function that asks ends. */
static inline uintptr_t stack_pointer(void)
{
    uintptr_t sp;
#ifdef __riscv
    __asm__ volatile("mv %0, sp" : "=r"(sp));
#else
    __asm__ volatile("mov %0, sp" : "=r"(sp));
#endif
    return sp;
}

/* Paints STACK_PAINTED bytes below stack, which is the caller's stack_pointer(). */
void stack_paint(uintptr_t stack);

/* How many of them, from above, were in use since; STACK_PAINTED may also mean more. */
uint32_t stack_depth(uintptr_t stack);

#endif

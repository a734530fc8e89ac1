/*
 * The way out of an emulated machine: bytes to and from the program that started it.
 */
#ifndef FIRMWARE_NOISE_LINK_H
#define FIRMWARE_NOISE_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Opens both directions, which are files named "in" and "out" in the emulator's folder. */
bool link_open(void);

/* Waits for len bytes. False where the other side is gone. */
bool link_read(void *data, size_t len);
bool link_write(const void *data, size_t len);

/* A number of 32 bits, little-endian. link_read_u32 gives 0 where the other side is gone, as
 * link_read will say again. */
uint32_t link_read_u32(void);
bool link_write_u32(uint32_t number);

/* Unix seconds, by the host's clock. */
uint32_t link_time(void);

#endif

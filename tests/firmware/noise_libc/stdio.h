/*
 * libsecp256k1 names printf in a function that nothing calls: its callbacks are the program's own.
 * Nothing defines it.
 */
#ifndef FIRMWARE_STDIO_H
#define FIRMWARE_STDIO_H

int printf(const char *format, ...);

#endif

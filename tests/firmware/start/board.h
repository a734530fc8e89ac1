/*
 * What a test program asks of the machine below it. Each start_*.c brings the machine up, calls main
 * and ends the emulator with main's result: 0 for success.
 */
#ifndef FIRMWARE_BOARD_H
#define FIRMWARE_BOARD_H

int main(void);

/* Prints a NUL-terminated text. */
void board_print(const char *text);

#endif

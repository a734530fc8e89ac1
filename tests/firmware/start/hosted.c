/*
 * For the machine that the tests run on, with its own C library and start-up code.
 */
#include <stdio.h>

#include "board.h"

void board_print(const char *text)
{
    fputs(text, stdout);
}

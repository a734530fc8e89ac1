/*
 * RAM of a connection on the machine that this is compiled for: the size of each array.
 */
#include "libsv2/noise.h"

uint8_t ram_sender[sizeof(sv2_noise_sender)];
uint8_t ram_receiver[sizeof(sv2_noise_receiver)];
uint8_t ram_reader[sizeof(sv2_noise_reader)];
uint8_t ram_initiator[sizeof(sv2_noise_initiator)];

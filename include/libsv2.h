/*
 * libsv2: Stratum V2 messages for C and C++.
 *
 * Everything here is freestanding C11: no heap, no globals, no I/O, no libc beyond memcpy, memset
 * and memcmp. The caller owns every buffer. All functions are thread safe as long as two threads do
 * not use one object at the same time.
 *
 *   <libsv2/base.h>      status codes, views, sequences, little-endian load and store
 *   <libsv2/messages.h>  one struct per message, with sv2_<message>_decode, _encode, _size
 *   <libsv2/codec.h>     the same by descriptor, for code that handles any message
 *   <libsv2/frame.h>     frame header, whole frames
 *   <libsv2/stream.h>    bytes in, frames out
 *   <libsv2/tlv.h>       optional fields behind a message
 *   <libsv2/hash.h>      SHA-256, merkle paths, targets
 *
 * Apart from these, and in a library of its own, since it needs a provider of cryptography:
 *
 *   <libsv2/noise.h>     authenticated, encrypted connections
 *
 * "Spec" in comments is the Stratum V2 specification by section number.
 */
#ifndef LIBSV2_H
#define LIBSV2_H

#include "libsv2/base.h"
#include "libsv2/codec.h"
#include "libsv2/frame.h"
#include "libsv2/hash.h"
#include "libsv2/messages.h"
#include "libsv2/stream.h"
#include "libsv2/tlv.h"

#endif

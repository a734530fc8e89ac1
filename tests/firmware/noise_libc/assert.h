/*
 * mbedTLS includes <assert.h> for static_assert.
 */
#ifndef FIRMWARE_ASSERT_H
#define FIRMWARE_ASSERT_H

#define static_assert _Static_assert

#endif

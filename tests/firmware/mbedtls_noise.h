/*
 * mbedTLS, as Noise needs it and no more: an AEAD and a hash. Nothing here allocates.
 */
#define MBEDTLS_CHACHA20_C
#define MBEDTLS_POLY1305_C
#define MBEDTLS_CHACHAPOLY_C
#define MBEDTLS_SHA256_C
/* noise_machine.c has it: mbedTLS's own keeps a pointer in initialised RAM. */
#define MBEDTLS_PLATFORM_ZEROIZE_ALT

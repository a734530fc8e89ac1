/*
 * The provider, a generator that is good for tests alone, and the stack.
 */
#include "noise_machine.h"

#include <secp256k1.h>
#include <secp256k1_preallocated.h>

#include "semihost.h"

enum {
    PAINT = 0xa5
};

static uint32_t generator;
static uint64_t curve_memory[23]; /* 184 bytes; the context says whether that is enough */
static sv2_noise_mbedtls crypto;

/* What libsecp256k1 calls where its caller is at fault, and where it is itself: neither returns. */
void secp256k1_default_illegal_callback_fn(const char *message, void *data);
void secp256k1_default_error_callback_fn(const char *message, void *data);

/* mbedTLS's own is a call by way of a variable that holds memset's address. */
void mbedtls_platform_zeroize(void *data, size_t len);

_Noreturn static void stop(const char *message)
{
    board_print(message);
    board_print("\n");
    for (;;)
        semihost(SYS_EXIT, STOPPED_ERROR);
}

void secp256k1_default_illegal_callback_fn(const char *message, void *data)
{
    (void)data;
    stop(message);
}

void secp256k1_default_error_callback_fn(const char *message, void *data)
{
    (void)data;
    stop(message);
}

void mbedtls_platform_zeroize(void *data, size_t len)
{
    sv2_noise_wipe(data, len);
}

/* Marsaglia's xorshift, with the shifts 13, 17, 5. */
static uint32_t next(void)
{
    generator ^= generator << 13;
    generator ^= generator >> 17;
    generator ^= generator << 5;
    return generator;
}

static int generate(void *context, unsigned char *out, size_t len)
{
    (void)context;
    while (len-- > 0)
        *out++ = (unsigned char)(next() >> 24);
    return 0;
}

const sv2_noise_provider *machine_start(uint32_t seed)
{
    uint8_t blinding[32];
    secp256k1_context *curve;
    generator = seed;
    if (secp256k1_context_preallocated_size(SECP256K1_CONTEXT_NONE) > sizeof(curve_memory))
        return NULL;
    curve = secp256k1_context_preallocated_create(curve_memory, SECP256K1_CONTEXT_NONE);
    generate(NULL, blinding, sizeof(blinding));
    if (secp256k1_context_randomize(curve, blinding) != 1)
        return NULL;
    return sv2_noise_mbedtls_init(&crypto, curve, generate, NULL) == SV2_OK ? &crypto.provider
                                                                            : NULL;
}

uint32_t machine_random(uint32_t limit)
{
    return next() % limit;
}

void machine_print(const char *before, uint32_t number)
{
    char digits[11];
    char *at = digits + sizeof(digits) - 1;
    *at = '\0';
    do {
        *--at = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    board_print(before);
    board_print(" ");
    board_print(at);
    board_print("\n");
}

/* Volatile: the compiler knows nothing of what lies below the stack. Neither function calls another,
 * so that what they paint and read is no one's. */
void stack_paint(uintptr_t stack)
{
    volatile uint8_t *at = (volatile uint8_t *)(stack - STACK_PAINTED);
    volatile uint8_t *end = (volatile uint8_t *)stack_pointer();
    while (at < end)
        *at++ = PAINT;
}

uint32_t stack_depth(uintptr_t stack)
{
    const volatile uint8_t *at = (const volatile uint8_t *)(stack - STACK_PAINTED);
    while (*at == PAINT && (uintptr_t)at < stack)
        at++;
    return (uint32_t)(stack - (uintptr_t)at);
}

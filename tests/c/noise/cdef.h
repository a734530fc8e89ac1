/* What the tests call beside sv2_ffi/_noise_cdef.h: the provider's functions, which cffi cannot call
 * through the struct. */
const sv2_noise_provider *the_provider(void);
bool provider_create(uint8_t *, const uint8_t *, const uint8_t *);
bool provider_xdh(uint8_t *, const uint8_t *, const uint8_t *, const uint8_t *, bool);
bool provider_x(uint8_t *, const uint8_t *);
bool provider_is_public_key(const uint8_t *);
bool provider_sign(uint8_t *, const uint8_t *, const uint8_t *, const uint8_t *);
bool provider_verify(const uint8_t *, const uint8_t *, const uint8_t *);
bool provider_sha256(uint8_t *, const uint8_t *, size_t);
bool provider_seal(uint8_t *, size_t, const uint8_t *, const uint8_t *, const uint8_t *, size_t);
bool provider_open(uint8_t *, size_t, const uint8_t *, const uint8_t *, const uint8_t *, size_t);

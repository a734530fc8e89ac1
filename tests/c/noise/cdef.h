typedef enum {
    SV2_OK,
    SV2_NEED_MORE,
    ...
} sv2_status;
typedef enum {
    SV2_NOISE_CLOCK_REFUSE,
    SV2_NOISE_CLOCK_NOW,
    SV2_NOISE_CLOCK_EARLIEST
} sv2_noise_clock;

typedef struct {
    ...;
} sv2_noise_provider;
typedef struct {
    ...;
} sv2_noise_initiator;
typedef struct {
    ...;
} sv2_noise_sender;
typedef struct {
    ...;
} sv2_noise_receiver;
typedef struct {
    ...;
} sv2_noise_reader;

typedef struct {
    const uint8_t *payload;
    uint32_t length;
    uint16_t extension_type;
    uint8_t message_type;
    ...;
} sv2_frame;

typedef struct {
    uint32_t valid_from;
    uint32_t not_valid_after;
    uint16_t version;
    uint8_t server_key[32];
    uint8_t signature[64];
    ...;
} sv2_noise_certificate;

typedef struct {
    const uint8_t *authority;
    bool unverified;
    sv2_noise_clock clock;
    uint32_t time;
    uint32_t tolerance;
    ...;
} sv2_noise_policy;

typedef struct {
    uint8_t secret[32];
    uint8_t certificate[74];
    ...;
} sv2_noise_identity;

const char *sv2_status_string(sv2_status);
sv2_status sv2_noise_public_key(uint8_t *, const uint8_t *, const sv2_noise_provider *);
sv2_status sv2_noise_key_decode(uint8_t *, const char *, size_t, const sv2_noise_provider *);
sv2_status sv2_noise_key_encode(char *, const uint8_t *, const sv2_noise_provider *);
void sv2_noise_certificate_decode(sv2_noise_certificate *, const uint8_t *, const uint8_t *);
void sv2_noise_certificate_encode(uint8_t *, const sv2_noise_certificate *);
sv2_status sv2_noise_certificate_check(const sv2_noise_certificate *, const sv2_noise_policy *,
                                       const sv2_noise_provider *);
sv2_status sv2_noise_certificate_issue(sv2_noise_certificate *, const uint8_t *,
                                       const sv2_noise_provider *);
sv2_status sv2_noise_initiate(sv2_noise_initiator *, uint8_t *, const sv2_noise_provider *);
sv2_status sv2_noise_finish(sv2_noise_initiator *, sv2_noise_sender *, sv2_noise_receiver *,
                            sv2_noise_certificate *, uint8_t *, uint8_t *,
                            const sv2_noise_policy *);
sv2_status sv2_noise_respond(sv2_noise_sender *, sv2_noise_receiver *, uint8_t *, uint8_t *,
                             const uint8_t *, const sv2_noise_identity *,
                             const sv2_noise_provider *);
size_t sv2_noise_sealed_len(uint32_t);
sv2_status sv2_noise_seal(sv2_noise_sender *, uint8_t *, size_t, size_t *);
sv2_status sv2_noise_seal_frame(sv2_noise_sender *, uint8_t *, size_t, size_t *, const sv2_frame *);
sv2_status sv2_noise_open(sv2_noise_receiver *, uint8_t *, size_t);
void sv2_noise_reader_init(sv2_noise_reader *, sv2_noise_receiver *, uint8_t *, size_t, uint32_t);
sv2_status sv2_noise_reader_next(sv2_noise_reader *, sv2_frame *, const uint8_t **, size_t *);

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

/*
 * Noise for Sv2: authenticated, encrypted connections. Spec: chapter 4.
 *
 * As everywhere in this library: bytes in, bytes out, no heap, no globals, the caller's buffers. The
 * cryptography is not here: it comes through an sv2_noise_provider. Two of them ship, in
 * <libsv2/noise_openssl.h> and <libsv2/noise_mbedtls.h>; neither this header nor <libsv2.h> needs
 * either.
 *
 * A client:
 *
 *     sv2_noise_initiator initiator;
 *     sv2_noise_sender sender;
 *     sv2_noise_receiver receiver;
 *     uint8_t act_1[SV2_NOISE_ACT_1_LEN], act_2[SV2_NOISE_ACT_2_LEN];
 *     sv2_noise_policy policy = {authority, false, SV2_NOISE_CLOCK_NOW, now, 10};
 *
 *     sv2_noise_initiate(&initiator, act_1, provider);
 *     ... send act_1, receive exactly SV2_NOISE_ACT_2_LEN bytes ...
 *     status = sv2_noise_finish(&initiator, &sender, &receiver, NULL, NULL, act_2, &policy);
 *
 * From then on sv2_noise_seal encrypts what is sent, and an sv2_noise_reader gives the frames that
 * arrive. A sender and a receiver share nothing, so that two tasks may own one each, provided that
 * the provider allows it; both that ship do.
 *
 * Secrets: the library wipes its own temporary values, and an initiator, a sender or a receiver that
 * has failed. When a connection ends, wipe what holds its keys with sv2_noise_wipe.
 */
#ifndef LIBSV2_NOISE_H
#define LIBSV2_NOISE_H

#include "frame.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SV2_NOISE_ACT_1_LEN 64
#define SV2_NOISE_ACT_2_LEN 234
#define SV2_NOISE_MAC_LEN 16
#define SV2_NOISE_HEADER_LEN (SV2_FRAME_HEADER_LEN + SV2_NOISE_MAC_LEN) /* a sealed header */
#define SV2_NOISE_MAX_CHUNK 65519 /* plain bytes of a payload that are sealed in one piece */
#define SV2_NOISE_CERTIFICATE_LEN 74

/* ---- Provider ---------------------------------------------------------------------------------*/

/* The cryptography, as functions. All of them return false for a failure. Keys, secrets, digests and
 * signatures are in the serialization of libsecp256k1 (big-endian).
 *
 * context is handed to each function. Whether two threads may use one provider at a time is for the
 * provider to say. */
typedef struct sv2_noise_provider {
    void *context;

    /* len bytes that nobody can predict. */
    bool (*random)(void *context, uint8_t *out, size_t len);

    /* SHA-256 of count parts, one after another. out may be one of the parts. */
    bool (*sha256)(void *context, uint8_t out[32], const sv2_bytes *parts, size_t count);

    /* An ElligatorSwift encoding of the public key of secret, of which randomness picks one (BIP324).
     * False where secret is no scalar of the curve. */
    bool (*ellswift_create)(void *context, uint8_t encoded[64], const uint8_t secret[32],
                            const uint8_t randomness[32]);

    /* The shared secret of BIP324 between two encoded keys. secret belongs to the initiator's where
     * initiating is true, else to the responder's. */
    bool (*ellswift_xdh)(void *context, uint8_t shared[32], const uint8_t initiator[64],
                         const uint8_t responder[64], const uint8_t secret[32], bool initiating);

    /* The x coordinate of the point that 64 bytes encode; all 64 bytes encode one. */
    bool (*ellswift_x)(void *context, uint8_t x[32], const uint8_t encoded[64]);

    /* Whether key is an x-only public key, so that a wrong one is found before it is used. */
    bool (*is_public_key)(void *context, const uint8_t key[32]);

    /* Signs a digest (BIP340), with randomness as its auxiliary random data. */
    bool (*sign)(void *context, uint8_t signature[64], const uint8_t digest[32],
                 const uint8_t secret[32], const uint8_t randomness[32]);

    /* Whether signature is one of digest by the x-only key (BIP340). */
    bool (*verify)(void *context, const uint8_t signature[64], const uint8_t digest[32],
                   const uint8_t key[32]);

    /* ChaCha20-Poly1305 (RFC 8439) in place. seal encrypts len bytes at data and writes the MAC to
     * the 16 bytes behind them. open checks the MAC there and decrypts; where the MAC is wrong it
     * returns false and data is the library's to wipe. */
    bool (*seal)(void *context, uint8_t *data, size_t len, const uint8_t key[32],
                 const uint8_t nonce[12], sv2_bytes associated);
    bool (*open)(void *context, uint8_t *data, size_t len, const uint8_t key[32],
                 const uint8_t nonce[12], sv2_bytes associated);
} sv2_noise_provider;

/* Overwrites len bytes in a way that a compiler does not optimise away. */
SV2_API void sv2_noise_wipe(void *data, size_t len);

/* ---- Keys -------------------------------------------------------------------------------------*/

/* Characters of an authority key as text, without the NUL. */
#define SV2_NOISE_KEY_TEXT_LEN 51

/* The x-only public key (32 bytes) of a secret.
 * Returns: SV2_OK; SV2_ERR_PROVIDER, which a secret that is no scalar of the curve gives too. */
SV2_API sv2_status sv2_noise_public_key(uint8_t key[32], const uint8_t secret[32],
                                        const sv2_noise_provider *provider);

/* Reads an authority's public key as pools publish it: base58check (spec 4.7).
 *
 * Returns: SV2_OK; SV2_ERR_KEY_LENGTH, SV2_ERR_KEY_CHARACTER, SV2_ERR_KEY_CHECKSUM,
 *          SV2_ERR_KEY_VERSION or SV2_ERR_KEY_VALUE for what is wrong with the text;
 *          SV2_ERR_PROVIDER.
 * Out:     key: all zero unless SV2_OK. A key that was refused never means to go on unverified.
 * In:      text: len characters, no NUL needed. */
SV2_API sv2_status sv2_noise_key_decode(uint8_t key[32], const char *text, size_t len,
                                        const sv2_noise_provider *provider);

/* Writes an authority's public key as text, with a NUL. Returns SV2_OK or SV2_ERR_PROVIDER. */
SV2_API sv2_status sv2_noise_key_encode(char text[SV2_NOISE_KEY_TEXT_LEN + 1],
                                        const uint8_t key[32], const sv2_noise_provider *provider);

/* ---- Certificates -----------------------------------------------------------------------------*/

/* What a server shows in the handshake (spec 4.5.3). Times are Unix seconds. */
typedef struct sv2_noise_certificate {
    uint32_t valid_from;
    uint32_t not_valid_after;
    uint16_t version;       /* 0 is the only one there is */
    uint8_t server_key[32]; /* x-only; travels beside the certificate, not in it */
    uint8_t signature[64];
} sv2_noise_certificate;

/* What a client knows of the time. */
typedef enum sv2_noise_clock {
    SV2_NOISE_CLOCK_REFUSE = 0,  /* nothing, and must not connect before it does */
    SV2_NOISE_CLOCK_NOW = 1,     /* policy.time is now, give or take policy.tolerance seconds */
    SV2_NOISE_CLOCK_EARLIEST = 2 /* it is not before policy.time: the time that the firmware was
                                  * built, or the last that was heard of. Certificates that ended
                                  * before are refused; one that begins later is accepted, and a
                                  * stolen key is good until its certificate ends before that time. */
} sv2_noise_clock;

/* When a client believes a server. One that is all zero believes nobody. */
typedef struct sv2_noise_policy {
    const uint8_t *authority; /* x-only key, 32 bytes; NULL only with unverified */
    bool unverified;          /* believe anybody, unread: to look at a server, never to mine */
    sv2_noise_clock clock;
    uint32_t time;      /* Unix seconds */
    uint32_t tolerance; /* seconds; 10 is what other implementations grant */
} sv2_noise_policy;

/* Splits the 74 bytes of SIGNATURE_NOISE_MESSAGE. Every 74 bytes can be split, so it cannot fail;
 * nothing is checked. */
SV2_API void sv2_noise_certificate_decode(sv2_noise_certificate *certificate,
                                          const uint8_t wire[SV2_NOISE_CERTIFICATE_LEN],
                                          const uint8_t server_key[32]);

SV2_API void sv2_noise_certificate_encode(uint8_t wire[SV2_NOISE_CERTIFICATE_LEN],
                                          const sv2_noise_certificate *certificate);

/* Whether the policy believes the certificate. The signature comes before the dates: a date that is
 * complained of is the authority's word.
 *
 * Returns: SV2_OK; SV2_ERR_CERT_VERSION, SV2_ERR_CERT_SIGNATURE, SV2_ERR_CERT_DATES,
 *          SV2_ERR_CERT_EARLY, SV2_ERR_CERT_EXPIRED or SV2_ERR_CERT_NO_CLOCK for why not;
 *          SV2_ERR_ARGUMENT for a policy with an authority and unverified, or with neither;
 *          SV2_ERR_PROVIDER. */
SV2_API sv2_status sv2_noise_certificate_check(const sv2_noise_certificate *certificate,
                                               const sv2_noise_policy *policy,
                                               const sv2_noise_provider *provider);

/* Signs a certificate by an authority.
 *
 * Returns: SV2_OK; SV2_ERR_CERT_DATES where it would end before it begins; SV2_ERR_PROVIDER, which an
 *          authority secret that is no scalar of the curve gives too.
 * In/out:  certificate: version, dates and server_key are read, signature is written. */
SV2_API sv2_status sv2_noise_certificate_issue(sv2_noise_certificate *certificate,
                                               const uint8_t authority_secret[32],
                                               const sv2_noise_provider *provider);

/* ---- Handshake --------------------------------------------------------------------------------*/

/* The key of what we send, and of what we receive. Two types, so that one cannot be used for the
 * other: it would encrypt two messages with one nonce. The members are the library's. */
typedef struct sv2_noise_cipher {
    uint64_t nonce;
    const sv2_noise_provider *provider;
    sv2_status status; /* the first failure; final */
    uint8_t key[32];
} sv2_noise_cipher;

typedef struct sv2_noise_sender {
    sv2_noise_cipher cipher;
} sv2_noise_sender;

typedef struct sv2_noise_receiver {
    sv2_noise_cipher cipher;
} sv2_noise_receiver;

/* A client between act 1 and act 2. The members are the library's. */
typedef struct sv2_noise_initiator {
    const sv2_noise_provider *provider; /* NULL: no handshake is under way */
    uint8_t secret[32];
    uint8_t encoded[64];
} sv2_noise_initiator;

/* What a server shows: the secret of its static key and a certificate for that key, as
 * sv2_noise_certificate_encode writes it. */
typedef struct sv2_noise_identity {
    uint8_t secret[32];
    uint8_t certificate[SV2_NOISE_CERTIFICATE_LEN];
} sv2_noise_identity;

/* Begins a handshake as the client.
 *
 * Returns: SV2_OK; SV2_ERR_PROVIDER; SV2_ERR_ARGUMENT for NULL.
 * Out:     initiator; act_1: to be sent. Both are wiped unless SV2_OK.
 * In:      provider: must live as long as anything that this handshake makes. */
SV2_API sv2_status sv2_noise_initiate(sv2_noise_initiator *initiator,
                                      uint8_t act_1[SV2_NOISE_ACT_1_LEN],
                                      const sv2_noise_provider *provider);

/* Ends a handshake as the client: takes the server's answer and checks its certificate.
 *
 * Returns: SV2_OK; SV2_ERR_AUTH where act 2 does not authenticate; what sv2_noise_certificate_check
 *          returns; SV2_ERR_ARGUMENT for NULL or where no handshake is under way; SV2_ERR_PROVIDER.
 *          After an error the connection must be closed.
 * Out:     sender, receiver: the session. Wiped unless SV2_OK; untouched where an argument is NULL or
 *          no handshake is under way.
 *          shown: the certificate, for logs, after SV2_OK and after a certificate was refused; else
 *          zero. May be NULL.
 *          hash: the handshake's hash, 32 bytes, which names the session and is no secret. Zero
 *          unless SV2_OK. May be NULL.
 * In/out:  initiator: wiped. act_2: is decrypted in place and holds nothing of use afterwards. */
SV2_API sv2_status sv2_noise_finish(sv2_noise_initiator *initiator, sv2_noise_sender *sender,
                                    sv2_noise_receiver *receiver, sv2_noise_certificate *shown,
                                    uint8_t *hash, uint8_t act_2[SV2_NOISE_ACT_2_LEN],
                                    const sv2_noise_policy *policy);

/* The whole handshake as the server. Every act_1 of 64 bytes gets an answer: a client that is none
 * is found out with its first frame.
 *
 * Returns: SV2_OK; SV2_ERR_PROVIDER, which an identity without a valid secret gives too;
 *          SV2_ERR_ARGUMENT for NULL.
 * Out:     sender, receiver: the session. act_2: to be sent. All wiped unless SV2_OK.
 *          hash: as for sv2_noise_finish. May be NULL.
 * In:      provider: must live as long as the session. */
SV2_API sv2_status sv2_noise_respond(sv2_noise_sender *sender, sv2_noise_receiver *receiver,
                                     uint8_t *hash, uint8_t act_2[SV2_NOISE_ACT_2_LEN],
                                     const uint8_t act_1[SV2_NOISE_ACT_1_LEN],
                                     const sv2_noise_identity *identity,
                                     const sv2_noise_provider *provider);

/* ---- Sending ----------------------------------------------------------------------------------*/

/* Bytes of a sealed frame whose payload has length plain bytes: 22, and 16 more than plain for each
 * chunk of 65,519 (spec 4.6). */
static inline size_t sv2_noise_sealed_len(uint32_t length)
{
    size_t chunks = ((size_t)length + SV2_NOISE_MAX_CHUNK - 1) / SV2_NOISE_MAX_CHUNK;
    return SV2_NOISE_HEADER_LEN + length + SV2_NOISE_MAC_LEN * chunks;
}

/* Encrypts a whole frame in place, as sv2_frame_encode made it: for one write to the socket.
 *
 * Returns: SV2_OK; SV2_ERR_BUFFER where cap is less than the sealed frame, with nothing changed but
 *          *len; SV2_ERR_ARGUMENT for NULL or where *len is not what the frame's header says;
 *          SV2_ERR_NONCE where the session has sent all that it can; SV2_ERR_PROVIDER. The last two
 *          are final: the sender is wiped and gives the same again.
 * In/out:  frame: cap bytes at which a plain frame of *len bytes lies.
 *          len: the sealed frame's size, after SV2_ERR_BUFFER too; 0 after any other error. */
SV2_API sv2_status sv2_noise_seal(sv2_noise_sender *sender, uint8_t *frame, size_t cap,
                                  size_t *len);

/* The same for a payload that lies elsewhere. frame->payload may also lie in out, if it begins
 * within the first 22 bytes; at out + 22 a payload of one chunk is not moved at all.
 * Returns: as sv2_noise_seal, and SV2_ERR_FRAME_LARGE for a payload over SV2_MAX_PAYLOAD. */
SV2_API sv2_status sv2_noise_seal_frame(sv2_noise_sender *sender, uint8_t *out, size_t cap,
                                        size_t *len, const sv2_frame *frame);

/* ---- Receiving --------------------------------------------------------------------------------*/

/* Decrypts one piece in place, for code that does its own framing: a header (22 bytes) or a chunk
 * (17 to 65,535 bytes), in the order of the wire. Most code wants an sv2_noise_reader.
 *
 * Returns: SV2_OK; SV2_ERR_LENGTH, with nothing changed; SV2_ERR_AUTH where the piece does not
 *          authenticate; SV2_ERR_NONCE. The last two are final: the receiver is wiped and gives the
 *          same again. data is wiped then.
 * In/out:  data: len bytes, of which len - 16 are plain bytes afterwards. */
SV2_API sv2_status sv2_noise_open(sv2_noise_receiver *receiver, uint8_t *data, size_t len);

/* What a buffer needs for frames of up to limit plain payload bytes. */
#define SV2_NOISE_BUFFER_LEN(limit)                                                                \
    ((limit) + SV2_NOISE_MAC_LEN < SV2_NOISE_HEADER_LEN ? SV2_NOISE_HEADER_LEN                     \
                                                        : (limit) + SV2_NOISE_MAC_LEN)

/* Bytes in, frames out, over a buffer that the caller gives and in which they are decrypted. Set up
 * by sv2_noise_reader_init; its members are the library's. */
typedef struct sv2_noise_reader {
    sv2_noise_receiver *receiver;
    uint8_t *buffer;
    size_t capacity;
    size_t held;    /* bytes in buffer: plain ones, then a sealed piece that is under way */
    uint32_t plain; /* how many of them are plain */
    uint32_t limit;
    uint32_t skip; /* sealed bytes still to drop */
    uint8_t header[SV2_FRAME_HEADER_LEN];
    bool opened; /* whether header is the header of the frame under way */
    bool large;  /* whether that was over the limit when it was opened */
} sv2_noise_reader;

/* Starts a reader.
 *
 * buffer: capacity bytes, the caller's, in use until the reader is given up; see
 * SV2_NOISE_BUFFER_LEN. It may be NULL with capacity 0 and be given later by sv2_noise_reader_grow.
 * limit is the largest payload to accept, in plain bytes.
 * receiver: must live as long as the reader. */
SV2_API void sv2_noise_reader_init(sv2_noise_reader *reader, sv2_noise_receiver *receiver,
                                   uint8_t *buffer, size_t capacity, uint32_t limit);

/* Changes the limit from the next header on, as after the setup of a connection. A frame whose header
 * was opened stays what it was: accepted, or refused until it is skipped. */
static inline void sv2_noise_reader_set_limit(sv2_noise_reader *reader, uint32_t limit)
{
    reader->limit = limit;
}

/* Whether a frame has begun that is not complete, or is being dropped: a stream that ends now ends
 * within it. */
static inline bool sv2_noise_reader_is_mid_frame(const sv2_noise_reader *reader)
{
    return reader->opened || reader->held != 0 || reader->skip != 0;
}

/* Takes bytes from the input until a frame is complete.
 *
 * Returns: SV2_OK: *frame is a frame, its payload plain and in the buffer: valid until the next call.
 *          SV2_NEED_MORE: the input is used up; call again with more.
 *          SV2_ERR_FRAME_LARGE: a frame over the limit begins; *frame is its header.
 *          SV2_ERR_BUFFER: the frame is within the limit and the buffer is full; *frame is its header,
 *              or zero while that is not known.
 *          After these two call sv2_noise_reader_skip to drop the frame, or after SV2_ERR_BUFFER
 *          sv2_noise_reader_grow to go on with it, or close the connection. Called without either, it
 *          returns the same again.
 *          SV2_ERR_AUTH, SV2_ERR_NONCE: as sv2_noise_open; close the connection.
 * In/out:  data, len: the input; what was taken is gone from it. */
SV2_API sv2_status sv2_noise_reader_next(sv2_noise_reader *reader, sv2_frame *frame,
                                         const uint8_t **data, size_t *len);

/* The same without an input buffer, for devices: sv2_noise_reader_window says where the next bytes
 * go, for recv to put them there, and sv2_noise_reader_taken takes note of n of them.
 *
 * sv2_noise_reader_window
 * Returns: SV2_OK; otherwise as sv2_noise_reader_next, without a frame.
 * Out:     room: how many bytes may go there at most, above 0. What lies behind them on the wire is
 *          not asked for before they are there.
 *
 * sv2_noise_reader_taken
 * Returns: as sv2_noise_reader_next; SV2_ERR_ARGUMENT where n is more than there was room for. */
SV2_API sv2_status sv2_noise_reader_window(const sv2_noise_reader *reader, uint8_t **at,
                                           size_t *room);
SV2_API sv2_status sv2_noise_reader_taken(sv2_noise_reader *reader, sv2_frame *frame, size_t n);

/* Goes on with a larger buffer. The bytes held so far are copied; the old buffer is free for the
 * caller to release. Returns SV2_OK, or SV2_ERR_BUFFER, with nothing changed, where capacity is less
 * than what is held. Let the buffer follow what arrives (double it), not what a peer announced. */
SV2_API sv2_status sv2_noise_reader_grow(sv2_noise_reader *reader, uint8_t *buffer,
                                         size_t capacity);

/* Drops the frame that was refused, what has come of it and what will. What is dropped is not
 * authenticated, nor is any of it used: the frame behind it is authenticated as ever. */
SV2_API void sv2_noise_reader_skip(sv2_noise_reader *reader);

#ifdef __cplusplus
}
#endif

#endif

/*
 * A header-only mining device on libsv2: Noise, one standard channel, shares. For firmware: no heap,
 * no threads, no clock of its own, one struct. The platform brings a socket (three callbacks), a
 * provider of cryptography, and something that hashes (hasher.h).
 */
#ifndef DEVICE_H
#define DEVICE_H

#include "hasher.h"
#include "libsv2.h"
#include "libsv2/noise.h"

enum {
    DEVICE_PAYLOAD_MAX = 320, /* larger frames are skipped; no message of use here is larger */
    DEVICE_HOST_MAX = 63,
    DEVICE_FUTURE_JOBS = 4,      /* a further one takes the place of the oldest */
    DEVICE_SETUP_SECONDS = 20,   /* from connecting to an open channel */
    DEVICE_SILENCE_SECONDS = 300 /* a pool that has said nothing for so long is gone */
};

/* The socket. Only one connection is open at a time. */
typedef struct device_socket {
    void *context;
    /* Opens a connection, closing the one that is open. host is NUL-terminated. */
    bool (*connect)(void *context, const char *host, uint16_t port);
    /* Sends all of it; false where the connection is lost. */
    bool (*send)(void *context, const uint8_t *data, size_t len);
    /* Puts up to room bytes at at. Returns how many; 0 where none are there at the moment; -1 where
     * the connection is lost. Does not wait. */
    int (*receive)(void *context, uint8_t *at, size_t room);
} device_socket;

/* All strings are NUL-terminated and must live as long as the device. */
typedef struct device_config {
    const char *host;
    uint16_t port;
    sv2_noise_policy policy;   /* whom to believe, and by which clock */
    const char *user_identity; /* account or worker */
    const char *vendor;
    const char *hardware_version;
    const char *firmware;
    const char *device_id;
    float hash_rate; /* hashes per second */
} device_config;

typedef enum device_state {
    DEVICE_OFFLINE = 0,
    DEVICE_HANDSHAKE = 1, /* act 1 is sent */
    DEVICE_SETUP = 2,     /* SetupConnection is sent */
    DEVICE_OPENING = 3,   /* OpenStandardMiningChannel is sent */
    DEVICE_MINING = 4     /* there is a channel; there may be a job */
} device_state;

/* What a step did, and what the platform should do. */
typedef enum device_result {
    DEVICE_BUSY = 0, /* call again at once */
    DEVICE_IDLE = 1, /* nothing to do before the socket has something, or a second has passed */
    DEVICE_LOST = 2  /* offline, device.why says why: wait (longer each time), then call again */
} device_result;

/* Why a connection ended. */
typedef enum device_why {
    DEVICE_WHY_NONE = 0,
    DEVICE_WHY_CONNECT = 1,   /* it could not be opened */
    DEVICE_WHY_CLOSED = 2,    /* the socket was lost */
    DEVICE_WHY_LIBRARY = 3,   /* device.status says what: a certificate, a bad frame, ... */
    DEVICE_WHY_REFUSED = 4,   /* the pool refused the connection or the channel */
    DEVICE_WHY_SILENCE = 5,   /* the pool was too slow, or silent */
    DEVICE_WHY_RECONNECT = 6, /* the pool asked for it; device.host and port are where to */
    DEVICE_WHY_UNEXPECTED = 7 /* a message at a time when it makes no sense */
} device_why;

typedef struct device_job {
    uint32_t id, version;
    uint8_t merkle_root[32];
    bool present;
} device_job;

/* Set up by device_init; read what you like, write nothing. */
typedef struct device {
    const device_config *config;
    const device_socket *socket;
    const sv2_noise_provider *crypto;
    device_state state;
    device_why why;
    sv2_status status; /* with DEVICE_WHY_LIBRARY */
    char host[DEVICE_HOST_MAX + 1];
    uint16_t port;
    uint32_t since;  /* second at which the connection began */
    uint32_t heard;  /* second at which the pool last sent a whole frame */
    uint32_t act_at; /* bytes of act 2 that are there */

    union {
        sv2_noise_initiator initiator; /* during the handshake */
        struct {
            sv2_noise_sender sender;
            sv2_noise_receiver receiver;
            sv2_noise_reader reader;
        } session; /* after it */
    } noise;

    uint32_t channel_id, group_id, sequence;
    uint8_t target[32];
    uint8_t prev_hash[32];
    uint32_t nbits;
    bool has_prev_hash;
    device_job future[DEVICE_FUTURE_JOBS];
    uint8_t next_future;
    hasher_work work;

    struct {
        uint32_t submitted, accepted, refused; /* shares */
        uint32_t jobs, ignored, skipped;       /* skipped: frames over DEVICE_PAYLOAD_MAX */
        uint32_t connections;
    } stats;

    uint8_t in[SV2_NOISE_BUFFER_LEN(DEVICE_PAYLOAD_MAX)];
    uint8_t out[DEVICE_PAYLOAD_MAX + SV2_NOISE_HEADER_LEN + SV2_NOISE_MAC_LEN];
} device;

/* config, socket and crypto must live as long as the device. */
void device_init(device *d, const device_config *config, const device_socket *socket,
                 const sv2_noise_provider *crypto);

/* Connects where offline; else takes one piece of what was received, or hashes for up to nonces
 * nonces. now: seconds of any clock that goes forward. */
device_result device_step(device *d, uint32_t now, uint32_t nonces);

#endif

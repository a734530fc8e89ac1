/*
 * The device on a POSIX host: TCP sockets behind the three callbacks, the OpenSSL provider.
 *
 *     device HOST PORT AUTHORITY_KEY [--user NAME] [--shares N] [--seconds S] [--earliest UNIX_TIME]
 *
 * Mines until N shares were accepted (default 10) or S seconds have passed (default 60). With
 * --earliest it behaves as a device without a clock, that knows only that it is not before that time.
 * Prints one line for each change, and a summary. Exit code 0: enough shares were accepted; 1: not;
 * 2: bad arguments.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "device.h"
#include "libsv2/noise_openssl.h"

enum {
    CONNECT_MS = 5000,
    SEND_MS = 5000,
    IDLE_MS = 100,
    NONCES = 20000 /* between two looks at the socket */
};

/* ---- The three callbacks ----------------------------------------------------------------------*/

typedef struct tcp {
    int fd;
} tcp;

static bool ready(int fd, short events, int milliseconds)
{
    struct pollfd entry = {fd, events, 0};
    return poll(&entry, 1, milliseconds) == 1;
}

static bool finish_connect(int fd)
{
    int error = 0;
    socklen_t len = sizeof(error);
    return ready(fd, POLLOUT, CONNECT_MS) && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0
           && error == 0;
}

static int connect_to(const struct addrinfo *address)
{
    int one = 1, fd = socket(address->ai_family, address->ai_socktype, address->ai_protocol);
    if (fd < 0)
        return -1;
    if (fcntl(fd, F_SETFL, O_NONBLOCK) == 0
        && (connect(fd, address->ai_addr, address->ai_addrlen) == 0
            || (errno == EINPROGRESS && finish_connect(fd)))) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        return fd;
    }
    close(fd);
    return -1;
}

static bool tcp_connect(void *context, const char *host, uint16_t port)
{
    tcp *socket = (tcp *)context;
    struct addrinfo hints = {0}, *found = NULL, *address;
    char service[6];
    if (socket->fd >= 0)
        close(socket->fd);
    socket->fd = -1;
    hints.ai_socktype = SOCK_STREAM;
    snprintf(service, sizeof(service), "%u", (unsigned)port);
    if (getaddrinfo(host, service, &hints, &found) == 0) {
        for (address = found; address != NULL && socket->fd < 0; address = address->ai_next)
            socket->fd = connect_to(address);
        freeaddrinfo(found);
    }
    return socket->fd >= 0;
}

static bool tcp_send(void *context, const uint8_t *data, size_t len)
{
    const tcp *socket = (const tcp *)context;
    while (len > 0) {
        ssize_t n = send(socket->fd, data, len, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        if (n < 0 && !ready(socket->fd, POLLOUT, SEND_MS))
            return false;
        data += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

static int tcp_receive(void *context, uint8_t *at, size_t room)
{
    const tcp *socket = (const tcp *)context;
    ssize_t n = recv(socket->fd, at, room, 0);
    if (n > 0)
        return (int)n;
    return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

/* ---- The program ------------------------------------------------------------------------------*/

typedef struct options {
    const char *host, *port, *key, *user;
    unsigned long shares, seconds, earliest;
} options;

static bool read_options(options *o, int argc, char **argv)
{
    int i;
    if (argc < 4)
        return false;
    o->host = argv[1];
    o->port = argv[2];
    o->key = argv[3];
    for (i = 4; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--user") == 0)
            o->user = argv[i + 1];
        else if (strcmp(argv[i], "--shares") == 0)
            o->shares = strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--seconds") == 0)
            o->seconds = strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--earliest") == 0)
            o->earliest = strtoul(argv[i + 1], NULL, 10);
        else
            return false;
    }
    return i == argc && strtoul(o->port, NULL, 10) - 1 < 65535;
}

static uint32_t monotonic_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint32_t)now.tv_sec;
}

static void report(const device *d, device_state before)
{
    static const char *const states[] = {"offline", "handshake", "setup", "opening", "mining"};
    static const char *const whys[] = {
        "",        "cannot connect", "connection lost",   "library",
        "refused", "silence",        "told to reconnect", "unexpected message"};
    if (d->state == before)
        return;
    printf("%s", states[d->state]);
    if (d->state == DEVICE_OFFLINE)
        printf(": %s", d->why == DEVICE_WHY_LIBRARY ? sv2_status_string(d->status) : whys[d->why]);
    printf("\n");
    fflush(stdout);
}

/* After a lost connection the next attempt waits: 100 ms, then twice as long each time, up to 10 s. */
static void wait_to_retry(const device *d, unsigned *milliseconds)
{
    if (d->why == DEVICE_WHY_RECONNECT || d->stats.accepted != 0)
        *milliseconds = 100;
    poll(NULL, 0, (int)*milliseconds);
    *milliseconds = *milliseconds < 5000 ? *milliseconds * 2 : 10000;
}

static void mine(device *d, const tcp *socket, const options *o)
{
    uint32_t begin = monotonic_seconds(), now = begin;
    unsigned retry = 100;
    while (d->stats.accepted < o->shares && now - begin < o->seconds) {
        device_state before = d->state;
        device_result result = device_step(d, now, NONCES);
        report(d, before);
        if (result == DEVICE_IDLE)
            (void)ready(socket->fd, POLLIN, IDLE_MS);
        else if (result == DEVICE_LOST)
            wait_to_retry(d, &retry);
        now = monotonic_seconds();
    }
    printf("submitted %u accepted %u refused %u jobs %u ignored %u skipped %u connections %u\n",
           (unsigned)d->stats.submitted, (unsigned)d->stats.accepted, (unsigned)d->stats.refused,
           (unsigned)d->stats.jobs, (unsigned)d->stats.ignored, (unsigned)d->stats.skipped,
           (unsigned)d->stats.connections);
}

int main(int argc, char **argv)
{
    static device d;
    static device_config config;
    static sv2_noise_openssl crypto;
    static uint8_t authority[32];
    tcp socket = {-1};
    device_socket callbacks = {&socket, tcp_connect, tcp_send, tcp_receive};
    options o = {NULL, NULL, NULL, "worker", 10, 60, 0};
    sv2_status status;
    if (!read_options(&o, argc, argv)) {
        fprintf(stderr, "usage: device HOST PORT AUTHORITY_KEY [--user NAME] [--shares N] "
                        "[--seconds S] [--earliest UNIX_TIME]\n");
        return 2;
    }
    status = sv2_noise_openssl_init(&crypto);
    if (status == SV2_OK)
        status = sv2_noise_key_decode(authority, o.key, strlen(o.key), &crypto.provider);
    if (status != SV2_OK) {
        fprintf(stderr, "device: %s\n", sv2_status_string(status));
        sv2_noise_openssl_free(&crypto);
        return 2;
    }
    config.host = o.host;
    config.port = (uint16_t)strtoul(o.port, NULL, 10);
    config.policy.authority = authority;
    config.policy.clock = o.earliest != 0 ? SV2_NOISE_CLOCK_EARLIEST : SV2_NOISE_CLOCK_NOW;
    config.policy.time = o.earliest != 0 ? (uint32_t)o.earliest : (uint32_t)time(NULL);
    config.policy.tolerance = 10;
    config.user_identity = o.user;
    config.vendor = "libsv2";
    config.hardware_version = "host";
    config.firmware = "example";
    config.device_id = "";
    config.hash_rate = 1e6f;
    device_init(&d, &config, &callbacks, &crypto.provider);
    mine(&d, &socket, &o);
    if (socket.fd >= 0)
        close(socket.fd);
    sv2_noise_wipe(&d.noise, sizeof(d.noise));
    sv2_noise_openssl_free(&crypto);
    return d.stats.accepted >= o.shares ? 0 : 1;
}

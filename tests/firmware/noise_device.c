/*
 * The mining device of examples/firmware on an emulated machine. Its socket is on the host, which
 * does what it is asked for and answers each time. Numbers are 32 bits, little-endian.
 *
 *   machine                                host
 *                                          authority as text (51), port, shares to mine
 *   "c", port, length, host's name         1, or 0 where that failed
 *   "s", count, so many bytes              1, or 0 where the connection is lost
 *   "r", how many at most                  how many, and so many bytes; or LOST
 *   "w"                                    1, when there is something to receive, or after a while
 *   "q", submitted, accepted, refused, jobs, ignored, skipped, connections, depth of the stack
 *
 * LOST is any number above what was asked for.
 */
#include <string.h>

#include "device.h"
#include "noise_link.h"
#include "noise_machine.h"

enum {
    SEED = 13,
    NONCES = 256,
    SECONDS = 90
};

static const char *const states[] = {"offline", "handshake", "setup", "opening", "mining"};

static device the_device;
static device_config config;
static uint8_t authority[32];

static bool socket_connect(void *context, const char *host, uint16_t port)
{
    size_t len = sv2_str(host).len;
    (void)context;
    return link_write("c", 1) && link_write_u32(port) && link_write_u32((uint32_t)len)
           && link_write(host, len) && link_read_u32() == 1;
}

static bool socket_send(void *context, const uint8_t *data, size_t len)
{
    (void)context;
    return link_write("s", 1) && link_write_u32((uint32_t)len) && link_write(data, len)
           && link_read_u32() == 1;
}

static int socket_receive(void *context, uint8_t *at, size_t room)
{
    uint32_t n;
    (void)context;
    if (!link_write("r", 1) || !link_write_u32((uint32_t)room))
        return -1;
    n = link_read_u32();
    return n <= room && link_read(at, n) ? (int)n : -1;
}

static const device_socket the_socket = {NULL, socket_connect, socket_send, socket_receive};

static void report(device_state before)
{
    const device *d = &the_device;
    if (d->state == before)
        return;
    board_print(states[d->state]);
    if (d->state != DEVICE_OFFLINE)
        board_print("\n");
    else if (d->why == DEVICE_WHY_LIBRARY)
        machine_print(", status", d->status);
    else
        machine_print(", why", d->why);
}

/* Until there are enough shares, or the connection is lost for any reason but a pool's wish. */
static void mine(uint32_t shares)
{
    uint32_t begin = link_time();
    while (the_device.stats.accepted < shares && link_time() - begin < SECONDS) {
        device_state before = the_device.state;
        device_result result = device_step(&the_device, link_time(), NONCES);
        report(before);
        if (result == DEVICE_LOST && the_device.why != DEVICE_WHY_RECONNECT)
            return;
        if (result == DEVICE_IDLE && (!link_write("w", 1) || link_read_u32() != 1))
            return;
    }
}

static bool tell(uint32_t depth)
{
    const uint32_t numbers[] = {the_device.stats.submitted,   the_device.stats.accepted,
                                the_device.stats.refused,     the_device.stats.jobs,
                                the_device.stats.ignored,     the_device.stats.skipped,
                                the_device.stats.connections, depth};
    bool ok = link_write("q", 1);
    size_t i;
    for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        ok = ok && link_write_u32(numbers[i]);
    return ok;
}

int main(void)
{
    char text[SV2_NOISE_KEY_TEXT_LEN];
    const sv2_noise_provider *crypto = machine_start(SEED);
    uint32_t shares;
    if (!link_open() || crypto == NULL || !link_read(text, sizeof(text)))
        return 1;
    config.port = (uint16_t)link_read_u32();
    shares = link_read_u32();
    if (sv2_noise_key_decode(authority, text, sizeof(text), crypto) != SV2_OK)
        return 1;
    config.host = "127.0.0.1";
    config.policy.authority = authority;
    config.policy.clock = SV2_NOISE_CLOCK_NOW;
    config.policy.time = link_time();
    config.policy.tolerance = 10;
    config.user_identity = "a.worker";
    config.vendor = "libsv2";
    config.hardware_version = "emulated";
    config.firmware = "test";
    config.device_id = "";
    config.hash_rate = 1e4f;
    device_init(&the_device, &config, &the_socket, crypto);
    stack_paint(stack_pointer());
    mine(shares);
    return tell(stack_depth(stack_pointer())) && the_device.stats.accepted >= shares ? 0 : 1;
}

/*
 * What the library does in memory, on one thread: prints the JSON object that `sri-noise bench` prints.
 *
 *     bench SECONDS
 *
 * A handshake is both roles with a new static key and a certificate that is signed and checked. What
 * is opened arrives in portions of 32 KiB. MB are payload, 10^6 bytes.
 */
#include <time.h>

#include "session.h"

enum {
    LARGEST = 1 << 20,
    PORTION = 32768,
    HANDSHAKES = 20
};

static const sv2_noise_provider *provider;
static uint8_t payload[LARGEST], sealed[LARGEST + 1024], buffer[LARGEST + 22];

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* The fastest batch counts: the others were disturbed. */
static double handshakes_per_second(double seconds)
{
    double begin = seconds_now(), fastest = seconds;
    while (seconds_now() - begin < seconds) {
        double start = seconds_now(), spent;
        unsigned i;
        for (i = 0; i < HANDSHAKES; i++) {
            end client, server;
            connect_ends(&client, &server, provider);
        }
        spent = seconds_now() - start;
        fastest = spent < fastest ? spent : fastest;
    }
    return HANDSHAKES / fastest;
}

static void open_portions(sv2_noise_reader *reader, size_t size, size_t len)
{
    const uint8_t *at = sealed;
    sv2_status status = SV2_NEED_MORE;
    sv2_frame frame = {NULL, 0, 0, 0};
    while (len > 0) {
        size_t n = len < PORTION ? len : PORTION, left = n;
        status = sv2_noise_reader_next(reader, &frame, &at, &left);
        len -= n;
    }
    CHECK(status == SV2_OK && frame.length == size);
}

static void transport(const char *separator, uint32_t size, double seconds)
{
    double begin = seconds_now(), sealing = seconds, opening = seconds;
    unsigned batch = 1 + 20000 / size, i;
    sv2_frame frame = {payload, size, 0, 7};
    sv2_noise_reader reader;
    end client, server;
    connect_ends(&client, &server, provider);
    sv2_noise_reader_init(&reader, &server.receiver, buffer, sizeof(buffer), LARGEST);
    while (seconds_now() - begin < 2 * seconds) {
        size_t len = 0;
        sv2_noise_receiver before = server.receiver;
        sv2_noise_sender again = client.sender;
        double start = seconds_now(), between, done;
        for (i = 0; i < batch; i++) {
            client.sender = again;
            CHECK(sv2_noise_seal_frame(&client.sender, sealed, sizeof(sealed), &len, &frame)
                  == SV2_OK);
        }
        between = seconds_now();
        for (i = 0; i < batch; i++) {
            server.receiver = before;
            open_portions(&reader, size, len);
        }
        done = seconds_now();
        sealing = between - start < sealing ? between - start : sealing;
        opening = done - between < opening ? done - between : opening;
    }
    printf("%s{\"payload\": %u, \"seal_mb_per_s\": %.1f, \"open_mb_per_s\": %.1f}", separator,
           (unsigned)size, (double)size * batch / 1e6 / sealing,
           (double)size * batch / 1e6 / opening);
}

int main(int argc, char **argv)
{
    static const uint32_t sizes[] = {64, 1024, 65519, LARGEST};
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 1;
    crypto c;
    size_t i;
    provider = crypto_start(&c);
    printf("{\"handshakes_per_s\": %.1f, \"transport\": [", handshakes_per_second(seconds));
    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        transport(i == 0 ? "" : ", ", sizes[i], seconds);
    printf("]}\n");
    crypto_stop(&c);
    return test_failures != 0;
}

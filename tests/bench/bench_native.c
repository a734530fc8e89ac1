/*
 * Time per message through libsv2.h: decode and encode of a payload, and memcpy of as many bytes.
 *
 *   bench_native                              all rows, as one JSON object; nanoseconds per message
 *   bench_native ROW decode|encode COUNT      that operation COUNT times and nothing printed, to count
 *                                             instructions under callgrind
 *
 * ROW: setup_connection (61 bytes on the wire), new_template (482, 12 hashes), submit_shares (39),
 * transactions (1,509,018: 3000 of 500 bytes). Of ROUNDS rounds the fastest and the median count.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libsv2.h"

enum {
    ROUNDS = 7,
    MIN_ROUND_NS = 40000000,
    TRANSACTIONS = 3000,
    TRANSACTION_SIZE = 500
};

typedef struct bench {
    const char *name;
    size_t wire_bytes;
    const sv2_descriptor *descriptor;
    sv2_message message;
    uint8_t *payload;
    uint8_t *out;
    size_t len;
} bench;

static uint8_t path[12 * 32], transaction[TRANSACTION_SIZE];
static sv2_bytes transactions[TRANSACTIONS];

static void set_up_messages(bench *rows)
{
    sv2_setup_connection setup = {2,    2,         2,         0,         {NULL, 0},
                                  8442, {NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0}};
    sv2_new_template template = {1,          true, 0x20000000, 2,   {NULL, 0},      0xfffffffe,
                                 5000000000, 1,    {NULL, 0},  135, {NULL, 0, 0, 0}};
    sv2_submit_shares_extended share = {1, 2, 3, 4, 5, 6, {NULL, 0}};
    sv2_request_transaction_data_success data = {1, {NULL, 0}, {NULL, 0, 0, 0}};
    size_t i;
    setup.endpoint_host = sv2_str("127.0.0.1");
    setup.vendor = sv2_str("vendor");
    setup.hardware_version = sv2_str("hardware-1");
    setup.firmware = sv2_str("v1.0.0");
    setup.device_id = sv2_str("device-1");
    template.coinbase_prefix = sv2_view(path, 4);
    template.coinbase_tx_outputs = sv2_view(path, 47);
    template.merkle_path = sv2_seq_wire(path, sizeof(path), 12);
    share.extranonce = sv2_view(path, 8);
    for (i = 0; i < TRANSACTIONS; i++)
        transactions[i] = sv2_view(transaction, sizeof(transaction));
    data.transaction_list = sv2_seq_views(transactions, TRANSACTIONS);
    rows[0].message.as.setup_connection = setup;
    rows[1].message.as.new_template = template;
    rows[2].message.as.submit_shares_extended = share;
    rows[3].message.as.request_transaction_data_success = data;
}

static void stop(const char *what)
{
    fprintf(stderr, "bench_native: %s\n", what);
    exit(1);
}

/* Encodes once, and decodes that into the message that is encoded from then on: as a proxy does, and
 * for sequences in wire form. */
static void prepare(bench *row)
{
    sv2_report report;
    row->len = row->wire_bytes - SV2_FRAME_HEADER_LEN;
    row->payload = malloc(row->len);
    row->out = malloc(row->len);
    if (row->payload == NULL || row->out == NULL)
        stop("out of memory");
    memset(row->out, 0, row->len);
    if (sv2_encode(row->descriptor, row->payload, row->len, &report, &row->message.as) != SV2_OK
        || report.offset != row->len)
        stop("a frame is not as large as its row says");
    if (sv2_decode(row->descriptor, &row->message.as, NULL, row->payload, row->len) != SV2_OK)
        stop("a message does not decode");
}

static void decode_many(bench *row, unsigned long count)
{
    sv2_message message;
    while (count-- > 0) {
        if (sv2_decode(row->descriptor, &message.as, NULL, row->payload, row->len) != SV2_OK)
            stop("decoding failed");
        __asm__ volatile("" : : "r"(&message) : "memory");
    }
}

static void encode_many(bench *row, unsigned long count)
{
    while (count-- > 0) {
        if (sv2_encode(row->descriptor, row->out, row->len, NULL, &row->message.as) != SV2_OK)
            stop("encoding failed");
        __asm__ volatile("" : : "r"(row->out) : "memory");
    }
}

static void copy_many(bench *row, unsigned long count)
{
    while (count-- > 0) {
        memcpy(row->out, row->payload, row->len);
        __asm__ volatile("" : : "r"(row->out) : "memory");
    }
}

typedef void operation(bench *row, unsigned long count);

static double run_ns(bench *row, operation *run, unsigned long count)
{
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    run(row, count);
    clock_gettime(CLOCK_MONOTONIC, &end);
    return (double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_times(const char *name, bench *row, operation *run, const char *after)
{
    double rounds[ROUNDS];
    unsigned long count = 1;
    int i;
    while (run_ns(row, run, count) < MIN_ROUND_NS)
        count *= 2;
    for (i = 0; i < ROUNDS; i++)
        rounds[i] = run_ns(row, run, count) / (double)count;
    qsort(rounds, ROUNDS, sizeof(rounds[0]), ascending);
    printf("\"%s_ns\": {\"fastest\": %.1f, \"median\": %.1f}%s", name, rounds[0],
           rounds[ROUNDS / 2], after);
}

int main(int argc, char **argv)
{
    bench rows[] = {
        {.name = "setup_connection", 61, &sv2_setup_connection_descriptor},
        {.name = "new_template", 482, &sv2_new_template_descriptor},
        {.name = "submit_shares", 39, &sv2_submit_shares_extended_descriptor},
        {.name = "transactions", 1509018, &sv2_request_transaction_data_success_descriptor},
    };
    size_t i, count = sizeof(rows) / sizeof(rows[0]);
    set_up_messages(rows);
    for (i = 0; i < count; i++)
        prepare(&rows[i]);
    for (i = 0; argc == 4 && i < count; i++)
        if (strcmp(argv[1], rows[i].name) == 0)
            (argv[2][0] == 'd' ? decode_many : encode_many)(&rows[i], strtoul(argv[3], NULL, 10));
    if (argc == 4)
        return 0;
    printf("{\"library\": \"native C\", \"rows\": [");
    for (i = 0; i < count; i++) {
        printf("%s{\"message\": \"%s\", \"wire_bytes\": %zu, ", i == 0 ? "" : ", ", rows[i].name,
               rows[i].wire_bytes);
        print_times("decode", &rows[i], decode_many, ", ");
        print_times("encode", &rows[i], encode_many, ", ");
        print_times("memcpy", &rows[i], copy_many, "}");
    }
    printf("]}\n");
    return 0;
}

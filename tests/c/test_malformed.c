/*
 * Input that no honest peer sends: a defined error each, and not one byte read too far. Every input
 * ends at an unreadable page.
 */
#include "test.h"
#include "vectors.h"

static guarded input;

static sv2_status decode(const sv2_descriptor *descriptor, const uint8_t *payload, size_t len,
                         sv2_report *report)
{
    sv2_message message;
    return sv2_decode(descriptor, &message.as, report, guarded_copy(&input, payload, len), len);
}

/* Every prefix of every payload is truncated, and the report says where. */
static void check_truncations(const test_vector *vector, const sv2_descriptor *descriptor)
{
    const uint8_t *payload = vector->frame + SV2_FRAME_HEADER_LEN;
    size_t full = vector->len - SV2_FRAME_HEADER_LEN, len, last = 0;
    sv2_report report;
    for (len = 0; len < full; len++) {
        CHECK(decode(descriptor, payload, len, &report) == SV2_ERR_TRUNCATED);
        CHECK(report.offset <= len && report.offset >= last);
        CHECK(report.field < descriptor->field_count);
        last = report.offset;
    }
}

/* Every byte set to 0xff and 0: accepted or refused, never read too far (lengths among them). */
static void check_mutations(const test_vector *vector, const sv2_descriptor *descriptor)
{
    uint8_t copy[64 * 1024];
    size_t full = vector->len - SV2_FRAME_HEADER_LEN, i;
    sv2_report report;
    for (i = 0; i < full; i++) {
        unsigned value;
        for (value = 0; value < 256; value += 255) {
            sv2_status status;
            memcpy(copy, vector->frame + SV2_FRAME_HEADER_LEN, full);
            copy[i] = (uint8_t)value;
            status = decode(descriptor, copy, full, &report);
            CHECK(status == SV2_OK || status == SV2_ERR_TRUNCATED || status == SV2_ERR_LENGTH
                  || status == SV2_ERR_OPTION);
            CHECK(report.offset <= full);
        }
    }
}

/* Each length field in turn says one more than there is. */
static void check_overruns(void)
{
    static const uint8_t str[] = {0, 0, 0, 0, 3, 'a', 'b'};
    static const uint8_t b0_32[] = {0, 0, 0, 0, 33, 0};
    static const uint8_t option[] = {0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0};
    static const uint8_t b0_64k[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                     0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1};
    static const uint8_t seq[] = {1, 0, 2, 0, 1, 0, 2};
    static const uint8_t items[] = {0, 0, 0, 0, 2, 0, 1, 0, 0, 'a', 0xff, 0xff, 0xff, 'b'};
    uint8_t exact[5 + 33] = {0, 0, 0, 0, 33};
    sv2_report report;
    CHECK(decode(&sv2_setup_connection_error_descriptor, str, sizeof(str), &report)
          == SV2_ERR_TRUNCATED);
    CHECK(report.field == 1 && report.offset == 4);
    CHECK(decode(&sv2_set_extranonce_prefix_descriptor, b0_32, sizeof(b0_32), &report)
          == SV2_ERR_LENGTH);
    CHECK(report.field == 1 && report.offset == 4);
    /* 33 bytes are too many for a B0_32 even where they are there. */
    CHECK(decode(&sv2_set_extranonce_prefix_descriptor, exact, sizeof(exact), &report)
          == SV2_ERR_LENGTH);
    CHECK(decode(&sv2_new_mining_job_descriptor, option, sizeof(option), &report)
          == SV2_ERR_OPTION);
    CHECK(report.field == 2 && report.offset == 8);
    CHECK(decode(&sv2_submit_solution_descriptor, b0_64k, sizeof(b0_64k), &report)
          == SV2_ERR_TRUNCATED);
    CHECK(report.field == 4 && report.offset == 20);
    CHECK(decode(&sv2_request_extensions_descriptor, seq, sizeof(seq), &report)
          == SV2_ERR_TRUNCATED);
    CHECK(report.field == 1 && report.offset == 2);
    CHECK(
        decode(&sv2_provide_missing_transactions_success_descriptor, items, sizeof(items), &report)
        == SV2_ERR_TRUNCATED);
    CHECK(report.field == 1 && report.offset == 4);
}

static void check_unknown(void)
{
    sv2_frame frame = {NULL, 0, 0, 0};
    sv2_message message;
    unsigned type, known = 0;
    for (type = 0; type < 256; type++) {
        frame.message_type = (uint8_t)type;
        frame.extension_type = 0x7fff;
        CHECK(sv2_message_decode(&message, NULL, &frame) == SV2_ERR_UNKNOWN);
        known += sv2_find(0, (uint8_t)type) != NULL;
        CHECK((sv2_find(0, (uint8_t)type) != NULL) == (sv2_message_name(0, (uint8_t)type)[0] != 0));
        /* Bit 15 does not count. */
        CHECK(sv2_find(0, (uint8_t)type) == sv2_find(SV2_CHANNEL_BIT, (uint8_t)type));
    }
    CHECK(known == 41 && sv2_find(0, 0x1e) == NULL);
    CHECK(sv2_find(1, 2) == &sv2_request_extensions_error_descriptor && sv2_find(1, 3) == NULL);
    CHECK(sv2_descriptor_at(SV2_MESSAGE_COUNT) == NULL);
    CHECK(strcmp(sv2_message_name_at(SV2_MESSAGE_COUNT), "") == 0);
    message.id = (sv2_message_id)0x1e;
    {
        uint8_t out[64];
        size_t len = 1;
        CHECK(sv2_message_encode_frame(out, sizeof(out), &len, &message) == SV2_ERR_UNKNOWN);
        CHECK(len == 0);
    }
}

/* A header that promises 16 MiB, and nothing behind it: the stream asks for more, and needs no room
 * before the data is there. */
static void check_promise(void)
{
    static const uint8_t header[6] = {0, 0, 0x74, 0xff, 0xff, 0xff};
    const uint8_t *data = header;
    size_t len = sizeof(header);
    sv2_stream stream;
    sv2_frame frame;
    sv2_stream_init(&stream, NULL, 0, SV2_MAX_PAYLOAD);
    CHECK(sv2_stream_next(&stream, &frame, &data, &len) == SV2_NEED_MORE);
    CHECK(frame.length == 0xffffff && stream.held == 0);
}

/* Random payloads for every message, repeatable. */
static void check_random(void)
{
    uint8_t payload[600];
    uint32_t seed = 20261121;
    unsigned round;
    size_t i;
    for (round = 0; round < 20000; round++) {
        size_t len = test_random(&seed) % sizeof(payload);
        const sv2_descriptor *descriptor =
            sv2_descriptor_at(test_random(&seed) % SV2_MESSAGE_COUNT);
        sv2_report report;
        sv2_status status;
        for (i = 0; i < len; i++)
            payload[i] = (uint8_t)(test_random(&seed) >> (test_random(&seed) % 25));
        status = decode(descriptor, payload, len, &report);
        CHECK(status == SV2_OK || status == SV2_ERR_TRUNCATED || status == SV2_ERR_LENGTH
              || status == SV2_ERR_OPTION);
        CHECK(report.offset <= len);
    }
}

static void check_arguments(void)
{
    sv2_message message;
    sv2_report report;
    const sv2_descriptor *descriptor = &sv2_reconnect_descriptor;
    CHECK(sv2_decode(NULL, &message, NULL, (const uint8_t *)"", 1) == SV2_ERR_ARGUMENT);
    CHECK(sv2_decode(descriptor, NULL, NULL, (const uint8_t *)"", 1) == SV2_ERR_ARGUMENT);
    CHECK(sv2_decode(descriptor, &message, NULL, NULL, 1) == SV2_ERR_ARGUMENT);
    CHECK(sv2_decode(descriptor, &message, &report, NULL, 0) == SV2_ERR_TRUNCATED);
    CHECK(report.offset == 0 && report.field == 0);
    CHECK(sv2_message_decode(NULL, NULL, NULL) == SV2_ERR_ARGUMENT);
}

/* BOOL: only the lowest bit counts. */
static void check_bool(void)
{
    uint8_t payload[64] = {0};
    sv2_new_template message;
    memset(payload + 8, 0xfe, 1);
    CHECK(sv2_new_template_decode(&message, NULL, payload, sizeof(payload)) == SV2_OK);
    CHECK(!message.future_template);
    payload[8] = 0xff;
    CHECK(sv2_new_template_decode(&message, NULL, payload, sizeof(payload)) == SV2_OK);
    CHECK(message.future_template);
}

int main(void)
{
    size_t i;
    input = guarded_new(64 * 1024);
    for (i = 0; i < TEST_VECTORS; i++) {
        sv2_frame frame;
        const sv2_descriptor *descriptor;
        sv2_frame_header_decode(&frame, test_vectors[i].frame);
        descriptor = sv2_find(frame.extension_type, frame.message_type);
        check_truncations(&test_vectors[i], descriptor);
        check_mutations(&test_vectors[i], descriptor);
    }
    check_overruns();
    check_unknown();
    check_promise();
    check_random();
    check_arguments();
    check_bool();
    guarded_free(&input);
    return test_result("malformed");
}

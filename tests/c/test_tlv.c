/*
 * TLVs: little-endian (spec 3.1), against what the spec's own example in 3.4.3 would say.
 */
#include "libsv2.h"
#include "test.h"

static const uint8_t worker[] = {0x02, 0x00, 0x01, 0x0a, 0x00, 'W', 'o', 'r',
                                 'k',  'e',  'r',  '_',  '0',  '0', '1'};

static void check_append(void)
{
    sv2_submit_shares_extended share = {1, 2, 3, 4, 5, 6, {NULL, 0}}, back;
    sv2_tlv tlv = {{NULL, 0}, 0x0002, 0x01}, found;
    uint8_t frame[64];
    sv2_report report;
    size_t len, left;
    const uint8_t *rest;
    tlv.value = sv2_str("Worker_001");
    CHECK(sv2_submit_shares_extended_encode_frame(frame, sizeof(frame), &len, &share) == SV2_OK);
    CHECK(sv2_frame_append_tlv(frame, len + sizeof(worker) - 1, &len, &tlv) == SV2_ERR_BUFFER);
    CHECK(len == 31);
    CHECK(sv2_frame_append_tlv(frame, sizeof(frame), &len, &tlv) == SV2_OK);
    CHECK(len == 31 + sizeof(worker) && memcmp(frame + 31, worker, sizeof(worker)) == 0);
    CHECK(sv2_load_u24(frame + 3) == len - 6);
    /* The message stands, and the report says where the TLVs begin. */
    CHECK(sv2_submit_shares_extended_decode(&back, &report, frame + 6, len - 6) == SV2_OK);
    CHECK(report.offset == 25 && back.version == 6);
    rest = frame + 6 + report.offset;
    left = len - 6 - report.offset;
    CHECK(sv2_tlv_next(&found, &rest, &left) == SV2_OK);
    CHECK(found.extension_type == 2 && found.field_type == 1 && found.value.len == 10);
    CHECK(memcmp(found.value.data, "Worker_001", 10) == 0);
    CHECK(sv2_tlv_next(&found, &rest, &left) == SV2_END);
}

static void check_malformed(void)
{
    guarded room = guarded_new(64);
    size_t len;
    for (len = 1; len < sizeof(worker); len++) {
        const uint8_t *data = guarded_copy(&room, worker, len), *before = data;
        size_t left = len;
        sv2_tlv tlv;
        CHECK(sv2_tlv_next(&tlv, &data, &left) == SV2_ERR_TRUNCATED);
        CHECK(data == before && left == len);
    }
    guarded_free(&room);
}

static void check_refusals(void)
{
    static uint8_t big[0x10000];
    sv2_request_transaction_data request = {1};
    sv2_tlv tlv = {{NULL, 1}, 2, 1};
    static uint8_t frame[0x10040];
    size_t len;
    CHECK(sv2_request_transaction_data_encode_frame(frame, sizeof(frame), &len, &request)
          == SV2_OK);
    CHECK(sv2_frame_append_tlv(frame, sizeof(frame), &len, &tlv) == SV2_ERR_ARGUMENT);
    tlv.value = sv2_view(big, sizeof(big));
    CHECK(sv2_frame_append_tlv(frame, sizeof(frame), &len, &tlv) == SV2_ERR_LENGTH);
    tlv.value.len--;
    CHECK(sv2_frame_append_tlv(frame, sizeof(frame), &len, &tlv) == SV2_OK);
    CHECK(len == 14 + 5 + 0xffff);
    len--;
    CHECK(sv2_frame_append_tlv(frame, sizeof(frame), &len, &tlv) == SV2_ERR_ARGUMENT);
    CHECK(sv2_frame_append_tlv(NULL, 0, &len, &tlv) == SV2_ERR_ARGUMENT);
    CHECK(sv2_frame_append_tlv(frame, sizeof(frame), NULL, &tlv) == SV2_ERR_ARGUMENT);
    CHECK(sv2_frame_append_tlv(frame, sizeof(frame), &len, NULL) == SV2_ERR_ARGUMENT);
}

/* A payload that is as large as payloads get has no room for a TLV. */
static void check_full_frame(void)
{
    size_t len = SV2_FRAME_HEADER_LEN + SV2_MAX_PAYLOAD;
    uint8_t *frame = (uint8_t *)calloc(1, len + 64);
    sv2_frame header = {NULL, SV2_MAX_PAYLOAD, 0, 0x74};
    sv2_tlv tlv = {{NULL, 0}, 2, 1};
    CHECK(frame != NULL && sv2_frame_header_encode(frame, &header) == SV2_OK);
    CHECK(sv2_frame_append_tlv(frame, len + 64, &len, &tlv) == SV2_ERR_FRAME_LARGE);
    free(frame);
}

int main(void)
{
    check_append();
    check_malformed();
    check_refusals();
    check_full_frame();
    return test_result("tlv");
}

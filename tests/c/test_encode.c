/*
 * Encoding: exact sizes, every buffer size, fields that do not fit, sequences in both forms.
 */
#include "test.h"
#include "vectors.h"

/* Every capacity below the size is refused with the exact size, and never written past. */
static void check_capacities(const test_vector *vector)
{
    guarded room = guarded_new(vector->len);
    size_t cap, len;
    for (cap = 0; cap < vector->len; cap++) {
        CHECK(sv2_frame_encode(vector->descriptor, room.end - cap, cap, &len, vector->message)
              == SV2_ERR_BUFFER);
        CHECK(len == vector->len);
    }
    CHECK(sv2_frame_encode(vector->descriptor, room.end - vector->len, vector->len, &len,
                           vector->message)
          == SV2_OK);
    CHECK(memcmp(room.end - vector->len, vector->frame, vector->len) == 0);
    CHECK(sv2_frame_encode(vector->descriptor, NULL, 0, &len, vector->message) == SV2_ERR_BUFFER);
    CHECK(len == vector->len);
    guarded_free(&room);
}

static void check_long_fields(void)
{
    static uint8_t big[70000], out[70100];
    sv2_setup_connection_error error = {7, {big, 256}};
    sv2_set_extranonce_prefix prefix = {1, {big, 33}};
    sv2_submit_solution solution = {1, 2, 3, 4, {big, 65536}};
    sv2_report report;
    size_t len = 9;
    CHECK(sv2_setup_connection_error_encode(out, sizeof(out), &report, &error) == SV2_ERR_LENGTH);
    CHECK(report.field == 1 && report.offset == 4);
    CHECK(sv2_setup_connection_error_size(&error) == SIZE_MAX);
    /* A full buffer does not hide that the field can never be encoded. */
    CHECK(sv2_setup_connection_error_encode(NULL, 0, &report, &error) == SV2_ERR_LENGTH);
    CHECK(sv2_set_extranonce_prefix_encode(out, sizeof(out), &report, &prefix) == SV2_ERR_LENGTH);
    CHECK(sv2_submit_solution_encode_frame(out, sizeof(out), &len, &solution) == SV2_ERR_LENGTH);
    CHECK(len == 0);
    error.error_code.len = 255;
    prefix.extranonce_prefix.len = 32;
    solution.coinbase_tx.len = 65535;
    CHECK(sv2_setup_connection_error_size(&error) == 4 + 1 + 255);
    CHECK(sv2_set_extranonce_prefix_size(&prefix) == 4 + 1 + 32);
    CHECK(sv2_submit_solution_encode_frame(out, sizeof(out), &len, &solution) == SV2_OK);
    CHECK(len == 6 + 20 + 2 + 65535);
}

static void check_views(void)
{
    static uint8_t hashes[3][32], out[400], wire_out[400];
    sv2_bytes views[3];
    uint8_t wire[96];
    sv2_declare_mining_job job;
    sv2_report report, wire_report;
    unsigned i;
    memset(&job, 0, sizeof(job));
    for (i = 0; i < 3; i++) {
        memset(hashes[i], (int)i + 1, 32);
        memcpy(wire + 32 * i, hashes[i], 32);
        views[i] = sv2_view(hashes[i], 32);
    }
    job.wtxid_list = sv2_seq_views(views, 3);
    CHECK(sv2_declare_mining_job_encode(out, sizeof(out), &report, &job) == SV2_OK);
    job.wtxid_list = sv2_seq_wire(wire, sizeof(wire), 3);
    CHECK(sv2_declare_mining_job_encode(wire_out, sizeof(wire_out), &wire_report, &job) == SV2_OK);
    CHECK(report.offset == wire_report.offset && memcmp(out, wire_out, report.offset) == 0);
    views[1].len = 31;
    job.wtxid_list = sv2_seq_views(views, 3);
    CHECK(sv2_declare_mining_job_encode(out, sizeof(out), &report, &job) == SV2_ERR_ARGUMENT);
    CHECK(report.field == 5);
    job.wtxid_list = sv2_seq_wire(wire, sizeof(wire), 2);
    CHECK(sv2_declare_mining_job_encode(out, sizeof(out), &report, &job) == SV2_ERR_ARGUMENT);
    job.wtxid_list = sv2_seq_wire(NULL, 0, 1);
    CHECK(sv2_declare_mining_job_encode(out, sizeof(out), &report, &job) == SV2_ERR_ARGUMENT);
    job.wtxid_list = sv2_seq_views(views, 3);
    job.wtxid_list.stride = sizeof(sv2_bytes) - 1; /* records that overlap hold no views */
    CHECK(sv2_declare_mining_job_encode(out, sizeof(out), &report, &job) == SV2_ERR_ARGUMENT);
    job.wtxid_list = sv2_seq_wire(wire, sizeof(wire), 65536);
    CHECK(sv2_declare_mining_job_encode(out, sizeof(out), &report, &job) == SV2_ERR_LENGTH);
}

/* A sequence of transactions, as views and as read back in wire form. */
static void check_transactions(void)
{
    uint8_t out[64];
    sv2_bytes items[3];
    sv2_request_transaction_data_success message = {5, {NULL, 0}, {NULL, 0, 0, 0}}, back;
    sv2_bytes item;
    sv2_report report;
    sv2_seq rest;
    items[0] = sv2_str("one");
    items[1] = sv2_view(NULL, 0);
    items[2] = sv2_str("three");
    message.transaction_list = sv2_seq_views(items, 3);
    CHECK(sv2_request_transaction_data_success_encode(out, sizeof(out), &report, &message)
          == SV2_OK);
    CHECK(report.offset == 8 + 2 + 2 + 3 * 3 + 8);
    CHECK(sv2_request_transaction_data_success_decode(&back, NULL, out, report.offset) == SV2_OK);
    rest = back.transaction_list;
    CHECK(rest.count == 3);
    CHECK(sv2_seq_next(&rest, &item) == SV2_OK && item.len == 3
          && memcmp(item.data, "one", 3) == 0);
    CHECK(sv2_seq_next(&rest, &item) == SV2_OK && item.len == 0);
    CHECK(sv2_seq_next(&rest, &item) == SV2_OK && memcmp(item.data, "three", 5) == 0);
    CHECK(sv2_seq_next(&rest, &item) == SV2_END);
    back.transaction_list.count++;
    CHECK(sv2_request_transaction_data_success_size(&back) == SIZE_MAX);
}

/* One view of 16 MiB, many times: the size does not wrap on any machine. */
static void check_huge(void)
{
    static sv2_bytes items[300];
    static const uint8_t byte;
    sv2_provide_missing_transactions_success message = {1, {NULL, 0, 0, 0}};
    size_t i, len = 1;
    for (i = 0; i < 300; i++)
        items[i] = sv2_view(&byte, 0xffffff); /* counted, not read: there is no room */
    message.transaction_list = sv2_seq_views(items, 300);
    CHECK(sv2_provide_missing_transactions_success_size(&message) == SIZE_MAX);
    CHECK(sv2_provide_missing_transactions_success_encode_frame(NULL, 0, &len, &message)
          == SV2_ERR_FRAME_LARGE);
    CHECK(len == 0);
}

static void check_floats(void)
{
    static const uint32_t patterns[] = {0,          0x80000000, 0x7f800000, 0xff800000,
                                        0x7fc00000, 0x7f800001, 0xffbfffff, 0x00000001};
    uint8_t payload[40] = {0}, out[40];
    size_t i;
    for (i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        sv2_update_channel message;
        sv2_store_u32(payload + 4, patterns[i]);
        CHECK(sv2_update_channel_decode(&message, NULL, payload, sizeof(payload)) == SV2_OK);
        CHECK(sv2_update_channel_encode(out, sizeof(out), NULL, &message) == SV2_OK);
        CHECK(memcmp(out, payload, sizeof(out)) == 0);
    }
}

static void check_arguments(void)
{
    sv2_reconnect message = {{NULL, 3}, 1};
    sv2_report report;
    uint8_t out[32];
    size_t len = 1;
    CHECK(sv2_reconnect_encode(out, sizeof(out), &report, &message) == SV2_ERR_ARGUMENT);
    CHECK(report.field == 0);
    message.new_host = sv2_str("pool");
    CHECK(sv2_reconnect_encode(NULL, 1, NULL, &message) == SV2_ERR_ARGUMENT);
    CHECK(sv2_encode(NULL, out, sizeof(out), NULL, &message) == SV2_ERR_ARGUMENT);
    CHECK(sv2_encode(&sv2_reconnect_descriptor, out, sizeof(out), NULL, NULL) == SV2_ERR_ARGUMENT);
    CHECK(sv2_frame_encode(NULL, out, sizeof(out), &len, &message) == SV2_ERR_ARGUMENT);
    CHECK(sv2_frame_encode(&sv2_reconnect_descriptor, NULL, 3, &len, &message) == SV2_ERR_ARGUMENT);
    CHECK(sv2_frame_encode(&sv2_reconnect_descriptor, out, 3, NULL, &message) == SV2_ERR_ARGUMENT);
    CHECK(sv2_reconnect_encode_frame(out, sizeof(out), &len, &message) == SV2_OK && len == 13);
}

int main(void)
{
    size_t i;
    for (i = 0; i < TEST_VECTORS; i++)
        if (test_vectors[i].message != NULL)
            check_capacities(&test_vectors[i]);
    check_long_fields();
    check_views();
    check_transactions();
    check_huge();
    check_floats();
    check_arguments();
    return test_result("encode");
}

/*
 * A payload over 16,777,215 bytes was reported as SV2_ERR_BUFFER, with a size that no frame can have,
 * when its last fields fitted into what was left of a small buffer.
 */
#include "libsv2.h"

#include "test.h"

int main(void)
{
    static uint8_t large[SV2_MAX_PAYLOAD - 40];
    static const uint8_t small[32] = {0};
    uint8_t out[128];
    sv2_bytes items[] = {sv2_view(large, sizeof(large)), sv2_view(small, sizeof(small))};
    sv2_request_transaction_data_success message = {
        .transaction_list = sv2_seq_views(items, 2),
    };
    size_t cap, len;
    for (cap = 0; cap <= sizeof(out); cap++) {
        sv2_report report;
        CHECK(sv2_request_transaction_data_success_encode(out, cap, &report, &message)
              == SV2_ERR_FRAME_LARGE);
        CHECK(sv2_request_transaction_data_success_encode_frame(out, cap, &len, &message)
              == SV2_ERR_FRAME_LARGE);
        CHECK(len == 0);
    }
    CHECK(sv2_request_transaction_data_success_size(&message) == SIZE_MAX);
    return test_result("regress_frame_large");
}

/*
 * Code written for upstream takes a decoded list away by copying the CVec2 and setting data and len of
 * the old one to 0. Pushing to what is left followed the NULL.
 */
#include "sv2.h"

#include "test.h"

/* A RequestTransactionData.Success with two transactions of one byte. */
static const uint8_t frame[] = {0x00, 0x00, 0x74, 20, 0, 0, 1, 0, 0, 0, 0, 0, 0,
                                0,    0,    0,    2,  0, 1, 0, 0, 9, 1, 0, 0, 8};

static CSv2Message decode_one(void)
{
    DecoderWrapper *decoder = new_decoder();
    CResult_CSv2Message_Sv2Error result;
    size_t at = 0;
    do {
        CVec window = get_writable(decoder);
        memcpy(window.data, frame + at, window.len);
        at += window.len;
        result = next_frame(decoder);
    } while (!is_ok(&result) && at < sizeof(frame));
    CHECK(is_ok(&result));
    free_decoder(decoder);
    return result.ok._0;
}

int main(void)
{
    CSv2Message message = decode_one();
    CVec2 *list = &message.request_transaction_data_success._0.transaction_list, taken = *list;
    list->data = NULL;
    list->len = 0;
    cvec2_push(list, cvec_from_buffer(frame, 3));
    CHECK(list->len == 1 && list->data[0].len == 3);
    CHECK(taken.len == 2 && taken.data[0].data[0] == 9 && taken.data[1].data[0] == 8);
    drop_sv2_message(message);
    message.request_transaction_data_success._0.transaction_list = taken;
    drop_sv2_message(message);
    return test_result("regress_emptied_list");
}

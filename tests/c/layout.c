/*
 * The C half of the layout test.
 */
#include "layout.h"

#include <string.h>

CSv2Message c_makes_new_template(void)
{
    static CVec hash = {(uint8_t *)"0123456789abcdef0123456789abcdef", 32, 0};
    CSv2Message message;
    CNewTemplate *t = &message.new_template._0;
    memset(&message, 0, sizeof(message));
    message.tag = CSv2Message_NewTemplate;
    t->template_id = 0x0102030405060708;
    t->future_template = true;
    t->version = 1;
    t->coinbase_tx_version = 2;
    t->coinbase_prefix.data = (uint8_t *)"prefix";
    t->coinbase_prefix.len = 6;
    t->coinbase_tx_input_sequence = 3;
    t->coinbase_tx_value_remaining = 4;
    t->coinbase_tx_outputs_count = 5;
    t->coinbase_tx_locktime = 6;
    t->merkle_path.data = &hash;
    t->merkle_path.len = 1;
    return message;
}

CResult_CSv2Message_Sv2Error c_makes_error(void)
{
    CResult_CSv2Message_Sv2Error result;
    memset(&result, 0, sizeof(result));
    result.tag = CResult_Err;
    result.err._0.tag = Sv2Error_CodecError;
    result.err._0.codec_error._0.tag = CError_MissingBytes;
    result.err._0.codec_error._0.missing_bytes._0 = 77;
    return result;
}

CSv2Message c_makes_with_tag(int tag)
{
    CSv2Message message;
    memset(&message, 0, sizeof(message));
    message.tag = (CSv2Message_Tag)tag;
    return message;
}

// The C++ half of the layout test.
#include "layout.h"

#include <cstring>

bool cpp_knows_new_template(const CSv2Message *message)
{
    const CNewTemplate &t = message->new_template._0;
    return message->tag == CSv2Message::Tag::NewTemplate && t.template_id == 0x0102030405060708
           && t.future_template && t.version == 1 && t.coinbase_tx_version == 2
           && t.coinbase_prefix.len == 6 && memcmp(t.coinbase_prefix.data, "prefix", 6) == 0
           && t.coinbase_tx_input_sequence == 3 && t.coinbase_tx_value_remaining == 4
           && t.coinbase_tx_outputs_count == 5 && t.coinbase_tx_locktime == 6
           && t.merkle_path.len == 1 && t.merkle_path.data[0].len == 32;
}

/*
 * The layout that upstream's header has on 64-bit machines, asserted in C and in C++ from one list,
 * and functions that pass the structs from one language to the other.
 */
#ifndef SV2_TEST_LAYOUT_H
#define SV2_TEST_LAYOUT_H

#include <stddef.h>

#include "sv2.h"

#ifdef __cplusplus
#define LAYOUT(condition) static_assert(condition, #condition)
#define SAME_SIZE(type) extern "C" const size_t size_in_cpp_##type = sizeof(type)
extern "C" {
#else
#define LAYOUT(condition) _Static_assert(condition, #condition)
#endif

#if UINTPTR_MAX == UINT64_MAX
LAYOUT(sizeof(CVec) == 24);
LAYOUT(sizeof(CVec2) == 24);
LAYOUT(sizeof(U24) == 4);
LAYOUT(sizeof(Protocol) == 1);
LAYOUT(sizeof(CError) == 16);
LAYOUT(sizeof(Sv2Error) == 32);
LAYOUT(sizeof(CSv2Message) == 152);
LAYOUT(sizeof(CResult_CSv2Message_Sv2Error) == 160);
LAYOUT(sizeof(CResult_CVec_Sv2Error) == 40);
LAYOUT(sizeof(ChannelEndpointChanged) == 4);
LAYOUT(sizeof(SetupConnectionSuccess) == 8);
LAYOUT(sizeof(CSetupConnection) == 144);
LAYOUT(sizeof(CSetupConnectionError) == 32);
LAYOUT(sizeof(CoinbaseOutputConstraints) == 8);
LAYOUT(sizeof(RequestTransactionData) == 8);
LAYOUT(sizeof(CNewTemplate) == 128);
LAYOUT(sizeof(CRequestTransactionDataSuccess) == 56);
LAYOUT(sizeof(CRequestTransactionDataError) == 32);
LAYOUT(sizeof(CSetNewPrevHash) == 64);
LAYOUT(sizeof(CSubmitSolution) == 48);

LAYOUT(offsetof(CVec, data) == 0 && offsetof(CVec, len) == 8 && offsetof(CVec, capacity) == 16);
LAYOUT(offsetof(CSetupConnection, min_version) == 2);
LAYOUT(offsetof(CSetupConnection, max_version) == 4);
LAYOUT(offsetof(CSetupConnection, flags) == 8);
LAYOUT(offsetof(CSetupConnection, endpoint_host) == 16);
LAYOUT(offsetof(CSetupConnection, endpoint_port) == 40);
LAYOUT(offsetof(CSetupConnection, vendor) == 48);
LAYOUT(offsetof(CSetupConnection, device_id) == 120);
LAYOUT(offsetof(SetupConnectionSuccess, flags) == 4);
LAYOUT(offsetof(CoinbaseOutputConstraints, coinbase_output_max_additional_sigops) == 4);
LAYOUT(offsetof(CNewTemplate, future_template) == 8);
LAYOUT(offsetof(CNewTemplate, version) == 12);
LAYOUT(offsetof(CNewTemplate, coinbase_prefix) == 24);
LAYOUT(offsetof(CNewTemplate, coinbase_tx_input_sequence) == 48);
LAYOUT(offsetof(CNewTemplate, coinbase_tx_value_remaining) == 56);
LAYOUT(offsetof(CNewTemplate, coinbase_tx_outputs_count) == 64);
LAYOUT(offsetof(CNewTemplate, coinbase_tx_outputs) == 72);
LAYOUT(offsetof(CNewTemplate, coinbase_tx_locktime) == 96);
LAYOUT(offsetof(CNewTemplate, merkle_path) == 104);
LAYOUT(offsetof(CRequestTransactionDataSuccess, transaction_list) == 32);
LAYOUT(offsetof(CSetNewPrevHash, header_timestamp) == 32);
LAYOUT(offsetof(CSetNewPrevHash, n_bits) == 36);
LAYOUT(offsetof(CSetNewPrevHash, target) == 40);
LAYOUT(offsetof(CSubmitSolution, coinbase_tx) == 24);
LAYOUT(offsetof(CSv2Message, tag) == 0 && offsetof(CSv2Message, new_template) == 8);
LAYOUT(offsetof(Sv2Error, payload_too_big) == 8 && offsetof(CError, missing_bytes) == 8);
LAYOUT(offsetof(CResult_CSv2Message_Sv2Error, ok) == 8);
LAYOUT(offsetof(CResult_CSv2Message_Sv2Error, err) == 8);
LAYOUT(offsetof(CResult_CVec_Sv2Error, ok) == 8);
#endif

/* In C: a message with every field of its own; a result; the number of the tag. */
CSv2Message c_makes_new_template(void);
CResult_CSv2Message_Sv2Error c_makes_error(void);
CSv2Message c_makes_with_tag(int tag);
/* In C++: whether the message is the one that C makes. */
bool cpp_knows_new_template(const CSv2Message *message);

#ifdef __cplusplus
}
#endif

#endif

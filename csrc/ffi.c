/*
 * The sv2-ffi surface: include/sv2.h over the native codec. The only file of the library that
 * allocates, and the only one with unprefixed names: a program that links the native API does not
 * pull it in.
 */
#include "sv2.h"

#include <stdlib.h>
#include <string.h>

#include "libsv2/messages.h"

/* A build may bring its own allocator; the tests bring one that fails on demand. */
#ifndef SV2_MALLOC
#define SV2_MALLOC malloc
#define SV2_REALLOC realloc
#define SV2_FREE free
#endif

/* Tags are ints in C++. In C they must not be smaller, or the two disagree on every layout. */
_Static_assert(sizeof(CSv2Message_Tag) == sizeof(int), "sv2.h needs -fno-short-enums");

/* A payload's buffer starts at this size and doubles as data arrives. */
#define FIRST_WINDOW ((size_t)64 * 1024)
/* Between frames a decoder or encoder keeps at most this much. */
#define KEPT_CAPACITY ((size_t)4 * 1024 * 1024)
/* From this size on a payload of transactions is handed over to the message instead of copied. */
#define HANDED_OVER ((size_t)32 * 1024)

/* ---- CVec: bytes with an owner -----------------------------------------------------------------*/

static const uint8_t no_bytes[1] = {0};

static CVec borrowed(const uint8_t *data, size_t len)
{
    /* The struct has no const; nobody writes through a borrowed CVec of ours but get_writable's. */
    CVec vec = {(uint8_t *)data, len, 0};
    return vec;
}

/* A copy of bytes with a NUL behind it; *failed is set when out of memory, and left alone else. */
static CVec owned_copy(const uint8_t *data, size_t len, bool *failed)
{
    CVec vec = borrowed(no_bytes, 0);
    uint8_t *copy;
    if (len == 0)
        return vec;
    copy = len < SIZE_MAX ? SV2_MALLOC(len + 1) : NULL;
    if (copy == NULL) {
        *failed = true;
        return vec;
    }
    memcpy(copy, data, len);
    copy[len] = 0;
    vec.data = copy;
    vec.len = vec.capacity = len;
    return vec;
}

static void free_vec(CVec vec)
{
    if (vec.capacity != 0)
        SV2_FREE(vec.data);
}

CVec cvec_from_buffer(const uint8_t *data, uintptr_t len)
{
    bool failed = false;
    return owned_copy(data, data != NULL ? len : 0, &failed);
}

/* ---- CVec2: lists ------------------------------------------------------------------------------
 *
 * A list that cvec2_push made is an array of CVecs, each of which may own its bytes. A list that
 * decoding made is a block: a head, an array of CVecs that own nothing, and the bytes that they point
 * to, either behind the array or, for a large payload, the decoder's own buffer, handed over. One
 * allocation for thousands of transactions, and no copy of them, is most of what makes decoding fast.
 * The top bit of capacity tells a block from an array. */

#define BLOCK_BIT (~(UINTPTR_MAX >> 1))

typedef struct block {
    uint8_t *payload; /* the buffer that was handed over; NULL where the bytes are behind vecs */
    const uint8_t *first; /* bytes of element 0 */
    size_t gap;           /* between the end of an element and the beginning of the next */
    CVec vecs[];
} block;

static block *block_of(const CVec2 *list)
{
    return (block *)((uint8_t *)list->data - offsetof(block, vecs));
}

CVec2 init_cvec2(void)
{
    CVec2 list = {NULL, 0, 0};
    return list;
}

/* Whether the block is as decoding made it. Code written for upstream may have moved elements out,
 * into another list, and left this one shorter or with holes. */
static bool block_is_whole(const CVec2 *list)
{
    size_t count = list->capacity & ~BLOCK_BIT, at = 0, i;
    const uint8_t *first = block_of(list)->first;
    if (list->len != count)
        return false;
    for (i = 0; i < count; i++) {
        if (list->data[i].data != first + at || list->data[i].capacity != 0)
            return false;
        at += list->data[i].len + block_of(list)->gap;
    }
    return true;
}

/* Frees a block, unless elements were moved out of it: then it stays, for whoever has them points
 * into it. */
static void free_block(const CVec2 *list)
{
    if (list->data == NULL || !block_is_whole(list))
        return;
    SV2_FREE(block_of(list)->payload);
    SV2_FREE(block_of(list));
}

static void free_list(CVec2 list)
{
    size_t i;
    if (list.data == NULL)
        return;
    for (i = 0; i < list.len; i++)
        free_vec(list.data[i]);
    if (list.capacity & BLOCK_BIT)
        free_block(&list);
    else if (list.capacity != 0)
        SV2_FREE(list.data);
}

/* The elements as an array with room for capacity, each on its own: what lay in a block is copied.
 * NULL when out of memory, with the list unchanged. */
static CVec *array_copy(const CVec2 *list, size_t capacity)
{
    bool failed = false;
    CVec *array = SV2_MALLOC(capacity * sizeof(CVec));
    size_t i;
    if (array == NULL)
        return NULL;
    for (i = 0; i < list->len && !failed; i++) {
        CVec vec = list->data[i];
        array[i] = vec.capacity != 0 ? vec : owned_copy(vec.data, vec.len, &failed);
    }
    if (!failed)
        return array;
    while (i-- > 0)
        if (list->data[i].capacity == 0)
            free_vec(array[i]);
    SV2_FREE(array);
    return NULL;
}

/* Room for one more element; false when out of memory, with the list unchanged. */
static bool grow_list(CVec2 *list)
{
    bool is_array = !(list->capacity & BLOCK_BIT);
    size_t capacity = list->len < 4 ? 4 : list->len * 2;
    CVec *array;
    if (is_array && list->len < list->capacity)
        return true;
    if (capacity > SIZE_MAX / 2 / sizeof(CVec))
        return false;
    if (is_array && list->capacity != 0) {
        array = SV2_REALLOC(list->data, capacity * sizeof(CVec));
        if (array == NULL)
            return false;
    } else {
        array = array_copy(list, capacity);
        if (array == NULL)
            return false;
        if (!is_array)
            free_block(list);
    }
    list->data = array;
    list->capacity = capacity;
    return true;
}

void cvec2_push(CVec2 *cvec2, CVec cvec)
{
    if (cvec2 == NULL || !grow_list(cvec2)) {
        free_vec(cvec);
        return;
    }
    cvec2->data[cvec2->len++] = cvec;
}

/* A block without elements yet, with room for extra bytes behind its array; NULL when out of memory. */
static block *new_block(size_t count, size_t extra, size_t gap)
{
    block *b = SV2_MALLOC(sizeof(block) + count * sizeof(CVec) + extra);
    if (b == NULL)
        return NULL;
    b->payload = NULL;
    b->first = (const uint8_t *)(b->vecs + count);
    b->gap = gap;
    return b;
}

static CVec2 list_of(block *b, size_t count)
{
    CVec2 list = {b->vecs, count, count | BLOCK_BIT};
    return list;
}

/* A list of copies of a decoded sequence's hashes. */
static CVec2 copy_hashes(const sv2_seq *seq, bool *failed)
{
    CVec2 list = {NULL, 0, 0};
    block *b;
    size_t i;
    if (seq->count == 0)
        return list;
    b = new_block(seq->count, seq->size, 0);
    if (b == NULL) {
        *failed = true;
        return list;
    }
    memcpy(b->vecs + seq->count, seq->data, seq->size);
    for (i = 0; i < seq->count; i++)
        b->vecs[i] = borrowed(b->first + 32 * i, 32);
    return list_of(b, seq->count);
}

/* A list of a decoded sequence's transactions: with a copy of them, or, where they stay in the
 * payload that they came in, without. */
static CVec2 list_transactions(const sv2_seq *seq, bool stay, bool *failed)
{
    CVec2 list = {NULL, 0, 0};
    sv2_seq rest = *seq;
    sv2_bytes item;
    block *b;
    size_t i;
    if (seq->count == 0)
        return list;
    b = new_block(seq->count, stay ? 0 : seq->size, 3);
    if (b == NULL) {
        *failed = true;
        return list;
    }
    if (!stay) {
        memcpy(b->vecs + seq->count, seq->data, seq->size);
        rest.data = b->first;
    }
    b->first = (const uint8_t *)rest.data + 3; /* the length in front stays with each element */
    for (i = 0; sv2_seq_next(&rest, &item) == SV2_OK; i++)
        b->vecs[i] = borrowed(item.data, item.len);
    return list_of(b, seq->count);
}

/* ---- Dropping ---------------------------------------------------------------------------------*/

void free_setup_connection(CSetupConnection s)
{
    free_vec(s.endpoint_host);
    free_vec(s.vendor);
    free_vec(s.hardware_version);
    free_vec(s.firmware);
    free_vec(s.device_id);
}

void free_setup_connection_error(CSetupConnectionError s)
{
    free_vec(s.error_code);
}

void free_new_template(CNewTemplate s)
{
    free_vec(s.coinbase_prefix);
    free_vec(s.coinbase_tx_outputs);
    free_list(s.merkle_path);
}

void free_request_tx_data_success(CRequestTransactionDataSuccess s)
{
    free_vec(s.excess_data);
    free_list(s.transaction_list);
}

void free_request_tx_data_error(CRequestTransactionDataError s)
{
    free_vec(s.error_code);
}

void free_set_new_prev_hash(CSetNewPrevHash s)
{
    free_vec(s.prev_hash);
    free_vec(s.target);
}

void free_submit_solution(CSubmitSolution s)
{
    free_vec(s.coinbase_tx);
}

void drop_sv2_message(CSv2Message s)
{
    switch (s.tag) {
    case CSv2Message_NewTemplate:
        free_new_template(s.new_template._0);
        return;
    case CSv2Message_RequestTransactionDataError:
        free_request_tx_data_error(s.request_transaction_data_error._0);
        return;
    case CSv2Message_RequestTransactionDataSuccess:
        free_request_tx_data_success(s.request_transaction_data_success._0);
        return;
    case CSv2Message_SetNewPrevHash:
        free_set_new_prev_hash(s.set_new_prev_hash._0);
        return;
    case CSv2Message_SubmitSolution:
        free_submit_solution(s.submit_solution._0);
        return;
    case CSv2Message_SetupConnection:
        free_setup_connection(s.setup_connection._0);
        return;
    case CSv2Message_SetupConnectionError:
        free_setup_connection_error(s.setup_connection_error._0);
        return;
    case CSv2Message_CoinbaseOutputConstraints:
    case CSv2Message_RequestTransactionData:
    case CSv2Message_ChannelEndpointChanged:
    case CSv2Message_SetupConnectionSuccess:
        return; /* own nothing */
    }
}

void drop_sv2_error(Sv2Error s)
{
    if (s.tag == Sv2Error_PayloadTooBig)
        free_vec(s.payload_too_big._0);
}

/* ---- Errors -----------------------------------------------------------------------------------*/

static Sv2Error error_of(Sv2Error_Tag tag)
{
    Sv2Error error;
    memset(&error, 0, sizeof(error));
    error.tag = tag;
    return error;
}

static Sv2Error out_of_memory(void)
{
    Sv2Error error = error_of(Sv2Error_CodecError);
    error.codec_error._0.tag = CError_UnexpectedNoiseState;
    return error;
}

static Sv2Error cannot_be_encoded(void)
{
    Sv2Error error = error_of(Sv2Error_BinaryError);
    error.binary_error._0.tag = CError_BinarySv2Error;
    return error;
}

static Sv2Error payload_too_big(void)
{
    static const char text[] = "the payload is over 16,777,215 bytes";
    Sv2Error error = error_of(Sv2Error_PayloadTooBig);
    error.payload_too_big._0 = cvec_from_buffer((const uint8_t *)text, sizeof(text) - 1);
    return error;
}

static CResult_CSv2Message_Sv2Error no_message(Sv2Error error)
{
    CResult_CSv2Message_Sv2Error result;
    memset(&result, 0, sizeof(result));
    result.tag = CResult_Err;
    result.err._0 = error;
    return result;
}

static CResult_CVec_Sv2Error no_frame(Sv2Error error)
{
    CResult_CVec_Sv2Error result;
    memset(&result, 0, sizeof(result));
    result.tag = CResult_Err;
    result.err._0 = error;
    return result;
}

bool is_ok(const CResult_CSv2Message_Sv2Error *cresult)
{
    return cresult != NULL && cresult->tag == CResult_Ok;
}

/* ---- From native messages to the surface's ----------------------------------------------------*/

static CVec own(sv2_bytes bytes, bool *failed)
{
    return owned_copy(bytes.data, bytes.len, failed);
}

static void own_setup_connection(CSv2Message *out, const sv2_setup_connection *in, bool *failed)
{
    CSetupConnection *m = &out->setup_connection._0;
    out->tag = CSv2Message_SetupConnection;
    m->protocol = in->protocol;
    m->min_version = in->min_version;
    m->max_version = in->max_version;
    m->flags = in->flags;
    m->endpoint_host = own(in->endpoint_host, failed);
    m->endpoint_port = in->endpoint_port;
    m->vendor = own(in->vendor, failed);
    m->hardware_version = own(in->hardware_version, failed);
    m->firmware = own(in->firmware, failed);
    m->device_id = own(in->device_id, failed);
}

static void own_new_template(CSv2Message *out, const sv2_new_template *in, bool *failed)
{
    CNewTemplate *m = &out->new_template._0;
    out->tag = CSv2Message_NewTemplate;
    m->template_id = in->template_id;
    m->future_template = in->future_template;
    m->version = in->version;
    m->coinbase_tx_version = in->coinbase_tx_version;
    m->coinbase_prefix = own(in->coinbase_prefix, failed);
    m->coinbase_tx_input_sequence = in->coinbase_tx_input_sequence;
    m->coinbase_tx_value_remaining = in->coinbase_tx_value_remaining;
    m->coinbase_tx_outputs_count = in->coinbase_tx_outputs_count;
    m->coinbase_tx_outputs = own(in->coinbase_tx_outputs, failed);
    m->coinbase_tx_locktime = in->coinbase_tx_locktime;
    m->merkle_path = copy_hashes(&in->merkle_path, failed);
}

static void own_transaction_data(CSv2Message *out, const sv2_request_transaction_data_success *in,
                                 bool stay, bool *failed)
{
    CRequestTransactionDataSuccess *m = &out->request_transaction_data_success._0;
    out->tag = CSv2Message_RequestTransactionDataSuccess;
    m->template_id = in->template_id;
    m->excess_data = own(in->excess_data, failed);
    m->transaction_list = list_transactions(&in->transaction_list, stay, failed);
}

static void own_set_new_prev_hash(CSv2Message *out,
                                  const sv2_template_distribution_set_new_prev_hash *in,
                                  bool *failed)
{
    CSetNewPrevHash *m = &out->set_new_prev_hash._0;
    out->tag = CSv2Message_SetNewPrevHash;
    m->template_id = in->template_id;
    m->prev_hash = owned_copy(in->prev_hash, 32, failed);
    m->header_timestamp = in->header_timestamp;
    m->n_bits = in->n_bits;
    m->target = owned_copy(in->target, 32, failed);
}

static void own_submit_solution(CSv2Message *out, const sv2_submit_solution *in, bool *failed)
{
    CSubmitSolution *m = &out->submit_solution._0;
    out->tag = CSv2Message_SubmitSolution;
    m->template_id = in->template_id;
    m->version = in->version;
    m->header_timestamp = in->header_timestamp;
    m->header_nonce = in->header_nonce;
    m->coinbase_tx = own(in->coinbase_tx, failed);
}

/* The surface's form of a decoded message. Every CVec that could not be had is an empty one, so that
 * what was had can be dropped. stay: transactions are left where they are. False where the surface
 * has no such message. */
static bool own_message(CSv2Message *out, const sv2_message *in, bool stay, bool *failed)
{
    switch (in->id) {
    case SV2_ID_SETUP_CONNECTION:
        if (in->as.setup_connection.protocol > SV2_TEMPLATE_DISTR_PROTOCOL_DISCRIMINANT)
            return false; /* Protocol cannot hold it */
        own_setup_connection(out, &in->as.setup_connection, failed);
        return true;
    case SV2_ID_SETUP_CONNECTION_SUCCESS:
        out->tag = CSv2Message_SetupConnectionSuccess;
        out->setup_connection_success._0.used_version =
            in->as.setup_connection_success.used_version;
        out->setup_connection_success._0.flags = in->as.setup_connection_success.flags;
        return true;
    case SV2_ID_SETUP_CONNECTION_ERROR:
        out->tag = CSv2Message_SetupConnectionError;
        out->setup_connection_error._0.flags = in->as.setup_connection_error.flags;
        out->setup_connection_error._0.error_code =
            own(in->as.setup_connection_error.error_code, failed);
        return true;
    case SV2_ID_CHANNEL_ENDPOINT_CHANGED:
        out->tag = CSv2Message_ChannelEndpointChanged;
        out->channel_endpoint_changed._0.channel_id = in->as.channel_endpoint_changed.channel_id;
        return true;
    case SV2_ID_COINBASE_OUTPUT_CONSTRAINTS:
        out->tag = CSv2Message_CoinbaseOutputConstraints;
        out->coinbase_output_constraints._0.coinbase_output_max_additional_size =
            in->as.coinbase_output_constraints.coinbase_output_max_additional_size;
        out->coinbase_output_constraints._0.coinbase_output_max_additional_sigops =
            in->as.coinbase_output_constraints.coinbase_output_max_additional_sigops;
        return true;
    case SV2_ID_NEW_TEMPLATE:
        own_new_template(out, &in->as.new_template, failed);
        return true;
    case SV2_ID_TEMPLATE_DISTRIBUTION_SET_NEW_PREV_HASH:
        own_set_new_prev_hash(out, &in->as.template_distribution_set_new_prev_hash, failed);
        return true;
    case SV2_ID_REQUEST_TRANSACTION_DATA:
        out->tag = CSv2Message_RequestTransactionData;
        out->request_transaction_data._0.template_id = in->as.request_transaction_data.template_id;
        return true;
    case SV2_ID_REQUEST_TRANSACTION_DATA_SUCCESS:
        own_transaction_data(out, &in->as.request_transaction_data_success, stay, failed);
        return true;
    case SV2_ID_REQUEST_TRANSACTION_DATA_ERROR:
        out->tag = CSv2Message_RequestTransactionDataError;
        out->request_transaction_data_error._0.template_id =
            in->as.request_transaction_data_error.template_id;
        out->request_transaction_data_error._0.error_code =
            own(in->as.request_transaction_data_error.error_code, failed);
        return true;
    case SV2_ID_SUBMIT_SOLUTION:
        own_submit_solution(out, &in->as.submit_solution, failed);
        return true;
    default:
        return false;
    }
}

/* ---- Decoder ----------------------------------------------------------------------------------*/

struct DecoderWrapper {
    uint8_t header[SV2_FRAME_HEADER_LEN];
    bool has_header; /* frame is that of header; else the next window is the header */
    sv2_frame frame;
    uint8_t *payload;
    size_t capacity; /* of payload */
    size_t held;     /* bytes of payload that have arrived */
    size_t window;   /* bytes lent by get_writable and not yet taken by next_frame */
};

DecoderWrapper *new_decoder(void)
{
    DecoderWrapper *decoder = SV2_MALLOC(sizeof(*decoder));
    if (decoder != NULL)
        memset(decoder, 0, sizeof(*decoder));
    return decoder;
}

void free_decoder(DecoderWrapper *decoder)
{
    if (decoder == NULL)
        return;
    SV2_FREE(decoder->payload);
    SV2_FREE(decoder);
}

/* Room for more of the payload; false when out of memory. Memory follows the data that has arrived,
 * not the length that the header promises. */
static bool grow_payload(DecoderWrapper *decoder)
{
    size_t capacity = decoder->held < FIRST_WINDOW ? FIRST_WINDOW : decoder->held * 2;
    uint8_t *payload;
    if (capacity > decoder->frame.length)
        capacity = decoder->frame.length;
    if (capacity <= decoder->capacity)
        return true;
    payload = SV2_REALLOC(decoder->payload, capacity);
    if (payload == NULL)
        return false;
    decoder->payload = payload;
    decoder->capacity = capacity;
    return true;
}

CVec get_writable(DecoderWrapper *decoder)
{
    size_t end;
    if (decoder == NULL)
        return borrowed(no_bytes, 0);
    if (!decoder->has_header) {
        decoder->window = SV2_FRAME_HEADER_LEN;
        return borrowed(decoder->header, decoder->window);
    }
    decoder->window = 0;
    if (decoder->held == decoder->frame.length || !grow_payload(decoder))
        return borrowed(no_bytes, 0);
    end = decoder->capacity < decoder->frame.length ? decoder->capacity : decoder->frame.length;
    decoder->window = end - decoder->held;
    return borrowed(decoder->payload + decoder->held, decoder->window);
}

/* Gets ready for the next frame; a large buffer is not kept. */
static void finish_frame(DecoderWrapper *decoder)
{
    decoder->has_header = false;
    decoder->held = 0;
    if (decoder->capacity > KEPT_CAPACITY) {
        SV2_FREE(decoder->payload);
        decoder->payload = NULL;
        decoder->capacity = 0;
    }
}

/* Whether the payload is large and fills its buffer well: worth handing over instead of copying. */
static bool is_worth_handing_over(const DecoderWrapper *decoder)
{
    return decoder->frame.length >= HANDED_OVER && decoder->frame.length >= decoder->capacity / 2;
}

/* The transactions of message lie in the decoder's buffer: gives it to them. */
static void hand_over(DecoderWrapper *decoder, const CSv2Message *message)
{
    const CVec2 *list = &message->request_transaction_data_success._0.transaction_list;
    if (message->tag != CSv2Message_RequestTransactionDataSuccess || list->len == 0)
        return;
    block_of(list)->payload = decoder->payload;
    decoder->payload = NULL;
    decoder->capacity = 0;
}

static CResult_CSv2Message_Sv2Error decode_frame(DecoderWrapper *decoder)
{
    CResult_CSv2Message_Sv2Error result;
    sv2_message message;
    bool failed = false, known = false, stay = is_worth_handing_over(decoder);
    result.tag = CResult_Ok;
    decoder->frame.payload = decoder->payload;
    if (sv2_message_decode(&message, NULL, &decoder->frame) == SV2_OK) {
        known = own_message(&result.ok._0, &message, stay, &failed);
        if (known && failed) {
            drop_sv2_message(result.ok._0);
            return no_message(out_of_memory());
        }
        if (known && stay)
            hand_over(decoder, &result.ok._0);
    }
    finish_frame(decoder);
    return known ? result : no_message(error_of(Sv2Error_Unknown));
}

/* Takes what was written into the window. */
static void take_window(DecoderWrapper *decoder)
{
    if (decoder->window == 0)
        return;
    if (decoder->has_header) {
        decoder->held += decoder->window;
    } else {
        sv2_frame_header_decode(&decoder->frame, decoder->header);
        decoder->has_header = true;
    }
    decoder->window = 0;
}

CResult_CSv2Message_Sv2Error next_frame(DecoderWrapper *decoder)
{
    if (decoder == NULL)
        return no_message(error_of(Sv2Error_InvalidSv2Frame));
    take_window(decoder);
    if (!decoder->has_header || decoder->held < decoder->frame.length)
        return no_message(error_of(Sv2Error_MissingBytes));
    return decode_frame(decoder);
}

/* ---- From the surface's messages to native ----------------------------------------------------*/

static sv2_bytes view(CVec vec)
{
    return sv2_view(vec.data, vec.len);
}

/* A list as a sequence of views: a CVec begins as an sv2_bytes does. */
static sv2_seq views(CVec2 list)
{
    sv2_seq seq = {list.data, 0, UINT32_MAX, sizeof(CVec)};
    if (list.len < UINT32_MAX)
        seq.count = (uint32_t)list.len;
    return seq;
}

static bool copy_u256(uint8_t out[32], CVec vec)
{
    if (vec.len != 32 || vec.data == NULL)
        return false;
    memcpy(out, vec.data, 32);
    return true;
}

static bool view_setup_connection(sv2_setup_connection *out, const CSetupConnection *m)
{
    out->protocol = m->protocol;
    out->min_version = m->min_version;
    out->max_version = m->max_version;
    out->flags = m->flags;
    out->endpoint_host = view(m->endpoint_host);
    out->endpoint_port = m->endpoint_port;
    out->vendor = view(m->vendor);
    out->hardware_version = view(m->hardware_version);
    out->firmware = view(m->firmware);
    out->device_id = view(m->device_id);
    return m->protocol <= SV2_TEMPLATE_DISTR_PROTOCOL_DISCRIMINANT;
}

static void view_new_template(sv2_new_template *out, const CNewTemplate *m)
{
    out->template_id = m->template_id;
    out->future_template = m->future_template;
    out->version = m->version;
    out->coinbase_tx_version = m->coinbase_tx_version;
    out->coinbase_prefix = view(m->coinbase_prefix);
    out->coinbase_tx_input_sequence = m->coinbase_tx_input_sequence;
    out->coinbase_tx_value_remaining = m->coinbase_tx_value_remaining;
    out->coinbase_tx_outputs_count = m->coinbase_tx_outputs_count;
    out->coinbase_tx_outputs = view(m->coinbase_tx_outputs);
    out->coinbase_tx_locktime = m->coinbase_tx_locktime;
    out->merkle_path = views(m->merkle_path);
}

static bool view_set_new_prev_hash(sv2_template_distribution_set_new_prev_hash *out,
                                   const CSetNewPrevHash *m)
{
    out->template_id = m->template_id;
    out->header_timestamp = m->header_timestamp;
    out->n_bits = m->n_bits;
    return copy_u256(out->prev_hash, m->prev_hash) && copy_u256(out->target, m->target);
}

/* The native form of a message, pointing into it, and its descriptor; NULL for a tag that is none of
 * ours. *valid is set to false where a field cannot be encoded, and left alone else. */
static const sv2_descriptor *view_message(sv2_message *out, const CSv2Message *in, bool *valid)
{
    switch (in->tag) {
    case CSv2Message_SetupConnection:
        *valid = view_setup_connection(&out->as.setup_connection, &in->setup_connection._0);
        return &sv2_setup_connection_descriptor;
    case CSv2Message_SetupConnectionSuccess:
        out->as.setup_connection_success.used_version =
            in->setup_connection_success._0.used_version;
        out->as.setup_connection_success.flags = in->setup_connection_success._0.flags;
        return &sv2_setup_connection_success_descriptor;
    case CSv2Message_SetupConnectionError:
        out->as.setup_connection_error.flags = in->setup_connection_error._0.flags;
        out->as.setup_connection_error.error_code = view(in->setup_connection_error._0.error_code);
        return &sv2_setup_connection_error_descriptor;
    case CSv2Message_ChannelEndpointChanged:
        out->as.channel_endpoint_changed.channel_id = in->channel_endpoint_changed._0.channel_id;
        return &sv2_channel_endpoint_changed_descriptor;
    case CSv2Message_CoinbaseOutputConstraints:
        out->as.coinbase_output_constraints.coinbase_output_max_additional_size =
            in->coinbase_output_constraints._0.coinbase_output_max_additional_size;
        out->as.coinbase_output_constraints.coinbase_output_max_additional_sigops =
            in->coinbase_output_constraints._0.coinbase_output_max_additional_sigops;
        return &sv2_coinbase_output_constraints_descriptor;
    case CSv2Message_NewTemplate:
        view_new_template(&out->as.new_template, &in->new_template._0);
        return &sv2_new_template_descriptor;
    case CSv2Message_SetNewPrevHash:
        *valid = view_set_new_prev_hash(&out->as.template_distribution_set_new_prev_hash,
                                        &in->set_new_prev_hash._0);
        return &sv2_template_distribution_set_new_prev_hash_descriptor;
    case CSv2Message_RequestTransactionData:
        out->as.request_transaction_data.template_id = in->request_transaction_data._0.template_id;
        return &sv2_request_transaction_data_descriptor;
    case CSv2Message_RequestTransactionDataSuccess: {
        const CRequestTransactionDataSuccess *m = &in->request_transaction_data_success._0;
        out->as.request_transaction_data_success.template_id = m->template_id;
        out->as.request_transaction_data_success.excess_data = view(m->excess_data);
        out->as.request_transaction_data_success.transaction_list = views(m->transaction_list);
        return &sv2_request_transaction_data_success_descriptor;
    }
    case CSv2Message_RequestTransactionDataError:
        out->as.request_transaction_data_error.template_id =
            in->request_transaction_data_error._0.template_id;
        out->as.request_transaction_data_error.error_code =
            view(in->request_transaction_data_error._0.error_code);
        return &sv2_request_transaction_data_error_descriptor;
    case CSv2Message_SubmitSolution:
        out->as.submit_solution.template_id = in->submit_solution._0.template_id;
        out->as.submit_solution.version = in->submit_solution._0.version;
        out->as.submit_solution.header_timestamp = in->submit_solution._0.header_timestamp;
        out->as.submit_solution.header_nonce = in->submit_solution._0.header_nonce;
        out->as.submit_solution.coinbase_tx = view(in->submit_solution._0.coinbase_tx);
        return &sv2_submit_solution_descriptor;
    }
    return NULL;
}

/* ---- Encoder ----------------------------------------------------------------------------------*/

struct EncoderWrapper {
    uint8_t *frame;
    size_t capacity;
    bool lent;
};

EncoderWrapper *new_encoder(void)
{
    EncoderWrapper *encoder = SV2_MALLOC(sizeof(*encoder));
    if (encoder != NULL)
        memset(encoder, 0, sizeof(*encoder));
    return encoder;
}

static void release_frame(EncoderWrapper *encoder)
{
    SV2_FREE(encoder->frame);
    encoder->frame = NULL;
    encoder->capacity = 0;
}

void free_encoder(EncoderWrapper *encoder)
{
    if (encoder == NULL)
        return;
    release_frame(encoder);
    SV2_FREE(encoder);
}

void flush_encoder(EncoderWrapper *encoder)
{
    if (encoder == NULL)
        return;
    encoder->lent = false;
    if (encoder->capacity > KEPT_CAPACITY)
        release_frame(encoder);
}

/* Encodes into the buffer that is there; when it is too small, into a new one of the exact size. */
static sv2_status encode_frame(EncoderWrapper *encoder, size_t *len,
                               const sv2_descriptor *descriptor, const sv2_message *message)
{
    sv2_status status =
        sv2_frame_encode(descriptor, encoder->frame, encoder->capacity, len, &message->as);
    if (status != SV2_ERR_BUFFER)
        return status;
    release_frame(encoder);
    encoder->frame = SV2_MALLOC(*len);
    if (encoder->frame == NULL)
        return SV2_ERR_BUFFER;
    encoder->capacity = *len;
    return sv2_frame_encode(descriptor, encoder->frame, encoder->capacity, len, &message->as);
}

CResult_CVec_Sv2Error encode(CSv2Message *message, EncoderWrapper *encoder)
{
    CResult_CVec_Sv2Error result;
    const sv2_descriptor *descriptor;
    sv2_message native;
    bool valid = true;
    size_t len;
    if (message == NULL || encoder == NULL)
        return no_frame(error_of(Sv2Error_InvalidSv2Frame));
    if (encoder->lent)
        return no_frame(error_of(Sv2Error_EncoderBusy));
    descriptor = view_message(&native, message, &valid);
    if (descriptor == NULL)
        return no_frame(error_of(Sv2Error_InvalidSv2Frame));
    if (!valid)
        return no_frame(cannot_be_encoded());
    switch (encode_frame(encoder, &len, descriptor, &native)) {
    case SV2_OK:
        encoder->lent = true;
        result.tag = CResult_Ok;
        result.ok._0 = borrowed(encoder->frame, len);
        return result;
    case SV2_ERR_BUFFER:
        return no_frame(out_of_memory());
    case SV2_ERR_FRAME_LARGE:
        return no_frame(payload_too_big());
    default:
        return no_frame(cannot_be_encoded());
    }
}

/* ---- Markers ----------------------------------------------------------------------------------*/

CError export_cerror(void)
{
    return out_of_memory().codec_error._0;
}

void _c_export_u24(U24 _a)
{
    (void)_a;
}

void _c_export_cvec(CVec _a)
{
    (void)_a;
}

void _c_export_cvec2(CVec2 _a)
{
    (void)_a;
}

void _c_export_channel_endpoint_changed(ChannelEndpointChanged _a)
{
    (void)_a;
}

void _c_export_setup_conn_succ(SetupConnectionSuccess _a)
{
    (void)_a;
}

void _c_export_coinbase_out(CoinbaseOutputConstraints _a)
{
    (void)_a;
}

void _c_export_req_tx_data(RequestTransactionData _a)
{
    (void)_a;
}

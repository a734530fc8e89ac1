/* Invariant: no sequence of sv2.h calls that its rules allow crashes, leaks or frees twice, with any allocation failing; errors are the documented ones; what encodes decodes to itself. */
/*
 * Input: a program: 1 byte operation, its operands, and so on. See the table at the end.
 */
#include <stdlib.h>

#include "fuzz.h"
#include "surface_alloc.h"
#include "sv2.h"

/* ---- An allocator that fails on demand ---------------------------------------------------------*/

#define NEVER UINT32_MAX
#define MOST_LIVE 4096

static struct {
    void *live[MOST_LIVE];
    size_t live_count;
    uint32_t until_failure; /* allocations that still succeed */
    bool again;             /* whether those behind the failure fail too */
    size_t failures;
} heap;

static bool fails_now(void)
{
    if (heap.until_failure == NEVER)
        return false;
    if (heap.until_failure > 0) {
        heap.until_failure--;
        return false;
    }
    if (!heap.again)
        heap.until_failure = NEVER;
    heap.failures++;
    return true;
}

static void remember(void *block)
{
    CHECK(heap.live_count < MOST_LIVE);
    heap.live[heap.live_count++] = block;
}

static void forget(const void *block)
{
    size_t i = heap.live_count;
    while (i > 0 && heap.live[i - 1] != block)
        i--;
    CHECK(i > 0); /* else it was freed before, or never came from here */
    heap.live[i - 1] = heap.live[--heap.live_count];
}

void *surface_malloc(size_t size)
{
    void *block;
    if (fails_now())
        return NULL;
    block = fuzz_malloc(size);
    remember(block);
    return block;
}

void *surface_realloc(void *block, size_t size)
{
    void *moved;
    CHECK(size != 0);
    if (block == NULL)
        return surface_malloc(size);
    if (fails_now())
        return NULL;
    forget(block);
    moved = realloc(block, size);
    CHECK(moved != NULL);
    remember(moved);
    return moved;
}

void surface_free(void *block)
{
    if (block != NULL)
        forget(block);
    free(block);
}

/* ---- The stage --------------------------------------------------------------------------------*/

enum {
    DECODERS = 2,
    ENCODERS = 2,
    SLOTS = 4,
    TAGS = 11,
    MOST_FED = 1 << 18
};

typedef struct stage {
    DecoderWrapper *decoders[DECODERS];
    EncoderWrapper *encoders[ENCODERS];
    bool lent[ENCODERS];
    CSv2Message slots[SLOTS];
    bool used[SLOTS];
    size_t strays; /* lists that elements were moved out of: the library leaves their bytes */
    size_t fed;    /* bytes given to decoders */
} stage;

static volatile uint8_t sink;

static void touch(const uint8_t *data, size_t len)
{
    uint8_t sum = 0;
    while (len > 0)
        sum ^= data[--len];
    sink = sum;
}

static void touch_vec(CVec vec)
{
    touch(vec.data, vec.len);
    if (vec.capacity != 0)
        CHECK(vec.capacity >= vec.len && vec.data[vec.len] == 0);
}

static CVec2 *list_of(CSv2Message *m)
{
    if (m->tag == CSv2Message_NewTemplate)
        return &m->new_template._0.merkle_path;
    if (m->tag == CSv2Message_RequestTransactionDataSuccess)
        return &m->request_transaction_data_success._0.transaction_list;
    return NULL;
}

/* The CVecs of a message; returns how many. */
static size_t vecs_of(CSv2Message *m, CVec *out[5])
{
    CSetupConnection *setup = &m->setup_connection._0;
    switch (m->tag) {
    case CSv2Message_SetupConnection:
        out[0] = &setup->endpoint_host;
        out[1] = &setup->vendor;
        out[2] = &setup->hardware_version;
        out[3] = &setup->firmware;
        out[4] = &setup->device_id;
        return 5;
    case CSv2Message_SetupConnectionError:
        out[0] = &m->setup_connection_error._0.error_code;
        return 1;
    case CSv2Message_NewTemplate:
        out[0] = &m->new_template._0.coinbase_prefix;
        out[1] = &m->new_template._0.coinbase_tx_outputs;
        return 2;
    case CSv2Message_RequestTransactionDataSuccess:
        out[0] = &m->request_transaction_data_success._0.excess_data;
        return 1;
    case CSv2Message_RequestTransactionDataError:
        out[0] = &m->request_transaction_data_error._0.error_code;
        return 1;
    case CSv2Message_SetNewPrevHash:
        out[0] = &m->set_new_prev_hash._0.prev_hash;
        out[1] = &m->set_new_prev_hash._0.target;
        return 2;
    case CSv2Message_SubmitSolution:
        out[0] = &m->submit_solution._0.coinbase_tx;
        return 1;
    default:
        CHECK((unsigned)m->tag < TAGS);
        return 0;
    }
}

static void touch_message(CSv2Message *m)
{
    CVec *vecs[5];
    CVec2 *list = list_of(m);
    size_t n = vecs_of(m, vecs), i;
    while (n > 0)
        touch_vec(*vecs[--n]);
    for (i = 0; list != NULL && i < list->len; i++)
        touch(list->data[i].data, list->data[i].len);
}

/* ---- Slots ------------------------------------------------------------------------------------*/

#define BLOCK_BIT (~(UINTPTR_MAX >> 1))

/* A decoded list that elements were taken out of: its bytes outlive it. */
static bool leaves_stray(CSv2Message *m)
{
    CVec2 *list = list_of(m);
    size_t i;
    if (list == NULL || (list->capacity & BLOCK_BIT) == 0)
        return false;
    for (i = 0; i < list->len; i++)
        if (list->data[i].data == NULL)
            return true;
    return list->len != (list->capacity & ~BLOCK_BIT);
}

static void drop_slot(stage *s, size_t slot)
{
    if (!s->used[slot])
        return;
    s->strays += leaves_stray(&s->slots[slot]);
    drop_sv2_message(s->slots[slot]);
    memset(&s->slots[slot], 0xee, sizeof(s->slots[slot]));
    s->used[slot] = false;
}

static void fill_slot(stage *s, size_t slot, const CSv2Message *m)
{
    drop_slot(s, slot);
    s->slots[slot] = *m;
    s->used[slot] = true;
}

/* ---- Operations -------------------------------------------------------------------------------*/

static CVec make_vec(choices *from)
{
    uint8_t how = (uint8_t)choose(from, 1);
    size_t wanted = how < 0x80 ? how & 0x3f : how < 0xc0 ? 32 : how < 0xe0 ? 255 : 65535 + how % 2;
    size_t found, failures = heap.failures;
    const uint8_t *p = choose_bytes(from, wanted, &found);
    uint8_t *data = fuzz_malloc(wanted);
    CVec vec;
    memset(data, 0xa5, wanted);
    if (found != 0)
        memcpy(data, p, found);
    vec = cvec_from_buffer(data, wanted);
    CHECK(vec.len == (failures == heap.failures ? wanted : 0));
    CHECK(vec.len == 0 || memcmp(vec.data, data, wanted) == 0);
    free(data);
    return vec;
}

static void push(CVec2 *list, CVec vec)
{
    size_t len = list->len, failures = heap.failures;
    cvec2_push(list, vec);
    CHECK(list->len == len + (failures == heap.failures));
}

static void op_make(stage *s, choices *from)
{
    size_t slot = (size_t)choose(from, 1) % SLOTS, n, i;
    CSv2Message m;
    CVec *vecs[5];
    memset(&m, 0, sizeof(m));
    m.tag = (CSv2Message_Tag)(choose(from, 1) % TAGS);
    n = vecs_of(&m, vecs);
    for (i = 0; i < n; i++)
        *vecs[i] = make_vec(from);
    if (list_of(&m) != NULL) {
        *list_of(&m) = init_cvec2();
        for (i = (size_t)choose(from, 1) % 9; i > 0; i--)
            push(list_of(&m), make_vec(from));
    }
    if (m.tag == CSv2Message_SetupConnection)
        m.setup_connection._0.protocol = (Protocol)(choose(from, 1) % 4);
    fill_slot(s, slot, &m);
}

static void op_drop(stage *s, choices *from)
{
    drop_slot(s, (size_t)choose(from, 1) % SLOTS);
}

static void op_push(stage *s, choices *from)
{
    size_t slot = (size_t)choose(from, 1) % SLOTS;
    CVec vec = make_vec(from);
    CVec2 *list = s->used[slot] ? list_of(&s->slots[slot]) : NULL;
    const CVec *before;
    bool stray;
    if (list == NULL) {
        cvec2_push(NULL, vec); /* frees it */
        return;
    }
    /* A list with fewer elements than it had leaves its bytes behind when it becomes an array. */
    before = list->data;
    stray = leaves_stray(&s->slots[slot]);
    push(list, vec);
    s->strays += stray && list->data != before;
}

/* Moves an element of one list to another, as code written for upstream does: the last, or any, which
 * leaves a hole. */
static void op_move(stage *s, choices *from)
{
    size_t a = (size_t)choose(from, 1) % SLOTS, b = (size_t)choose(from, 1) % SLOTS;
    size_t any = (size_t)choose(from, 1), i;
    CVec2 *source, *target;
    CVec taken;
    if (a == b || !s->used[a] || !s->used[b])
        return;
    source = list_of(&s->slots[a]);
    target = list_of(&s->slots[b]);
    if (source == NULL || target == NULL || source->len == 0 || leaves_stray(&s->slots[b]))
        return;
    i = any < 0x80 ? source->len - 1 : any % source->len;
    taken = source->data[i];
    if (any < 0x80)
        source->len--;
    else
        memset(&source->data[i], 0, sizeof(taken));
    push(target, taken);
}

static void check_error(Sv2Error error, size_t failures)
{
    CHECK(error.tag != Sv2Error_CodecError || failures != heap.failures);
    if (error.tag == Sv2Error_PayloadTooBig)
        touch_vec(error.payload_too_big._0);
    drop_sv2_error(error);
}

/* A frame decodes in a decoder of its own, and what comes out encodes to the same frame. */
static void check_reads_back(const CVec *frame)
{
    DecoderWrapper *decoder = new_decoder();
    EncoderWrapper *encoder = new_encoder();
    CResult_CSv2Message_Sv2Error message;
    CResult_CVec_Sv2Error again;
    size_t at = 0;
    do {
        CVec window = get_writable(decoder);
        CHECK(window.len != 0 && window.len <= frame->len - at);
        memcpy(window.data, frame->data + at, window.len);
        at += window.len;
        message = next_frame(decoder);
    } while (!is_ok(&message) && message.err._0.tag == Sv2Error_MissingBytes);
    CHECK(is_ok(&message) && at == frame->len);
    again = encode(&message.ok._0, encoder);
    CHECK(again.tag == CResult_Ok && again.ok._0.len == frame->len);
    CHECK(memcmp(again.ok._0.data, frame->data, frame->len) == 0);
    drop_sv2_message(message.ok._0);
    free_encoder(encoder);
    free_decoder(decoder);
}

/* Whether sv2.h says that the message can be encoded. Total sizes here are far below the limit. */
static bool is_encodable(CSv2Message *m)
{
    static const size_t limits[TAGS] = {
        [CSv2Message_NewTemplate] = 255,
        [CSv2Message_RequestTransactionDataError] = 255,
        [CSv2Message_RequestTransactionDataSuccess] = 65535,
        [CSv2Message_SetNewPrevHash] = 32,
        [CSv2Message_SubmitSolution] = 65535,
        [CSv2Message_SetupConnection] = 255,
        [CSv2Message_SetupConnectionError] = 255,
    };
    CVec *vecs[5];
    CVec2 *list = list_of(m);
    size_t n = vecs_of(m, vecs), i;
    for (i = 0; i < n; i++) {
        size_t limit = limits[m->tag];
        if (m->tag == CSv2Message_NewTemplate && i == 1)
            limit = 65535;
        if (vecs[i]->len > limit || (m->tag == CSv2Message_SetNewPrevHash && vecs[i]->len != 32))
            return false;
    }
    if (m->tag == CSv2Message_NewTemplate) {
        for (i = 0; i < list->len; i++)
            if (list->data[i].len != 32)
                return false;
        return list->len <= 255;
    }
    return m->tag != CSv2Message_SetupConnection || m->setup_connection._0.protocol < 3;
}

static void op_encode(stage *s, choices *from)
{
    size_t slot = (size_t)choose(from, 1) % SLOTS, e = (size_t)choose(from, 1) % ENCODERS;
    size_t failures = heap.failures;
    CResult_CVec_Sv2Error result;
    if (!s->used[slot] || s->encoders[e] == NULL)
        return;
    result = encode(&s->slots[slot], s->encoders[e]);
    if (result.tag == CResult_Err) {
        Sv2Error_Tag tag = result.err._0.tag;
        CHECK(s->lent[e] ? tag == Sv2Error_EncoderBusy
              : is_encodable(&s->slots[slot])
                  ? tag == Sv2Error_CodecError
                  : tag == Sv2Error_BinaryError || tag == Sv2Error_CodecError);
        check_error(result.err._0, failures);
        return;
    }
    CHECK(!s->lent[e] && is_encodable(&s->slots[slot]) && result.ok._0.capacity == 0);
    s->lent[e] = true;
    heap.until_failure = NEVER;
    check_reads_back(&result.ok._0);
}

static void op_flush(stage *s, choices *from)
{
    size_t e = (size_t)choose(from, 1) % ENCODERS;
    flush_encoder(s->encoders[e]);
    s->lent[e] = false;
}

/* What is in a whole frame, when memory is there again: never a lack of bytes or of memory. */
static CResult_CSv2Message_Sv2Error recover(DecoderWrapper *decoder)
{
    CResult_CSv2Message_Sv2Error result;
    CHECK(get_writable(decoder).len == 0);
    heap.until_failure = NEVER;
    result = next_frame(decoder);
    CHECK(is_ok(&result));
    return result;
}

/* Asked again before a window was filled, a decoder takes nothing twice. */
static void check_still_missing(DecoderWrapper *decoder)
{
    CResult_CSv2Message_Sv2Error again = next_frame(decoder);
    CHECK(again.tag == CResult_Err && again.err._0.tag == Sv2Error_MissingBytes);
}

static void take_message(stage *s, size_t slot, DecoderWrapper *decoder)
{
    size_t failures = heap.failures;
    CResult_CSv2Message_Sv2Error result = next_frame(decoder);
    if (!is_ok(&result)) {
        Sv2Error_Tag tag = result.err._0.tag;
        CHECK(tag == Sv2Error_MissingBytes || tag == Sv2Error_Unknown
              || tag == Sv2Error_CodecError);
        check_error(result.err._0, failures);
        if (tag == Sv2Error_MissingBytes)
            check_still_missing(decoder);
        if (tag != Sv2Error_CodecError)
            return;
        result = recover(decoder);
    }
    touch_message(&result.ok._0);
    fill_slot(s, slot, &result.ok._0);
}

/* Fills one window with most bytes of the input and with 0xa5 behind them. */
static bool fill_window(stage *s, choices *from, DecoderWrapper *decoder, size_t most)
{
    size_t failures = heap.failures, found;
    CVec window = get_writable(decoder), again;
    const uint8_t *p;
    CHECK(window.capacity == 0 && (window.len != 0 || failures != heap.failures));
    if (window.len == 0)
        return false;
    again = get_writable(decoder);
    CHECK(again.data == window.data && again.len == window.len);
    p = choose_bytes(from, window.len < most ? window.len : most, &found);
    memset(window.data, 0xa5, window.len);
    if (found != 0)
        memcpy(window.data, p, found);
    s->fed += window.len;
    return true;
}

static void op_feed(stage *s, choices *from)
{
    size_t d = (size_t)choose(from, 1), slot = (d >> 4) % SLOTS, windows = 1 + (d >> 1 & 3);
    size_t most = (size_t)choose(from, 2);
    DecoderWrapper *decoder = s->decoders[d % DECODERS];
    if (decoder == NULL)
        return;
    for (; windows > 0 && s->fed < MOST_FED; windows--) {
        if (!fill_window(s, from, decoder, most))
            return;
        take_message(s, slot, decoder);
    }
}

static void op_fail(stage *s, choices *from)
{
    uint8_t how = (uint8_t)choose(from, 1);
    (void)s;
    heap.until_failure = how < 0xf0 ? how & 0x0f : NEVER;
    heap.again = (how & 0x10) != 0;
}

static void op_renew(stage *s, choices *from)
{
    size_t i = (size_t)choose(from, 1);
    if (i & 1) {
        free_decoder(s->decoders[i / 2 % DECODERS]);
        s->decoders[i / 2 % DECODERS] = new_decoder();
    } else {
        free_encoder(s->encoders[i / 2 % ENCODERS]);
        s->encoders[i / 2 % ENCODERS] = new_encoder();
        s->lent[i / 2 % ENCODERS] = false;
    }
}

/* Calls that are out of place do nothing but say so. */
static void op_misuse(stage *s, choices *from)
{
    size_t slot = (size_t)choose(from, 1) % SLOTS;
    CSv2Message bad;
    CResult_CVec_Sv2Error frame;
    CResult_CSv2Message_Sv2Error message = next_frame(NULL);
    EncoderWrapper *encoder = s->encoders[slot % ENCODERS];
    CHECK(message.tag == CResult_Err && message.err._0.tag == Sv2Error_InvalidSv2Frame);
    CHECK(!is_ok(NULL) && get_writable(NULL).len == 0 && cvec_from_buffer(NULL, 7).len == 0);
    free_decoder(NULL);
    free_encoder(NULL);
    flush_encoder(NULL);
    frame = encode(NULL, encoder);
    CHECK(frame.tag == CResult_Err && frame.err._0.tag == Sv2Error_InvalidSv2Frame);
    memset(&bad, 0, sizeof(bad));
    bad.tag = (CSv2Message_Tag)(TAGS + slot);
    if (encoder == NULL || s->lent[slot % ENCODERS])
        return;
    frame = encode(&bad, encoder);
    CHECK(frame.tag == CResult_Err && frame.err._0.tag == Sv2Error_InvalidSv2Frame);
    drop_sv2_message(bad);
}

/* ---- The program ------------------------------------------------------------------------------*/

static void start(stage *s)
{
    size_t i;
    memset(s, 0, sizeof(*s));
    heap.failures = 0;
    heap.until_failure = NEVER;
    for (i = 0; i < DECODERS; i++)
        s->decoders[i] = new_decoder();
    for (i = 0; i < ENCODERS; i++)
        s->encoders[i] = new_encoder();
}

static void finish(stage *s)
{
    size_t i;
    heap.until_failure = NEVER;
    for (i = 0; i < SLOTS; i++)
        drop_slot(s, i);
    for (i = 0; i < DECODERS; i++)
        free_decoder(s->decoders[i]);
    for (i = 0; i < ENCODERS; i++)
        free_encoder(s->encoders[i]);
    /* Of each such list its block, and a payload that was handed over to it. */
    CHECK(heap.live_count >= s->strays && heap.live_count <= 2 * s->strays);
    while (heap.live_count > 0)
        surface_free(heap.live[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const operations[])(stage *, choices *) = {
        op_feed, op_feed,  op_make, op_drop, op_encode, op_flush,
        op_fail, op_renew, op_push, op_move, op_misuse,
    };
    choices from = {data, size};
    stage s;
    unsigned steps;
    if (size > FUZZ_MAX_INPUT)
        return 0;
    start(&s);
    for (steps = 0; from.left > 0 && steps < 500; steps++)
        operations[choose(&from, 1) % (sizeof(operations) / sizeof(operations[0]))](&s, &from);
    finish(&s);
    return 0;
}

/*
 * Out of memory at every allocation of the surface in turn: a defined error, nothing lost, nothing
 * leaked (every allocation is counted), and once there is memory again the same call succeeds.
 */
#include <stdlib.h>

static long allocations, until_failure = -1;

static int refuses(void)
{
    return until_failure >= 0 && until_failure-- == 0;
}

static void *test_malloc(size_t size)
{
    void *memory = refuses() ? NULL : malloc(size);
    allocations += memory != NULL;
    return memory;
}

static void *test_realloc(void *old, size_t size)
{
    void *memory = refuses() ? NULL : realloc(old, size);
    allocations += memory != NULL && old == NULL;
    return memory;
}

static void test_free(void *memory)
{
    allocations -= memory != NULL;
    free(memory);
}

#define SV2_MALLOC test_malloc
#define SV2_REALLOC test_realloc
#define SV2_FREE test_free
#include "ffi.c"

#include "test.h"
#include "vectors.h"

static bool is_out_of_memory(Sv2Error error)
{
    return error.tag == Sv2Error_CodecError
           && error.codec_error._0.tag == CError_UnexpectedNoiseState;
}

/* Decodes frame with the nth allocation failing. True when nothing failed. */
static bool decode_with_failure(const uint8_t *frame, size_t len, long nth, CSv2Message *message)
{
    CResult_CSv2Message_Sv2Error result;
    DecoderWrapper *decoder;
    bool failed = false;
    size_t at = 0;
    until_failure = nth;
    decoder = new_decoder();
    if (decoder == NULL) {
        CHECK(allocations == 0);
        return false;
    }
    for (;;) {
        CVec window = get_writable(decoder);
        failed |= window.len == 0 && at < len;
        if (window.len != 0)
            memcpy(window.data, frame + at, window.len);
        at += window.len;
        result = next_frame(decoder);
        if (is_ok(&result))
            break;
        if (is_out_of_memory(result.err._0))
            failed = true;
        else
            CHECK(result.err._0.tag == Sv2Error_MissingBytes);
    }
    until_failure = -1;
    CHECK(at == len);
    free_decoder(decoder);
    *message = result.ok._0;
    return !failed;
}

static bool encode_with_failure(CSv2Message *message, const uint8_t *frame, size_t len, long nth)
{
    EncoderWrapper *encoder;
    CResult_CVec_Sv2Error result;
    bool failed = false;
    until_failure = nth;
    encoder = new_encoder();
    if (encoder == NULL)
        return false;
    result = encode(message, encoder);
    if (result.tag == CResult_Err) {
        failed = true;
        CHECK(is_out_of_memory(result.err._0));
        result = encode(message, encoder);
    }
    until_failure = -1;
    CHECK(result.tag == CResult_Ok && result.ok._0.len == len);
    CHECK(memcmp(result.ok._0.data, frame, len) == 0);
    free_encoder(encoder);
    return !failed;
}

/* A push that cannot get memory leaves the list as it was, decoded or pushed, and frees the element. */
static void check_push(CVec2 list)
{
    static const uint8_t byte = 7;
    long nth;
    for (nth = 0; nth < 50; nth++) {
        uintptr_t before = list.len;
        CVec vec = cvec_from_buffer(&byte, 1);
        until_failure = nth % 5;
        cvec2_push(&list, vec);
        until_failure = -1;
        CHECK(list.len == before || (list.len == before + 1 && list.data[before].data == vec.data));
    }
    free_list(list);
}

int main(void)
{
    size_t i;
    for (i = 0; i < TEST_VECTORS; i++) {
        const test_vector *vector = &test_vectors[i];
        unsigned type = vector->frame[2], extension = sv2_load_u16(vector->frame) & 0x7fff;
        CSv2Message message;
        bool done = false;
        long nth;
        if (extension != 0 || (type > 3 && type < 0x70) || (type == 0 && vector->frame[6] > 2))
            continue;
        for (nth = 0; !done; nth++) {
            done = decode_with_failure(vector->frame, vector->len, nth, &message);
            if (nth == 0)
                continue; /* no decoder: no message */
            if (!done) {
                drop_sv2_message(message);
                CHECK(allocations == 0);
            }
        }
        for (done = false, nth = 0; !done; nth++)
            done = encode_with_failure(&message, vector->frame, vector->len, nth);
        if (message.tag == CSv2Message_NewTemplate) {
            check_push(message.new_template._0.merkle_path);
            message.new_template._0.merkle_path = init_cvec2();
        }
        drop_sv2_message(message);
        CHECK(allocations == 0);
    }
    check_push(init_cvec2());
    CHECK(allocations == 0);
    until_failure = 0;
    CHECK(cvec_from_buffer((const uint8_t *)"x", 1).len == 0);
    until_failure = 0;
    drop_sv2_error(payload_too_big());
    until_failure = -1;
    CHECK(allocations == 0);
    return test_result("allocation");
}

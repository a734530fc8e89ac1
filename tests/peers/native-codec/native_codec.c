/*
 * The native C codec behind the line protocol of sri-codec (../sri-codec/src/main.rs), so that the
 * same payloads go through both: decoded, then encoded again from the struct, TLVs behind it too.
 *
 * Each payload lies in a block of exactly its size, so that a sanitizer sees a read beyond it.
 * Exit codes: 0 at a clean end of file, 2 for a request that is cut or too long.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libsv2.h>

#define REQUEST_HEADER 7
#define MAX_FRAME (SV2_FRAME_HEADER_LEN + SV2_MAX_PAYLOAD)

enum {
    ACCEPTED = 0,
    REFUSED = 1,
    UNKNOWN = 3,
    NOT_ENCODABLE = 4
};

static void put_answer(unsigned status, unsigned extension_type, const void *body, size_t len)
{
    unsigned char header[7] = {(unsigned char)status,
                               (unsigned char)extension_type,
                               (unsigned char)(extension_type >> 8),
                               (unsigned char)len,
                               (unsigned char)(len >> 8),
                               (unsigned char)(len >> 16),
                               (unsigned char)(len >> 24)};
    fwrite(header, 1, sizeof header, stdout);
    fwrite(body, 1, len, stdout);
}

static void put_status(unsigned kind, sv2_status status)
{
    const char *text = sv2_status_string(status);
    put_answer(kind, 0, text, strlen(text));
}

/* The message as a frame, and behind it the TLVs that rest holds. */
static sv2_status encode_again(const sv2_message *message, const uint8_t *rest, size_t rest_len,
                               uint8_t *out, size_t *len)
{
    sv2_status status = sv2_message_encode_frame(out, MAX_FRAME, len, message);
    sv2_tlv tlv;
    while (status == SV2_OK && sv2_tlv_next(&tlv, &rest, &rest_len) == SV2_OK)
        status = sv2_frame_append_tlv(out, MAX_FRAME, len, &tlv);
    return status;
}

static void answer(const sv2_frame *frame, uint8_t *out)
{
    sv2_message message;
    sv2_report report;
    size_t len = 0;
    sv2_status status = sv2_message_decode(&message, &report, frame);
    if (status == SV2_ERR_UNKNOWN) {
        put_answer(UNKNOWN, 0, "", 0);
        return;
    }
    if (status != SV2_OK) {
        put_status(REFUSED, status);
        return;
    }
    status = encode_again(&message, frame->payload + report.offset, frame->length - report.offset,
                          out, &len);
    if (status != SV2_OK) {
        put_status(NOT_ENCODABLE, status);
        return;
    }
    put_answer(ACCEPTED, out[0] | (unsigned)out[1] << 8, out + SV2_FRAME_HEADER_LEN,
               len - SV2_FRAME_HEADER_LEN);
}

/* Reads one request and answers it; false where it is cut or too long. */
static int serve(const unsigned char header[REQUEST_HEADER], uint8_t *out)
{
    sv2_frame frame;
    uint8_t *payload;
    size_t len = header[3] | (size_t)header[4] << 8 | (size_t)header[5] << 16
                 | (size_t)header[6] << 24;
    if (len > SV2_MAX_PAYLOAD)
        return 0;
    payload = malloc(len != 0 ? len : 1);
    if (payload == NULL || fread(payload, 1, len, stdin) != len) {
        free(payload);
        return 0;
    }
    frame.payload = payload;
    frame.length = (uint32_t)len;
    frame.extension_type = (uint16_t)(header[0] | header[1] << 8);
    frame.message_type = header[2];
    answer(&frame, out);
    free(payload);
    return 1;
}

int main(void)
{
    unsigned char header[REQUEST_HEADER];
    uint8_t *out = malloc(MAX_FRAME);
    size_t got;
    int good = out != NULL;
    while (good && (got = fread(header, 1, sizeof header, stdin)) != 0)
        good = got == sizeof header && serve(header, out);
    free(out);
    if (fflush(stdout) != 0 || !good) {
        fputs("native-codec: a request is cut or too long\n", stderr);
        return 2;
    }
    return 0;
}

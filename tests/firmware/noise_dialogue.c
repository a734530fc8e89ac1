/*
 * One end of Noise sessions on an emulated machine; the other end, another implementation, is on the
 * host. It says what this end is to be: a client or a server, again and again. In a session each
 * frame is sent back, with the next message type. Numbers are 32 bits, little-endian.
 *
 *   host                                   machine
 *   "i", authority as text (51), time      act 1
 *   act 2                                  status, handshake hash (32)
 *   "r", secret (32), certificate (74)
 *   act 1                                  status, act 2, handshake hash (32)
 *   "q"                                    ends
 *
 * and in a session, which SV2_OK begins and an error or a count of 0 ends:
 *
 *   count, so many bytes                   for each frame: SV2_OK, count, the sealed answer;
 *                                          for each frame over LIMIT, which is skipped: its status;
 *                                          SV2_NEED_MORE when the bytes are used up, or an error
 */
#include <string.h>

#include "noise_link.h"
#include "noise_machine.h"

enum {
    SEED = 11,
    LIMIT = SV2_NOISE_MAX_CHUNK + 1
};

static const sv2_noise_provider *crypto;
static sv2_noise_sender sender;
static sv2_noise_receiver receiver;
static sv2_noise_reader reader;
static uint8_t hash[32];
static uint8_t buffer[SV2_NOISE_BUFFER_LEN(LIMIT)], answer[LIMIT + 64];

static bool answer_frame(const sv2_frame *frame)
{
    sv2_frame back = *frame;
    size_t len;
    back.message_type++;
    return sv2_noise_seal_frame(&sender, answer, sizeof(answer), &len, &back) == SV2_OK
           && link_write_u32(SV2_OK) && link_write_u32((uint32_t)len) && link_write(answer, len);
}

/* Takes one piece of what the host has announced, of random size. */
static sv2_status take(sv2_frame *frame, uint32_t *left)
{
    uint8_t *at;
    size_t room;
    sv2_status status = sv2_noise_reader_window(&reader, &at, &room);
    if (status != SV2_OK)
        return status;
    room = 1 + machine_random((uint32_t)(room < *left ? room : *left));
    if (!link_read(at, room))
        return SV2_ERR_ARGUMENT;
    *left -= (uint32_t)room;
    return sv2_noise_reader_taken(&reader, frame, room);
}

static bool drop(uint32_t left)
{
    uint8_t byte;
    while (left > 0 && link_read(&byte, 1))
        left--;
    return left == 0;
}

/* All that the host sends at once. *open is whether the session goes on. */
static bool serve(uint32_t left, bool *open)
{
    sv2_status status = SV2_NEED_MORE;
    while (left > 0) {
        sv2_frame frame;
        status = take(&frame, &left);
        if (status == SV2_OK) {
            if (!answer_frame(&frame))
                return false;
        } else if (status == SV2_ERR_FRAME_LARGE) {
            sv2_noise_reader_skip(&reader);
            if (!link_write_u32(status))
                return false;
        } else if (status != SV2_NEED_MORE) {
            *open = false;
            return drop(left) && link_write_u32(status);
        }
    }
    return link_write_u32(SV2_NEED_MORE);
}

static bool session(void)
{
    bool open = true;
    sv2_noise_reader_init(&reader, &receiver, buffer, sizeof(buffer), LIMIT);
    while (open) {
        uint32_t count = link_read_u32();
        if (count == 0)
            return true;
        if (!serve(count, &open))
            return false;
    }
    return true;
}

static bool initiate(void)
{
    static sv2_noise_initiator initiator;
    char text[SV2_NOISE_KEY_TEXT_LEN];
    uint8_t act_1[SV2_NOISE_ACT_1_LEN], act_2[SV2_NOISE_ACT_2_LEN], authority[32];
    sv2_noise_policy policy = {authority, false, SV2_NOISE_CLOCK_NOW, 0, 10};
    sv2_status status;
    if (!link_read(text, sizeof(text)))
        return false;
    policy.time = link_read_u32();
    if (sv2_noise_key_decode(authority, text, sizeof(text), crypto) != SV2_OK
        || sv2_noise_initiate(&initiator, act_1, crypto) != SV2_OK
        || !link_write(act_1, sizeof(act_1)) || !link_read(act_2, sizeof(act_2)))
        return false;
    status = sv2_noise_finish(&initiator, &sender, &receiver, NULL, hash, act_2, &policy);
    if (!link_write_u32(status) || !link_write(hash, sizeof(hash)))
        return false;
    return status != SV2_OK || session();
}

static bool respond(void)
{
    static sv2_noise_identity identity;
    uint8_t act_1[SV2_NOISE_ACT_1_LEN], act_2[SV2_NOISE_ACT_2_LEN];
    sv2_status status;
    if (!link_read(identity.secret, sizeof(identity.secret))
        || !link_read(identity.certificate, sizeof(identity.certificate))
        || !link_read(act_1, sizeof(act_1)))
        return false;
    status = sv2_noise_respond(&sender, &receiver, hash, act_2, act_1, &identity, crypto);
    if (!link_write_u32(status) || !link_write(act_2, sizeof(act_2))
        || !link_write(hash, sizeof(hash)))
        return false;
    return status != SV2_OK || session();
}

int main(void)
{
    char command = 0;
    bool ok = link_open();
    crypto = machine_start(SEED);
    ok = ok && crypto != NULL;
    while (ok && link_read(&command, 1) && command != 'q')
        ok = command == 'i' ? initiate() : command == 'r' && respond();
    return ok && command == 'q' ? 0 : 1;
}

/*
 * From the numbers in a frame header to a message.
 */
#include "libsv2/messages.h"

static unsigned key(uint16_t extension_type, uint8_t message_type)
{
    return (unsigned)(extension_type & ~SV2_CHANNEL_BIT) << 8 | message_type;
}

/* The table is in ascending order of key. */
size_t sv2_index(uint16_t extension_type, uint8_t message_type)
{
    unsigned wanted = key(extension_type, message_type);
    size_t low = 0, high = SV2_MESSAGE_COUNT;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const sv2_descriptor *d = sv2_descriptor_at(middle);
        unsigned found = key(d->extension_type, d->message_type);
        if (found == wanted)
            return middle;
        if (found < wanted)
            low = middle + 1;
        else
            high = middle;
    }
    return SV2_MESSAGE_COUNT;
}

const sv2_descriptor *sv2_find(uint16_t extension_type, uint8_t message_type)
{
    return sv2_descriptor_at(sv2_index(extension_type, message_type));
}

const char *sv2_message_name(uint16_t extension_type, uint8_t message_type)
{
    return sv2_message_name_at(sv2_index(extension_type, message_type));
}

sv2_status sv2_message_decode(sv2_message *message, sv2_report *report, const sv2_frame *frame)
{
    const sv2_descriptor *descriptor;
    if (message == NULL || frame == NULL)
        return SV2_ERR_ARGUMENT;
    descriptor = sv2_find(frame->extension_type, frame->message_type);
    if (descriptor == NULL)
        return SV2_ERR_UNKNOWN;
    message->id = (sv2_message_id)key(frame->extension_type, frame->message_type);
    return sv2_decode(descriptor, &message->as, report, frame->payload, frame->length);
}

sv2_status sv2_message_encode_frame(uint8_t *out, size_t cap, size_t *len,
                                    const sv2_message *message)
{
    const sv2_descriptor *descriptor;
    if (message == NULL || len == NULL)
        return SV2_ERR_ARGUMENT;
    *len = 0;
    descriptor = sv2_find((uint16_t)((unsigned)message->id >> 8), (uint8_t)message->id);
    if (descriptor == NULL
        || key(descriptor->extension_type, descriptor->message_type) != (unsigned)message->id)
        return SV2_ERR_UNKNOWN;
    return sv2_frame_encode(descriptor, out, cap, len, &message->as);
}

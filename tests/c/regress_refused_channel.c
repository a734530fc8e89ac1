/*
 * sv2_frame_channel followed the payload pointer of a frame that sv2_stream_next had refused: NULL.
 */
#include "libsv2.h"

#include "test.h"

int main(void)
{
    static const uint8_t header[] = {0x00, 0x80, 0x1a, 0x00, 0x01, 0x00};
    const uint8_t *data = header;
    size_t len = sizeof(header);
    uint32_t channel = 7;
    sv2_stream stream;
    sv2_frame frame;
    sv2_stream_init(&stream, NULL, 0, 16);
    CHECK(sv2_stream_next(&stream, &frame, &data, &len) == SV2_ERR_FRAME_LARGE);
    CHECK(frame.length == 256 && frame.payload == NULL);
    CHECK(!sv2_frame_channel(&frame, &channel));
    CHECK(channel == 7);
    return test_result("regress_refused_channel");
}

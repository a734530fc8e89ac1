/*
 * A share, encoded and decoded again through libsv2.h: what the CMake test projects build and run.
 */
#include <libsv2.h>

int main(void)
{
    sv2_submit_shares_standard share = {1, 2, 3, 4, 5, 6}, again = {0};
    uint8_t frame[64];
    size_t len;
    sv2_frame header;
    if (sv2_submit_shares_standard_encode_frame(frame, sizeof(frame), &len, &share) != SV2_OK)
        return 1;
    sv2_frame_header_decode(&header, frame);
    if (sv2_submit_shares_standard_decode(&again, NULL, frame + SV2_FRAME_HEADER_LEN, header.length)
        != SV2_OK)
        return 2;
    return again.nonce == share.nonce && again.version == share.version ? 0 : 3;
}

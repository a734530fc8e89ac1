// The sv2-ffi surface from C++: what the CMake test projects build and run.
#include <sv2.h>

int main()
{
    DecoderWrapper *decoder = new_decoder();
    CVec window = get_writable(decoder);
    const bool has_room = window.data != nullptr && window.len == SV2_FRAME_HEADER_SIZE;
    free_decoder(decoder);
    return has_room ? 0 : 1;
}

/*
 * Status codes as text.
 */
#include "libsv2/base.h"

const char *sv2_status_string(sv2_status status)
{
#ifdef SV2_NO_NAMES
    (void)status;
    return "";
#else
    switch (status) {
    case SV2_OK:
        return "ok";
    case SV2_NEED_MORE:
        return "more input is needed";
    case SV2_END:
        return "no element is left";
    case SV2_ERR_TRUNCATED:
        return "the input ends within a field";
    case SV2_ERR_LENGTH:
        return "a length is beyond what the type allows";
    case SV2_ERR_OPTION:
        return "the length of an OPTION is neither 0 nor 1";
    case SV2_ERR_UNKNOWN:
        return "no such message";
    case SV2_ERR_BUFFER:
        return "the output buffer is too small";
    case SV2_ERR_FRAME_LARGE:
        return "the frame is over the limit";
    case SV2_ERR_ARGUMENT:
        return "an argument is not valid";
    case SV2_ERR_TARGET:
        return "the compact target is negative or over 256 bits";
    }
    return "unknown status";
#endif
}

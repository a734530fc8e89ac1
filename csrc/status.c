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
    case SV2_ERR_AUTH:
        return "encrypted data does not authenticate";
    case SV2_ERR_NONCE:
        return "the nonces of this session are used up";
    case SV2_ERR_PROVIDER:
        return "the cryptography provider failed";
    case SV2_ERR_CERT_VERSION:
        return "the certificate is of an unknown version";
    case SV2_ERR_CERT_SIGNATURE:
        return "the certificate is not signed by the expected authority";
    case SV2_ERR_CERT_DATES:
        return "the certificate ends before it begins";
    case SV2_ERR_CERT_EARLY:
        return "the certificate is not valid yet";
    case SV2_ERR_CERT_EXPIRED:
        return "the certificate has expired";
    case SV2_ERR_CERT_NO_CLOCK:
        return "the certificate's dates cannot be checked without a clock";
    case SV2_ERR_KEY_LENGTH:
        return "the key's text has a wrong length";
    case SV2_ERR_KEY_CHARACTER:
        return "the key's text has a character that base58 does not have";
    case SV2_ERR_KEY_CHECKSUM:
        return "the key's checksum is wrong";
    case SV2_ERR_KEY_VERSION:
        return "the key's version is unknown";
    case SV2_ERR_KEY_VALUE:
        return "the key is not on the curve";
    }
    return "unknown status";
#endif
}

/*
 * The sv2-ffi surface: names, values and layout of the sv2.h that upstream's sv2_ffi 2.1.0 shipped,
 * for C++ and, with the same layout, for C. A program written for upstream's header compiles and runs
 * unchanged. New code wants <libsv2.h>: it covers all messages, allocates nothing and is prefixed.
 *
 * What differs from upstream on purpose is listed in docs/compatibility.md.
 *
 * Memory
 *   - A CVec with capacity 0 owns nothing: it is never freed. One with another capacity owns data,
 *     which came from malloc.
 *   - A decoded message owns its CVecs and CVec2s. Give it to drop_sv2_message (or its free_*) once.
 *     Elements of a decoded CVec2 have capacity 0: they lie in the list's own block. Where elements
 *     were moved out and the list left shorter or with holes, dropping it leaves the block to them.
 *   - Decoded strings have a NUL byte behind them, which len does not count.
 *   - cvec_from_buffer copies. encode copies out of the message and leaves it to the caller.
 *   - The CVecs of get_writable and encode are borrowed: from the decoder until the next call with
 *     it, from the encoder until flush_encoder. They have capacity 0.
 * Threads
 *   - One decoder or encoder must not be used by two threads at once; nothing else is shared.
 * Errors
 *   - MissingBytes: get_writable, fill the whole window, next_frame again. No other error is
 *     returned for an incomplete frame.
 *   - Unknown: the frame was malformed, its message or its Protocol value is unknown; it is dropped
 *     and the decoder is ready for the next one.
 *   - InvalidSv2Frame: a NULL argument, or a message whose tag is none of ours.
 *   - BinaryError with CError BinarySv2Error: a message that cannot be encoded (a CVec too long for
 *     its field, a hash that is not 32 bytes).
 *   - EncoderBusy: flush_encoder was not called since the last encode.
 *   - PayloadTooBig: over 16,777,215 bytes; carries a text, so it goes to drop_sv2_error.
 *   - CodecError with CError UnexpectedNoiseState: out of memory. Nothing is lost: call again.
 */
#ifndef SV2_H
#define SV2_H

#ifdef __cplusplus
#include <cstdarg>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <ostream>
#else
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#endif

#ifndef SV2_FFI_API
#if defined(SV2_BUILD_SHARED) && !defined(_WIN32)
#define SV2_FFI_API __attribute__((visibility("default")))
#else
#define SV2_FFI_API
#endif
#endif

/* ---- Constants --------------------------------------------------------------------------------
 * Typed in C++ as upstream has them; in C enumerators, so that they work in a switch. */
#ifdef __cplusplus
#define SV2_CONSTANT(type, name, value) static const type name = value
#else
#define SV2_CONSTANT(type, name, value)                                                            \
    enum {                                                                                         \
        name = value                                                                               \
    }
#endif

/* Sizes in bytes: frames (spec 3.2), the Noise transport and its handshake (spec 4). */
SV2_CONSTANT(uint16_t, EXTENSION_TYPE_NO_EXTENSION, 0);
SV2_CONSTANT(uintptr_t, SV2_FRAME_HEADER_SIZE, 6);
SV2_CONSTANT(uintptr_t, SV2_FRAME_CHUNK_SIZE, 65535);
SV2_CONSTANT(uintptr_t, AEAD_MAC_LEN, 16);
SV2_CONSTANT(uintptr_t, ENCRYPTED_SV2_FRAME_HEADER_SIZE, 22);
SV2_CONSTANT(uintptr_t, NOISE_FRAME_HEADER_SIZE, 2);
SV2_CONSTANT(uintptr_t, NOISE_FRAME_HEADER_LEN_OFFSET, 0);
SV2_CONSTANT(uintptr_t, ELLSWIFT_ENCODING_SIZE, 64);
SV2_CONSTANT(uintptr_t, MAC, 16);
SV2_CONSTANT(uintptr_t, ENCRYPTED_ELLSWIFT_ENCODING_SIZE, 80);
SV2_CONSTANT(uintptr_t, SIGNATURE_NOISE_MESSAGE_SIZE, 74);
SV2_CONSTANT(uintptr_t, ENCRYPTED_SIGNATURE_NOISE_MESSAGE_SIZE, 90);
SV2_CONSTANT(uintptr_t, INITIATOR_EXPECTED_HANDSHAKE_MESSAGE_SIZE, 234);

/* Values of CSetupConnection.protocol. */
SV2_CONSTANT(uint8_t, SV2_MINING_PROTOCOL_DISCRIMINANT, 0);
SV2_CONSTANT(uint8_t, SV2_JOB_DECLARATION_PROTOCOL_DISCRIMINANT, 1);
SV2_CONSTANT(uint8_t, SV2_TEMPLATE_DISTR_PROTOCOL_DISCRIMINANT, 2);

/* Message types (spec 8). */
SV2_CONSTANT(uint8_t, MESSAGE_TYPE_SETUP_CONNECTION, 0x00);
SV2_CONSTANT(uint8_t, MESSAGE_TYPE_SETUP_CONNECTION_SUCCESS, 0x01);
SV2_CONSTANT(uint8_t, MESSAGE_TYPE_SETUP_CONNECTION_ERROR, 0x02);
SV2_CONSTANT(uint8_t, MESSAGE_TYPE_CHANNEL_ENDPOINT_CHANGED, 0x03);
SV2_CONSTANT(uint8_t, MESSAGE_TYPE_RECONNECT, 0x04);
SV2_CONSTANT(uint8_t, MESSAGE_TYPE_OPEN_STANDARD_MINING_CHANNEL, 0x10);
SV2_CONSTANT(uint8_t, MESSAGE_TYPE_OPEN_STANDARD_MINING_CHANNEL_SUCCESS, 0x11);
SV2_CONSTANT(uint8_t, MESSAGE_TYPE_OPEN_MINING_CHANNEL_ERROR, 0x12);
SV2_CONSTANT(uint8_t, MESSAGE_TYPE_OPEN_EXTENDED_MINING_CHANNEL, 0x13);
SV2_CONSTANT(uint8_t, MESSAGE_TYPE_OPEN_EXTENDED_MINING_CHANNEL_SUCCES, 0x14);
SV2_CONSTANT(uint8_t, MESSAGE_TYPE_NEW_MINING_JOB, 0x15);
SV2_CONSTANT(uint8_t, MESSAGE_TYPE_UPDATE_CHANNEL, 0x16);
SV2_CONSTANT(uint8_t, MESSAGE_TYPE_UPDATE_CHANNEL_ERROR, 0x17);
SV2_CONSTANT(uint8_t, MESSAGE_TYPE_CLOSE_CHANNEL, 0x18);
SV2_CONSTANT(uint8_t, MESSAGE_TYPE_SET_EXTRANONCE_PREFIX, 0x19);
SV2_CONSTANT(uint8_t, MESSAGE_TYPE_SUBMIT_SHARES_STANDARD, 0x1a);
SV2_CONSTANT(uint8_t, MESSAGE_TYPE_SUBMIT_SHARES_EXTENDED, 0x1b);
SV2_CONSTANT(uint8_t, MESSAGE_TYPE_SUBMIT_SHARES_SUCCESS, 0x1c);
SV2_CONSTANT(uint8_t, MESSAGE_TYPE_SUBMIT_SHARES_ERROR, 0x1d);
SV2_CONSTANT(uint8_t, MESSAGE_TYPE_NEW_EXTENDED_MINING_JOB, 0x1f);
SV2_CONSTANT(uint8_t, MESSAGE_TYPE_MINING_SET_NEW_PREV_HASH, 0x20);
SV2_CONSTANT(uint8_t, MESSAGE_TYPE_SET_TARGET, 0x21);
SV2_CONSTANT(uint8_t, MESSAGE_TYPE_SET_CUSTOM_MINING_JOB, 0x22);
SV2_CONSTANT(uint8_t, MESSAGE_TYPE_SET_CUSTOM_MINING_JOB_SUCCESS, 0x23);
SV2_CONSTANT(uint8_t, MESSAGE_TYPE_SET_CUSTOM_MINING_JOB_ERROR, 0x24);
SV2_CONSTANT(uint8_t, MESSAGE_TYPE_SET_GROUP_CHANNEL, 0x25);
SV2_CONSTANT(uint8_t, MESSAGE_TYPE_ALLOCATE_MINING_JOB_TOKEN, 0x50);
SV2_CONSTANT(uint8_t, MESSAGE_TYPE_ALLOCATE_MINING_JOB_TOKEN_SUCCESS, 0x51);
SV2_CONSTANT(uint8_t, MESSAGE_TYPE_PROVIDE_MISSING_TRANSACTIONS, 0x55);
SV2_CONSTANT(uint8_t, MESSAGE_TYPE_PROVIDE_MISSING_TRANSACTIONS_SUCCESS, 0x56);
SV2_CONSTANT(uint8_t, MESSAGE_TYPE_DECLARE_MINING_JOB, 0x57);
SV2_CONSTANT(uint8_t, MESSAGE_TYPE_DECLARE_MINING_JOB_SUCCESS, 0x58);
SV2_CONSTANT(uint8_t, MESSAGE_TYPE_DECLARE_MINING_JOB_ERROR, 0x59);
SV2_CONSTANT(uint8_t, MESSAGE_TYPE_PUSH_SOLUTION, 0x60);
SV2_CONSTANT(uint8_t, MESSAGE_TYPE_COINBASE_OUTPUT_CONSTRAINTS, 0x70);
SV2_CONSTANT(uint8_t, MESSAGE_TYPE_NEW_TEMPLATE, 0x71);
SV2_CONSTANT(uint8_t, MESSAGE_TYPE_SET_NEW_PREV_HASH, 0x72);
SV2_CONSTANT(uint8_t, MESSAGE_TYPE_REQUEST_TRANSACTION_DATA, 0x73);
SV2_CONSTANT(uint8_t, MESSAGE_TYPE_REQUEST_TRANSACTION_DATA_SUCCESS, 0x74);
SV2_CONSTANT(uint8_t, MESSAGE_TYPE_REQUEST_TRANSACTION_DATA_ERROR, 0x75);
SV2_CONSTANT(uint8_t, MESSAGE_TYPE_SUBMIT_SOLUTION, 0x76);

/* Whether a message belongs to a channel: bit 15 of extension_type (spec 3.2.1, 8). */
SV2_CONSTANT(bool, CHANNEL_BIT_SETUP_CONNECTION, false);
SV2_CONSTANT(bool, CHANNEL_BIT_SETUP_CONNECTION_SUCCESS, false);
SV2_CONSTANT(bool, CHANNEL_BIT_SETUP_CONNECTION_ERROR, false);
SV2_CONSTANT(bool, CHANNEL_BIT_CHANNEL_ENDPOINT_CHANGED, true);
SV2_CONSTANT(bool, CHANNEL_BIT_RECONNECT, false);
SV2_CONSTANT(bool, CHANNEL_BIT_OPEN_STANDARD_MINING_CHANNEL, false);
SV2_CONSTANT(bool, CHANNEL_BIT_OPEN_STANDARD_MINING_CHANNEL_SUCCESS, false);
SV2_CONSTANT(bool, CHANNEL_BIT_OPEN_MINING_CHANNEL_ERROR, false);
SV2_CONSTANT(bool, CHANNEL_BIT_OPEN_EXTENDED_MINING_CHANNEL, false);
SV2_CONSTANT(bool, CHANNEL_BIT_OPEN_EXTENDED_MINING_CHANNEL_SUCCES, false);
SV2_CONSTANT(bool, CHANNEL_BIT_NEW_MINING_JOB, true);
SV2_CONSTANT(bool, CHANNEL_BIT_UPDATE_CHANNEL, true);
SV2_CONSTANT(bool, CHANNEL_BIT_UPDATE_CHANNEL_ERROR, true);
SV2_CONSTANT(bool, CHANNEL_BIT_CLOSE_CHANNEL, true);
SV2_CONSTANT(bool, CHANNEL_BIT_SET_EXTRANONCE_PREFIX, true);
SV2_CONSTANT(bool, CHANNEL_BIT_SUBMIT_SHARES_STANDARD, true);
SV2_CONSTANT(bool, CHANNEL_BIT_SUBMIT_SHARES_EXTENDED, true);
SV2_CONSTANT(bool, CHANNEL_BIT_SUBMIT_SHARES_SUCCESS, true);
SV2_CONSTANT(bool, CHANNEL_BIT_SUBMIT_SHARES_ERROR, true);
SV2_CONSTANT(bool, CHANNEL_BIT_NEW_EXTENDED_MINING_JOB, true);
SV2_CONSTANT(bool, CHANNEL_BIT_MINING_SET_NEW_PREV_HASH, true);
SV2_CONSTANT(bool, CHANNEL_BIT_SET_TARGET, true);
SV2_CONSTANT(bool, CHANNEL_BIT_SET_CUSTOM_MINING_JOB, true);
SV2_CONSTANT(bool, CHANNEL_BIT_SET_CUSTOM_MINING_JOB_SUCCESS, true);
SV2_CONSTANT(bool, CHANNEL_BIT_SET_CUSTOM_MINING_JOB_ERROR, true);
SV2_CONSTANT(bool, CHANNEL_BIT_SET_GROUP_CHANNEL, false);
SV2_CONSTANT(bool, CHANNEL_BIT_ALLOCATE_MINING_JOB_TOKEN, false);
SV2_CONSTANT(bool, CHANNEL_BIT_ALLOCATE_MINING_JOB_TOKEN_SUCCESS, false);
SV2_CONSTANT(bool, CHANNEL_BIT_DECLARE_MINING_JOB, false);
SV2_CONSTANT(bool, CHANNEL_BIT_DECLARE_MINING_JOB_SUCCESS, false);
SV2_CONSTANT(bool, CHANNEL_BIT_DECLARE_MINING_JOB_ERROR, false);
SV2_CONSTANT(bool, CHANNEL_BIT_PROVIDE_MISSING_TRANSACTIONS, false);
SV2_CONSTANT(bool, CHANNEL_BIT_PROVIDE_MISSING_TRANSACTIONS_SUCCESS, false);
SV2_CONSTANT(bool, CHANNEL_BIT_SUBMIT_SOLUTION_JD, false); /* PushSolution */
SV2_CONSTANT(bool, CHANNEL_BIT_COINBASE_OUTPUT_CONSTRAINTS, false);
SV2_CONSTANT(bool, CHANNEL_BIT_NEW_TEMPLATE, false);
SV2_CONSTANT(bool, CHANNEL_BIT_SET_NEW_PREV_HASH, false);
SV2_CONSTANT(bool, CHANNEL_BIT_REQUEST_TRANSACTION_DATA, false);
SV2_CONSTANT(bool, CHANNEL_BIT_REQUEST_TRANSACTION_DATA_SUCCESS, false);
SV2_CONSTANT(bool, CHANNEL_BIT_REQUEST_TRANSACTION_DATA_ERROR, false);
SV2_CONSTANT(bool, CHANNEL_BIT_SUBMIT_SOLUTION, false);

/* ---- Structs ----------------------------------------------------------------------------------*/

/* Bytes. capacity 0: borrowed; else data came from malloc and belongs to whoever holds the CVec. */
typedef struct CVec {
    uint8_t *data;
    uintptr_t len;
    uintptr_t capacity;
} CVec;

/* A list of CVecs. capacity is the library's own; read data and len. */
typedef struct CVec2 {
    CVec *data;
    uintptr_t len;
    uintptr_t capacity;
} CVec2;

/* A number of 24 bits, in the low bits. */
typedef struct U24 {
    uint32_t _0;
} U24;

#ifdef __cplusplus
enum class Protocol : uint8_t {
    MiningProtocol = SV2_MINING_PROTOCOL_DISCRIMINANT,
    JobDeclarationProtocol = SV2_JOB_DECLARATION_PROTOCOL_DISCRIMINANT,
    TemplateDistributionProtocol = SV2_TEMPLATE_DISTR_PROTOCOL_DISCRIMINANT,
};
#else
typedef uint8_t Protocol;
enum {
    Protocol_MiningProtocol = 0,
    Protocol_JobDeclarationProtocol = 1,
    Protocol_TemplateDistributionProtocol = 2
};
#endif

/* The messages of the surface. Fields mean what docs/messages.md says of the message without the C;
 * U256 fields are CVecs of 32 bytes, strings are CVecs of up to 255 bytes. */

typedef struct ChannelEndpointChanged {
    uint32_t channel_id;
} ChannelEndpointChanged;

typedef struct SetupConnectionSuccess {
    uint16_t used_version;
    uint32_t flags;
} SetupConnectionSuccess;

typedef struct CSetupConnection {
    Protocol protocol;
    uint16_t min_version;
    uint16_t max_version;
    uint32_t flags;
    CVec endpoint_host;
    uint16_t endpoint_port;
    CVec vendor;
    CVec hardware_version;
    CVec firmware;
    CVec device_id;
} CSetupConnection;

typedef struct CSetupConnectionError {
    uint32_t flags;
    CVec error_code;
} CSetupConnectionError;

typedef struct CoinbaseOutputConstraints {
    uint32_t coinbase_output_max_additional_size;
    uint16_t coinbase_output_max_additional_sigops;
} CoinbaseOutputConstraints;

typedef struct RequestTransactionData {
    uint64_t template_id;
} RequestTransactionData;

typedef struct CNewTemplate {
    uint64_t template_id;
    bool future_template;
    uint32_t version;
    uint32_t coinbase_tx_version;
    CVec coinbase_prefix;
    uint32_t coinbase_tx_input_sequence;
    uint64_t coinbase_tx_value_remaining;
    uint32_t coinbase_tx_outputs_count;
    CVec coinbase_tx_outputs;
    uint32_t coinbase_tx_locktime;
    CVec2 merkle_path;
} CNewTemplate;

typedef struct CRequestTransactionDataSuccess {
    uint64_t template_id;
    CVec excess_data;
    CVec2 transaction_list;
} CRequestTransactionDataSuccess;

typedef struct CRequestTransactionDataError {
    uint64_t template_id;
    CVec error_code;
} CRequestTransactionDataError;

typedef struct CSetNewPrevHash {
    uint64_t template_id;
    CVec prev_hash;
    uint32_t header_timestamp;
    uint32_t n_bits;
    CVec target;
} CSetNewPrevHash;

typedef struct CSubmitSolution {
    uint64_t template_id;
    uint32_t version;
    uint32_t header_timestamp;
    uint32_t header_nonce;
    CVec coinbase_tx;
} CSubmitSolution;

typedef struct DecoderWrapper DecoderWrapper;
typedef struct EncoderWrapper EncoderWrapper;

/* ---- Tagged unions ----------------------------------------------------------------------------
 * C++: `message.tag == CSv2Message::Tag::NewTemplate`, then `message.new_template._0`.
 * C:   `message.tag == CSv2Message_NewTemplate`, then `message.new_template._0`. */
#ifdef __cplusplus

struct CError {
    enum class Tag {
        AeadError,
        BinarySv2Error,
        FramingError,
        FramingSv2Error,
        InvalidStepForInitiator,
        InvalidStepForResponder,
        MissingBytes,
        NoiseSv2Error,
        NotInHandShakeState,
        UnexpectedNoiseState,
    };
    struct MissingBytes_Body {
        uintptr_t _0;
    };
    Tag tag;
    union {
        MissingBytes_Body missing_bytes;
    };
};

struct CSv2Message {
    enum class Tag {
        CoinbaseOutputConstraints,
        NewTemplate,
        RequestTransactionData,
        RequestTransactionDataError,
        RequestTransactionDataSuccess,
        SetNewPrevHash,
        SubmitSolution,
        ChannelEndpointChanged,
        SetupConnection,
        SetupConnectionError,
        SetupConnectionSuccess,
    };
    struct CoinbaseOutputConstraints_Body {
        CoinbaseOutputConstraints _0;
    };
    struct NewTemplate_Body {
        CNewTemplate _0;
    };
    struct RequestTransactionData_Body {
        RequestTransactionData _0;
    };
    struct RequestTransactionDataError_Body {
        CRequestTransactionDataError _0;
    };
    struct RequestTransactionDataSuccess_Body {
        CRequestTransactionDataSuccess _0;
    };
    struct SetNewPrevHash_Body {
        CSetNewPrevHash _0;
    };
    struct SubmitSolution_Body {
        CSubmitSolution _0;
    };
    struct ChannelEndpointChanged_Body {
        ChannelEndpointChanged _0;
    };
    struct SetupConnection_Body {
        CSetupConnection _0;
    };
    struct SetupConnectionError_Body {
        CSetupConnectionError _0;
    };
    struct SetupConnectionSuccess_Body {
        SetupConnectionSuccess _0;
    };
    Tag tag;
    union {
        CoinbaseOutputConstraints_Body coinbase_output_constraints;
        NewTemplate_Body new_template;
        RequestTransactionData_Body request_transaction_data;
        RequestTransactionDataError_Body request_transaction_data_error;
        RequestTransactionDataSuccess_Body request_transaction_data_success;
        SetNewPrevHash_Body set_new_prev_hash;
        SubmitSolution_Body submit_solution;
        ChannelEndpointChanged_Body channel_endpoint_changed;
        SetupConnection_Body setup_connection;
        SetupConnectionError_Body setup_connection_error;
        SetupConnectionSuccess_Body setup_connection_success;
    };
};

struct Sv2Error {
    enum class Tag {
        BinaryError,
        CodecError,
        EncoderBusy,
        InvalidSv2Frame,
        MissingBytes,
        PayloadTooBig,
        Unknown,
    };
    struct BinaryError_Body {
        CError _0;
    };
    struct CodecError_Body {
        CError _0;
    };
    struct PayloadTooBig_Body {
        CVec _0;
    };
    Tag tag;
    union {
        BinaryError_Body binary_error;
        CodecError_Body codec_error;
        PayloadTooBig_Body payload_too_big;
    };
};

template <typename T, typename E> struct CResult {
    enum class Tag {
        Ok,
        Err,
    };
    struct Ok_Body {
        T _0;
    };
    struct Err_Body {
        E _0;
    };
    Tag tag;
    union {
        Ok_Body ok;
        Err_Body err;
    };
};

typedef CResult<CSv2Message, Sv2Error> CResult_CSv2Message_Sv2Error;
typedef CResult<CVec, Sv2Error> CResult_CVec_Sv2Error;

/* Completes both types here: a function with C linkage wants its result complete. */
static_assert(sizeof(CResult_CSv2Message_Sv2Error) > sizeof(CSv2Message), "layout");
static_assert(sizeof(CResult_CVec_Sv2Error) > sizeof(CVec), "layout");

extern "C" {

#else

typedef enum CError_Tag {
    CError_AeadError,
    CError_BinarySv2Error,
    CError_FramingError,
    CError_FramingSv2Error,
    CError_InvalidStepForInitiator,
    CError_InvalidStepForResponder,
    CError_MissingBytes,
    CError_NoiseSv2Error,
    CError_NotInHandShakeState,
    CError_UnexpectedNoiseState
} CError_Tag;

typedef struct CError_MissingBytes_Body {
    uintptr_t _0;
} CError_MissingBytes_Body;

typedef struct CError {
    CError_Tag tag;
    union {
        CError_MissingBytes_Body missing_bytes;
    };
} CError;

typedef enum CSv2Message_Tag {
    CSv2Message_CoinbaseOutputConstraints,
    CSv2Message_NewTemplate,
    CSv2Message_RequestTransactionData,
    CSv2Message_RequestTransactionDataError,
    CSv2Message_RequestTransactionDataSuccess,
    CSv2Message_SetNewPrevHash,
    CSv2Message_SubmitSolution,
    CSv2Message_ChannelEndpointChanged,
    CSv2Message_SetupConnection,
    CSv2Message_SetupConnectionError,
    CSv2Message_SetupConnectionSuccess
} CSv2Message_Tag;

typedef struct CSv2Message {
    CSv2Message_Tag tag;
    union {
        struct {
            CoinbaseOutputConstraints _0;
        } coinbase_output_constraints;
        struct {
            CNewTemplate _0;
        } new_template;
        struct {
            RequestTransactionData _0;
        } request_transaction_data;
        struct {
            CRequestTransactionDataError _0;
        } request_transaction_data_error;
        struct {
            CRequestTransactionDataSuccess _0;
        } request_transaction_data_success;
        struct {
            CSetNewPrevHash _0;
        } set_new_prev_hash;
        struct {
            CSubmitSolution _0;
        } submit_solution;
        struct {
            ChannelEndpointChanged _0;
        } channel_endpoint_changed;
        struct {
            CSetupConnection _0;
        } setup_connection;
        struct {
            CSetupConnectionError _0;
        } setup_connection_error;
        struct {
            SetupConnectionSuccess _0;
        } setup_connection_success;
    };
} CSv2Message;

typedef enum Sv2Error_Tag {
    Sv2Error_BinaryError,
    Sv2Error_CodecError,
    Sv2Error_EncoderBusy,
    Sv2Error_InvalidSv2Frame,
    Sv2Error_MissingBytes,
    Sv2Error_PayloadTooBig,
    Sv2Error_Unknown
} Sv2Error_Tag;

typedef struct Sv2Error {
    Sv2Error_Tag tag;
    union {
        struct {
            CError _0;
        } binary_error;
        struct {
            CError _0;
        } codec_error;
        struct {
            CVec _0;
        } payload_too_big;
    };
} Sv2Error;

typedef enum CResult_Tag {
    CResult_Ok,
    CResult_Err
} CResult_Tag;

typedef struct CResult_CSv2Message_Sv2Error {
    CResult_Tag tag;
    union {
        struct {
            CSv2Message _0;
        } ok;
        struct {
            Sv2Error _0;
        } err;
    };
} CResult_CSv2Message_Sv2Error;

typedef struct CResult_CVec_Sv2Error {
    CResult_Tag tag;
    union {
        struct {
            CVec _0;
        } ok;
        struct {
            Sv2Error _0;
        } err;
    };
} CResult_CVec_Sv2Error;

#endif

/* ---- CVec and CVec2 ---------------------------------------------------------------------------*/

/* A CVec that owns a copy of len bytes at data. Out of memory, or data NULL: an empty one. */
SV2_FFI_API CVec cvec_from_buffer(const uint8_t *data, uintptr_t len);

/* An empty list. */
SV2_FFI_API CVec2 init_cvec2(void);

/* Appends cvec, which belongs to the list from then on. Out of memory: len stays as it was and cvec
 * is freed. */
SV2_FFI_API void cvec2_push(CVec2 *cvec2, CVec cvec);

/* ---- Dropping ---------------------------------------------------------------------------------
 * Free what a message or an error owns. The copy that the caller holds is not to be used after. */
SV2_FFI_API void drop_sv2_message(CSv2Message s);
SV2_FFI_API void drop_sv2_error(Sv2Error s);
SV2_FFI_API void free_setup_connection(CSetupConnection s);
SV2_FFI_API void free_setup_connection_error(CSetupConnectionError s);
SV2_FFI_API void free_new_template(CNewTemplate s);
SV2_FFI_API void free_request_tx_data_success(CRequestTransactionDataSuccess s);
SV2_FFI_API void free_request_tx_data_error(CRequestTransactionDataError s);
SV2_FFI_API void free_set_new_prev_hash(CSetNewPrevHash s);
SV2_FFI_API void free_submit_solution(CSubmitSolution s);

/* ---- Encoder ----------------------------------------------------------------------------------*/

/* NULL when out of memory. */
SV2_FFI_API EncoderWrapper *new_encoder(void);

/* Encodes a whole frame into the encoder's own buffer and lends it out until flush_encoder. */
SV2_FFI_API CResult_CVec_Sv2Error encode(CSv2Message *message, EncoderWrapper *encoder);

/* Takes the lent frame back. The buffer is kept for the next encode. */
SV2_FFI_API void flush_encoder(EncoderWrapper *encoder);

/* Ours: upstream has no way to free an encoder. NULL is allowed. */
SV2_FFI_API void free_encoder(EncoderWrapper *encoder);

/* ---- Decoder ----------------------------------------------------------------------------------*/

/* NULL when out of memory. */
SV2_FFI_API DecoderWrapper *new_decoder(void);

/* The window to write the next received bytes into: first a frame's header, then its payload, a
 * large one in windows that grow with what has arrived. Fill it whole, then call next_frame. Calling
 * it again before that gives the same window. Out of memory, a NULL decoder, or a frame that waits
 * for next_frame: an empty one. */
SV2_FFI_API CVec get_writable(DecoderWrapper *decoder);

/* Takes what was written into the window; the message, when its frame is complete. */
SV2_FFI_API CResult_CSv2Message_Sv2Error next_frame(DecoderWrapper *decoder);

/* NULL is allowed. */
SV2_FFI_API void free_decoder(DecoderWrapper *decoder);

/* ---- Helpers ----------------------------------------------------------------------------------*/

/* False for NULL too. */
SV2_FFI_API bool is_ok(const CResult_CSv2Message_Sv2Error *cresult);

/* Upstream's markers for its header generator; they do nothing. */
SV2_FFI_API CError export_cerror(void);
SV2_FFI_API void _c_export_u24(U24 _a);
SV2_FFI_API void _c_export_cvec(CVec _a);
SV2_FFI_API void _c_export_cvec2(CVec2 _a);
SV2_FFI_API void _c_export_channel_endpoint_changed(ChannelEndpointChanged _a);
SV2_FFI_API void _c_export_setup_conn_succ(SetupConnectionSuccess _a);
SV2_FFI_API void _c_export_coinbase_out(CoinbaseOutputConstraints _a);
SV2_FFI_API void _c_export_req_tx_data(RequestTransactionData _a);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif

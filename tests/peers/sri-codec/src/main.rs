//! Decodes and re-encodes Sv2 payloads with the published crates, in bulk, over stdin and stdout.
//!
//! Every integer is little-endian. A request is
//!
//! ```text
//! extension_type u16 | message_type u8 | length u32 | payload
//! ```
//!
//! and requests follow one another until end of file. Bit 15 of `extension_type` (the channel bit)
//! is ignored, as a receiver must. Each request gets one answer, in order:
//!
//! ```text
//! status u8 | extension_type u16 | length u32 | body
//! ```
//!
//! | status | meaning | extension_type | body |
//! | --- | --- | --- | --- |
//! | 0 | decoded and re-encoded | as the crates send it, channel bit included | the message, and the TLVs behind it, encoded again |
//! | 1 | the decoder refused it | 0 | the name of the error |
//! | 2 | the decoder panicked | 0 | where |
//! | 3 | no such message | 0 | empty |
//! | 4 | decoded, but the encoder refused or panicked | 0 | the name of the error, or where |
//!
//! A request longer than a frame can carry, or one that end of file cuts, ends the program with exit code 2.

use std::cell::RefCell;
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Write};
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

use binary_sv2::{Deserialize, Error, GetSize, Serialize};
use common_messages_sv2 as common;
use extensions_sv2 as extensions;
use job_declaration_sv2 as jd;
use mining_sv2 as mining;
use parsers_sv2::TlvList;
use template_distribution_sv2 as td;

const HEADER_SIZE: usize = 7;
const MAX_PAYLOAD_SIZE: usize = 0x00ff_ffff;
const CHANNEL_BIT: u16 = 0x8000;

enum Answer {
    Accepted { extension_type: u16, payload: Vec<u8> },
    Refused(String),
    Panicked(String),
    Unknown,
    NotEncodable(String),
}

thread_local! {
    // The panic hook runs before unwinding and is the only place that knows the location.
    static PANIC_PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

fn remember_panic_place(info: &panic::PanicHookInfo<'_>) {
    let place = info.location().map_or(String::from("unknown"), |l| {
        let file = l.file().rsplit('/').next().unwrap_or_default();
        format!("{file}:{}", l.line())
    });
    PANIC_PLACE.with(|p| *p.borrow_mut() = place);
}

fn panic_place() -> String {
    PANIC_PLACE.with(|p| p.borrow().clone())
}

/// The variant's name alone: its fields repeat the peer's numbers and bytes.
fn error_name(error: &Error) -> String {
    let text = format!("{error:?}");
    text.split('(').next().unwrap_or_default().to_string()
}

/// The message, and behind it the TLVs that `received` has behind its last field.
fn encode_again<T: Serialize + GetSize>(message: T, received: &[u8]) -> Result<Vec<u8>, String> {
    let mut payload = binary_sv2::to_bytes(message).map_err(|error| error_name(&error))?;
    let behind = received.get(payload.len()..).ok_or("MessageGrew")?;
    for tlv in TlvList::from_bytes(behind).to_vec() {
        payload.extend(tlv.encode().map_err(|_| "TlvError")?);
    }
    Ok(payload)
}

fn round_trip<'a, T>(extension: u16, channel_bit: bool, payload: &'a mut [u8]) -> Answer
where
    T: Deserialize<'a> + Serialize + GetSize,
{
    let whole = payload.to_vec();
    let decode = AssertUnwindSafe(move || {
        let bytes = payload; // moved, not reborrowed: the message borrows from it for all of 'a
        binary_sv2::from_bytes::<T>(bytes)
    });
    let decoded = panic::catch_unwind(decode);
    let message = match decoded {
        Ok(Ok(message)) => message,
        Ok(Err(error)) => return Answer::Refused(error_name(&error)),
        Err(_) => return Answer::Panicked(panic_place()),
    };
    let extension_type = if channel_bit { extension | CHANNEL_BIT } else { extension };
    match panic::catch_unwind(AssertUnwindSafe(move || encode_again(message, &whole))) {
        Ok(Ok(payload)) => Answer::Accepted { extension_type, payload },
        Ok(Err(name)) => Answer::NotEncodable(name),
        Err(_) => Answer::NotEncodable(panic_place()),
    }
}

macro_rules! dispatch {
    ($extension:expr, $message:expr, $payload:expr, {
        $($module:ident $ext:literal $id:ident $bit:ident $type:ident;)+
    }) => {
        match ($extension, $message) {
            $(($ext, $module::$id) => {
                round_trip::<$module::$type>($ext, $module::$bit, $payload)
            })+
            _ => Answer::Unknown,
        }
    };
}

#[rustfmt::skip]
fn answer(extension: u16, message: u8, payload: &mut [u8]) -> Answer {
    dispatch!(extension & !CHANNEL_BIT, message, payload, {
        common 0 MESSAGE_TYPE_SETUP_CONNECTION CHANNEL_BIT_SETUP_CONNECTION SetupConnection;
        common 0 MESSAGE_TYPE_SETUP_CONNECTION_SUCCESS CHANNEL_BIT_SETUP_CONNECTION_SUCCESS SetupConnectionSuccess;
        common 0 MESSAGE_TYPE_SETUP_CONNECTION_ERROR CHANNEL_BIT_SETUP_CONNECTION_ERROR SetupConnectionError;
        common 0 MESSAGE_TYPE_CHANNEL_ENDPOINT_CHANGED CHANNEL_BIT_CHANNEL_ENDPOINT_CHANGED ChannelEndpointChanged;
        common 0 MESSAGE_TYPE_RECONNECT CHANNEL_BIT_RECONNECT Reconnect;
        mining 0 MESSAGE_TYPE_OPEN_STANDARD_MINING_CHANNEL CHANNEL_BIT_OPEN_STANDARD_MINING_CHANNEL OpenStandardMiningChannel;
        mining 0 MESSAGE_TYPE_OPEN_STANDARD_MINING_CHANNEL_SUCCESS CHANNEL_BIT_OPEN_STANDARD_MINING_CHANNEL_SUCCESS OpenStandardMiningChannelSuccess;
        mining 0 MESSAGE_TYPE_OPEN_MINING_CHANNEL_ERROR CHANNEL_BIT_OPEN_MINING_CHANNEL_ERROR OpenMiningChannelError;
        mining 0 MESSAGE_TYPE_OPEN_EXTENDED_MINING_CHANNEL CHANNEL_BIT_OPEN_EXTENDED_MINING_CHANNEL OpenExtendedMiningChannel;
        mining 0 MESSAGE_TYPE_OPEN_EXTENDED_MINING_CHANNEL_SUCCESS CHANNEL_BIT_OPEN_EXTENDED_MINING_CHANNEL_SUCCESS OpenExtendedMiningChannelSuccess;
        mining 0 MESSAGE_TYPE_NEW_MINING_JOB CHANNEL_BIT_NEW_MINING_JOB NewMiningJob;
        mining 0 MESSAGE_TYPE_UPDATE_CHANNEL CHANNEL_BIT_UPDATE_CHANNEL UpdateChannel;
        mining 0 MESSAGE_TYPE_UPDATE_CHANNEL_ERROR CHANNEL_BIT_UPDATE_CHANNEL_ERROR UpdateChannelError;
        mining 0 MESSAGE_TYPE_CLOSE_CHANNEL CHANNEL_BIT_CLOSE_CHANNEL CloseChannel;
        mining 0 MESSAGE_TYPE_SET_EXTRANONCE_PREFIX CHANNEL_BIT_SET_EXTRANONCE_PREFIX SetExtranoncePrefix;
        mining 0 MESSAGE_TYPE_SUBMIT_SHARES_STANDARD CHANNEL_BIT_SUBMIT_SHARES_STANDARD SubmitSharesStandard;
        mining 0 MESSAGE_TYPE_SUBMIT_SHARES_EXTENDED CHANNEL_BIT_SUBMIT_SHARES_EXTENDED SubmitSharesExtended;
        mining 0 MESSAGE_TYPE_SUBMIT_SHARES_SUCCESS CHANNEL_BIT_SUBMIT_SHARES_SUCCESS SubmitSharesSuccess;
        mining 0 MESSAGE_TYPE_SUBMIT_SHARES_ERROR CHANNEL_BIT_SUBMIT_SHARES_ERROR SubmitSharesError;
        mining 0 MESSAGE_TYPE_NEW_EXTENDED_MINING_JOB CHANNEL_BIT_NEW_EXTENDED_MINING_JOB NewExtendedMiningJob;
        mining 0 MESSAGE_TYPE_MINING_SET_NEW_PREV_HASH CHANNEL_BIT_MINING_SET_NEW_PREV_HASH SetNewPrevHash;
        mining 0 MESSAGE_TYPE_SET_TARGET CHANNEL_BIT_SET_TARGET SetTarget;
        mining 0 MESSAGE_TYPE_SET_CUSTOM_MINING_JOB CHANNEL_BIT_SET_CUSTOM_MINING_JOB SetCustomMiningJob;
        mining 0 MESSAGE_TYPE_SET_CUSTOM_MINING_JOB_SUCCESS CHANNEL_BIT_SET_CUSTOM_MINING_JOB_SUCCESS SetCustomMiningJobSuccess;
        mining 0 MESSAGE_TYPE_SET_CUSTOM_MINING_JOB_ERROR CHANNEL_BIT_SET_CUSTOM_MINING_JOB_ERROR SetCustomMiningJobError;
        mining 0 MESSAGE_TYPE_SET_GROUP_CHANNEL CHANNEL_BIT_SET_GROUP_CHANNEL SetGroupChannel;
        jd 0 MESSAGE_TYPE_ALLOCATE_MINING_JOB_TOKEN CHANNEL_BIT_ALLOCATE_MINING_JOB_TOKEN AllocateMiningJobToken;
        jd 0 MESSAGE_TYPE_ALLOCATE_MINING_JOB_TOKEN_SUCCESS CHANNEL_BIT_ALLOCATE_MINING_JOB_TOKEN_SUCCESS AllocateMiningJobTokenSuccess;
        jd 0 MESSAGE_TYPE_PROVIDE_MISSING_TRANSACTIONS CHANNEL_BIT_PROVIDE_MISSING_TRANSACTIONS ProvideMissingTransactions;
        jd 0 MESSAGE_TYPE_PROVIDE_MISSING_TRANSACTIONS_SUCCESS CHANNEL_BIT_PROVIDE_MISSING_TRANSACTIONS_SUCCESS ProvideMissingTransactionsSuccess;
        jd 0 MESSAGE_TYPE_DECLARE_MINING_JOB CHANNEL_BIT_DECLARE_MINING_JOB DeclareMiningJob;
        jd 0 MESSAGE_TYPE_DECLARE_MINING_JOB_SUCCESS CHANNEL_BIT_DECLARE_MINING_JOB_SUCCESS DeclareMiningJobSuccess;
        jd 0 MESSAGE_TYPE_DECLARE_MINING_JOB_ERROR CHANNEL_BIT_DECLARE_MINING_JOB_ERROR DeclareMiningJobError;
        jd 0 MESSAGE_TYPE_PUSH_SOLUTION CHANNEL_BIT_PUSH_SOLUTION PushSolution;
        td 0 MESSAGE_TYPE_COINBASE_OUTPUT_CONSTRAINTS CHANNEL_BIT_COINBASE_OUTPUT_CONSTRAINTS CoinbaseOutputConstraints;
        td 0 MESSAGE_TYPE_NEW_TEMPLATE CHANNEL_BIT_NEW_TEMPLATE NewTemplate;
        td 0 MESSAGE_TYPE_SET_NEW_PREV_HASH CHANNEL_BIT_SET_NEW_PREV_HASH SetNewPrevHash;
        td 0 MESSAGE_TYPE_REQUEST_TRANSACTION_DATA CHANNEL_BIT_REQUEST_TRANSACTION_DATA RequestTransactionData;
        td 0 MESSAGE_TYPE_REQUEST_TRANSACTION_DATA_SUCCESS CHANNEL_BIT_REQUEST_TRANSACTION_DATA_SUCCESS RequestTransactionDataSuccess;
        td 0 MESSAGE_TYPE_REQUEST_TRANSACTION_DATA_ERROR CHANNEL_BIT_REQUEST_TRANSACTION_DATA_ERROR RequestTransactionDataError;
        td 0 MESSAGE_TYPE_SUBMIT_SOLUTION CHANNEL_BIT_SUBMIT_SOLUTION SubmitSolution;
        extensions 1 MESSAGE_TYPE_REQUEST_EXTENSIONS CHANNEL_BIT_REQUEST_EXTENSIONS RequestExtensions;
        extensions 1 MESSAGE_TYPE_REQUEST_EXTENSIONS_SUCCESS CHANNEL_BIT_REQUEST_EXTENSIONS_SUCCESS RequestExtensionsSuccess;
        extensions 1 MESSAGE_TYPE_REQUEST_EXTENSIONS_ERROR CHANNEL_BIT_REQUEST_EXTENSIONS_ERROR RequestExtensionsError;
    })
}

fn write_answer(out: &mut impl Write, answer: Answer) -> io::Result<()> {
    let (status, extension_type, body) = match answer {
        Answer::Accepted { extension_type, payload } => (0u8, extension_type, payload),
        Answer::Refused(name) => (1, 0, name.into_bytes()),
        Answer::Panicked(place) => (2, 0, place.into_bytes()),
        Answer::Unknown => (3, 0, Vec::new()),
        Answer::NotEncodable(name) => (4, 0, name.into_bytes()),
    };
    out.write_all(&[status])?;
    out.write_all(&extension_type.to_le_bytes())?;
    out.write_all(&(body.len() as u32).to_le_bytes())?;
    out.write_all(&body)
}

/// Reads the next request's header; `None` at a clean end of file.
fn read_header(input: &mut impl Read) -> io::Result<Option<[u8; HEADER_SIZE]>> {
    let mut header = [0; HEADER_SIZE];
    if input.read(&mut header[..1])? == 0 {
        return Ok(None);
    }
    input.read_exact(&mut header[1..])?;
    Ok(Some(header))
}

fn run(input: impl Read, output: impl Write) -> io::Result<()> {
    let mut input = BufReader::with_capacity(1 << 20, input);
    let mut output = BufWriter::with_capacity(1 << 20, output);
    let mut payload = Vec::new();
    while let Some(header) = read_header(&mut input)? {
        let [e0, e1, message, l0, l1, l2, l3] = header;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        if length > MAX_PAYLOAD_SIZE {
            return Err(io::Error::new(ErrorKind::InvalidData, "request longer than a frame"));
        }
        payload.resize(length, 0);
        input.read_exact(&mut payload)?;
        write_answer(&mut output, answer(u16::from_le_bytes([e0, e1]), message, &mut payload))?;
    }
    output.flush()
}

fn main() -> ExitCode {
    panic::set_hook(Box::new(remember_panic_place));
    match run(io::stdin().lock(), io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sri-codec: {error}");
            ExitCode::from(2)
        }
    }
}

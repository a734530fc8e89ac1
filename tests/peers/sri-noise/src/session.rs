//! One connection: handshake in either role, then frames.

use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use codec_sv2::{
    Decoded, Decrypted, Error, ExpectsHandshakeMessage, Handshake, HandshakeMessage, InitiatorSent, NoiseDecoder,
    NoiseEncoder, SerializedFrame, Transport, TransportDecryptState, TransportEncryptState,
};
use key_utils::{Secp256k1PublicKey, Secp256k1SecretKey};
use noise_sv2::{Initiator, Responder};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::args::{Mode, Options};

pub const MAX_PAYLOAD_SIZE: usize = 0x00ff_ffff;
const LARGEST_PIECE: usize = 1400;
/// A message type that no subprotocol uses, for frames whose content does not matter.
const FLOOD_MESSAGE_TYPE: u8 = 0xff;

#[derive(Clone, Copy)]
pub enum Role {
    Initiator { authority: Option<Secp256k1PublicKey> },
    Responder { secret: Secp256k1SecretKey, validity: Duration },
}

/// When a connection failed; the value is the exit code.
#[derive(Clone, Copy)]
pub enum Stage {
    Handshake = 2,
    Transport = 3,
}

#[derive(Clone, Copy, Debug)]
pub enum Failure {
    Certificate,
    Handshake,
    Decrypt,
    Truncated,
    Input,
    Io,
}

impl Failure {
    pub fn name(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Handshake => "handshake",
            Self::Decrypt => "decrypt",
            Self::Truncated => "truncated",
            Self::Input => "input",
            Self::Io => "io",
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::UnexpectedEof => Self::Truncated,
            _ => Self::Io,
        }
    }
}

/// One line on stdout, at once. A reader that is gone ends the program's use, not the program.
pub fn say(line: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// The sending side of the socket, with the faults that the options ask for.
struct Wire {
    stream: TcpStream,
    pieces: Option<StdRng>,
    flip: Option<usize>,
    cut: Option<usize>,
    sent: usize,
}

impl Wire {
    fn new(stream: TcpStream, options: &Options) -> Self {
        let pieces = options.split.map(StdRng::seed_from_u64);
        Self { stream, pieces, flip: options.flip, cut: options.cut, sent: 0 }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut bytes = bytes.to_vec();
        if let Some(byte) = self.flip.and_then(|at| at.checked_sub(self.sent)).and_then(|at| bytes.get_mut(at)) {
            *byte ^= 1;
        }
        let room = self.cut.map_or(bytes.len(), |at| at.saturating_sub(self.sent));
        let cut_now = room < bytes.len();
        bytes.truncate(room);
        self.sent += bytes.len();
        self.write_pieces(&bytes)?;
        if cut_now {
            self.stream.shutdown(Shutdown::Write)?;
            return Err(ErrorKind::BrokenPipe.into());
        }
        Ok(())
    }

    fn write_pieces(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let Some(rng) = &mut self.pieces else { return self.stream.write_all(bytes) };
        while !bytes.is_empty() {
            let (piece, rest) = bytes.split_at(rng.gen_range(1..=bytes.len().min(LARGEST_PIECE)));
            self.stream.write_all(piece)?;
            bytes = rest;
        }
        Ok(())
    }
}

struct Sender {
    wire: Wire,
    encoder: NoiseEncoder,
    state: TransportEncryptState,
}

impl Sender {
    fn send(&mut self, frame: SerializedFrame) -> Result<(), Failure> {
        let encrypted = self.encoder.encode_transport(frame, &mut self.state).map_err(|_| Failure::Input)?;
        Ok(self.wire.send(encrypted.as_ref())?)
    }

    fn close(&self) {
        // The peer may have closed first; then there is nothing left to say.
        let _ = self.wire.stream.shutdown(Shutdown::Write);
    }
}

struct Receiver {
    stream: TcpStream,
    decoder: NoiseDecoder,
    // The crates take the state by value and hand it back; it is gone after an error.
    state: Option<TransportDecryptState>,
}

impl Receiver {
    /// The next frame, or `None` where the peer closed between two frames.
    fn next(&mut self) -> Result<Option<SerializedFrame>, Failure> {
        let mut inside_frame = false;
        loop {
            let window = self.decoder.writable();
            if !inside_frame && self.stream.peek(&mut [0])? == 0 {
                return Ok(None);
            }
            self.stream.read_exact(window)?;
            inside_frame = true;
            let state = self.state.take().ok_or(Failure::Decrypt)?;
            match self.decoder.next_transport_frame(state).map_err(|_| Failure::Decrypt)? {
                Decrypted::Frame(frame, state) => {
                    self.state = Some(state);
                    return Ok(Some(frame));
                }
                Decrypted::Incomplete(_, state) => self.state = Some(state),
            }
        }
    }
}

fn handshake_failure(error: Error) -> Failure {
    match error {
        Error::NoiseSv2Error(noise_sv2::Error::InvalidCertificate(_)) => Failure::Certificate,
        _ => Failure::Handshake,
    }
}

fn shifted_clock(offset: i64) -> u32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64);
    now.saturating_add(offset).clamp(0, i64::from(u32::MAX)) as u32
}

fn read_handshake<R, const N: usize>(stream: &mut TcpStream, decoder: &mut NoiseDecoder) -> Result<[u8; N], Failure>
where
    R: ExpectsHandshakeMessage,
{
    loop {
        stream.read_exact(decoder.writable())?;
        match decoder.next_handshake_frame::<R>().map_err(handshake_failure)? {
            Decoded::Frame(message) => return message.payload().try_into().map_err(|_| Failure::Handshake),
            Decoded::Incomplete(_) => {}
        }
    }
}

fn send_handshake(wire: &mut Wire, message: HandshakeMessage) -> Result<(), Failure> {
    Ok(wire.send(message.payload())?)
}

fn initiate(
    authority: Option<Secp256k1PublicKey>,
    now: u32,
    stream: &mut TcpStream,
    wire: &mut Wire,
    decoder: &mut NoiseDecoder,
) -> Result<Transport, Failure> {
    let initiator = match authority {
        Some(key) => Initiator::from_raw_k(key.into_bytes()),
        None => Initiator::without_pk(),
    };
    let handshake = Handshake::initiator(initiator.map_err(|_| Failure::Handshake)?);
    let (first, handshake) = handshake.step_0().map_err(handshake_failure)?;
    send_handshake(wire, first)?;
    let second =
        read_handshake::<InitiatorSent, { noise_sv2::INITIATOR_EXPECTED_HANDSHAKE_MESSAGE_SIZE }>(stream, decoder)?;
    handshake.step_2_with_now(second, now).map_err(handshake_failure)
}

fn respond(
    secret: Secp256k1SecretKey,
    validity: Duration,
    now: u32,
    stream: &mut TcpStream,
    wire: &mut Wire,
    decoder: &mut NoiseDecoder,
) -> Result<Transport, Failure> {
    let public = Secp256k1PublicKey::from(secret).into_bytes();
    let responder = Responder::from_authority_kp(&public, &secret.into_bytes(), validity);
    let handshake = Handshake::responder(responder.map_err(|_| Failure::Handshake)?);
    let first = read_handshake::<Responder, { noise_sv2::ELLSWIFT_ENCODING_SIZE }>(stream, decoder)?;
    let answer = handshake.step_1_with_now_rng(first, now, &mut rand::thread_rng());
    let (second, transport) = answer.map_err(handshake_failure)?;
    send_handshake(wire, second)?;
    Ok(transport)
}

fn shake_hands(mut stream: TcpStream, role: Role, options: &Options) -> Result<(Sender, Receiver), Failure> {
    stream.set_nodelay(true)?;
    let mut wire = Wire::new(stream.try_clone()?, options);
    let mut decoder = NoiseDecoder::new();
    let now = shifted_clock(options.clock_offset);
    let transport = match role {
        Role::Initiator { authority } => initiate(authority, now, &mut stream, &mut wire, &mut decoder)?,
        Role::Responder { secret, validity } => respond(secret, validity, now, &mut stream, &mut wire, &mut decoder)?,
    };
    let (encrypt, decrypt) = transport.split();
    let sender = Sender { wire, encoder: NoiseEncoder::new(), state: encrypt };
    Ok((sender, Receiver { stream, decoder, state: Some(decrypt) }))
}

fn parse_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim().as_bytes();
    let value = |digit: u8| char::from(digit).to_digit(16).map(|v| v as u8);
    let pairs = digits.chunks(2);
    pairs.map(|pair| Some(value(*pair.first()?)? << 4 | value(*pair.get(1)?)?)).collect()
}

fn send_lines(sender: &mut Sender) -> Result<(), Failure> {
    for line in io::stdin().lock().lines() {
        let bytes = parse_hex(&line?).ok_or(Failure::Input)?;
        sender.send(SerializedFrame::from_bytes(bytes).map_err(|_| Failure::Input)?)?;
    }
    Ok(())
}

pub fn flood_frame(size: usize) -> Result<SerializedFrame, Failure> {
    let length = (size as u32).to_le_bytes();
    let mut bytes = vec![0x5a; HEADER_SIZE + size];
    bytes[..HEADER_SIZE].copy_from_slice(&[0, 0, FLOOD_MESSAGE_TYPE, length[0], length[1], length[2]]);
    SerializedFrame::from_bytes(bytes).map_err(|_| Failure::Input)
}

const HEADER_SIZE: usize = framing_sv2::SV2_FRAME_HEADER_SIZE;

fn send_flood(sender: &mut Sender, size: usize, count: usize) -> Result<(), Failure> {
    let frame = flood_frame(size)?;
    (0..count).try_for_each(|_| sender.send(frame.clone()))
}

/// Starts the thread that sends on its own account, where the mode has one.
fn start_sending(mut sender: Sender, mode: Mode) -> JoinHandle<Result<(), Failure>> {
    thread::spawn(move || {
        let result = match mode {
            Mode::Talk => send_lines(&mut sender),
            Mode::Flood { size, count } => send_flood(&mut sender, size, count),
            Mode::Echo | Mode::Sink => Ok(()),
        };
        sender.close();
        result
    })
}

fn receive(
    receiver: &mut Receiver,
    expect: Option<usize>,
    mut take: impl FnMut(SerializedFrame) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let (mut frames, mut bytes) = (0usize, 0usize);
    while expect != Some(frames) {
        let Some(frame) = receiver.next()? else { break };
        frames += 1;
        bytes += frame.as_bytes().len();
        take(frame)?;
    }
    say(&format!("closed {frames} {bytes}"));
    Ok(())
}

fn exchange(mut sender: Sender, mut receiver: Receiver, options: &Options) -> Result<(), Failure> {
    match options.mode {
        Mode::Echo => receive(&mut receiver, options.expect, |frame| sender.send(frame)),
        Mode::Sink => receive(&mut receiver, options.expect, |_| Ok(())),
        Mode::Talk | Mode::Flood { .. } => {
            let sending = start_sending(sender, options.mode);
            let print = options.mode == Mode::Talk;
            receive(&mut receiver, options.expect, |frame| {
                if print {
                    say(&format!("frame {}", crate::hex(frame.as_bytes())));
                }
                Ok(())
            })?;
            // With --expect the sender may still wait for lines that nobody will write.
            if options.expect.is_some() && !sending.is_finished() {
                return Ok(());
            }
            sending.join().unwrap_or(Err(Failure::Input))
        }
    }
}

/// Handshake and frames of one connection. Prints the lines that main.rs documents, except errors.
pub fn run(stream: TcpStream, role: Role, options: &Options) -> Result<(), (Stage, Failure)> {
    let (sender, receiver) = shake_hands(stream, role, options).map_err(|f| (Stage::Handshake, f))?;
    say("handshake ok");
    exchange(sender, receiver, options).map_err(|f| (Stage::Transport, f))
}

//! What the crates do in memory, without sockets, on one thread.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use codec_sv2::{Decrypted, Handshake, NoiseDecoder, NoiseEncoder, SerializedFrame, Transport, TransportDecryptState};
use key_utils::{Secp256k1PublicKey, Secp256k1SecretKey};
use noise_sv2::{Initiator, Responder};
use secp256k1::SecretKey;

use crate::session::flood_frame;

const PAYLOAD_SIZES: [usize; 4] = [64, 1024, 65_519, 1 << 20];
const VALIDITY: Duration = Duration::from_secs(3600);

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn refused(what: &str) -> Box<dyn std::error::Error> {
    what.into()
}

/// Both roles of one handshake, certificate signed and checked.
fn handshake(secret: &[u8; 32], public: &[u8; 32]) -> Outcome<(Transport, Transport)> {
    let initiator = Initiator::from_raw_k(*public).map_err(|_| refused("authority key"))?;
    let responder = Responder::from_authority_kp(public, secret, VALIDITY).map_err(|_| refused("authority key"))?;
    let failed = |_| refused("handshake");
    let (first, initiator) = Handshake::initiator(initiator).step_0().map_err(failed)?;
    let (second, responder) = Handshake::responder(responder).step_1(first.payload().try_into()?).map_err(failed)?;
    let initiator = initiator.step_2(second.payload().try_into()?).map_err(failed)?;
    Ok((initiator, responder))
}

fn handshakes_per_second(secret: &[u8; 32], public: &[u8; 32], time: Duration) -> Outcome<f64> {
    let start = Instant::now();
    let mut count = 0u32;
    while count == 0 || start.elapsed() < time {
        handshake(secret, public)?;
        count += 1;
    }
    Ok(f64::from(count) / start.elapsed().as_secs_f64())
}

/// Decrypts one frame that is there in full.
fn open(
    decoder: &mut NoiseDecoder,
    mut state: TransportDecryptState,
    mut bytes: &[u8],
) -> Outcome<TransportDecryptState> {
    loop {
        let window = decoder.writable();
        let (now, rest) = bytes.split_at(window.len());
        window.copy_from_slice(now);
        bytes = rest;
        match decoder.next_transport_frame(state).map_err(|_| refused("decrypt"))? {
            Decrypted::Frame(_, state) => return Ok(state),
            Decrypted::Incomplete(_, next) => state = next,
        }
    }
}

struct Rate {
    size: usize,
    seal: f64,
    open: f64,
}

/// MB of payload per second, for each direction of one message size.
fn transport_rate(pair: (Transport, Transport), size: usize, time: Duration) -> Outcome<Rate> {
    let (mut encrypt, _) = pair.0.split();
    let (_, mut decrypt) = pair.1.split();
    let (mut encoder, mut decoder) = (NoiseEncoder::new(), NoiseDecoder::new());
    let frame: SerializedFrame = flood_frame(size).map_err(|_| refused("frame"))?;
    let (mut sealing, mut opening, mut bytes) = (Duration::ZERO, Duration::ZERO, 0usize);
    while bytes == 0 || sealing + opening < time {
        let start = Instant::now();
        let sealed = encoder.encode_transport(frame.clone(), &mut encrypt).map_err(|_| refused("encrypt"))?;
        sealing += start.elapsed();
        let start = Instant::now();
        decrypt = open(&mut decoder, decrypt, sealed.as_ref())?;
        opening += start.elapsed();
        bytes += size;
    }
    let rate = |spent: Duration| bytes as f64 / 1e6 / spent.as_secs_f64();
    Ok(Rate { size, seal: rate(sealing), open: rate(opening) })
}

fn measure(seconds: u64) -> Outcome<String> {
    let time = Duration::from_secs(seconds);
    let secret = Secp256k1SecretKey(SecretKey::new(&mut rand::thread_rng()));
    let public = Secp256k1PublicKey::from(secret).into_bytes();
    let secret = secret.into_bytes();
    let handshakes = handshakes_per_second(&secret, &public, time)?;
    let mut rows = Vec::new();
    for size in PAYLOAD_SIZES {
        let rate = transport_rate(handshake(&secret, &public)?, size, time)?;
        rows.push(format!(
            r#"{{"payload": {}, "seal_mb_per_s": {:.1}, "open_mb_per_s": {:.1}}}"#,
            rate.size, rate.seal, rate.open
        ));
    }
    Ok(format!(r#"{{"handshakes_per_s": {handshakes:.1}, "transport": [{}]}}"#, rows.join(", ")))
}

pub fn run(seconds: u64) -> ExitCode {
    match measure(seconds) {
        Ok(json) => {
            println!("{json}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("sri-noise: {error}");
            ExitCode::from(crate::EXIT_USAGE)
        }
    }
}

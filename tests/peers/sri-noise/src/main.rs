//! An Sv2 peer over Noise, on the published crates: either role, plain frames in and out, faults on demand.
//!
//! ```text
//! sri-noise listen  --authority-secret KEY [--validity S] [--connections N] [COMMON] [MODE]
//! sri-noise connect PORT [--authority-public KEY] [COMMON] [MODE]
//! sri-noise keys    [KEY]                 a key pair, new or of the secret KEY
//! sri-noise bench   [--seconds S]         handshakes and MB per second in memory, as one JSON object
//! ```
//!
//! Sockets are loopback only: `listen` binds 127.0.0.1 on a free port, `connect` goes there. The responder makes a new
//! static key for each connection and a certificate for it, signed by the authority. Without `--authority-public` the
//! initiator accepts any authority. A KEY is 64 hex digits or base58check text.
//!
//! | MODE | what happens after the handshake |
//! | --- | --- |
//! | `--mode echo` (default) | every frame goes back, until the peer closes |
//! | `--mode talk` | each line of stdin is one whole plain frame in hex and is sent; each frame that arrives is printed. End of stdin closes our sending side |
//! | `--mode sink` | frames are counted, until the peer closes |
//! | `--mode flood --size B --count N` | sends N frames with B bytes of payload each, closes the sending side, waits for the peer to close |
//!
//! | COMMON | |
//! | --- | --- |
//! | `--timeout S` | the whole program ends with exit code 4 after S seconds (default 30) |
//! | `--expect N` | end well after N frames have arrived, without waiting for the peer to close |
//! | `--clock-offset S` | this side's clock is S seconds ahead: a responder's certificate starts then, an initiator checks with it |
//! | `--split SEED` | each write goes out in pieces of 1 to 1,400 bytes, at places that SEED decides |
//! | `--flip N` | bit 0 of the Nth byte sent (from 0, handshake included) is inverted |
//! | `--cut N` | the sending side closes after N bytes (handshake included) |
//!
//! So an expired certificate is `--clock-offset -7200 --validity 3600`, one that is not valid yet `--clock-offset 7200`.
//! The crates allow ten seconds of tolerance at both ends. They build certificates of version 0 only.
//!
//! Lines on stdout, each flushed at once:
//!
//! ```text
//! listening PORT              listen only, first
//! handshake ok                one for each connection
//! frame HEX                   a frame that arrived, header included (talk)
//! closed FRAMES BYTES         a connection ended well: frames that arrived, and their bytes with headers
//! error KIND                  certificate | handshake | decrypt | truncated | input | timeout | io
//! secret HEX TEXT             keys
//! public HEX TEXT             keys
//! ```
//!
//! Exit codes: 0 all connections ended well, 1 bad arguments, 2 handshake failed (`certificate`, `handshake`, or
//! `truncated` and `io` during it), 3 failed after the handshake, 4 time-out, 5 could not bind or connect. With several
//! connections the largest code counts.

mod args;
mod bench;
mod session;

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{exit, ExitCode};
use std::thread;
use std::time::Duration;

use args::{Command, Options};
use key_utils::{Secp256k1PublicKey, Secp256k1SecretKey};
use session::{say, Failure, Role};

const EXIT_USAGE: u8 = 1;
const EXIT_TIMEOUT: i32 = 4;
const EXIT_NO_SOCKET: u8 = 5;

/// Ends the process when the time is up, whatever the other threads wait for.
fn start_watchdog(timeout: Duration) {
    thread::spawn(move || {
        thread::sleep(timeout);
        say("error timeout");
        exit(EXIT_TIMEOUT);
    });
}

fn no_socket() -> ExitCode {
    say(&format!("error {}", Failure::Io.name()));
    ExitCode::from(EXIT_NO_SOCKET)
}

/// Runs one connection to its end and returns its exit code.
fn run_connection(stream: TcpStream, role: Role, options: Options) -> u8 {
    match session::run(stream, role, &options) {
        Ok(()) => 0,
        Err((stage, failure)) => {
            say(&format!("error {}", failure.name()));
            stage as u8
        }
    }
}

fn listen(secret: Secp256k1SecretKey, validity: Duration, connections: usize, options: Options) -> ExitCode {
    let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)) else { return no_socket() };
    let Ok(address) = listener.local_addr() else { return no_socket() };
    say(&format!("listening {}", address.port()));
    let mut threads = Vec::new();
    for _ in 0..connections {
        let Ok((stream, _)) = listener.accept() else { return no_socket() };
        let role = Role::Responder { secret, validity };
        let options = options.clone();
        threads.push(thread::spawn(move || run_connection(stream, role, options)));
    }
    // A thread that panicked met a defect of ours or of the crates: that is never a good end.
    let worst = threads.into_iter().map(|t| t.join().unwrap_or(session::Stage::Transport as u8)).max();
    ExitCode::from(worst.unwrap_or(0))
}

fn connect(port: u16, authority: Option<Secp256k1PublicKey>, options: Options) -> ExitCode {
    match TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))) {
        Ok(stream) => ExitCode::from(run_connection(stream, Role::Initiator { authority }, options)),
        Err(_) => no_socket(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn print_keys(secret: Secp256k1SecretKey) -> ExitCode {
    let public = Secp256k1PublicKey::from(secret);
    say(&format!("secret {} {secret}", hex(&secret.into_bytes())));
    say(&format!("public {} {public}", hex(&public.into_bytes())));
    ExitCode::SUCCESS
}

fn main() -> ExitCode {
    let command = match args::parse(std::env::args().skip(1)) {
        Ok(command) => command,
        Err(problem) => {
            eprintln!("sri-noise: {problem}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match command {
        Command::Keys { secret } => print_keys(secret),
        Command::Bench { seconds } => bench::run(seconds),
        Command::Listen { secret, validity, connections, options } => {
            start_watchdog(options.timeout);
            listen(secret, validity, connections, options)
        }
        Command::Connect { port, authority, options } => {
            start_watchdog(options.timeout);
            connect(port, authority, options)
        }
    }
}

//! The command line, as documented at the top of main.rs.

use std::collections::HashMap;
use std::str::FromStr;
use std::time::Duration;

use key_utils::{Secp256k1PublicKey, Secp256k1SecretKey};
use secp256k1::{SecretKey, XOnlyPublicKey};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Echo,
    Talk,
    Sink,
    Flood { size: usize, count: usize },
}

#[derive(Clone)]
pub struct Options {
    pub mode: Mode,
    pub timeout: Duration,
    pub expect: Option<usize>,
    pub clock_offset: i64,
    pub split: Option<u64>,
    pub flip: Option<usize>,
    pub cut: Option<usize>,
}

pub enum Command {
    Listen { secret: Secp256k1SecretKey, validity: Duration, connections: usize, options: Options },
    Connect { port: u16, authority: Option<Secp256k1PublicKey>, options: Options },
    Keys { secret: Secp256k1SecretKey },
    Bench { seconds: u64 },
}

struct Flags(HashMap<String, String>);

impl Flags {
    fn collect(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut flags = HashMap::new();
        while let Some(name) = words.next() {
            if !name.starts_with("--") {
                return Err(format!("unexpected argument {name}"));
            }
            let value = words.next().ok_or_else(|| format!("{name} needs a value"))?;
            flags.insert(name, value);
        }
        Ok(Self(flags))
    }

    fn text(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    fn number<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, String> {
        let parse = |text: String| text.parse().map_err(|_| format!("{name}: not a number in range"));
        self.text(name).map(parse).transpose()
    }

    fn finish(self) -> Result<(), String> {
        match self.0.into_keys().next() {
            Some(name) => Err(format!("{name} does not apply here")),
            None => Ok(()),
        }
    }
}

fn key_from_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut key = [0; 32];
    for (byte, pair) in key.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(key)
}

fn secret_key(text: &str) -> Result<Secp256k1SecretKey, String> {
    let key = match key_from_hex(text) {
        Some(bytes) => SecretKey::from_slice(&bytes).ok().map(Secp256k1SecretKey),
        None => text.parse().ok(),
    };
    key.ok_or_else(|| String::from("not a secret key"))
}

fn public_key(text: &str) -> Result<Secp256k1PublicKey, String> {
    let key = match key_from_hex(text) {
        Some(bytes) => XOnlyPublicKey::from_slice(&bytes).ok().map(Secp256k1PublicKey),
        None => text.parse().ok(),
    };
    key.ok_or_else(|| String::from("not an authority key"))
}

fn mode(flags: &mut Flags) -> Result<Mode, String> {
    match flags.text("--mode").as_deref() {
        None | Some("echo") => Ok(Mode::Echo),
        Some("talk") => Ok(Mode::Talk),
        Some("sink") => Ok(Mode::Sink),
        Some("flood") => {
            let size = flags.number("--size")?.ok_or("flood needs --size")?;
            let count = flags.number("--count")?.ok_or("flood needs --count")?;
            if size > crate::session::MAX_PAYLOAD_SIZE {
                return Err(String::from("--size: more than a frame can carry"));
            }
            Ok(Mode::Flood { size, count })
        }
        Some(_) => Err(String::from("no such mode")),
    }
}

fn options(flags: &mut Flags) -> Result<Options, String> {
    Ok(Options {
        mode: mode(flags)?,
        timeout: Duration::from_secs(flags.number("--timeout")?.unwrap_or(30)),
        expect: flags.number("--expect")?,
        clock_offset: flags.number("--clock-offset")?.unwrap_or(0),
        split: flags.number("--split")?,
        flip: flags.number("--flip")?,
        cut: flags.number("--cut")?,
    })
}

fn listen(mut flags: Flags) -> Result<Command, String> {
    let secret = secret_key(&flags.text("--authority-secret").ok_or("listen needs --authority-secret")?)?;
    let validity = Duration::from_secs(flags.number("--validity")?.unwrap_or(3600));
    let connections = flags.number("--connections")?.unwrap_or(1);
    let options = options(&mut flags)?;
    if options.mode == Mode::Talk && connections != 1 {
        return Err(String::from("talk serves one connection"));
    }
    flags.finish()?;
    Ok(Command::Listen { secret, validity, connections, options })
}

fn connect(port: Option<String>, flags: impl FnOnce() -> Result<Flags, String>) -> Result<Command, String> {
    let port = port.and_then(|p| p.parse().ok()).ok_or("connect needs a port")?;
    let mut flags = flags()?;
    let authority = flags.text("--authority-public").map(|text| public_key(&text)).transpose()?;
    let options = options(&mut flags)?;
    flags.finish()?;
    Ok(Command::Connect { port, authority, options })
}

fn keys(secret: Option<String>) -> Result<Command, String> {
    let secret = match secret {
        Some(text) => secret_key(&text)?,
        None => Secp256k1SecretKey(SecretKey::new(&mut rand::thread_rng())),
    };
    Ok(Command::Keys { secret })
}

fn bench(mut flags: Flags) -> Result<Command, String> {
    let seconds = flags.number("--seconds")?.unwrap_or(1);
    flags.finish()?;
    Ok(Command::Bench { seconds })
}

pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Command, String> {
    match words.next().as_deref() {
        Some("listen") => listen(Flags::collect(words)?),
        Some("connect") => {
            let port = words.next();
            connect(port, || Flags::collect(words))
        }
        Some("keys") => keys(words.next()),
        Some("bench") => bench(Flags::collect(words)?),
        _ => Err(String::from("one of listen, connect, keys, bench")),
    }
}

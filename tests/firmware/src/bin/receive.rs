// SPDX-License-Identifier: MIT
//! The example: a device that receives proofs in pieces, verifies them, and says what it found, without heap.
//!
//! Messages come from the file `messages` of the machine that runs the emulator, as they would from a radio: each is a length in
//! two bytes and `postcard`. First what is trusted, then the proof in pieces, then the chunks of a range. The answers are lines
//! on that machine's output, one for each proof, and at the end the deepest stack that each verifier used.
#![no_std]
#![no_main]

use core::fmt::Write as _;

use cascow_core::merkle::log::TreeHead;
use cascow_core::merkle::owned::{Piece, ProofBuffer};
use cascow_core::merkle::range::RangeError;
use cascow_core::merkle::{ListRoot, LogRoot, ProofError, Slot, StateRoot, Statement};
use cascow_firmware::face;
use cascow_firmware::sys::{HostFile, stack_used};
use cortex_m_semihosting::debug;
use cortex_m_semihosting::hio::{self, HostStream};
use serde::Deserialize;

/// The longest proof that is received, in bytes: 100 keys of 2^20 entries take 44,485.
const PROOF_LEN: usize = 48 * 1024;

/// The longest message: a chunk of a value, and its length.
const MESSAGE_LEN: usize = 8 * 1024 + 16;

/// Slots for proofs of many keys, and for ranges: as many as any range needs.
const SLOTS: usize = 65;

/// What is trusted, and what of it a proof is to show; then the proof, then chunks.
#[derive(Deserialize)]
enum Message<'a> {
    State {
        root: [u8; 32],
    },
    Many {
        root: [u8; 32],
    },
    Range {
        root: [u8; 32],
        start: u64,
        end: u64,
        chunks: u32,
    },
    Inclusion {
        size: u64,
        root: [u8; 32],
    },
    Consistency {
        old_size: u64,
        old_root: [u8; 32],
        new_size: u64,
        new_root: [u8; 32],
    },
    #[serde(borrow)]
    Piece(Piece<'a>),
    Chunk(&'a [u8]),
}

/// Why the device stops: not a proof's fault, but its own or its link's.
struct Stopped(&'static str);

#[cortex_m_rt::entry]
fn main() -> ! {
    let mut device = Device::default();
    match device.run() {
        Ok(()) => debug::exit(debug::EXIT_SUCCESS),
        Err(Stopped(why)) => {
            device.line.clear();
            device.say("stopped ");
            device.say(why);
            _ = device.answer();
            debug::exit(debug::EXIT_FAILURE);
        }
    }
    loop {
        cortex_m::asm::wfi();
    }
}

/// The deepest stack of each verifier so far, in bytes.
#[derive(Default)]
struct Deepest {
    state: usize,
    many: usize,
    range: usize,
    chunk: usize,
    inclusion: usize,
    consistency: usize,
}

#[derive(Default)]
struct Device {
    line: heapless::String<8192>,
    deepest: Deepest,
    output: Option<HostStream>,
}

impl Device {
    fn run(&mut self) -> Result<(), Stopped> {
        self.output = Some(hio::hstdout().map_err(|()| Stopped("no output"))?);
        let mut link = Link { file: HostFile::open(c"messages").ok_or(Stopped("no messages"))? };
        // A device has them in static memory; here they are the first of the stack, above what is measured.
        let mut message = [0; MESSAGE_LEN];
        let mut proof = ProofBuffer::<PROOF_LEN>::new();
        while let Some(trusted) = link.next(&mut message)? {
            self.verify(&trusted, &mut link, &mut proof)?;
            self.answer()?;
        }
        self.report()
    }

    fn verify(
        &mut self,
        trusted: &Message<'_>,
        link: &mut Link,
        buffer: &mut ProofBuffer<PROOF_LEN>,
    ) -> Result<(), Stopped> {
        let proof = link.receive(buffer)?;
        let mut slots = [Slot::new(); SLOTS];
        match *trusted {
            Message::State { root } => {
                let root = StateRoot::from_bytes(root);
                let (said, used) = stack_used(|| face::face_state(proof, &root));
                self.deepest.state = used.max(self.deepest.state);
                match said {
                    Ok(statement) => self.say_all(core::iter::once(statement)),
                    Err(error) => self.refuse(fault(&error)),
                }
            }
            Message::Many { root } => {
                let root = StateRoot::from_bytes(root);
                let (said, used) = stack_used(|| face::face_many(proof, &root, &mut slots));
                self.deepest.many = used.max(self.deepest.many);
                match said {
                    Ok(statements) => self.say_all(statements),
                    Err(error) => self.refuse(fault(&error)),
                }
            }
            Message::Range { root, start, end, chunks } => {
                let root = ListRoot::from_bytes(root);
                let (said, used) =
                    stack_used(|| face::face_range(proof, &root, start..end, &mut slots));
                self.deepest.range = used.max(self.deepest.range);
                let mut refused = None;
                let mut reader = match said {
                    Ok(reader) => Some(reader),
                    Err(error) => {
                        refused = Some(fault_of_range(&error));
                        None
                    }
                };
                self.say("accepted bytes ");
                let mut message = [0; MESSAGE_LEN];
                for _ in 0..chunks {
                    let Some(Message::Chunk(chunk)) = link.next(&mut message)? else {
                        return Err(Stopped("a chunk is lacking"));
                    };
                    let Some(reader) = reader.as_mut().filter(|_| refused.is_none()) else {
                        continue;
                    };
                    let (said, used) = stack_used(|| face::face_chunk(reader, chunk));
                    self.deepest.chunk = used.max(self.deepest.chunk);
                    match said {
                        Ok(bytes) => self.say_hex(bytes),
                        Err(error) => refused = Some(fault_of_range(&error)),
                    }
                }
                match (refused, reader) {
                    (None, Some(reader)) => {
                        self.say(" remaining ");
                        self.say_number(reader.remaining());
                    }
                    (refused, _) => {
                        self.line.clear();
                        self.refuse(refused.unwrap_or("nothing"));
                    }
                }
            }
            Message::Inclusion { size, root } => {
                let head = TreeHead { size, root: LogRoot::from_bytes(root) };
                let (said, used) = stack_used(|| face::face_inclusion(proof, &head));
                self.deepest.inclusion = used.max(self.deepest.inclusion);
                match said {
                    Ok(entry) => {
                        self.say("accepted index ");
                        self.say_number(entry.index);
                        self.say(" leaf ");
                        self.say_hex(entry.leaf);
                    }
                    Err(error) => self.refuse(fault(&error)),
                }
            }
            Message::Consistency { old_size, old_root, new_size, new_root } => {
                let old = TreeHead { size: old_size, root: LogRoot::from_bytes(old_root) };
                let new = TreeHead { size: new_size, root: LogRoot::from_bytes(new_root) };
                let (said, used) = stack_used(|| face::face_consistency(proof, &old, &new));
                self.deepest.consistency = used.max(self.deepest.consistency);
                match said {
                    Ok(()) => self.say("accepted"),
                    Err(error) => self.refuse(fault(&error)),
                }
            }
            Message::Piece(_) | Message::Chunk(_) => return Err(Stopped("nothing is trusted")),
        }
        Ok(())
    }

    fn report(&mut self) -> Result<(), Stopped> {
        let Deepest { state, many, range, chunk, inclusion, consistency } = self.deepest;
        for (name, used) in [
            ("face_state", state),
            ("face_many", many),
            ("face_range", range),
            ("face_chunk", chunk),
            ("face_inclusion", inclusion),
            ("face_consistency", consistency),
        ] {
            self.say("stack ");
            self.say(name);
            self.say(" ");
            self.say_number(used as u64);
            self.answer()?;
        }
        Ok(())
    }

    fn say_all<'s>(&mut self, statements: impl Iterator<Item = Statement<'s>>) {
        self.say("accepted");
        for (at, statement) in statements.enumerate() {
            if at == 0 {
                self.say(" entries ");
                self.say_number(statement.entries);
            }
            self.say(" ");
            self.say_hex(statement.key);
            match statement.value {
                Some(value) => {
                    self.say("=");
                    self.say_hex(value);
                }
                None => self.say("-"),
            }
        }
    }

    fn refuse(&mut self, fault: &str) {
        self.say("refused ");
        self.say(fault);
    }

    /// What does not fit is not said: then the line is not the one that is expected.
    fn say(&mut self, text: &str) {
        _ = self.line.push_str(text);
    }

    fn say_hex(&mut self, bytes: &[u8]) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        for byte in bytes {
            for digit in [byte >> 4, byte & 15] {
                let digit = DIGITS.get(usize::from(digit)).copied().unwrap_or(b'?');
                _ = self.line.push(char::from(digit));
            }
        }
    }

    fn say_number(&mut self, number: u64) {
        _ = write!(self.line, "{number}");
    }

    /// Sends the line.
    fn answer(&mut self) -> Result<(), Stopped> {
        self.say("\n");
        let output = self.output.as_mut().ok_or(Stopped("no output"))?;
        let sent = output.write_all(self.line.as_bytes());
        self.line.clear();
        sent.map_err(|()| Stopped("the line was not sent"))
    }
}

/// Where messages come from.
struct Link {
    file: HostFile,
}

impl Link {
    /// The next message; `None` after the last.
    fn next<'m>(&mut self, message: &'m mut [u8]) -> Result<Option<Message<'m>>, Stopped> {
        let mut len = [0; 2];
        if !self.file.read(&mut len) {
            return Ok(None);
        }
        let len = usize::from(u16::from_le_bytes(len));
        let message = message.get_mut(..len).ok_or(Stopped("a message is too long"))?;
        if !self.file.read(message) {
            return Err(Stopped("a message is cut off"));
        }
        postcard::from_bytes(message).map(Some).map_err(|_| Stopped("a message is malformed"))
    }

    /// A proof, from its pieces. One of no bytes has no piece, and the vectors have such: it is a piece with a total of none.
    fn receive<'b>(&mut self, buffer: &'b mut ProofBuffer<PROOF_LEN>) -> Result<&'b [u8], Stopped> {
        buffer.clear();
        let mut message = [0; MESSAGE_LEN];
        loop {
            match self.next(&mut message)? {
                Some(Message::Piece(Piece { total: 0, .. })) => return Ok(&[]),
                Some(Message::Piece(piece)) => match buffer.accept(&piece) {
                    Ok(true) => break,
                    Ok(false) => {}
                    Err(_) => return Err(Stopped("a piece is not the next")),
                },
                _ => return Err(Stopped("a piece is lacking")),
            }
        }
        buffer.proof().ok_or(Stopped("a piece is lacking"))
    }
}

/// The names that the vectors use.
fn fault<R>(error: &ProofError<R>) -> &'static str {
    match error {
        ProofError::Truncated => "truncated",
        ProofError::Magic => "magic",
        ProofError::Version { .. } => "version",
        ProofError::HashKind { .. } => "hash",
        ProofError::NotCanonical => "not canonical",
        ProofError::Trailing { .. } => "trailing",
        ProofError::Size { .. } => "size",
        ProofError::Root { .. } => "root",
        ProofError::Slots { .. } => "slots",
        _ => "another",
    }
}

fn fault_of_range(error: &RangeError) -> &'static str {
    match error {
        RangeError::Proof(error) => fault(error),
        RangeError::Empty => "empty",
        RangeError::Range { .. } => "range",
        RangeError::ChunkLen { .. } => "chunk length",
        RangeError::Chunk { .. } => "chunk",
        RangeError::Complete => "complete",
        _ => "another",
    }
}

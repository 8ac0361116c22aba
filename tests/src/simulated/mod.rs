// SPDX-License-Identifier: MIT
//! A machine that exists in memory alone: the other implementation of [`cascow_native::disk`].
//!
//! [`SimulatedDisk`] is the machine, shared by any number of simulated [processes](Process). It keeps apart what was synced and what was
//! not, so that [`Outage`] can enumerate what a filesystem may legally leave after a loss of power; it calls a hook before
//! every call, so that a test can stop, look, or let another process in. Its clock stands where the test sets it. Nothing in it
//! depends on chance: the same calls give the same machine.
//!
//! It models what the seam promises, not what one filesystem happens to do: names and bytes are independent of each other, and
//! directories of each other. What it does not model: permissions, space, and the insides of tables, whose transactions are
//! atomic and durable by promise. [`FaultyDisk`] makes calls fail, of this machine or a real one.

mod faulty;
mod machine;
mod outage;
mod table;

pub use faulty::{Fault, FaultyDisk};
pub use machine::{Call, Process, SimulatedDisk};
pub use outage::Outage;

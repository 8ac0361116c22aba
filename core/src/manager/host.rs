// SPDX-License-Identifier: MIT
//! What the manager has from its host: a hash function, and if there are such, a store, a game, a clock and a policy.

use core::convert::Infallible;
use core::ops::Deref;

use super::{Action, Cache, Lru, View};
use crate::hash::HashKind;
use crate::snapshot::Delta;
use crate::store::ObjectStore;

/// A clock that does not go backwards. Closures that return microseconds are clocks.
pub trait Clock {
    /// Microseconds since any fixed moment.
    fn micros(&self) -> u64;
}

impl<F: Fn() -> u64> Clock for F {
    fn micros(&self) -> u64 {
        self()
    }
}

/// A game that can do an action again. It must do the same every time: what it does is compared with what it did at first.
pub trait Replay {
    /// Why an action cannot be done again.
    type Error: core::error::Error + 'static;

    /// Records in `delta`, which is empty, what `action` changes in `state`.
    ///
    /// # Errors
    /// Whatever the game cannot do; it is passed on with the node that was to be restored.
    fn replay(
        &mut self,
        state: View<'_>,
        action: Action,
        delta: &mut Delta,
    ) -> Result<(), Self::Error>;
}

/// No store: states are replayed, or stay.
#[derive(Clone, Copy, Debug)]
pub enum NoStore {}

impl Deref for NoStore {
    type Target = dyn ObjectStore;

    fn deref(&self) -> &Self::Target {
        match *self {}
    }
}

/// No game: states are loaded, or stay.
#[derive(Clone, Copy, Debug)]
pub enum NoReplay {}

impl Replay for NoReplay {
    type Error = Infallible;

    fn replay(&mut self, _: View<'_>, _: Action, _: &mut Delta) -> Result<(), Infallible> {
        match *self {}
    }
}

/// No clock: costs are estimated from counts of edits alone.
#[derive(Clone, Copy, Debug)]
pub enum NoClock {}

impl Clock for NoClock {
    fn micros(&self) -> u64 {
        match *self {}
    }
}

/// What a host lends to a [`StateManager`](super::StateManager). A store is lent as anything that leads to one: a reference,
/// an `Rc`, a `Box`.
#[derive(Clone, Debug)]
pub struct Host<S = NoStore, R = NoReplay, K = NoClock, C = Lru> {
    pub(super) kind: HashKind,
    pub(super) store: Option<S>,
    pub(super) replay: Option<R>,
    pub(super) clock: Option<K>,
    pub(super) cache: C,
}

impl Host {
    /// A host that has nothing to lend but memory. Roots are computed with `kind`.
    pub fn new(kind: HashKind) -> Self {
        Self { kind, store: None, replay: None, clock: None, cache: Lru::default() }
    }
}

impl<S, R, K, C> Host<S, R, K, C> {
    /// Evicted states are kept in `store`.
    #[must_use]
    pub fn store<T: Deref<Target: ObjectStore>>(self, store: T) -> Host<T, R, K, C> {
        let Self { kind, replay, clock, cache, .. } = self;
        Host { kind, store: Some(store), replay, clock, cache }
    }

    /// Evicted states may be made again by `replay`.
    #[must_use]
    pub fn replay<T: Replay>(self, replay: T) -> Host<S, T, K, C> {
        let Self { kind, store, clock, cache, .. } = self;
        Host { kind, store, replay: Some(replay), clock, cache }
    }

    /// Restoring is measured by `clock`.
    #[must_use]
    pub fn clock<T: Clock>(self, clock: T) -> Host<S, R, T, C> {
        let Self { kind, store, replay, cache, .. } = self;
        Host { kind, store, replay, clock: Some(clock), cache }
    }

    /// `cache` decides whom to evict, instead of [`Lru`].
    #[must_use]
    pub fn cache<T: Cache>(self, cache: T) -> Host<S, R, K, T> {
        let Self { kind, store, replay, clock, .. } = self;
        Host { kind, store, replay, clock, cache }
    }
}

// SPDX-License-Identifier: MIT
//! What a search asks of a game.
//!
//! A [`Game`] knows states, actions and values; it knows nothing of nodes, visits or budgets. Caching of scores,
//! materialising of states and cancelling of slow evaluations are the game's own business.

use alloc::vec::Vec;
use core::hash::Hash;

/// The generator handed to [`Game::evaluate`] for playouts. Its stream depends on the seed alone.
pub use rand_xoshiro::Xoshiro256PlusPlus as Generator;
/// The traits through which a [`Generator`] is asked for numbers.
pub use rand_xoshiro::rand_core;

/// A decision process of one or two players over states which an action turns into other states.
///
/// The search calls [`apply`](Self::apply), [`evaluate`](Self::evaluate) and [`actions`](Self::actions) in this order
/// for one expansion. An error from any of them leaves the search as it was, and the same expansion is tried again by
/// the next step.
pub trait Game {
    /// A position. The search keeps one for each node, so a handle (a snapshot's id) serves better than the data.
    type State;
    /// A move. Equal actions are taken as the same idea wherever they occur: what was gained by one is expected
    /// of it elsewhere (see [`Settings::gain_weight`](super::Settings::gain_weight)).
    type Action: Clone + Eq + Hash;
    /// Identity of a position.
    type Key: Eq + Hash;
    /// What can go wrong while applying or evaluating.
    type Error;

    /// The identity of `state`, including everything that legality depends upon: two states of equal keys are one node.
    fn key(&self, state: &Self::State) -> Self::Key;

    /// Appends the actions of `state` with their priors, in a stable order.
    ///
    /// Priors are finite and not negative, and are scaled to sum to one; equal priors (or all zero) mean
    /// nothing is known. Called once for each new node that is not terminal.
    ///
    /// # Errors
    /// Whatever the game cannot do; the search passes it on.
    fn actions(
        &mut self,
        state: &Self::State,
        out: &mut Vec<(Self::Action, f32)>,
    ) -> Result<(), Self::Error>;

    /// The state after `action`, or `None` if the action does not apply or changes nothing: then it is never tried
    /// again from this state.
    ///
    /// # Errors
    /// Whatever the game cannot do; the search passes it on.
    fn apply(
        &mut self,
        state: &Self::State,
        action: &Self::Action,
    ) -> Result<Option<Self::State>, Self::Error>;

    /// The worth of `state`, asked once for each node.
    ///
    /// # Errors
    /// Whatever the game cannot do; the search passes it on.
    fn evaluate(
        &mut self,
        state: &Self::State,
        generator: &mut Generator,
    ) -> Result<Evaluation, Self::Error>;

    /// Whether the side to move at `state` wants a high value. With one player: always.
    fn maximises(&self, state: &Self::State) -> bool {
        let _ = state;
        true
    }
}

/// A game's judgement of one state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// From 0 to 1 in the first player's view, whoever is to move.
    pub value: f64,
    /// Nothing follows this state, and `value` is final.
    pub terminal: bool,
}

impl Evaluation {
    /// The estimate of a state from which play goes on.
    #[must_use]
    pub const fn estimate(value: f64) -> Self {
        Self { value, terminal: false }
    }

    /// The result of a state where play ends.
    #[must_use]
    pub const fn terminal(value: f64) -> Self {
        Self { value, terminal: true }
    }
}

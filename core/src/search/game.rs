// SPDX-License-Identifier: MIT
//! What a search asks of a game.
//!
//! A [`Game`] knows states, actions and values; it knows nothing of nodes, visits or budgets. Caching of scores,
//! materialising of states and cancelling of slow evaluations are the game's own business.

use alloc::vec::Vec;

/// The generator handed to [`Game::evaluate`] for playouts. Its stream depends on the seed alone.
pub use rand_xoshiro::Xoshiro256PlusPlus as Generator;
/// The traits through which a [`Generator`] is asked for numbers.
pub use rand_xoshiro::rand_core;

/// An action. What the number means is the game's business: a column, a square, a place in a list of proposals.
///
/// Equal actions are taken as the same idea wherever they occur: what was gained by one is expected of it elsewhere
/// (see [`Settings::gain_weight`](super::Settings::gain_weight)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Action(pub u32);

/// One action that a state offers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    /// The action.
    pub action: Action,
    /// Its share of the attention: finite, not negative, scaled to sum to one with the others. At a chance state, its
    /// probability. Equal priors (or all zero) mean that nothing is known.
    pub prior: f32,
}

impl Choice {
    /// An action of which nothing more is known than of the others.
    #[must_use]
    pub const fn new(action: Action) -> Self {
        Self { action, prior: 1.0 }
    }
}

/// A state as a few 32-bit words: a board's bits, or a handle into a table of the game's own.
///
/// The search keeps these words in each node, and takes states of equal words for one. They must include everything
/// that legality and value depend upon.
pub trait Packed: Copy {
    /// How many words, at most [`MAX_WORDS`].
    const WORDS: usize;

    /// Writes the state to `words`, which are [`WORDS`](Self::WORDS).
    fn pack(&self, words: &mut [u32]);

    /// The state that was packed to `words`. Of a damaged or hostile checkpoint they may be any: then some state is made of them.
    fn unpack(words: &[u32]) -> Self;
}

/// The most words that a packed state may have: 64 bytes, a cache line.
pub const MAX_WORDS: usize = 16;

impl Packed for u32 {
    const WORDS: usize = 1;

    fn pack(&self, words: &mut [u32]) {
        words[0] = *self;
    }

    fn unpack(words: &[u32]) -> Self {
        words[0]
    }
}

impl Packed for u64 {
    const WORDS: usize = 2;

    #[inline]
    fn pack(&self, words: &mut [u32]) {
        for (word, bytes) in words.iter_mut().zip(self.to_le_bytes().as_chunks::<4>().0) {
            *word = u32::from_le_bytes(*bytes);
        }
    }

    #[inline]
    fn unpack(words: &[u32]) -> Self {
        words.iter().rev().fold(0, |high, &low| high << 32 | Self::from(low))
    }
}

impl<const N: usize> Packed for [u64; N] {
    const WORDS: usize = 2 * N;

    #[inline]
    fn pack(&self, words: &mut [u32]) {
        self.iter().zip(words.chunks_exact_mut(2)).for_each(|(part, words)| part.pack(words));
    }

    #[inline]
    fn unpack(words: &[u32]) -> Self {
        core::array::from_fn(|part| u64::unpack(&words[2 * part..2 * part + 2]))
    }
}

/// Who decides what happens at a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Turn {
    /// The player who wants high values. With one player: always.
    First,
    /// The player who wants low values.
    Second,
    /// Nobody: the actions are what may happen, and their priors are how probably.
    Chance,
}

/// What it means that a state recurs on the way to itself.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum Repetition {
    /// It cannot: each action changes something for good. Nothing is spent on looking.
    Impossible,
    /// It is of no use: the search does not go round.
    Avoid,
    /// The game ends with this value, in the first player's view: a draw, most often.
    Value(f64),
}

/// A decision process of one or two players, with or without chance, over states which an action turns into others.
///
/// For one try the search calls [`actions`](Self::actions) (once for each node that is entered),
/// [`apply`](Self::apply) and, for a state not met before, [`evaluate`](Self::evaluate) and [`turn`](Self::turn), in
/// this order. An error from any of them leaves the search as it was, and the same is tried again by the next step.
pub trait Game {
    /// A position.
    type State: Packed;
    /// What can go wrong while applying or evaluating.
    type Error;

    /// What a recurring state means.
    const REPETITION: Repetition = Repetition::Impossible;

    /// Who decides at `state`.
    fn turn(&self, state: &Self::State) -> Turn {
        let _ = state;
        Turn::First
    }

    /// Appends what `state` offers, in a stable order. If that is nothing, the state counts as an end.
    ///
    /// # Errors
    /// Whatever the game cannot do; the search passes it on.
    fn actions(&mut self, state: &Self::State, out: &mut Vec<Choice>) -> Result<(), Self::Error>;

    /// The state after `action`, or `None` if the action does not apply or changes nothing: then it is never tried
    /// again from this state.
    ///
    /// # Errors
    /// Whatever the game cannot do; the search passes it on.
    fn apply(
        &mut self,
        state: &Self::State,
        action: Action,
    ) -> Result<Option<Self::State>, Self::Error>;

    /// The worth of `state`: exact, an estimate, or the result of a random playout.
    ///
    /// # Errors
    /// Whatever the game cannot do; the search passes it on.
    fn evaluate(
        &mut self,
        state: &Self::State,
        generator: &mut Generator,
    ) -> Result<Evaluation, Self::Error>;
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

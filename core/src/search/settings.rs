// SPDX-License-Identifier: MIT
//! The numbers that steer a search.

use serde::{Deserialize, Serialize};

use super::{Repetition, SearchError};

/// How a node's value is made of its children's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Backup {
    /// The mean over edge visits, for games with an opponent or with chance.
    ///
    /// `Q(n) = (U(n) + Σ N_e · Q(child)) / (1 + Σ N_e)`, bounded by what complete children prove: a side that can move
    /// to a complete child of value v gets v or better.
    Mean,
    /// A mixture of that mean with the best evaluation found below the node (its own included), for one player who
    /// may stop at any state and looks for the best of them.
    Best {
        /// The part of the best, from 0 (the bare mean) to 1 (the best alone).
        weight: f64,
    },
}

/// What an edge is worth trying for, beside its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Formula {
    /// `Q + c · P · √N / (1 + N_e)` (Silver et al., "Mastering the game of Go without human knowledge", 2017). An action
    /// never tried has the node's own value, changed as the settings say.
    Puct,
    /// `Q + c · √(ln N / N_e)` (Kocsis and Szepesvári, "Bandit based Monte-Carlo planning", 2006). Each action is tried
    /// once, in the game's order, before any is tried twice; priors do not count.
    Uct,
}

/// How many of a node's actions are tried when it is first entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Expansion {
    /// One, and the others one by one as the formula chooses them: the most is learnt of each evaluation.
    One,
    /// All at once, for one descent: evaluations that cost less than the descent itself come several times as often, and children lie beside
    /// each other in memory.
    ///
    /// They are tried one by one nevertheless where a node has more than [`MOST_AT_ONCE`], where nodes know their parents
    /// ([`Renewal::Ancestors`], [`Backup::Best`]), with progressive widening, and in halves of steps
    /// ([`seek`](super::Search::seek)).
    All,
}

/// The most actions that are tried [at once](Expansion::All).
pub const MOST_AT_ONCE: u32 = 256;

/// Which nodes learn at once of what a step found. The others learn of it when a step next passes through them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Renewal {
    /// Those on the path of the step: O(length of the path), for cheap evaluations, and for several threads at once.
    Path,
    /// All ancestors, whichever way they lead here: no value is ever stale unless the graph has cycles. Takes 16 bytes
    /// more for each edge and node.
    Ancestors,
}

/// The steering of a search. [`optimisation`](Self::optimisation) and [`two_players`](Self::two_players) are good starts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// How values flow upwards.
    pub backup: Backup,
    /// How far they flow at once.
    pub renewal: Renewal,
    /// How an edge is chosen.
    pub formula: Formula,
    /// How many children a node begins with.
    pub expansion: Expansion,
    /// The weight of exploration (`c` of the formula), at least 0.
    pub exploration: f64,
    /// What an action never tried at a node is thought to lose against the node's own value (first-play urgency), from -1 to 1.
    pub first_play_reduction: f64,
    /// How far an action never tried at a node is credited with what it gained at other nodes, from 0 to 1.
    ///
    /// The gain of an edge is the child's evaluation less the parent's. This is the all-moves-as-first idea (Gelly and
    /// Silver, "Monte-Carlo tree search and rapid action value estimation in computer Go", 2011) applied to first-play urgency.
    pub gain_weight: f64,
    /// States further than this many actions from the root, by the shortest way known, are evaluated but not expanded.
    /// Only with [`Renewal::Ancestors`] or [`Backup::Best`], since depths are kept only there.
    pub depth_limit: u32,
    /// How many actions a node considers: those of the greatest priors, and of N visits at most `widening · √N`, at
    /// least one (progressive widening: Coulom, "Computing Elo ratings of move patterns", 2007). 0 for all at once.
    pub widening: f64,
    /// How many bytes the graph may take. Beyond, what was visited least is forgotten until three quarters are left.
    pub byte_limit: Option<u64>,
    /// Where the generator for playouts starts.
    pub seed: u64,
}

impl Settings {
    /// For one player in search of the best state, when evaluations are dear and mostly repeatable.
    ///
    /// Tuned on made-up repairs of a directory (fixes that depend on, rival with or spoil each other); less weight of the
    /// best, or any reduction, there lets a search get stuck below a good state that is not the best.
    #[must_use]
    pub const fn optimisation() -> Self {
        Self {
            backup: Backup::Best { weight: 1.0 },
            renewal: Renewal::Ancestors,
            expansion: Expansion::One,
            formula: Formula::Puct,
            exploration: 0.2,
            first_play_reduction: 0.0,
            gain_weight: 1.0,
            depth_limit: u32::MAX,
            widening: 0.0,
            byte_limit: None,
            seed: 0,
        }
    }

    /// For two players, with playouts as evaluations.
    #[must_use]
    pub const fn two_players() -> Self {
        Self {
            backup: Backup::Mean,
            renewal: Renewal::Path,
            expansion: Expansion::All,
            formula: Formula::Puct,
            exploration: 1.5,
            first_play_reduction: 0.0,
            gain_weight: 0.0,
            depth_limit: u32::MAX,
            widening: 0.0,
            byte_limit: None,
            seed: 0,
        }
    }

    /// Whether all actions of a node are tried at once.
    pub(super) fn is_at_once(&self) -> bool {
        self.expansion == Expansion::All && !self.is_wide() && self.widening == 0.0
    }

    /// Whether nodes know their parents and their depth.
    pub(super) fn is_wide(&self) -> bool {
        self.renewal == Renewal::Ancestors || self.backup != Backup::Mean
    }

    pub(super) fn validate<E>(&self, repetition: Repetition) -> Result<(), SearchError<E>> {
        let repetition = match repetition {
            Repetition::Value(value) => value,
            Repetition::Impossible | Repetition::Avoid => 0.0,
        };
        let weight = match self.backup {
            Backup::Mean => 0.0,
            Backup::Best { weight } => weight,
        };
        let checks = [
            ("backup", (0.0..=1.0).contains(&weight)),
            ("exploration", self.exploration >= 0.0 && self.exploration.is_finite()),
            ("first_play_reduction", (-1.0..=1.0).contains(&self.first_play_reduction)),
            ("gain_weight", (0.0..=1.0).contains(&self.gain_weight)),
            ("depth_limit", self.depth_limit == u32::MAX || self.is_wide()),
            ("REPETITION", (0.0..=1.0).contains(&repetition)),
            ("widening", self.widening >= 0.0 && self.widening.is_finite()),
        ];
        match checks.iter().find(|(_, valid)| !valid) {
            Some(&(field, _)) => Err(SearchError::InvalidSetting { field }),
            None => Ok(()),
        }
    }
}

// SPDX-License-Identifier: MIT
//! What is known of a node in one word: what it is worth at least and at most, who decides there, and whether anything
//! is left to learn.

use super::Turn;

/// A node's facts, packed: bounds (4 bits), flags (2), turn (2), the weight of its own evaluation (24).
///
/// Bounds only ever grow tighter, each by a bit that is set once, so threads may add what they prove in any order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facts(pub(super) u32);

/// What a node is worth at least and at most, in the first player's view, in halves: a loss, a draw, a win.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) lowest: u8,
    pub(super) highest: u8,
}

impl Bounds {
    /// The tightest bounds around a final value.
    pub(super) fn around(value: f64) -> Self {
        Self {
            lowest: u8::from(value >= 0.5) + u8::from(value >= 1.0),
            highest: u8::from(value > 0.0) + u8::from(value > 0.5),
        }
    }

    /// The value, if the bounds meet.
    pub(super) fn exact(self) -> Option<f64> {
        (self.lowest == self.highest).then(|| f64::from(self.lowest) / 2.0)
    }

    /// As the side to move sees them.
    pub(super) const fn side(self, maximises: bool) -> Self {
        if maximises { self } else { Self { lowest: 2 - self.highest, highest: 2 - self.lowest } }
    }
}

impl Facts {
    const AT_LEAST_HALF: u32 = 1;
    const AT_LEAST_ONE: u32 = 2;
    const AT_MOST_HALF: u32 = 4;
    const AT_MOST_ZERO: u32 = 8;
    const BOUNDS: u32 = 0b1111;
    const TERMINAL: u32 = 1 << 4;
    pub(super) const COMPLETE: u32 = 1 << 5;
    const TURN_SHIFT: u32 = 6;
    const WEIGHT_SHIFT: u32 = 8;
    pub(super) const MAX_WEIGHT: u32 = u32::MAX >> Self::WEIGHT_SHIFT;
    /// A slot that no node stands in: bits that no node has, with a weight of 0.
    pub(super) const FREE: Self = Self(0);

    pub(super) fn new(turn: Turn, terminal: bool, weight: u32) -> Self {
        let turn = match turn {
            Turn::First => 0,
            Turn::Second => 1,
            Turn::Chance => 2,
        };
        let flags = if terminal { Self::TERMINAL | Self::COMPLETE } else { 0 };
        let weight = weight.clamp(1, Self::MAX_WEIGHT);
        Self(turn << Self::TURN_SHIFT | flags | weight << Self::WEIGHT_SHIFT)
    }

    pub(super) const fn turn(self) -> Turn {
        match self.0 >> Self::TURN_SHIFT & 3 {
            0 => Turn::First,
            1 => Turn::Second,
            _ => Turn::Chance,
        }
    }

    /// How many evaluations its own stands for: more than one if the node was forgotten and met again.
    pub(super) const fn weight(self) -> u32 {
        self.0 >> Self::WEIGHT_SHIFT
    }

    pub(super) const fn is_terminal(self) -> bool {
        self.0 & Self::TERMINAL != 0
    }

    /// Whether nothing is left to learn below.
    pub(super) const fn is_complete(self) -> bool {
        self.0 & Self::COMPLETE != 0
    }

    /// Whether nothing is proven, and something is left to learn.
    #[inline]
    pub(super) const fn is_open(self) -> bool {
        self.0 & (Self::COMPLETE | Self::BOUNDS) == 0
    }

    pub(super) const fn bounds(self) -> Bounds {
        Self::bounds_of(self.0)
    }

    pub(super) const fn bounds_of(bits: u32) -> Bounds {
        let lowest = if bits & Self::AT_LEAST_ONE != 0 {
            2
        } else if bits & Self::AT_LEAST_HALF != 0 {
            1
        } else {
            0
        };
        let highest = if bits & Self::AT_MOST_ZERO != 0 {
            0
        } else if bits & Self::AT_MOST_HALF != 0 {
            1
        } else {
            2
        };
        Bounds { lowest, highest }
    }

    /// The bits that say so.
    pub(super) const fn bits_of(bounds: Bounds) -> u32 {
        let lowest = match bounds.lowest {
            0 => 0,
            1 => Self::AT_LEAST_HALF,
            _ => Self::AT_LEAST_HALF | Self::AT_LEAST_ONE,
        };
        let highest = match bounds.highest {
            0 => Self::AT_MOST_HALF | Self::AT_MOST_ZERO,
            1 => Self::AT_MOST_HALF,
            _ => 0,
        };
        lowest | highest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_survive_packing() {
        for lowest in 0..=2 {
            for highest in lowest..=2 {
                let bounds = Bounds { lowest, highest };
                assert_eq!(Facts(Facts::bits_of(bounds)).bounds(), bounds);
                assert_eq!(bounds.side(false).side(false), bounds);
            }
        }
    }

    #[test]
    fn bounds_enclose_any_final_value() {
        for (value, lowest, highest) in
            [(0.0, 0, 0), (0.3, 0, 1), (0.5, 1, 1), (0.7, 1, 2), (1.0, 2, 2)]
        {
            assert_eq!(Bounds::around(value), Bounds { lowest, highest });
        }
    }

    #[test]
    fn facts_survive_packing() {
        for turn in [Turn::First, Turn::Second, Turn::Chance] {
            for (terminal, weight) in [(false, 1), (true, 77), (false, u32::MAX)] {
                let facts = Facts::new(turn, terminal, weight);
                assert_eq!((facts.turn(), facts.is_terminal()), (turn, terminal));
                assert_eq!(facts.weight(), weight.min(Facts::MAX_WEIGHT));
                assert_ne!(facts, Facts::FREE);
            }
        }
    }
}

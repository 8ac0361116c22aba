// SPDX-License-Identifier: MIT
// The two players as the page calls and colours them, and values in their view.

export const names = { first: "Blue", second: "Amber" };
export const other = side => side === "first" ? "second" : "first";
export const titles = { connect4: "Connect Four", othello: "Othello" };

/** A value in a player's view, as a share of 1. */
export const forSide = (value, side) => side === "second" ? 1 - value : value;

/** What a settled value means: who wins with the best play of both. */
export function settled({ lowest, highest }) {
    if (lowest !== highest) return null;
    return lowest === 1 ? "first" : lowest === 0 ? "second" : "draw";
}

/** The colour of a value: blue where the first player wins, amber where the second does. Most values lie near the middle, so
 *  differences there are drawn larger. */
export function colour(value) {
    const share = Math.round(100 * Math.sqrt(Math.min(1, Math.abs(2 * value - 1))));
    return `color-mix(in oklab, var(--${value >= 0.5 ? "first" : "second"}) ${share}%, var(--even))`;
}

/** The moves of a string: columns of Connect Four, squares of Othello. */
export const split = (game, moves) => moves.match(game === "othello" ? /[a-h][1-8]/g : /[1-7]/g) ?? [];

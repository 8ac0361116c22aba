// SPDX-License-Identifier: MIT
// A small search beside the game's, begun at the position on the board and stepped one by one for somebody who looks on.

import { Search, boardOf } from "../pkg/index.js";

let small = null, steps = 0;

function begin(table) {
    small?.free();
    small = Search.begin(table.game, { moves: table.search.moves, seed: 1, byteLimit: 16 << 20 });
    steps = 0;
}

/** A node with its board. */
function seen(id) {
    const node = small.node(id);
    return { node, board: boardOf(small.game, node.state) };
}

export function slowly(table, what, count = 1) {
    if (what === "begin" || !small || small.game !== table.game) begin(table);
    if (what === "skip") {
        // Steps, not playouts: a step that meets a known position counts like any other.
        for (let i = 0; i < count; i += 1) small.step();
        steps += count;
    }
    const start = seen();
    if (what !== "step") return { start, steps, counts: small.counts() };
    const step = small.step();
    steps += 1;
    const path = step.path.map(edge => ({ edge, from: seen(edge.from), to: edge.to === undefined ? null : seen(edge.to) }));
    return { start, steps, step, path, counts: small.counts() };
}

// SPDX-License-Identifier: MIT
// The chosen position: its board, its statistics, and what can be done with it.

import { count, el, percent, short } from "./dom.js";
import { describe, picture } from "./board.js";
import { chips } from "./moves.js";
import { names, settled } from "./sides.js";

export function detail(place, { node, board, line, edges }, { prove, look, isRoot, joins }) {
    const sure = board.outcome ?? settled(node);
    const tried = edges.filter(edge => edge.visits > 0).length;
    const rows = [
        ["Visits", count(node.visits)],
        [`For ${names.first}`, percent(node.value)],
        ["Settled", sure === "draw" ? "a draw" : sure ? `${names[sure]} wins` : "not yet"],
        ["Its own playout", node.evaluation === 0.5 ? "a draw" : `${names[node.evaluation > 0.5 ? "first" : "second"]} won`],
        ["Moves tried", `${tried} of ${edges.length || board.moves.length}`],
        ["Paths here", joins === null ? "–" : count(joins)],
        ["Position", el("code", { title: board.hash }, short(board.hash))],
    ];
    place.replaceChildren(
        el("h3", {}, isRoot ? "The position on the board" : board.outcome ? "The game is over" : `${names[board.turn]} to move`),
        picture(board, { label: describe(board) }),
        el("dl", {}, rows.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])),
        line.length ? el("p", { class: "soft" }, "Expected to follow") : "",
        line.length ? el("ol", { class: "chips", "aria-label": "Expected to follow" }, chips(line, board.turn)) : "",
        el("div", { class: "row" }, el("button", { type: "button", click: prove }, "Prove it"), el("button", { type: "button", click: look }, "Draw from here")),
    );
}

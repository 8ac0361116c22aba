// SPDX-License-Identifier: MIT
// What the search thinks: the value, the line that it expects, and a row for each move. Rows stay where they are while numbers change.

import { byId, count, el, percent, say } from "./dom.js";
import { forSide, names, other, settled } from "./sides.js";

/** Moves, coloured by who makes them. A pass does not change the order of turns. */
export function chips(line, turn) {
    let side = turn;
    return line.map(move => {
        const chip = el("li", { class: `chip ${side}` }, move);
        side = other(side);
        return chip;
    });
}

export class Thoughts {
    #rows = new Map();
    #line = "";
    #play;

    constructor(play) { this.#play = play; }

    show(view, yours) {
        this.#verdict(view);
        this.#expected(view);
        this.#moves(view, yours);
    }

    #verdict({ root, turn, thought, outcome, you }) {
        const side = you === "second" ? "second" : "first", sure = outcome ?? settled(root);
        say(byId("verdict-name"), `${sure ? "Settled" : "Expected"} for ${names[side]}`);
        say(byId("verdict"), sure === "draw" ? "a draw" : sure ? (sure === side ? "a win" : "a loss") : percent(forSide(root.value, side)));
        say(byId("rate"), thought.millis > 20 ? count(Math.round(1000 * thought.playouts / thought.millis)) : "–");
        say(byId("visits"), count(root.visits));
        const scale = byId("scale");
        scale.style.setProperty("--value", root.value.toFixed(3));
        const label = `${names.first} ${percent(root.value)}, ${names.second} ${percent(1 - root.value)}, ${names[turn]} to move`;
        if (scale.ariaLabel !== label) scale.ariaLabel = label;
    }

    #expected({ line, turn }) {
        const key = `${turn} ${line.join(" ")}`;
        if (key === this.#line) return;
        this.#line = key;
        byId("line").replaceChildren(...chips(line, turn));
    }

    #moves({ known, legal }, yours) {
        const body = byId("moves");
        if (this.#rows.size !== legal.length || legal.some(move => !this.#rows.has(move))) {
            this.#rows = new Map(legal.toSorted().map(move => [move, this.#row(move)]));
            body.replaceChildren(...[...this.#rows.values()].map(({ row }) => row));
        }
        const total = known.reduce((sum, move) => sum + move.visits, 0), of = new Map(known.map(move => [move.move, move]));
        for (const [move, cells] of this.#rows) {
            const found = of.get(move);
            cells.row.classList.toggle("best", Boolean(found?.best));
            cells.bar.style.setProperty("--part", found && total ? (found.visits / total).toFixed(3) : 0);
            cells.button.disabled = !yours;
            say(cells.visits, found ? count(found.visits) : "–");
            const sure = found?.proven ? { 1: "wins", 0: "loses", 0.5: "draws" }[found.valueForMover] : null;
            say(cells.value, sure ?? percent(found?.valueForMover));
            say(cells.then, found ? found.line.slice(1).join(" ") : "");
        }
    }

    #row(move) {
        const button = el("button", { type: "button", "aria-label": `Play ${move}`, click: () => this.#play(move) }, move);
        const bar = el("span", { class: "bar" }, el("i")), visits = el("td", { class: "n" }), value = el("td", { class: "n" }), then = el("td", { class: "then wide-only" });
        return { button, bar, visits, value, then, row: el("tr", {}, el("th", { scope: "row" }, button), el("td", {}, bar), visits, value, then) };
    }
}

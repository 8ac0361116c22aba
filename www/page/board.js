// SPDX-License-Identifier: MIT
// Boards: the one that is played on, a grid of squares that arrow keys walk through, and small pictures of any position.

import { count, el, svg } from "./dom.js";
import { names, split } from "./sides.js";

const sides = [null, "first", "second"];

/** The place of the last move of a game, by its moves. */
function lastPlace({ game, columns, rows, cells }, moves) {
    const last = split(game, moves).at(-1);
    if (!last) return -1;
    if (game === "othello") return (Number(last[1]) - 1) * columns + last.charCodeAt(0) - 97;
    const column = Number(last) - 1;
    for (let row = 0; row < rows; row += 1) if (cells[row * columns + column]) return row * columns + column;
    return -1;
}

/** Where a move's disc would lie. */
function placeOf({ game, columns, rows, cells }, move) {
    if (game === "othello") return move === "pass" ? -1 : (Number(move[1]) - 1) * columns + move.charCodeAt(0) - 97;
    const column = Number(move) - 1;
    for (let row = rows - 1; row >= 0; row -= 1) if (!cells[row * columns + column]) return row * columns + column;
    return -1;
}

/** The four in a row that ended a game. */
function four({ game, columns, rows, cells }) {
    if (game !== "connect4") return [];
    for (const [down, right] of [[0, 1], [1, 0], [1, 1], [1, -1]]) {
        for (let row = 0; row + 3 * down < rows; row += 1) {
            for (let column = 0; column < columns; column += 1) {
                if (column + 3 * right < 0 || column + 3 * right >= columns) continue;
                const places = [0, 1, 2, 3].map(n => (row + n * down) * columns + column + n * right);
                if (cells[places[0]] && places.every(place => cells[place] === cells[places[0]])) return places;
            }
        }
    }
    return [];
}

const nameOf = ({ game, columns, rows }, place) => {
    const row = Math.floor(place / columns), column = place % columns;
    return game === "othello" ? `${String.fromCharCode(97 + column)}${row + 1}` : `column ${column + 1}, row ${rows - row}`;
};

/** The move that is made at a place: a column takes discs wherever it is touched. */
const moveAt = ({ game, columns }, place) => game === "othello"
    ? `${String.fromCharCode(97 + place % columns)}${Math.floor(place / columns) + 1}` : `${place % columns + 1}`;

/** The board that is played on. `play` gets the move of the square that was chosen. */
export class PlayBoard {
    #grid;
    #play;
    #cells = [];
    #board = null;
    #kind = "";
    #focus = 0;

    constructor(grid, play) {
        this.#grid = grid;
        this.#play = play;
        grid.addEventListener("keydown", event => this.#key(event));
        grid.addEventListener("click", event => this.#choose(this.#cells.indexOf(event.target.closest("[role=gridcell]"))));
        grid.addEventListener("focusin", event => this.#hold(this.#cells.indexOf(event.target.closest("[role=gridcell]"))));
    }

    focus() { this.#cells[this.#focus]?.focus({ preventScroll: true }); }

    #lay({ game, rows, columns }) {
        this.#kind = game;
        this.#grid.dataset.game = game;
        this.#cells = Array.from({ length: rows * columns }, () => el("div", { role: "gridcell", tabindex: -1, class: "cell", "aria-label": "" }));
        this.#grid.replaceChildren(...Array.from({ length: rows }, (_, row) =>
            el("div", { role: "row" }, this.#cells.slice(row * columns, (row + 1) * columns))));
        this.#focus = game === "othello" ? 2 * columns + 3 : 3;
        this.#cells[this.#focus].tabIndex = 0;
    }

    /** Shows a position; `known` are the search's moves, of which the board shows how it divides its attention. */
    show(board, moves, { known = [], yours = false, hints = true } = {}) {
        if (this.#kind !== board.game) this.#lay(board);
        const before = this.#board;
        this.#board = board;
        this.yours = yours;
        const last = lastPlace(board, moves), won = board.outcome && board.outcome !== "draw" ? four(board) : [];
        const legal = new Map((board.legal ?? board.moves).map(move => [placeOf(board, move), move]));
        const total = known.reduce((sum, move) => sum + move.visits, 0);
        const shares = new Map(known.map(move => [placeOf(board, move.move), { ...move, share: total ? move.visits / total : 0 }]));
        this.#grid.classList.toggle("yours", yours);
        this.#grid.dataset.turn = board.turn;
        this.#cells.forEach((cell, place) => {
            const side = sides[board.cells[place]], hint = shares.get(place), open = legal.has(place);
            const set = (name, value) => { if (value === null) delete cell.dataset[name]; else if (cell.dataset[name] !== value) cell.dataset[name] = value; };
            const fresh = before && side && before.cells[place] !== board.cells[place];
            set("side", side);
            set("last", place === last ? "" : null);
            set("won", won.includes(place) ? "" : null);
            set("open", open ? "" : null);
            set("best", hints && open && hint?.best ? "" : null);
            if (fresh && place === last) this.#drop(cell, place);
            cell.style.setProperty("--share", hints && open && hint ? Math.sqrt(hint.share).toFixed(3) : 0);
            const what = side ? names[side] : "empty";
            const thought = open && hints && hint?.valueForMover !== undefined ? `, ${count(100 * hint.valueForMover)} % by ${count(hint.visits)} visits` : "";
            const label = `${nameOf(board, place)}, ${what}${place === last ? ", last move" : ""}${open ? ", can be played" : ""}`;
            // A reader repeats the name of where it stands when that changes, and these numbers change ten times a second.
            if (cell !== document.activeElement || !cell.ariaLabel.startsWith(label)) cell.ariaLabel = label + thought;
        });
    }

    #drop(cell, place) {
        cell.style.setProperty("--fall", this.#kind === "connect4" ? Math.floor(place / this.#board.columns) + 1 : 0);
        cell.classList.remove("fresh");
        // Reading a size lets the animation begin anew.
        void cell.offsetWidth;
        cell.classList.add("fresh");
    }

    #hold(place) {
        if (place < 0) return;
        this.#cells[this.#focus].tabIndex = -1;
        this.#focus = place;
        this.#cells[place].tabIndex = 0;
    }

    #choose(place) {
        if (place < 0 || !this.yours) return;
        const move = moveAt(this.#board, place);
        if ((this.#board.legal ?? this.#board.moves).includes(move)) this.#play(move);
    }

    #key(event) {
        if (event.ctrlKey || event.metaKey || event.altKey || !this.#board) return;
        const { rows, columns } = this.#board;
        const row = Math.floor(this.#focus / columns), column = this.#focus % columns;
        const to = {
            ArrowLeft: [row, column - 1], ArrowRight: [row, column + 1], ArrowUp: [row - 1, column], ArrowDown: [row + 1, column],
            Home: [row, 0], End: [row, columns - 1],
        }[event.key];
        if (to) {
            event.preventDefault();
            if (to[0] >= 0 && to[0] < rows && to[1] >= 0 && to[1] < columns) this.#cells[to[0] * columns + to[1]].focus();
        } else if (event.key === "Enter" || event.key === " ") {
            event.preventDefault();
            this.#choose(this.#focus);
        } else if (this.#kind === "connect4" && /^[1-7]$/.test(event.key)) {
            event.preventDefault();
            this.#choose(Number(event.key) - 1);
        }
    }
}

/** A picture of a position. With a `before`, what is new is marked. */
export function picture(board, { before = null, label = null } = {}) {
    const { rows, columns, cells, game } = board;
    const marks = [];
    cells.forEach((cell, place) => {
        const at = { cx: place % columns * 10 + 5, cy: Math.floor(place / columns) * 10 + 5 };
        const side = sides[cell];
        if (side) {
            marks.push(svg("circle", { ...at, r: 4, class: side }));
            if (side === "second") marks.push(svg("circle", { ...at, r: 1.9, class: "pip" }));
            if (before && !before.cells[place]) marks.push(svg("circle", { ...at, r: 4.6, class: "new" }));
        } else marks.push(svg("circle", { ...at, r: game === "othello" ? 0.9 : 4, class: "hole" }));
    });
    return svg("svg", { class: "picture", "data-game": game, viewBox: `-1 -1 ${columns * 10 + 2} ${rows * 10 + 2}`, role: "img", "aria-label": label ?? describe(board) },
        svg("rect", { x: -1, y: -1, width: columns * 10 + 2, height: rows * 10 + 2, rx: 3, class: "ground" }), marks);
}

/** A position in words. */
export function describe({ cells, turn, outcome }) {
    const [, first, second] = [0, 1, 2].map(side => cells.reduce((sum, cell) => sum + (cell === side ? 1 : 0), 0));
    const state = outcome === "draw" ? "a draw" : outcome ? `${names[outcome]} has won` : `${names[turn]} to move`;
    return `A board with ${count(first)} blue and ${count(second)} amber discs, ${state}`;
}

/** Keeps an element's picture of a position, and draws it only when that changes. */
export function pictureIn(place, board, options) {
    const key = `${board.game}${board.cells.join("")}`;
    if (place.dataset.key === key) return;
    place.dataset.key = key;
    place.replaceChildren(picture(board, options));
}


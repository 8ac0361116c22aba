// SPDX-License-Identifier: MIT
// Time travel: the points of a game as a line that branches, and what was found on going to one of them.

import { byId, bytes, count, el, many, millis, svg } from "./dom.js";
import { split, titles } from "./sides.js";

const STEP = 46, LANE = 46, LEFT = 36, TOP = 34;

/** Points by game: each game is a tree of its own. */
function gamesOf(points) {
    const at = new Map(points.map(point => [point.index, { ...point, children: [], root: null, depth: 0 }]));
    for (const point of at.values()) {
        const parent = at.get(point.parent);
        parent?.children.push(point);
        point.root = parent?.root ?? point;
        point.depth = parent ? parent.depth + 1 : 0;
    }
    const games = new Map();
    for (const point of at.values()) games.set(point.root, [...(games.get(point.root) ?? []), point]);
    return { at, games };
}

/** Gives every point a lane: the first child goes on in its parent's, others branch off below. */
function lanes(root) {
    let used = 0;
    const walk = (point, lane) => {
        point.lane = lane;
        point.children.forEach((child, i) => walk(child, i ? used += 1 : lane));
    };
    walk(root, 0);
    return used + 1;
}

/** The move that led to a point; none of the first, or of one that thinks on at its parent's position. */
const lastMove = (point, at) => {
    const before = at.get(point.parent)?.moves ?? "", moves = point.moves.slice(before.length);
    return split(point.game, moves).at(-1) ?? (point.parent === undefined ? "•" : point.moves === before ? "↻" : "–");
};

export class History {
    #travel;
    #points = [];
    #current;
    #game = null;
    #drawn = "";

    constructor(travel) {
        this.#travel = travel;
        byId("games").addEventListener("change", event => travel(Number(event.target.value)));
    }

    /** The points of all games but this one. */
    others() {
        const { at } = gamesOf(this.#points), root = at.get(this.#current)?.root;
        return this.#points.map(point => point.index).filter(index => at.get(index).root !== root);
    }

    /** The point before this one at which somebody was to move. */
    before(index, wanted) {
        const { at } = gamesOf(this.#points);
        let point = at.get(at.get(index)?.parent);
        while (point && !wanted(point)) point = at.get(point.parent);
        return point;
    }

    show(points, current) {
        this.#points = points;
        this.at(current);
    }

    at(current) {
        this.#current = current;
        const key = JSON.stringify([current, this.#points.map(point => [point.index, point.parent, point.states, point.moves])]);
        if (key === this.#drawn) return;
        this.#drawn = key;
        const { at, games } = gamesOf(this.#points);
        const root = at.get(current)?.root ?? [...games.keys()].at(-1) ?? null;
        this.#list(games, root);
        const place = byId("points");
        if (!root) {
            place.replaceChildren(el("p", { class: "plain soft" }, " The first point comes with the first move."));
            return;
        }
        const all = games.get(root), high = lanes(root);
        const wide = Math.max(...all.map(point => point.depth));
        const x = point => LEFT + point.depth * STEP, y = point => TOP + point.lane * LANE;
        const size = { width: LEFT * 2 + wide * STEP, height: TOP * 2 + (high - 1) * LANE };
        const ways = all.filter(point => point.parent !== undefined).map(point => {
            const from = at.get(point.parent), [x0, y0, x1, y1] = [x(from), y(from), x(point), y(point)];
            return svg("path", { d: y0 === y1 ? `M${x0} ${y0}H${x1}` : `M${x0} ${y0}C${x0 + 26} ${y0} ${x1 - 34} ${y1} ${x1} ${y1}` });
        });
        const focused = place.contains(document.activeElement) ? document.activeElement.dataset.index : null;
        const field = el("div", {}, svg("svg", { ...size, "aria-hidden": true }, ways), all.map(point => this.#button(point, at, x(point), y(point))));
        field.style.width = `${size.width}px`;
        field.style.height = `${size.height}px`;
        place.replaceChildren(field);
        if (focused !== null) field.querySelector(`[data-index="${focused}"]`)?.focus({ preventScroll: true });
        const now = field.querySelector("[aria-current]");
        if (now && this.#game !== `${current}`) {
            this.#game = `${current}`;
            const left = now.offsetLeft - place.clientWidth + 3 * STEP;
            if (now.offsetLeft < place.scrollLeft + STEP || now.offsetLeft > place.scrollLeft + place.clientWidth - 2 * STEP) place.scrollLeft = Math.max(0, left);
            place.scrollTop = Math.max(0, now.offsetTop - place.clientHeight / 2);
        }
    }

    #button(point, at, left, top) {
        const move = lastMove(point, at), plies = split(point.game, point.moves).length;
        const side = plies % 2 ? "first" : "second";
        const label = `Point ${point.index + 1}: ${plies ? `after ${many(plies, "move")}, the last one ${move}` : "the start"}, ${many(point.states, "position")} in the tree`;
        const button = el("button", {
            type: "button", class: `point ${plies ? side : ""}`, "data-index": point.index, title: label, "aria-label": label,
            "aria-current": point.index === this.#current ? "step" : null, click: () => this.#travel(point.index),
        }, move);
        button.style.left = `${left}px`;
        button.style.top = `${top}px`;
        return button;
    }

    #list(games, root) {
        const select = byId("games");
        const time = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "short" });
        select.replaceChildren(...[...games].reverse().map(([first, points]) => el("option", { value: points.at(-1).index, selected: first === root },
            `${titles[first.game] ?? first.game}, ${time.format(first.savedAt)}, ${many(points.length, "point")}`)));
        select.disabled = games.size < 2;
    }
}

/** What stands there before anybody went anywhere. */
export function present(place) {
    place.replaceChildren(el("p", { class: "soft" }, "You are in the present. Once you go to a point, the root that its statistics had then and the root that they have now stand here, one below the other."));
}

/** What was found on going to a point. */
export function found(place, { point, states, millis: took, rootUnchanged, root }) {
    place.replaceChildren(
        el("p", {}, `Point ${point.index + 1}: `, el("b", {}, `${count(states)} positions`), ` with ${count(point.playouts)} playouts are back in ${millis(took)}; ${bytes(point.bytes)} of memory.`),
        el("div", { class: "roots" },
            el("span", { class: "soft" }, "root then"), el("code", {}, point.statisticsRoot),
            el("span", { class: "soft" }, "root now"), el("code", { id: "root-now" }, root)),
        rootUnchanged && root === point.statisticsRoot
            ? el("p", { class: "same", id: "root-verdict" }, "✓ The roots are identical: every visit and every value is what it was.")
            : el("p", { class: "differs", id: "root-verdict" }, "✗ The roots differ: this is not the search that was saved."),
    );
}


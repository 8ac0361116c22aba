// SPDX-License-Identifier: MIT
// The views of the graph: which one is seen, when it is drawn anew, and which position is chosen.
//
// A view is asked for only while it is on the screen, one at a time, and not while somebody walks in it by keys or points at it:
// what is looked at must not move away.

import { byId, count, el, hex, svg, unhex } from "./dom.js";
import { detail } from "./detail.js";
import { Outline } from "./outline.js";
import { Paths } from "./paths.js";
import { Rings } from "./rings.js";
import { scene } from "./scene.js";
import { describe } from "./board.js";

const PAUSE_MILLIS = 1500;
const notes = {
    paths: "The most visited positions, move by move from the left. A square on its tip is a position to which several paths lead: it is searched once, for all of them.",
    rings: "The position in the middle, one move further with every ring. An arc is as wide as its share of the visits.",
    outline: "The same as a list that unfolds: arrow keys walk and unfold, Enter shows a position.",
};

export class Views {
    #engine;
    #prove;
    #views;
    #kind = "paths";
    #scene = null;
    #chosen = null;
    /** The position that is drawn from, if it is not the one on the board. */
    #from = null;
    #root = null;
    #seen = false;
    #busy = false;
    #drawn = "";
    #last = 0;
    #timer = null;

    constructor(engine, prove) {
        this.#engine = engine;
        this.#prove = prove;
        const choose = key => this.choose(key);
        this.#views = {
            paths: new Paths(byId("paths"), choose), rings: new Rings(byId("rings"), choose),
            outline: new Outline(byId("outline"), state => engine.ask("edges", state), choose),
        };
        this.#tabs();
        this.#legend();
        new IntersectionObserver(([entry]) => {
            this.#seen = entry.isIntersecting;
            if (this.#seen) this.refresh();
        }).observe(byId("views").closest("section"));
        new ResizeObserver(() => {
            if (!this.#scene || this.#kind === "outline") return;
            // At once in the new room, and soon with as much as it holds.
            this.#views[this.#kind].draw(this.#scene, this.#chosen);
            this.#last = 0;
            this.refresh();
        }).observe(byId("paths").parentElement);
    }

    /** The position on the board is another, or more is known of it. */
    news(view) {
        const root = hex(view.bytes);
        const key = `${root} ${view.counts.playouts} ${view.at}`;
        if (root !== this.#root) {
            this.#root = root;
            this.#from = this.#chosen = null;
            this.#last = 0;
        } else if (key === this.#drawn) return;
        this.#drawn = key;
        this.refresh();
    }

    /** Draws anew as soon as it is worth it. */
    refresh() {
        if (!this.#seen || this.#busy || this.#timer) return;
        const wait = Math.max(0, this.#last + PAUSE_MILLIS - performance.now());
        this.#timer = setTimeout(() => {
            this.#timer = null;
            const pane = byId(this.#kind);
            // Looked at closely: the next news come soon enough.
            if (this.#last && (pane.matches(":hover") || pane.contains(document.activeElement)) && this.#scene?.root.key === (this.#from ?? this.#root)) return;
            this.#draw();
        }, wait);
    }

    async #draw() {
        this.#busy = true;
        try {
            const from = this.#from && unhex(this.#from);
            if (this.#kind === "outline") {
                const found = await this.#engine.ask("inspect", from);
                await this.#views.outline.show(found.node.state, describe(found.board));
                if (!this.#chosen) this.choose(hex(found.node.state));
            } else {
                const graph = await this.#engine.ask("graph", from, this.#views[this.#kind].extent());
                this.#scene = scene(graph);
                if (!this.#chosen) this.#chosen = this.#scene.root.key;
                this.#views[this.#kind].draw(this.#scene, this.#chosen);
                byId("graph-omitted").textContent = `${count(this.#scene.all.length)} positions drawn, ${count(this.#scene.omitted)} more next to them; ${count(this.#scene.joins.length)} further paths meet in what is drawn.`;
                await this.#inspect();
            }
        } catch (error) {
            // The position was left or forgotten between question and answer.
            if (error.code !== "unknown-node") throw error;
            this.#from = this.#chosen = null;
        } finally {
            this.#busy = false;
            this.#last = performance.now();
        }
    }

    choose(key) {
        this.#chosen = key;
        if (this.#scene && this.#kind !== "outline") this.#views[this.#kind].draw(this.#scene, key);
        this.#inspect();
    }

    async #inspect() {
        const key = this.#chosen, place = byId("detail");
        try {
            const found = await this.#engine.ask("inspect", unhex(key));
            if (key !== this.#chosen) return;
            const focused = place.contains(document.activeElement) ? [...place.querySelectorAll("button")].indexOf(document.activeElement) : -1;
            const known = this.#kind === "outline" ? null : this.#scene?.byKey.get(key)?.ways.length ?? null;
            detail(place, found, { prove: () => this.#prove(found), look: () => this.#look(key), isRoot: key === this.#root, joins: known });
            if (focused >= 0) place.querySelectorAll("button")[focused]?.focus({ preventScroll: true });
        } catch (error) {
            if (error.code !== "unknown-node") throw error;
            place.replaceChildren(el("p", { class: "soft" }, "This position is not in the tree any more."));
        }
    }

    #look(key) {
        this.#from = key === this.#root ? null : key;
        this.#show();
    }

    #show() {
        byId("graph-back").hidden = !this.#from;
        this.#last = 0;
        this.#scene = null;
        clearTimeout(this.#timer);
        this.#timer = null;
        this.#draw();
    }

    #tabs() {
        const list = byId("views"), tabs = [...list.querySelectorAll("[role=tab]")];
        const turn = tab => {
            for (const other of tabs) {
                other.ariaSelected = String(other === tab);
                other.tabIndex = other === tab ? 0 : -1;
                byId(other.getAttribute("aria-controls")).hidden = other !== tab;
            }
            this.#kind = tab.getAttribute("aria-controls");
            byId("graph-note").textContent = notes[this.#kind];
            if (this.#root) this.#show();
        };
        byId("graph-note").textContent = notes.paths;
        list.addEventListener("click", event => { if (tabs.includes(event.target)) turn(event.target); });
        list.addEventListener("keydown", event => {
            const at = tabs.indexOf(document.activeElement), to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: tabs.length - 1 }[event.key];
            if (to === undefined) return;
            event.preventDefault();
            const tab = tabs.at(to % tabs.length);
            tab.focus();
            turn(tab);
        });
    }

    #legend() {
        const dot = (x, r) => svg("circle", { cx: x, cy: 11, r, fill: "var(--even)", stroke: "var(--firm)" });
        const line = (kind, width) => svg("svg", { width: 30, height: 10, "aria-hidden": true }, svg("path", { class: `edge ${kind}`, d: "M0 5H30", "stroke-width": width }));
        byId("graph-tools").append(
            el("ul", { class: "legend" },
                el("li", {}, "Amber wins", el("span", { class: "ramp" }), "Blue wins"),
                el("li", {}, svg("svg", { width: 46, height: 22, "aria-hidden": true }, dot(5, 3), dot(17, 6), dot(36, 9)), "more visits"),
                el("li", {}, svg("svg", { width: 20, height: 20, "aria-hidden": true }, svg("path", { d: "M10 3L17 10L10 17L3 10Z", fill: "var(--even)", stroke: "var(--ink)", "stroke-width": 1.8 })), "paths meet"),
                el("li", {}, line("won", 3), "the favourite"), el("li", {}, line("joins", 1), "another way there")),
            el("span", { class: "row" }, el("button", { type: "button", id: "graph-back", hidden: true, click: () => { this.#from = null; this.#chosen = null; this.#show(); } }, "Draw from the board")),
            el("p", { id: "graph-omitted" }, " "));
    }
}

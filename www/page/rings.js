// SPDX-License-Identifier: MIT
// The graph as rings: the position in the middle, each ring one move further, each arc as wide as its share of the visits.

import { svg } from "./dom.js";
import { spoken, walk } from "./scene.js";
import { colour, names } from "./sides.js";

const FULL = 2 * Math.PI, DEEP = 6;

export class Rings {
    #pane;
    #choose;
    #picture;
    #arcs = new Map();
    #scene = null;
    #focus = null;

    constructor(pane, choose) {
        this.#pane = pane;
        this.#choose = choose;
        this.#picture = svg("svg", { role: "group", "aria-label": "Positions as rings, one move further each. Arrow keys walk, Enter shows one.", keydown: event => this.#key(event) });
        pane.append(this.#picture);
    }

    extent() {
        return { maxNodes: this.#pane.clientWidth < 500 ? 90 : 240, maxDepth: DEEP, minVisits: 2 };
    }

    draw(scene, chosen) {
        this.#scene = scene;
        const { clientWidth: width, clientHeight: height } = this.#pane;
        if (!width || !height) return;
        const outer = Math.min(width, height) / 2 - 12, inner = outer / (DEEP + 1) * 1.05;
        const ring = (outer - inner) / DEEP;
        this.#picture.setAttribute("viewBox", `${-width / 2} ${-height / 2} ${width} ${height}`);
        const held = scene.byKey.has(this.#focus) ? this.#focus : scene.root.key;
        const focused = this.#pane.contains(document.activeElement);
        this.#arcs.clear();
        const shapes = [], texts = [];
        const place = (node, from, span) => {
            const low = node.depth === 0 ? 0 : inner + (node.depth - 1) * ring, high = inner + node.depth * ring;
            const shape = svg("path", {
                class: "arc", role: "button", d: arc(low, high, from, span), "aria-pressed": String(node.key === chosen), "aria-label": spoken(node, names),
                tabindex: node.key === held ? 0 : -1, click: () => this.#choose(node.key), focus: () => { this.#hold(node.key); },
            });
            shape.style.setProperty("--shade", colour(node.value));
            shapes.push(shape);
            this.#arcs.set(node.key, shape);
            const middle = (low + high) / 2, at = from + span / 2;
            if (node.way && span * middle > 15) texts.push(svg("text", { class: "arc-name", x: (middle * Math.sin(at)).toFixed(1), y: (-middle * Math.cos(at)).toFixed(1) }, node.way.move));
            const all = Math.max(node.children.reduce((sum, child) => sum + child.way.visits, 0), node.visits - 1);
            let next = from;
            for (const child of node.children) {
                const width = span * child.way.visits / all;
                // What is thinner than a hair cannot be hit.
                if (width * high > 1.2) place(child, next, width);
                next += width;
            }
        };
        place(scene.root, 0, FULL);
        this.#picture.replaceChildren(...shapes, ...texts);
        this.#focus = this.#arcs.has(held) ? held : scene.root.key;
        this.#arcs.get(this.#focus).setAttribute("tabindex", 0);
        if (focused) this.#arcs.get(this.#focus).focus({ preventScroll: true });
    }

    #hold(key) {
        this.#arcs.get(this.#focus)?.setAttribute("tabindex", -1);
        this.#focus = key;
        this.#arcs.get(key)?.setAttribute("tabindex", 0);
    }

    #key(event) {
        const node = this.#scene?.byKey.get(this.#focus);
        if (!node || event.ctrlKey || event.metaKey || event.altKey) return;
        const to = walk(event.key, node, this.#scene);
        if (to) this.#arcs.get(to.key)?.focus();
        else if (event.key === "Enter" || event.key === " ") this.#choose(node.key);
        if (to || event.key === "Enter" || event.key === " " || event.key.startsWith("Arrow")) event.preventDefault();
    }
}

/** A piece of a ring, between two radii, from an angle on. Angles begin at the top. */
function arc(low, high, from, span) {
    const point = (radius, angle) => `${(radius * Math.sin(angle)).toFixed(2)} ${(-radius * Math.cos(angle)).toFixed(2)}`;
    if (span > FULL - 1e-6) {
        const circle = (radius, sweep) => radius ? `M0 ${-radius}A${radius} ${radius} 0 1 ${sweep} 0 ${radius}A${radius} ${radius} 0 1 ${sweep} 0 ${-radius}Z` : "";
        return circle(high, 1) + circle(low, 0);
    }
    const to = from + span, large = span > Math.PI ? 1 : 0;
    return `M${point(low, from)}L${point(high, from)}A${high} ${high} 0 ${large} 1 ${point(high, to)}L${point(low, to)}A${low} ${low} 0 ${large} 0 ${point(low, from)}Z`;
}

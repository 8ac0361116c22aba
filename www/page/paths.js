// SPDX-License-Identifier: MIT
// The graph as nodes and links: the most visited part, from left to right, with the places where paths meet.

import { svg } from "./dom.js";
import { favourite, spoken, trail, walk } from "./scene.js";
import { colour, names } from "./sides.js";

const curve = (a, b) => `M${a.x} ${a.y}C${(a.x + b.x) / 2} ${a.y} ${(a.x + b.x) / 2} ${b.y} ${b.x} ${b.y}`;

export class Paths {
    #pane;
    #choose;
    #links = svg("g");
    #marks = svg("g");
    #picture;
    #nodes = new Map();
    #scene = null;
    #focus = null;

    constructor(pane, choose) {
        this.#pane = pane;
        this.#choose = choose;
        this.#picture = svg("svg", { role: "group", "aria-label": "The most visited positions. Arrow keys walk, Enter shows one.", keydown: event => this.#key(event) }, this.#links, this.#marks);
        pane.append(this.#picture);
    }

    /** As much as can be told apart in the room that there is. */
    extent() {
        const { clientWidth: width, clientHeight: height } = this.#pane;
        return { maxNodes: Math.max(24, Math.min(130, Math.round(width * height / 5200))), maxDepth: width < 500 ? 6 : 11, minVisits: 2 };
    }

    draw(scene, chosen) {
        this.#scene = scene;
        const { root, all, joins } = scene;
        const { clientWidth: width, clientHeight: height } = this.#pane;
        if (!width || !height) return;
        this.#picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
        this.#place(width, height);
        const most = Math.log(Math.max(2, ...all.map(node => node.visits)));
        for (const node of all) node.radius = 3 + (width < 500 ? 5 : 8) * Math.log(Math.max(1, node.visits)) / most;

        const best = favourite(root), way = trail(scene.byKey.get(chosen) ?? null);
        const links = [];
        for (const join of joins) links.push(svg("path", { class: "edge joins", d: curve(join.source, join.target) }));
        for (const node of all) {
            if (!node.parent) continue;
            const kind = best.includes(node) ? "won" : way.includes(node) ? "trail" : "";
            const share = node.way.visits / Math.max(1, node.parent.visits);
            const link = svg("path", { class: `edge ${kind}`, d: curve(node.parent, node), "stroke-width": kind === "won" ? 2.5 + 2 * share : 0.8 + 3.2 * share });
            links.push(link);
        }
        this.#links.replaceChildren(...links);
        this.#draw(all, chosen, best);
    }

    // Leaves share the height, a parent stands in the middle of its children.
    #place(width, height) {
        const { root, all } = this.#scene;
        const deep = Math.max(1, ...all.map(node => node.depth)), step = Math.min(130, (width - 90) / deep);
        const leaves = all.filter(node => node.children.length === 0).length;
        const gap = (height - 48) / Math.max(1, leaves);
        let next = 24 + gap / 2;
        const place = node => {
            node.x = 36 + node.depth * step;
            if (node.children.length === 0) {
                node.y = next;
                next += gap;
                return;
            }
            node.children.forEach(place);
            node.y = (node.children[0].y + node.children.at(-1).y) / 2;
        };
        place(root);
        this.gap = gap;
    }

    #draw(all, chosen, best) {
        const gone = new Set(this.#nodes.keys());
        const held = this.#nodes.has(this.#focus) && all.some(node => node.key === this.#focus) ? this.#focus : all[0].key;
        for (const node of all) {
            gone.delete(node.key);
            const mark = this.#nodes.get(node.key) ?? this.#mark(node);
            const { group, shape, halo, text } = mark;
            const met = node.ways.length > 1, r = node.radius;
            group.style.transform = `translate(${node.x.toFixed(1)}px, ${node.y.toFixed(1)}px)`;
            group.style.setProperty("--shade", colour(node.value));
            group.classList.toggle("met", met);
            group.setAttribute("aria-pressed", String(node.key === chosen));
            group.setAttribute("tabindex", node.key === held ? 0 : -1);
            group.setAttribute("aria-label", spoken(node, names));
            // A square on its tip is where paths meet; no colour is needed to see it.
            const s = r * 0.92;
            shape.setAttribute("d", met ? `M0 ${-s * 1.25}L${s * 1.25} 0L0 ${s * 1.25}L${-s * 1.25} 0Z` : `M${-r} 0A${r} ${r} 0 1 1 ${r} 0A${r} ${r} 0 1 1 ${-r} 0Z`);
            halo.setAttribute("r", r + 4);
            const named = node.way && (this.gap > 11 || best.includes(node) || node.children.length > 1);
            text.textContent = named ? node.way.move : "";
            text.setAttribute("x", 0);
            text.setAttribute("y", node.y < 30 ? r + 13 : -r - 5);
        }
        for (const key of gone) {
            this.#nodes.get(key).group.remove();
            this.#nodes.delete(key);
        }
        this.#focus = held;
    }

    #mark(node) {
        const shape = svg("path", { class: "mark" }), halo = svg("circle", { class: "halo" }), text = svg("text", { "text-anchor": "middle" });
        const group = svg("g", { class: "node", role: "button", click: () => this.#choose(node.key), focus: () => this.#hold(node.key) }, halo, shape, text);
        this.#nodes.set(node.key, { group, shape, halo, text });
        this.#marks.append(group);
        return this.#nodes.get(node.key);
    }

    #hold(key) {
        this.#nodes.get(this.#focus)?.group.setAttribute("tabindex", -1);
        this.#focus = key;
        this.#nodes.get(key)?.group.setAttribute("tabindex", 0);
    }

    #key(event) {
        const node = this.#scene?.byKey.get(this.#focus);
        if (!node || event.ctrlKey || event.metaKey || event.altKey) return;
        const to = walk(event.key, node, this.#scene);
        if (to) this.#nodes.get(to.key)?.group.focus();
        else if (event.key === "Enter" || event.key === " ") this.#choose(node.key);
        if (to || event.key === "Enter" || event.key === " " || event.key.startsWith("Arrow")) event.preventDefault();
    }
}

// SPDX-License-Identifier: MIT
// The graph as an outline: a tree in the sense of assistive technology, unfolded branch by branch, each asked for when it is opened.

import { count, el, hex, percent } from "./dom.js";

/** Moves of a position that are shown; an outline is read line by line. */
const MOST = 40;

export class Outline {
    #ask;
    #choose;
    #tree;

    constructor(pane, ask, choose) {
        this.#ask = ask;
        this.#choose = choose;
        this.#tree = el("ul", { role: "tree", "aria-label": "Positions and moves", keydown: event => this.#key(event), click: event => this.#click(event), focusin: event => this.#hold(event.target.closest("[role=treeitem]")) });
        pane.append(this.#tree);
    }

    /** Begins anew at a position; what was unfolded folds. */
    async show(state, board) {
        const root = this.#item({ move: "•", visits: null, valueForMover: null, state, inside: true }, 1, 1, 1);
        root.querySelector("b").textContent = "here";
        root.append(el("span", { class: "visually-hidden" }, board));
        root.tabIndex = 0;
        this.#tree.replaceChildren(el("li", { role: "none" }, root));
        await this.#open(root);
    }

    #item(edge, level, place, size) {
        const { move, visits, valueForMover, state, inside, proven } = edge;
        const bar = el("span", { class: "bar" }, el("i"));
        // Branches stand beside their item, not in it, so that its name is what it says itself.
        const item = el("div", {
            role: "treeitem", class: "twig", tabindex: -1, "aria-level": level, "aria-posinset": place, "aria-setsize": size, "aria-selected": "false",
            "aria-expanded": state && inside ? "false" : null,
        }, el("b", {}, move), " ", bar, el("small", {}, visits === null ? "" : `${count(visits)} visits`), " ", el("small", {}, percent(valueForMover)), " ", el("span", { class: "then" }, proven ? "settled" : ""));
        item.state = state;
        item.edge = edge;
        item.bar = bar;
        return item;
    }

    async #open(item) {
        if (item.getAttribute("aria-expanded") !== "false") return;
        item.setAttribute("aria-expanded", "true");
        const old = item.nextElementSibling;
        if (old) {
            old.hidden = false;
            return;
        }
        let edges;
        try {
            edges = (await this.#ask(item.state)).filter(edge => edge.visits > 0).sort((a, b) => b.visits - a.visits).slice(0, MOST);
        } catch {
            // It was forgotten meanwhile: there is nothing to unfold any more.
            item.removeAttribute("aria-expanded");
            return;
        }
        const most = Math.max(1, ...edges.map(edge => edge.visits)), level = Number(item.getAttribute("aria-level")) + 1;
        const items = edges.map((edge, i) => {
            const made = this.#item(edge, level, i + 1, edges.length);
            made.bar.style.setProperty("--part", (edge.visits / most).toFixed(3));
            return made;
        });
        item.after(el("ul", { role: "group" }, items.map(made => el("li", { role: "none" }, made))));
    }

    #close(item) {
        item.setAttribute("aria-expanded", "false");
        item.nextElementSibling.hidden = true;
    }

    #hold(item) {
        if (!item) return;
        this.#tree.querySelector("[tabindex='0']")?.setAttribute("tabindex", -1);
        item.tabIndex = 0;
    }

    #select(item) {
        if (!item.state) return;
        this.#tree.querySelector("[aria-selected=true]")?.setAttribute("aria-selected", "false");
        item.setAttribute("aria-selected", "true");
        this.#choose(hex(item.state));
    }

    #click(event) {
        const item = event.target.closest("[role=treeitem]");
        if (!item) return;
        item.focus({ preventScroll: true });
        if (item.getAttribute("aria-expanded") === "true") this.#close(item);
        else this.#open(item);
        this.#select(item);
    }

    #key(event) {
        const item = document.activeElement.closest("[role=treeitem]");
        if (!item || event.ctrlKey || event.metaKey || event.altKey) return;
        const shown = [...this.#tree.querySelectorAll("[role=treeitem]")].filter(other => !other.parentElement.closest("[hidden]"));
        const at = shown.indexOf(item), open = item.getAttribute("aria-expanded");
        const go = other => other?.focus();
        const act = {
            ArrowDown: () => go(shown[at + 1]), ArrowUp: () => go(shown[at - 1]), Home: () => go(shown[0]), End: () => go(shown.at(-1)),
            ArrowRight: () => open === "true" ? go(item.nextElementSibling.querySelector("[role=treeitem]")) : this.#open(item),
            ArrowLeft: () => open === "true" ? this.#close(item) : go(item.closest("[role=group]")?.previousElementSibling),
            Enter: () => this.#select(item), " ": () => this.#select(item),
        }[event.key];
        if (!act) return;
        event.preventDefault();
        act();
    }
}

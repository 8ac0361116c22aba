// SPDX-License-Identifier: MIT
// One step of a small search in slow motion: selection, expansion, playout, backup, one after another, with the boards on the way.

import { calm, count, el, many, percent } from "./dom.js";
import { describe, picture } from "./board.js";
import { names } from "./sides.js";
import { speak } from "./speak.js";

const FRAME_MILLIS = 1100;
const phases = ["Selection", "Expansion", "Playout", "Backup"];
const before = [
    "From the root down, at each position the move whose value and rarity together promise most.",
    "A move that was never tried leads to a position. If it is known already, its node is used, and two paths meet.",
    "From a new position both sides play at random to the end: one noisy opinion of it.",
    "The result changes value and visits of every position on the way back.",
];

export class Steps {
    #engine;
    #film = el("div", { class: "film scroll", tabindex: 0, role: "region", "aria-label": "The path of this step" });
    #cards = phases.map((name, i) => el("li", {}, el("h3", {}, `${i + 1}. ${name}`), el("p", {}, before[i])));
    #status = el("p", { class: "soft" });
    #next = el("button", { type: "button", class: "firm", id: "step-next", click: () => this.advance() }, "Begin");
    #board = null;
    #step = null;
    #phase = -1;
    #timer = null;
    #fresh = true;
    #busy = false;

    constructor(place, engine) {
        this.#engine = engine;
        const button = (id, text, click) => el("button", { type: "button", id, click }, text);
        place.append(
            el("div", { class: "row" }, this.#next,
                button("step-play", "Play", event => this.#toggle(event.target)),
                button("step-skip", "100 steps at once", () => this.#skip(100)),
                button("step-reset", "Begin anew", () => this.reset())),
            el("ol", { class: "phases" }, this.#cards), this.#film, this.#status);
    }

    /** The position on the board is another: the next step begins a new small search. */
    reset(board = this.#board) {
        this.#board = board;
        this.#fresh = true;
        this.#step = null;
        this.#phase = -1;
        this.#stop();
        this.#next.textContent = "Begin";
        this.#cards.forEach((card, i) => {
            card.removeAttribute("aria-current");
            card.lastChild.textContent = before[i];
        });
        this.#film.replaceChildren(el("div", { class: "frame" }, picture(board, { label: describe(board) }), el("p", {}, "Not searched yet")),
            el("p", { class: "note" }, "The boards on the path of each step appear here, from the left to the right."));
        this.#status.textContent = "Nothing has been stepped yet.";
    }

    /** The next phase, of this step or of a new one. */
    async advance() {
        if (this.#busy) return;
        this.#busy = true;
        try {
            if (this.#phase < 0 || this.#phase === 3) {
                if (this.#fresh) await this.#engine.ask("slowly", "begin");
                this.#fresh = false;
                this.#step = await this.#engine.ask("slowly", "step");
                this.#phase = 0;
            } else this.#phase += 1;
            this.#draw();
        } finally {
            this.#busy = false;
        }
    }

    async #skip(steps) {
        if (this.#busy) return;
        this.#busy = true;
        try {
            if (this.#fresh) await this.#engine.ask("slowly", "begin");
            this.#fresh = false;
            await this.#engine.ask("slowly", "skip", steps);
            this.#phase = -1;
        } finally {
            this.#busy = false;
        }
        await this.advance();
    }

    #toggle(button) {
        if (this.#timer) return this.#stop();
        button.textContent = "Stop";
        this.#timer = setInterval(() => this.advance(), calm() ? 2 * FRAME_MILLIS : FRAME_MILLIS);
        return this.advance();
    }

    #stop() {
        clearInterval(this.#timer);
        this.#timer = null;
        const button = document.getElementById("step-play");
        if (button) button.textContent = "Play";
    }

    #draw() {
        const { step, path, steps, counts, start } = this.#step, phase = this.#phase;
        const last = path.at(-1);
        const values = new Map(step.backup.map(change => [change.id, change]));
        const result = step.node ? step.node.evaluation : null;
        const told = [
            path.length > 1 ? `Down ${many(path.length - 1, "move")}: ${path.slice(0, -1).map(({ edge }) => edge.move).join(" ")}.` : "The root has a move that was never tried.",
            { new: `${last?.edge.move} leads to a new position.`, transposition: `${last?.edge.move} leads to a known position: two paths meet.`, closed: `${last?.edge.move} leads nowhere.`, repeated: "The path came to a finished position.", exhausted: "Nothing is left to try: all is known." }[step.outcome],
            step.outcome === "new" ? (step.node.terminal ? `The game is over there: ${ending(result)}.` : `Played out at random: ${ending(result)}.`) : "Nothing to play out: what is known of it is used.",
            step.backup.length ? `${many(step.backup.length, "position")} changed; the root is now worth ${percent(step.backup.at(-1).value)} for ${names.first}.` : "Nothing changed.",
        ];
        this.#cards.forEach((card, i) => {
            if (i === phase) card.setAttribute("aria-current", "step");
            else card.removeAttribute("aria-current");
            card.lastChild.textContent = i <= phase ? told[i] : before[i];
        });
        this.#next.textContent = phase === 3 ? "Next step" : `Next: ${phases[phase + 1].toLowerCase()}`;
        this.#status.textContent = `Step ${count(steps)}; ${many(counts.states, "position")} so far.`;

        const frames = [this.#frame(start, null, phase === 3 ? values.get(start.node.id) : null, path.length <= 1 && phase === 0, null)];
        path.forEach(({ edge, from, to }, i) => {
            const isLast = i === path.length - 1;
            if (isLast && phase === 0) return;
            frames.push(el("div", { class: "arrow" }, el("b", {}, edge.move), `${count(edge.visits)}×`));
            if (!to) return;
            frames.push(this.#frame(to, from.board, phase === 3 ? values.get(to.node.id) : null, isLast && phase > 0 && phase < 3 || (phase === 0 && i === path.length - 2), isLast ? { phase, step, result } : null));
        });
        this.#film.replaceChildren(...frames);
        this.#film.scrollTo({ left: phase === 3 ? 0 : this.#film.scrollWidth, behavior: calm() ? "auto" : "smooth" });
        if (!this.#timer) speak(`${phases[phase]}. ${told[phase]}`);
    }

    #frame({ node, board }, beforeBoard, change, isNow, end) {
        const text = end && end.phase >= 2 && !change && end.step.outcome === "new" ? [el("b", {}, ending(end.result))]
            : change ? [el("b", {}, `${count(change.visitsBefore)} → ${count(change.visits)}`), " visits", el("br"), el("b", {}, `${percent(change.valueBefore)} → ${percent(change.value)}`)]
                : [`${many(node.visits, "visit")}`, el("br"), percent(node.value)];
        return el("div", { class: `frame ${isNow ? "now" : ""} ${end ? "added" : ""} ${change ? "raised" : ""}` }, picture(board, { before: beforeBoard, label: describe(board) }), el("p", {}, text));
    }
}

const ending = value => value === 0.5 ? "a draw" : value > 0.5 ? `${names.first} won` : `${names.second} won`;

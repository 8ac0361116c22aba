// SPDX-License-Identifier: MIT
// Proofs: made by the search, checked by a verifier that has nothing but the proof and the root, and spoilt byte by byte to see it
// refuse. What is pasted is checked in the same way, whoever made it.

import { Engine } from "./engine.js";
import { bytes as size, count, download, el, hex, millis, percent, svg, unhex } from "./dom.js";
import { describe, picture } from "./board.js";
import { names, titles } from "./sides.js";
import { speak } from "./speak.js";

/** Bytes that are drawn: more of them could not be hit with a finger. */
const DRAWN = 4096;

export class Proofs {
    #engine;
    #verifier = new Engine(new URL("../worker/verifier.js", import.meta.url));
    #game = "connect4";
    #state = null;
    #good = null;
    #seen = null;
    #asked = 0;
    #cells = [];
    #parts;

    constructor(place, engine) {
        this.#engine = engine;
        const button = (id, text, click, kind = "") => el("button", { type: "button", id, class: kind, click }, text);
        const parts = this.#parts = {
            moves: el("input", { id: "proof-moves", spellcheck: "false", autocapitalize: "off", placeholder: "the position on the board" }),
            root: el("input", { id: "proof-root", class: "mono", spellcheck: "false", autocapitalize: "off", maxlength: 64, input: () => this.#check() }),
            text: el("textarea", { id: "proof-text", rows: 5, spellcheck: "false", autocapitalize: "off", input: () => this.#typed() }),
            at: el("input", { id: "proof-at", type: "number", min: 0, value: 40 }),
            file: el("input", { id: "proof-file", type: "file", class: "visually-hidden", tabindex: -1, "aria-label": "A proof file", change: event => this.#file(event.target) }),
            picture: svg("svg", { class: "bytes", role: "img", "aria-label": "The bytes of the proof. To change one without a mouse, use the field below.", preserveAspectRatio: "none", click: event => this.#hit(event) }),
            ruling: el("div", { class: "ruling", id: "ruling" }),
        };
        place.append(
            el("div", {},
                el("div", { class: "field" }, el("label", { for: "proof-moves" }, "Moves from the start; empty for the position on the board"), parts.moves),
                el("div", { class: "row" }, button("prove", "Prove it", () => this.#fromMoves(), "firm")),
                el("div", { class: "field" }, el("label", { for: "proof-root" }, "Root"), parts.root),
                el("div", { class: "field" }, el("label", { for: "proof-text" }, "Proof, as hexadecimal digits; paste one from anywhere"), parts.text),
                el("div", { class: "row" }, button("proof-open", "Open a proof file", () => parts.file.click()), button("proof-save", "Save as a file", () => this.#save()), parts.file)),
            el("div", {},
                parts.ruling,
                el("p", { class: "soft bytes-name" }, "The bytes of the proof; touch one to flip a bit of it."), parts.picture,
                el("div", { class: "row flips" }, el("label", { class: "inline", for: "proof-at" }, "Byte", parts.at), button("flip", "Flip a bit of it", () => this.#flip(Number(parts.at.value))), button("mend", "Mend", () => this.#mend()))));
        this.#rule("", "No proof yet", [el("p", {}, "Prove the position on the board, or any other: one that the search has never met has a proof too, that it is not there.")]);
    }

    /** The position on the board, which is proven if nothing else is asked for. */
    news({ game, bytes }) {
        this.#game = game;
        this.#state = bytes;
    }

    async #fromMoves() {
        const moves = this.#parts.moves.value.trim();
        try {
            const state = moves ? (await this.#engine.ask("board", this.#game, moves)).bytes : this.#state;
            await this.prove(state);
        } catch (error) {
            this.#rule("bad", "Nothing to prove", [el("p", {}, error.message)]);
            speak(`Nothing to prove: ${error.message}`);
        }
    }

    /** Has the search prove a position, and checks the proof. */
    async prove(state) {
        this.#rule("", "One moment …", [el("p", {}, "All statistics are hashed into one root.")]);
        const { proof, root, states, millis: took } = await this.#engine.ask("prove", state);
        this.#good = { proof, root, note: `Made in ${millis(took)} from ${count(states)} positions; the proof has ${size(proof.length)}.` };
        this.#parts.root.value = root;
        this.#set(proof);
        await this.#check();
    }

    #set(proof) {
        this.#seen = proof;
        this.#parts.text.value = hex(proof);
        this.#parts.at.max = Math.max(0, proof.length - 1);
        this.#paint();
    }

    #typed() {
        this.#seen = unhex(this.#parts.text.value);
        this.#good = null;
        this.#paint();
        this.#check();
    }

    async #file(input) {
        const [file] = input.files;
        input.value = "";
        if (!file) return;
        this.#good = null;
        this.#set(new Uint8Array(await file.arrayBuffer()));
        await this.#check();
    }

    #save() {
        if (!this.#seen?.length) return;
        download(this.#seen, "position.proof");
    }

    #flip(at) {
        if (!this.#seen || !(at >= 0 && at < this.#seen.length)) return;
        const proof = this.#seen.slice();
        proof[at] ^= 1 << (at % 8);
        this.#parts.at.value = at;
        this.#set(proof);
        this.#check();
    }

    #mend() {
        if (!this.#good) return;
        this.#parts.root.value = this.#good.root;
        this.#set(this.#good.proof);
        this.#check();
    }

    #hit(event) {
        if (!this.#seen) return;
        const { left, top, width, height } = this.#parts.picture.getBoundingClientRect(), { columns, rows } = this.#grid();
        const at = Math.floor((event.clientY - top) / height * rows) * columns + Math.floor((event.clientX - left) / width * columns);
        this.#flip(at);
    }

    #grid() {
        const length = Math.min(DRAWN, this.#seen?.length ?? 0), wide = this.#parts.picture.clientWidth || 400, high = this.#parts.picture.clientHeight || 120;
        const columns = Math.max(1, Math.ceil(Math.sqrt(length * wide / high)));
        return { length, columns, rows: Math.max(1, Math.ceil(length / columns)) };
    }

    // Each byte is a square, the darker the higher; what differs from the proof that was made is red.
    #paint() {
        const { length, columns, rows } = this.#grid(), { picture: place } = this.#parts;
        place.setAttribute("viewBox", `0 0 ${columns} ${rows}`);
        this.#cells = Array.from({ length }, (_, at) => {
            const byte = this.#seen[at], was = this.#good?.proof[at];
            const cell = svg("rect", { x: at % columns + 0.06, y: Math.floor(at / columns) + 0.06, width: 0.88, height: 0.88, fill: "var(--accent)", "fill-opacity": (0.12 + 0.7 * byte / 255).toFixed(2) });
            if (was !== undefined && was !== byte) {
                cell.setAttribute("fill", "var(--bad)");
                cell.setAttribute("fill-opacity", 1);
            }
            return cell;
        });
        place.replaceChildren(...this.#cells);
    }

    async #check() {
        const asked = this.#asked += 1, root = this.#parts.root.value.trim().toLowerCase();
        if (!this.#seen || !root) {
            if (this.#parts.text.value) this.#rule("bad", "Not a proof", [el("p", {}, this.#seen ? "A root is needed to check it against." : "These are not pairs of hexadecimal digits.")]);
            return;
        }
        try {
            const found = await this.#verifier.send({ proof: this.#seen, root, game: this.#game });
            if (asked === this.#asked) this.#accept(found, root);
        } catch (error) {
            if (asked !== this.#asked) return;
            this.#rule("bad", "✗ Refused", [el("p", {}, `The verifier says: ${error.message}.`), el("p", { class: "note" }, "A proof is accepted whole or not at all. No other bytes lead to this root.")]);
            speak(`Refused: ${error.message}`);
        }
    }

    #accept({ statement, millis: took, board, statistics }, root) {
        const { key, value, entries, hash } = statement, present = value !== undefined;
        const facts = [["Hash", hash === "sha256" ? "SHA-256" : "BLAKE3"], ["Entries under the root", count(entries)], ["Key", el("code", {}, board ? hex(key) : printable(key))]];
        if (statistics) facts.push(["Visits", count(statistics.visits)], [`For ${names.first}`, percent(statistics.value)], ["Settled", statistics.lowest === statistics.highest ? "yes" : "no"]);
        else if (present) facts.push(["Value", el("code", {}, printable(value))]);
        const what = board ? `this ${titles[board.game]} position` : "this key";
        this.#rule("good", present ? "✓ Accepted: it is there" : "✓ Accepted: it is not there", [
            board && (statistics || !present) ? picture(board, { label: describe(board) }) : null,
            el("p", {}, present ? `Under this root, of ${count(entries)} entries, stands ${what} with exactly these statistics.` : `Among the ${count(entries)} entries under this root, ${what} is not.`),
            el("dl", { class: "facts" }, facts.flatMap(([name, fact]) => [el("dt", { class: "soft" }, name), el("dd", {}, fact)])),
            el("p", { class: "note" }, `Checked in ${millis(took)} by a worker that has the proof and the root, and nothing else. ${this.#good && this.#good.root === root ? this.#good.note : "It was not made by this search just now."}`)]);
        speak(present ? "Accepted: the position is there" : "Accepted: it is not there");
    }

    #rule(kind, title, body) {
        const { ruling } = this.#parts;
        ruling.className = `ruling ${kind}`;
        ruling.replaceChildren(el("h3", {}, title), ...body.filter(Boolean));
    }
}

/** Bytes as text if they are some, else as digits; long ones by their beginning. */
function printable(data) {
    let text;
    try {
        text = new TextDecoder("utf-8", { fatal: true }).decode(data);
    } catch { /* digits, then */ }
    const shown = text !== undefined && /^[\x20-\x7e]*$/.test(text) ? text : hex(data);
    return shown.length > 160 ? `${shown.slice(0, 160)}…` : shown;
}

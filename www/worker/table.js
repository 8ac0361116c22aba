// SPDX-License-Identifier: MIT
// A game at the table: the search of the position on the board, whose turn it is, and how long is thought about it.
//
// Thinking is a loop of short batches with a turn of the event loop after each. Whatever changes the search raises `turn`, and a
// loop that finds another turn than its own ends. Nothing else stops it, so that no two loops ever step one search.

import { Search, board as boardAfter } from "../pkg/index.js";
import { breath } from "./breath.js";

/** Milliseconds of a batch: less than a frame. */
const BATCH_MILLIS = 12;
/** Milliseconds between two reports: a person reads no faster. */
const TELL_MILLIS = 125;
/** Bytes that a graph may take: what a telephone can spare. */
const BYTE_LIMIT = 128 << 20;
/** What is thought about during the other's turn, at most: a tab left open must come to rest. */
const PONDER_MILLIS = 10_000;
const PONDER_STATES = 150_000;
/** Milliseconds of thinking between two savings, and how many times longer than a saving at least: it must cost little. */
const SAVE_MILLIS = 3_000;
const SAVE_SHARE = 20;

export const DEFAULTS = { you: "first", playouts: null, millis: 1000, ponder: true };

export class Table {
    #tell;
    #keeper;
    #turn = 0;
    #told = 0;
    #saved = false;
    #saving = null;
    #moving = false;
    /** Of the thinking that goes on or has just ended. */
    #thought = { playouts: 0, millis: 0 };
    search = null;
    settings = { ...DEFAULTS };
    /** "thinking" for a move, "pondering" in your turn, "resting" when that is done, "back" at an earlier point, or "over". */
    phase = "resting";

    constructor(keeper, tell) {
        this.#keeper = keeper;
        this.#tell = tell;
    }

    get game() { return this.search.game; }

    /** Ends the thinking that goes on. */
    stop() { this.#turn += 1; }

    #take(search) {
        this.stop();
        this.search?.free();
        this.search = search;
        this.#thought = { playouts: 0, millis: 0 };
    }

    begin(game, moves = "") {
        const seed = crypto.getRandomValues(new Uint32Array(1))[0];
        this.#take(Search.begin(game, { moves, seed, byteLimit: BYTE_LIMIT }));
        this.#keeper.begin();
        this.#saved = false;
        this.#think();
    }

    /** Takes up a loaded search: at once, or only to look at it. */
    resume(search, goOn) {
        this.#take(search);
        this.#saved = true;
        if (goOn) this.#think();
        else this.#show("back");
    }

    goOn() {
        this.stop();
        this.#think();
    }

    change(settings) {
        Object.assign(this.settings, settings);
        if (this.search && this.phase !== "back") this.goOn();
    }

    /** Plays a move: keeps what is known of the position that it leaves, then goes on at the next. */
    async play(move) {
        const { game, moves, turn: side, legal } = this.#position();
        // A move is being kept: this one was meant for the position before it, or comes too early.
        if (this.#moving) throw Object.assign(new Error("a move is being made"), { code: "busy" });
        if (!legal.includes(move)) throw Object.assign(new Error(`${move} cannot be played here`), { code: "illegal-move" });
        const turn = ++this.#turn;
        this.#moving = true;
        // The board answers at once; what takes longer comes after.
        if (move !== "pass") this.#tell("played", { move, side, board: boardAfter(game, moves + move), moves: moves + move });
        await this.keep("strict");
        this.#moving = false;
        if (turn !== this.#turn) return;
        this.search.advance(move);
        this.#keeper.leave();
        this.#saved = false;
        if (move === "pass") this.#tell("played", { move, side, board: this.search.board(), moves: this.search.moves });
        this.#think();
    }

    /** Saves the search unless it is saved as it is. */
    async keep(durability) {
        while (this.#saving) await this.#saving;
        if (this.#saved || !this.search) return;
        this.#saved = true;
        this.#saving = this.#keeper.save(this.search, "", durability).then(
            () => this.#tell("points", {}),
            error => {
                this.#saved = false;
                this.#tell("fault", { code: error.code ?? "page", message: error.message });
            },
        ).finally(() => { this.#saving = null; });
        await this.#saving;
    }

    #position() {
        const { cells, bytes, ...board } = this.search.board();
        return { ...board, cells, bytes, moves: this.search.moves, legal: board.moves };
    }

    /** How much is thought now: about the search's own move, or in your turn. */
    #limits(turn) {
        const { you, millis, playouts, ponder } = this.settings;
        const most = playouts ?? Infinity;
        if (you !== "both" && turn !== you) return { phase: "thinking", millis, playouts: most, states: Infinity };
        // One look at least, so that there is something to show of every move.
        if (!ponder) return { phase: "pondering", millis: BATCH_MILLIS, playouts: Math.min(most, 200), states: PONDER_STATES };
        return { phase: "pondering", millis: PONDER_MILLIS, playouts: most, states: PONDER_STATES };
    }

    async #think() {
        const turn = ++this.#turn;
        const search = this.search;
        const board = search.board();
        if (board.outcome) {
            // The last position is kept like the others.
            await this.keep("strict");
            if (turn === this.#turn) this.#show("over");
            return;
        }
        const limits = this.#limits(board.turn);
        const begun = performance.now();
        let kept = begun;
        this.#thought = { playouts: 0, millis: 0 };
        this.phase = limits.phase;
        this.#told = 0;
        for (;;) {
            const { playouts, stopped } = search.run({ millis: BATCH_MILLIS, ...(limits.playouts < Infinity && { playouts: Math.max(1, limits.playouts - this.#thought.playouts) }) });
            const now = performance.now();
            if (playouts > 0) this.#saved = false;
            this.#thought = { playouts: this.#thought.playouts + playouts, millis: now - begun };
            if (stopped === "exhausted" || this.#thought.playouts >= limits.playouts || now - begun >= limits.millis
                || (limits.states < Infinity && search.counts().states >= limits.states)) break;
            if (now - this.#told >= TELL_MILLIS) this.#show(limits.phase);
            if (now - kept >= Math.max(SAVE_MILLIS, SAVE_SHARE * this.#keeper.took)) {
                kept = now;
                await this.keep("relaxed");
            }
            await this.#keeper.ready();
            await breath();
            if (turn !== this.#turn) return;
        }
        if (limits.phase === "thinking") {
            const best = search.movesOf().find(move => move.best);
            this.#show("thinking");
            this.#tell("chose", { move: best.move, side: board.turn, value: best.valueForMover ?? null, playouts: this.#thought.playouts });
            await this.play(best.move);
        } else {
            this.#show("resting");
            await this.keep("relaxed");
            if (turn === this.#turn) this.#show("resting");
        }
    }

    #show(phase) {
        this.phase = phase;
        this.#told = performance.now();
        this.#tell("position", this.view());
    }

    /** What there is to see of the position on the board. */
    view() {
        const { search } = this;
        const { id: _, state: __, ...root } = search.node();
        return {
            ...this.#position(),
            phase: this.phase, at: this.#keeper.at, present: this.#keeper.here !== undefined, you: this.settings.you,
            root, known: search.movesOf(undefined, 10), line: search.line(undefined, 12), counts: search.counts(), thought: this.#thought,
        };
    }
}

// SPDX-License-Identifier: MIT
// Puts the page together: news of the worker go to the parts that show them, and what a person does goes to the worker.

import { Engine } from "./engine.js";
import { PlayBoard } from "./board.js";
import { History, found, present } from "./history.js";
import { Meter } from "./meter.js";
import { Proofs } from "./proof.js";
import { Steps } from "./steps.js";
import { Thoughts } from "./moves.js";
import { Views } from "./views.js";
import { byId, count, many, millis, say } from "./dom.js";
import { keep } from "./keep.js";
import { names, split, titles } from "./sides.js";
import { remember, remembered, settings, fill } from "./settings.js";
import { speak } from "./speak.js";

const engine = new Engine(new URL("../worker/main.js", import.meta.url));

let view = null, known = remembered(), asking = false;

function fault(error) {
    const place = byId("fault");
    place.textContent = error.message;
    place.hidden = false;
    setTimeout(() => { place.hidden = true; }, 8000);
}

/** Asks, and says what went wrong. */
const ask = (...question) => engine.ask(...question).catch(fault);

const board = new PlayBoard(byId("board"), play), thoughts = new Thoughts(play), meter = new Meter(byId("meter"));
const history = new History(travel), steps = new Steps(byId("steps"), engine), proofs = new Proofs(byId("proof"), engine);
const views = new Views(engine, ({ node }) => {
    byId("proof-title").scrollIntoView({ block: "start" });
    proofs.prove(node.state).catch(fault);
});

/** Whether a person may play now. Looking at an earlier point, too: that is how one branches off. */
const mine = ({ outcome, you, turn, phase }) => !outcome && phase !== "thinking" && phase !== "moving" && (you === "both" || you === turn || phase === "back");

async function play(move) {
    if (!view || !mine(view)) return;
    await ask("play", move);
}

async function travel(index, goOn = false) {
    if (asking) return;
    asking = true;
    try {
        const back = await engine.ask("travel", index, goOn);
        arrived(await engine.ask("points"), back);
        speak(`Point ${index + 1}: ${count(back.states)} positions are back, ${back.rootUnchanged ? "the root is identical" : "the root differs"}.`);
    } catch (error) {
        fault(error);
    } finally {
        asking = false;
    }
}

/** The points are others, and perhaps the search went to one of them. */
function arrived(points, back) {
    history.show(points, back?.point.index ?? view?.at);
    if (back) found(byId("travelled"), back);
}

// ── News of the worker ──

engine.on("position", news => {
    const before = view;
    view = news;
    known = remember({ ...known, last: news.at ?? null, game: news.game });
    show();
    meter.counts(news.counts);
    views.news(news);
    proofs.news(news);
    history.at(news.at);
    if (!before || before.moves !== news.moves || before.game !== news.game) steps.reset(news);
    if (!before || before.phase !== news.phase || before.moves !== news.moves) announce(before, news);
});

engine.on("played", ({ move, side, board: next, moves }) => {
    if (view?.phase === "back") present(byId("travelled"));
    // The board answers before the search has gone on.
    view = { ...view, ...next, moves, legal: next.moves, known: [], line: [], phase: "moving" };
    show();
    if (view.you !== "neither") speak(`${names[side]} plays ${move}.`);
});

engine.on("points", async () => history.show(await engine.ask("points"), view?.at));
engine.on("fault", fault);

function announce(before, { phase, turn, outcome, you }) {
    if (outcome) speak(outcome === "draw" ? "The game is a draw." : `${names[outcome]} has won.`);
    else if (phase === "pondering" && before && you === turn) speak(`${names[turn]}, it is your turn.`);
}

function show() {
    const { outcome, you, turn, phase, moves, game, thought } = view, yours = mine(view);
    for (const part of document.querySelectorAll("[data-only]")) part.hidden = part.dataset.only !== game;
    board.show(view, moves, { known: view.known, yours, hints: known.hints });
    if (phase !== "moving") thoughts.show(view, yours);
    say(byId("status"), outcome === "draw" ? "A draw" : outcome ? `${names[outcome]} has won`
        : phase === "moving" ? "One moment …" : phase === "back" ? `Back at move ${split(game, moves).length}` : you === turn ? `Your turn, ${names[turn]}` : you === "both" ? `${names[turn]} to move` : `${names[turn]} is thinking`);
    const spent = `${many(thought.playouts, "playout")} in ${millis(thought.millis < 100 ? thought.millis : Math.round(thought.millis / 100) * 100)}`;
    say(byId("substatus"), outcome ? `after ${many(split(game, moves).length, "move")}` : phase === "back" ? "As it was. Play a move to branch off, or go on thinking here."
        : phase === "moving" ? "Keeping what is known of this position …" : phase === "resting" ? `Thought it over: ${spent}.` : `${spent} …`);
    byId("board").setAttribute("aria-label", `${titles[game]} board`);
    byId("go-on").hidden = phase !== "back";
    byId("pass").hidden = !(yours && view.legal[0] === "pass");
    byId("take-back").disabled = !history.before(view.at, earlier(view));
}

/** A point before this one at which a person was to move. */
const earlier = ({ game, moves, you }) => point => point.moves.length < moves.length
    && (you === "both" || you === "neither" || (split(game, point.moves).length % 2 === 0) === (you === "first") || game === "othello");

// ── What a person does ──

byId("go-on").addEventListener("click", () => ask("goOn"));
byId("pass").addEventListener("click", () => play("pass"));
byId("take-back").addEventListener("click", () => {
    const point = history.before(view.at, earlier(view));
    if (point) travel(point.index, true);
});
byId("hint-toggle").addEventListener("click", event => {
    known = remember({ ...known, hints: !known.hints });
    event.target.ariaPressed = String(known.hints);
    show();
});
byId("new-game").addEventListener("click", () => begin());
byId("game").addEventListener("change", () => begin());
for (const id of ["you", "strength", "time", "ponder"]) byId(id).addEventListener("change", () => {
    known = remember({ ...known, settings: settings() });
    ask("change", settings());
});
byId("settings").addEventListener("submit", event => event.preventDefault());

async function begin() {
    present(byId("travelled"));
    await ask("keep");
    await ask("begin", { game: byId("game").value, settings: settings() });
    history.show(await engine.ask("points"), undefined);
    board.focus();
}

// What is known is on disk before the page goes.
addEventListener("visibilitychange", () => { if (document.visibilityState === "hidden") engine.ask("keep").catch(() => {}); });

keep(byId("keep"), engine, { history, arrived, fault });

// ── The beginning ──

function badge(kind, text) {
    byId("badge").className = `badge ${kind}`;
    say(byId("badge-text"), text);
    byId("badge").dataset.ready = "";
}

async function measure() {
    try {
        meter.status(await engine.ask("status"));
    } finally {
        setTimeout(measure, document.visibilityState === "visible" ? 1000 : 10_000);
    }
}

async function open() {
    fill(known);
    byId("hint-toggle").ariaPressed = String(known.hints);
    const asked = new URLSearchParams(location.search).get("database");
    const { version, points, back, lost } = await engine.ask("open", { database: asked ?? "cascow-demo", settings: settings(), last: known.last, game: known.game });
    say(byId("version"), version);
    present(byId("travelled"));
    arrived(points, back);
    if (back) {
        byId("game").value = back.point.game;
        badge(back.rootUnchanged ? "good" : "bad", `${count(back.states)} nodes in ${millis(back.millis)}, root ${back.rootUnchanged ? "unchanged" : "changed"}`);
        speak(`The last game is back: ${count(back.states)} positions.`);
    } else if (lost) badge("bad", `The last game cannot be read: ${lost.message}`);
    else badge("good", "A new search, with nothing to forget yet");
    measure();
}

open().catch(error => badge("bad", `It cannot start: ${error.message}`));

// SPDX-License-Identifier: MIT
// What a person has chosen, and what is remembered of it between visits: small things only, the rest is in the database.

import { byId } from "./dom.js";

const NAME = "cascow-page";
const DEFAULTS = { last: null, game: "connect4", hints: true, settings: null };

export function remembered() {
    try {
        return { ...DEFAULTS, ...JSON.parse(localStorage.getItem(NAME)) };
    } catch {
        return { ...DEFAULTS };
    }
}

/** Remembers, if the browser lets it; gives what was to be remembered. */
export function remember(known) {
    try {
        localStorage.setItem(NAME, JSON.stringify(known));
    } catch { /* It lasts as long as the page, then. */ }
    return known;
}

/** The settings as the form has them. */
export function settings() {
    const playouts = byId("strength").value;
    return { you: byId("you").value, playouts: playouts ? Number(playouts) : null, millis: Number(byId("time").value), ponder: byId("ponder").checked };
}

/** Fills the form with what was remembered. */
export function fill({ game, settings: chosen }) {
    byId("game").value = game;
    if (!chosen) return;
    byId("you").value = chosen.you;
    byId("strength").value = chosen.playouts ?? "";
    byId("time").value = chosen.millis;
    byId("ponder").checked = chosen.ponder;
}

// SPDX-License-Identifier: MIT
// What is said to those who listen: what happened, never how far something is. Two things said at once would cut each other off,
// so they are said in turn, and of many only the last.

import { byId } from "./dom.js";

const PAUSE_MILLIS = 900;
let waiting = null, next = 0;

export function speak(text) {
    const now = performance.now();
    if (waiting !== null || now < next) {
        if (waiting === null) setTimeout(() => { const last = waiting; waiting = null; utter(last); }, next - now);
        waiting = text;
        return;
    }
    utter(text);
}

function utter(text) {
    next = performance.now() + PAUSE_MILLIS;
    byId("spoken").textContent = text;
}

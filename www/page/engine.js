// SPDX-License-Identifier: MIT
// The page's side of the worker: questions that are answered, and news that comes by itself.

export class Engine extends EventTarget {
    #worker;
    #asked = new Map();
    #next = 0;

    constructor(url) {
        super();
        this.#worker = new Worker(url, { type: "module" });
        this.#worker.onmessage = ({ data }) => this.#hear(data);
        // A worker that cannot start answers nothing.
        this.#worker.onerror = event => {
            for (const { fail } of this.#asked.values()) fail(new Error(event.message || "the worker cannot start"));
            this.#asked.clear();
        };
    }

    #hear({ id, gave, threw, tell, ...news }) {
        if (tell) {
            this.dispatchEvent(new CustomEvent(tell, { detail: news }));
            return;
        }
        const asked = this.#asked.get(id);
        this.#asked.delete(id);
        if (threw) asked?.fail(Object.assign(new Error(threw.message), { code: threw.code }));
        else asked?.done(gave);
    }

    /** Sends a message with a number; gives the promise of its answer. */
    send(message) {
        const id = this.#next += 1;
        return new Promise((done, fail) => {
            this.#asked.set(id, { done, fail });
            this.#worker.postMessage({ id, ...message });
        });
    }

    ask(name, ...args) { return this.send({ name, args }); }

    on(name, listener) { this.addEventListener(name, event => listener(event.detail)); }
}

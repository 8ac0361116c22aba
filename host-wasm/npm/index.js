// SPDX-License-Identifier: MIT
// The package's entry: what wasm-bindgen made, and a way to load it that may be called as often as one likes.

import load from "./cascow.js";

export * from "./cascow.js";

let loading;

// A load that is under way is shared: of two instances, objects of the one would be read in the memory of the other.
export function init(input) {
    loading ??= begin(input).catch(error => {
        // A request that failed may be made again.
        loading = undefined;
        throw error;
    });
    return loading;
}

async function begin(input) {
    if (input === undefined) {
        input = new URL("cascow_bg.wasm", import.meta.url);
        // Node's `fetch` does not read files.
        if (input.protocol === "file:" && globalThis.process?.versions?.node) {
            const { readFile } = await import("node:fs/promises");
            input = await readFile(input);
        }
    }
    await load({ module_or_path: input });
}

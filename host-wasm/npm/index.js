// SPDX-License-Identifier: MIT
// The package's entry: what wasm-bindgen made, and a way to load it that may be called as often as one likes.

import load from "./cascow.js";

export * from "./cascow.js";

let loading;

// wasm-bindgen's own function makes a second instance if it is called again before the first is there, and objects of the first
// would then be read in the memory of the second.
export function init(input) {
    loading ??= begin(input).catch(error => {
        // A request that failed may be made again.
        loading = undefined;
        throw error;
    });
    return loading;
}

async function begin(input) {
    // Node's `fetch` does not read files.
    if (input === undefined && globalThis.process?.versions?.node) {
        const { readFile } = await import("node:fs/promises");
        input = await readFile(new URL("cascow_bg.wasm", import.meta.url));
    }
    await load(input === undefined ? undefined : { module_or_path: input });
}

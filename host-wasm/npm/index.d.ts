// SPDX-License-Identifier: MIT
export * from "./cascow.js";

/**
 * Loads the module. Needed once, before anything else; every further call gives the same promise. Without `input` it reads
 * `cascow_bg.wasm` beside this file: over the network in a browser, from the disk in Node.
 */
export function init(
    input?: BufferSource | Response | Promise<Response> | Request | URL | string | WebAssembly.Module,
): Promise<void>;

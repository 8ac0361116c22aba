// SPDX-License-Identifier: MIT
// Elements, and numbers as people read them. What comes from outside reaches the page as text only.

const SVG = "http://www.w3.org/2000/svg";

const build = (made, attributes, children) => {
    for (const [name, value] of Object.entries(attributes)) {
        if (typeof value === "function") made.addEventListener(name, value);
        else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
    }
    made.append(...children.flat(Infinity).filter(child => child !== null && child !== undefined && child !== false));
    return made;
};

export const el = (tag, attributes = {}, ...children) => build(document.createElement(tag), attributes, children);
export const svg = (tag, attributes = {}, ...children) => build(document.createElementNS(SVG, tag), attributes, children);
export const byId = id => document.getElementById(id);

/** Sets a text only when it changes, so that nothing is laid out for nothing. */
export const say = (element, text) => {
    if (element.textContent !== text) element.textContent = text;
};

export const count = (value, most = 0) => value.toLocaleString("en", { maximumFractionDigits: most });
export const many = (value, noun) => `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
export const percent = value => value === null || value === undefined ? "–" : `${count(100 * value, 1)} %`;
/** A value with as many digits as tell neighbours apart. */
export const worth = value => value.toLocaleString("en", { minimumFractionDigits: 3, maximumFractionDigits: 3 });
export const millis = value => value < 1 ? "< 1 ms" : value < 1000 ? `${count(value)} ms` : `${count(value / 1000, 1)} s`;

export function bytes(value) {
    const units = ["B", "kB", "MB", "GB", "TB"];
    let unit = 0;
    while (value >= 999.5 && unit < units.length - 1) {
        value /= 1000;
        unit += 1;
    }
    return `${count(value, unit > 0 && value < 100 ? 1 : 0)} ${units[unit]}`;
}

export const hex = data => Array.from(data, byte => byte.toString(16).padStart(2, "0")).join("");

/** Bytes of hexadecimal digits, whatever blanks are between them; `null` if they are none. */
export function unhex(text) {
    const digits = text.replace(/\s+/g, "");
    if (digits.length % 2 || !/^[0-9a-f]*$/i.test(digits)) return null;
    return Uint8Array.from(digits.match(/../g) ?? [], pair => parseInt(pair, 16));
}

export const short = hash => hash.slice(0, 12);

export const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** Saves bytes as a file. */
export function download(data, name) {
    const url = URL.createObjectURL(new Blob([data], { type: "application/octet-stream" }));
    el("a", { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

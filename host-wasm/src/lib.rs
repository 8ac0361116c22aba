// SPDX-License-Identifier: MIT
//! cascow in the browser.

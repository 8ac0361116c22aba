// SPDX-License-Identifier: MIT
//! cascow on Linux.

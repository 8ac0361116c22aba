// SPDX-License-Identifier: MIT
//! Inputs shared by the benchmarks in this package.

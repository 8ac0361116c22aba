// SPDX-License-Identifier: MIT
//! Fixtures and helpers shared by the tests in this package.

pub mod store_conformance;

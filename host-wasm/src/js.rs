// SPDX-License-Identifier: MIT
//! Plain JavaScript objects out of values, and values out of what a caller hands in.
//!
//! What a caller hands in is believed in nothing: each reader checks kind and range, and names the field that is wrong.

use js_sys::{Array, Object, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};

use crate::error::Failure;

/// The greatest whole number below which JavaScript's numbers have no gaps.
const MAX_SAFE: f64 = 9_007_199_254_740_991.0;

/// An object literal.
macro_rules! object {
    ($($name:literal: $value:expr),* $(,)?) => {{
        let object = js_sys::Object::new();
        $($crate::js::set(&object, $name, $value);)*
        object
    }};
}
pub(crate) use object;

/// Sets a property.
pub(crate) fn set(object: &Object, name: &str, value: impl Into<JsValue>) {
    put(object, name, &value.into());
}

/// Not generic, so that it is compiled once.
fn put(object: &Object, name: &str, value: &JsValue) {
    // Fails on frozen objects and proxies only; these are fresh literals.
    let _ = Reflect::set(object, &name.into(), value);
}

/// Sets a property if there is a value for it.
pub(crate) fn set_some(object: &Object, name: &str, value: Option<impl Into<JsValue>>) {
    if let Some(value) = value {
        set(object, name, value);
    }
}

/// A property, `undefined` if there is none, or nothing that could have any.
pub(crate) fn field(of: &JsValue, name: &str) -> JsValue {
    Reflect::get(of, &name.into()).unwrap_or(JsValue::UNDEFINED)
}

/// A property that may be left out: `None` if it is `undefined` or `null`.
pub(crate) fn optional(of: &JsValue, name: &str) -> Option<JsValue> {
    Some(field(of, name)).filter(|value| !value.is_undefined() && !value.is_null())
}

/// A method of an object, if there is one.
pub(crate) fn method(of: &JsValue, name: &str) -> Option<js_sys::Function> {
    field(of, name).dyn_into().ok()
}

/// A whole number from 0 below 2^53.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "whole and in range, by the line before"
)]
pub(crate) fn whole(number: f64) -> Option<u64> {
    let is_whole = (0.0..=MAX_SAFE).contains(&number) && number % 1.0 == 0.0;
    is_whole.then_some(number as u64)
}

/// A number that JavaScript has as its own. Counts beyond 2^53 are rounded; none gets there.
#[expect(clippy::cast_precision_loss, reason = "said above")]
pub(crate) const fn number(count: u64) -> f64 {
    count as f64
}

/// [`number`], of lengths.
#[expect(clippy::cast_precision_loss, reason = "memory ends long before 2^53")]
pub(crate) const fn length(count: usize) -> f64 {
    count as f64
}

/// An optional whole number of an options object.
pub(crate) fn whole_option(of: &JsValue, name: &str) -> Result<Option<u64>, Failure> {
    let Some(value) = optional(of, name) else { return Ok(None) };
    match value.as_f64().and_then(whole) {
        Some(value) => Ok(Some(value)),
        None => Err(Failure::argument(format_args!(
            "`{name}` must be a whole number from 0 below 2^53"
        ))),
    }
}

/// [`whole_option`], of numbers that fit 32 bits.
pub(crate) fn small_option(of: &JsValue, name: &str) -> Result<Option<u32>, Failure> {
    let too_great = |_| Failure::argument(format_args!("`{name}` must be below 2^32"));
    whole_option(of, name)?.map(|value| u32::try_from(value).map_err(too_great)).transpose()
}

/// An optional number of an options object.
pub(crate) fn number_option(of: &JsValue, name: &str) -> Result<Option<f64>, Failure> {
    let Some(value) = optional(of, name) else { return Ok(None) };
    match value.as_f64().filter(|value| value.is_finite()) {
        Some(value) => Ok(Some(value)),
        None => Err(Failure::argument(format_args!("`{name}` must be a finite number"))),
    }
}

/// An optional text of an options object.
pub(crate) fn text_option(of: &JsValue, name: &str) -> Result<Option<String>, Failure> {
    let Some(value) = optional(of, name) else { return Ok(None) };
    match value.as_string() {
        Some(value) => Ok(Some(value)),
        None => Err(Failure::argument(format_args!("`{name}` must be a string"))),
    }
}

/// Bytes, or the UTF-8 of a string. Copied: the caller may change its array afterwards.
pub(crate) fn bytes(value: &JsValue) -> Result<Vec<u8>, Failure> {
    if let Some(array) = value.dyn_ref::<Uint8Array>() {
        return Ok(array.to_vec());
    }
    match value.as_string() {
        Some(text) => Ok(text.into_bytes()),
        None => Err(Failure::argument("expected a Uint8Array or a string")),
    }
}

/// A copy of bytes in an array of its own. A view of the module's memory would be cloned with all of that memory, and would
/// be gone when that grows.
pub(crate) fn array(bytes: &[u8]) -> Uint8Array {
    Uint8Array::from(bytes)
}

/// An array of what `values` gives.
pub(crate) fn list<T: Into<JsValue>>(values: impl IntoIterator<Item = T>) -> Array {
    let array = Array::new();
    for value in values {
        array.push(&value.into());
    }
    array
}

/// The items of any iterable.
pub(crate) fn items(value: &JsValue) -> Result<Vec<JsValue>, Failure> {
    let wrong = || Failure::argument("expected something that can be iterated over");
    // A number or the like has no methods to look for.
    if !value.is_object() && !value.is_string() {
        return Err(wrong());
    }
    let iterator = js_sys::try_iter(value).map_err(Failure::Thrown)?.ok_or_else(wrong)?;
    iterator.collect::<Result<_, _>>().map_err(Failure::Thrown)
}

/// The pair that an item of an iterable must be.
pub(crate) fn pair(value: &JsValue) -> Result<(JsValue, JsValue), Failure> {
    match value.dyn_ref::<Array>().filter(|array| array.length() == 2) {
        Some(array) => Ok((array.get(0), array.get(1))),
        None => Err(Failure::argument("expected pairs: arrays of two")),
    }
}

/// The promise of a call whose first part has been done before anything else may run: what fails there breaks it, too.
pub(crate) fn promise(
    begun: Result<impl Future<Output = Result<JsValue, JsValue>> + 'static, Failure>,
) -> js_sys::Promise {
    match begun {
        Ok(rest) => wasm_bindgen_futures::future_to_promise(rest),
        Err(failure) => js_sys::Promise::reject(&failure.into()),
    }
}

/// Milliseconds of a clock that does not go backwards; of the calendar's where there is none.
pub(crate) fn now() -> f64 {
    let performance = field(&js_sys::global(), "performance");
    match method(&performance, "now") {
        Some(now) => now.call0(&performance).ok().and_then(|now| now.as_f64()),
        None => None,
    }
    .unwrap_or_else(js_sys::Date::now)
}

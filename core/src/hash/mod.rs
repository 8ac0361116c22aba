// SPDX-License-Identifier: MIT
//! Content hashes: the 32-byte names of objects, and the hash functions that make them.
//!
//! Guarantees that a name is computed over exactly the bytes it is said to name, at once or streamed, and that hex is read
//! strictly (64 digits, nothing else). What a digest *means* (object, root, key) is told apart by type, never by value.
//! Which bytes are hashed is decided above: see [`crate::frame`] for objects and [`crate::merkle`] for commitments.

#[cfg(feature = "sha256")]
mod sha256;

use core::fmt;
use core::str::FromStr;

#[cfg(not(any(feature = "sha256", feature = "blake3")))]
compile_error!("cascow-core needs a hash function: enable the feature `sha256`, `blake3`, or both");

/// Bytes in every digest of the format: 256 bits, so that finding two inputs with one name costs 2^128 work.
/// Changing it breaks every format.
pub const HASH_LEN: usize = 32;

/// Two blocks of SHA-256, as of BLAKE3.
const SHORT_BUFFER_LEN: usize = 128;

/// The longest preimage that is joined on the stack, in bytes: with SHA-256's padding, of nine bytes at least, it is two blocks.
/// Nodes and leaves of tries have 65.
const SHORT_LEN: usize = SHORT_BUFFER_LEN - 9;

/// Defines a newtype over 32 bytes with strict hex both ways, so that no identifier can be taken for another.
macro_rules! digest {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(
            any(feature = "alloc", feature = "owned"),
            derive(serde::Serialize, serde::Deserialize)
        )]
        pub struct $name([u8; $crate::hash::HASH_LEN]);

        impl $name {
            /// Takes 32 bytes as a digest of this kind; says nothing about where they came from.
            pub const fn from_bytes(bytes: [u8; $crate::hash::HASH_LEN]) -> Self {
                Self(bytes)
            }

            /// The 32 bytes.
            pub const fn as_bytes(&self) -> &[u8; $crate::hash::HASH_LEN] {
                &self.0
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl core::str::FromStr for $name {
            type Err = $crate::hash::HexError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $crate::hash::decode_hex(text).map(Self)
            }
        }
    };
}
pub(crate) use digest;

digest! {
    /// The name of an object: the hash of its uncompressed bytes.
    ///
    /// ```
    /// # #[cfg(feature = "sha256")] {
    /// use cascow_core::hash::{ContentHash, HashKind};
    /// let name = HashKind::Sha256.hash(b"abc"); // FIPS 180-4, the first worked example
    /// assert_eq!(name.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    /// assert_eq!(name.to_string().parse::<ContentHash>(), Ok(name));
    /// # }
    /// ```
    ContentHash
}

/// Why a text is not a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HexError {
    /// The text does not have 64 digits.
    Length {
        /// Bytes of text found.
        found: usize,
    },
    /// A byte is not one of `0-9`, `a-f`, `A-F`.
    Digit {
        /// Where the byte stands, from 0.
        position: usize,
    },
}

impl fmt::Display for HexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { found } => {
                write!(f, "a hash has 64 hexadecimal digits, this has {found}")
            }
            Self::Digit { position } => write!(f, "not a hexadecimal digit at position {position}"),
        }
    }
}

impl core::error::Error for HexError {}

/// Reads 64 hexadecimal digits; upper case is understood, lower case is what we write.
pub(crate) fn decode_hex(text: &str) -> Result<[u8; HASH_LEN], HexError> {
    if text.len() != 2 * HASH_LEN {
        return Err(HexError::Length { found: text.len() });
    }
    let digit = |position: usize| match text.as_bytes()[position] {
        byte @ b'0'..=b'9' => Ok(byte - b'0'),
        byte @ b'a'..=b'f' => Ok(byte - b'a' + 10),
        byte @ b'A'..=b'F' => Ok(byte - b'A' + 10),
        _ => Err(HexError::Digit { position }),
    };
    let mut bytes = [0; HASH_LEN];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = digit(2 * index)? << 4 | digit(2 * index + 1)?;
    }
    Ok(bytes)
}

/// A hash function of the format. Which one a repository, state or proof uses is recorded in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HashKind {
    /// SHA-256 (FIPS 180-4), by the `sha2` crate.
    #[cfg(feature = "sha256")]
    Sha256,
    /// BLAKE3 with its default key and 32 bytes of output, by the `blake3` crate.
    #[cfg(feature = "blake3")]
    Blake3,
}

/// A hash function that this build does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownHashKind {
    /// The number found where a hash function's number stands.
    pub id: u8,
}

impl fmt::Display for UnknownHashKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown hash function number {}; 1 is SHA-256 and 2 is BLAKE3", self.id)
    }
}

impl core::error::Error for UnknownHashKind {}

impl HashKind {
    /// The number that stands for this function in every format. 0 is never used, so that zeroed bytes are no header.
    pub const fn id(self) -> u8 {
        match self {
            #[cfg(feature = "sha256")]
            Self::Sha256 => 1,
            #[cfg(feature = "blake3")]
            Self::Blake3 => 2,
        }
    }

    /// The function with this number.
    ///
    /// # Errors
    /// [`UnknownHashKind`] for every other number, and for a function that this build leaves out.
    pub const fn from_id(id: u8) -> Result<Self, UnknownHashKind> {
        match id {
            #[cfg(feature = "sha256")]
            1 => Ok(Self::Sha256),
            #[cfg(feature = "blake3")]
            2 => Ok(Self::Blake3),
            _ => Err(UnknownHashKind { id }),
        }
    }

    /// The function's name in options and messages.
    pub const fn name(self) -> &'static str {
        match self {
            #[cfg(feature = "sha256")]
            Self::Sha256 => "sha256",
            #[cfg(feature = "blake3")]
            Self::Blake3 => "blake3",
        }
    }

    /// The name of an object with these bytes. O(n).
    pub fn hash(self, bytes: &[u8]) -> ContentHash {
        ContentHash(self.digest(&[bytes]))
    }

    /// Shows `named` the name of each object with its position among them, in the order in which names are ready. O(n).
    ///
    /// Several at once where that is faster: with SHA-256, two objects of some kilobytes take less time than one after the
    /// other, on a processor with instructions for it. With BLAKE3 one after the other, as its lanes are within an object.
    ///
    /// ```
    /// # #[cfg(feature = "sha256")] {
    /// use cascow_core::hash::HashKind;
    /// let objects = [&b"a"[..], b"state"];
    /// HashKind::Sha256.hash_each(&objects, |position, name| {
    ///     assert_eq!(name, HashKind::Sha256.hash(objects[position]));
    /// });
    /// # }
    /// ```
    pub fn hash_each(self, objects: &[&[u8]], mut named: impl FnMut(usize, ContentHash)) {
        match self {
            #[cfg(feature = "sha256")]
            Self::Sha256 => {
                sha256::digest_each(objects, |at, digest| named(at, ContentHash(digest)));
            }
            #[cfg(feature = "blake3")]
            Self::Blake3 => {
                objects.iter().enumerate().for_each(|(at, object)| named(at, self.hash(object)));
            }
        }
    }

    /// The names of objects, in their order: what [`HashKind::hash_each`] shows, kept.
    #[cfg(feature = "alloc")]
    pub fn hash_all(self, objects: &[&[u8]]) -> alloc::vec::Vec<ContentHash> {
        let mut names = alloc::vec![ContentHash([0; HASH_LEN]); objects.len()];
        self.hash_each(objects, |position, name| names[position] = name);
        names
    }

    /// A hasher for an object whose bytes arrive in pieces.
    pub fn hasher(self) -> Hasher {
        Hasher(match self {
            #[cfg(feature = "sha256")]
            Self::Sha256 => State::Sha256(sha256::Hasher::new()),
            #[cfg(feature = "blake3")]
            Self::Blake3 => State::Blake3(blake3::Hasher::new()),
        })
    }

    /// The digest of the parts, one after the other. The caller makes the seams unambiguous.
    ///
    /// Fastest for 119 bytes or less whose parts' lengths the caller knows while compiling, as most preimages are: little is
    /// added to what SHA-256's compressions take by themselves.
    ///
    /// Without `alloc`, where code and stack are scarce and time is not, everything is hashed in one way.
    #[cfg_attr(feature = "alloc", inline)]
    #[cfg_attr(not(feature = "alloc"), inline(never))]
    pub(crate) fn digest(self, parts: &[&[u8]]) -> [u8; HASH_LEN] {
        #[cfg(not(feature = "alloc"))]
        #[allow(irrefutable_let_patterns, reason = "SHA-256 may be the only hash function")]
        #[cfg(feature = "sha256")]
        if let Self::Sha256 = self {
            return sha256::digest_small(parts);
        }
        let len = parts.iter().fold(0, |len: usize, part| len.saturating_add(part.len()));
        if len > SHORT_LEN {
            return self.digest_long(parts);
        }
        let mut joined = [0; SHORT_BUFFER_LEN];
        let mut rest = &mut joined[..];
        for part in parts {
            // It has room, as was just asked; said so that a verifier is built without a way to panic.
            let Some((here, after)) = rest.split_at_mut_checked(part.len()) else {
                return self.digest_long(parts);
            };
            here.copy_from_slice(part);
            rest = after;
        }
        match self {
            #[cfg(feature = "sha256")]
            Self::Sha256 => sha256::digest_short(joined, len),
            #[cfg(feature = "blake3")]
            Self::Blake3 => blake3::hash(&joined[..len]).into(),
        }
    }

    /// The digest of a tag and two digests, as every node of a tree is hashed: that of the three parts, a little faster.
    #[inline]
    pub(crate) fn digest_pair(
        self,
        tag: u8,
        left: &[u8; HASH_LEN],
        right: &[u8; HASH_LEN],
    ) -> [u8; HASH_LEN] {
        match self {
            #[cfg(feature = "sha256")]
            Self::Sha256 => sha256::digest_pair(tag, left, right),
            #[cfg(feature = "blake3")]
            Self::Blake3 => self.digest(&[&[tag], left, right]),
        }
    }

    /// Apart, so that the hasher's code is not copied to wherever a short preimage is hashed.
    #[cfg_attr(feature = "alloc", inline(never))]
    fn digest_long(self, parts: &[&[u8]]) -> [u8; HASH_LEN] {
        let mut hasher = self.hasher();
        for part in parts {
            hasher.update(part);
        }
        hasher.finish().0
    }
}

/// The running hash of an object's bytes. Allocates nothing.
#[derive(Clone)]
pub struct Hasher(State);

#[derive(Clone)]
#[cfg_attr(
    all(feature = "sha256", feature = "blake3"),
    expect(
        clippy::large_enum_variant,
        reason = "a hasher lives briefly, on the stack; a box would need an allocator"
    )
)]
enum State {
    #[cfg(feature = "sha256")]
    Sha256(sha256::Hasher),
    #[cfg(feature = "blake3")]
    Blake3(blake3::Hasher),
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher")
    }
}

impl Hasher {
    /// Appends bytes. O(n).
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            #[cfg(feature = "sha256")]
            State::Sha256(state) => state.update(bytes),
            #[cfg(feature = "blake3")]
            State::Blake3(state) => {
                state.update(bytes);
            }
        }
    }

    /// The name of all the bytes so far.
    pub fn finish(self) -> ContentHash {
        ContentHash(match self.0 {
            #[cfg(all(feature = "sha256", feature = "alloc"))]
            State::Sha256(state) => state.finish(),
            #[cfg(all(feature = "sha256", not(feature = "alloc")))]
            State::Sha256(mut state) => state.finish(),
            #[cfg(feature = "blake3")]
            State::Blake3(state) => state.finalize().into(),
        })
    }
}

/// Accepts the names that [`HashKind::name`] gives.
impl FromStr for HashKind {
    type Err = UnknownHashName;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            #[cfg(feature = "sha256")]
            "sha256" => Ok(Self::Sha256),
            #[cfg(feature = "blake3")]
            "blake3" => Ok(Self::Blake3),
            _ => Err(UnknownHashName),
        }
    }
}

/// A name that stands for no hash function of this build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownHashName;

impl fmt::Display for UnknownHashName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown hash function; use sha256 or blake3")
    }
}

impl core::error::Error for UnknownHashName {}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::string::ToString;
    use std::vec::Vec;

    /// The hash functions of this build.
    fn kinds() -> impl Iterator<Item = HashKind> {
        [1, 2].into_iter().filter_map(|id| HashKind::from_id(id).ok())
    }

    /// By the crates' own hashers.
    fn oracle(kind: HashKind, bytes: &[u8]) -> [u8; HASH_LEN] {
        match kind {
            #[cfg(feature = "sha256")]
            HashKind::Sha256 => <sha2::Sha256 as sha2::Digest>::digest(bytes).into(),
            #[cfg(feature = "blake3")]
            HashKind::Blake3 => blake3::hash(bytes).into(),
        }
    }

    #[test]
    fn a_preimage_of_any_length_has_the_digest_that_the_crates_give_it() {
        let bytes: Vec<u8> = (0..300u16).map(|n| n.to_le_bytes()[0]).collect();
        for kind in kinds() {
            for len in 0..bytes.len() {
                let expected = oracle(kind, &bytes[..len]);
                assert_eq!(kind.digest(&[&bytes[..len]]), expected, "{}: {len}", kind.name());
                // Cut once at every place.
                for at in 0..=len {
                    let (head, tail) = bytes[..len].split_at(at);
                    assert_eq!(kind.digest(&[head, tail]), expected, "{at} of {len}");
                }
            }
        }
    }

    /// Lengths around the seams of SHA-256's blocks and padding, and of BLAKE3's chunks, more often than others.
    fn input() -> impl Strategy<Value = Vec<u8>> {
        let seams =
            prop_oneof![Just(0usize), 54..58usize, 62..66usize, 117..122usize, 1022..1027usize];
        prop_oneof![3 => seams, 1 => 0..3000usize].prop_flat_map(|len| vec(any::<u8>(), len))
    }

    // A failure prints the shrunk input, and the seed to keep in `proptest-regressions`.
    proptest! {
        #[test]
        fn a_digest_is_that_of_the_parts_joined_however_they_are_cut(
            parts in vec(vec(any::<u8>(), 0..70), 0..7)
        ) {
            let slices: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            for kind in kinds() {
                prop_assert_eq!(kind.digest(&slices), oracle(kind, &parts.concat()));
            }
        }

        #[test]
        fn a_pairs_digest_is_that_of_its_parts(
            tag in any::<u8>(), left in any::<[u8; 32]>(), right in any::<[u8; 32]>()
        ) {
            for kind in kinds() {
                let joined = [&[tag], &left[..], &right].concat();
                prop_assert_eq!(kind.digest_pair(tag, &left, &right), oracle(kind, &joined));
            }
        }

        #[test]
        fn objects_named_together_have_the_names_they_have_alone(objects in vec(input(), 0..9)) {
            let slices: Vec<&[u8]> = objects.iter().map(Vec::as_slice).collect();
            for kind in kinds() {
                let mut names = std::vec![None; objects.len()];
                kind.hash_each(&slices, |at, name| {
                    assert_eq!(names[at].replace(name), None, "each is named once");
                });
                for (object, name) in objects.iter().zip(&names) {
                    prop_assert_eq!(*name, Some(ContentHash(oracle(kind, object))));
                }
                #[cfg(feature = "alloc")]
                prop_assert_eq!(names, kind.hash_all(&slices).into_iter().map(Some).collect::<Vec<_>>());
            }
        }
    }

    #[cfg(feature = "blake3")]
    #[test]
    fn blake3_of_the_empty_input_is_the_published_vector() {
        let expected = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
        assert_eq!(HashKind::Blake3.hash(b"").to_string(), expected);
    }

    #[test]
    fn hex_is_read_strictly() {
        let digits = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert!(digits.parse::<ContentHash>().is_ok());
        assert_eq!(digits.to_uppercase().parse::<ContentHash>(), digits.parse());
        assert_eq!(digits[1..].parse::<ContentHash>(), Err(HexError::Length { found: 63 }));
        assert_eq!("".parse::<ContentHash>(), Err(HexError::Length { found: 0 }));
        let spoiled = digits.replacen("16", "1g", 1);
        assert_eq!(spoiled.parse::<ContentHash>(), Err(HexError::Digit { position: 5 }));
        // 64 bytes, but not 64 characters: no slicing inside a character.
        let wide = "é".repeat(32);
        assert_eq!(wide.parse::<ContentHash>(), Err(HexError::Digit { position: 0 }));
    }

    #[test]
    fn a_streamed_hash_equals_the_hash_at_once_however_it_is_cut() {
        let bytes: Vec<u8> =
            (0..5000u32).map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1]).collect();
        for kind in kinds() {
            for piece in [1, 7, 63, 64, 65, 1024, 5000] {
                let mut hasher = kind.hasher();
                bytes.chunks(piece).for_each(|piece| hasher.update(piece));
                assert_eq!(
                    hasher.finish(),
                    kind.hash(&bytes),
                    "{} in pieces of {piece}",
                    kind.name()
                );
            }
        }
    }

    #[test]
    fn numbers_and_names_of_hash_functions_go_both_ways() {
        for id in 0..=u8::MAX {
            match HashKind::from_id(id) {
                Ok(kind) => {
                    assert_eq!(kind.id(), id);
                    assert_eq!(kind.name().parse(), Ok(kind));
                }
                Err(error) => assert_eq!(error, UnknownHashKind { id }),
            }
        }
        assert_eq!("md5".parse::<HashKind>(), Err(UnknownHashName));
    }
}
